"""`memos doctor`: says what is there and what is not, and never shows a key."""

from __future__ import annotations

from typing import Any

import pytest
from support.program import Program

KEY = "sk-a-very-secret-key"


@pytest.fixture
def memos(memos_inside: Program) -> Program:
    return memos_inside


def checks(memos: Program, *arguments: str, code: int = 0, **variables: str) -> dict[str, Any]:
    shown = memos("doctor", "--json", *arguments, **variables)
    assert shown.code == code, shown.out
    assert shown.json["usable"] is (code == 0)
    found = shown.json["checks"]
    return {check["name"]: check for check in found}


def test_a_fresh_machine_is_usable_and_stays_fresh(memos: Program) -> None:
    found = checks(memos)

    assert {name for name, check in found.items() if check["state"] == "ok"} >= {
        *("python", "sqlite", "lancedb", "embedder", "home", "settings", "model", "memory", "index")
    }
    assert "extractive" in str(found["model"]["detail"])
    assert found["key"]["state"] == "missing"
    assert set(found["model"]) == {"name", "state", "detail", "cure", "figures"}
    assert not memos.home.exists()


def test_figures_are_true(memos: Program) -> None:
    (memos.folder / "note.txt").write_text("Trilobites lived in the sea.", encoding="utf-8")
    memos("ingest", "note.txt")
    memos("send", "hi")

    found = checks(memos)

    figures = found["memory"]["figures"]
    assert (figures["agents"], figures["documents"]) == (1, 1)
    assert figures["messages"] >= 2
    assert figures["passages"] >= 1


def test_what_is_missing_comes_with_its_cure(memos: Program) -> None:
    found = checks(memos, "--model", "openai:gpt-4.1-mini", code=1)

    assert {name for name, check in found.items() if check["state"] == "failed"} == {"model", "key"}
    assert "OPENAI_API_KEY" in str(found["model"]["detail"])


def test_a_key_is_never_shown(memos: Program) -> None:
    shown = memos("doctor", "--model", "openai:gpt-4.1-mini", OPENAI_API_KEY=KEY)

    assert shown.code == 0, shown.out
    assert "OPENAI_API_KEY is set" in shown.out
    assert KEY not in shown.out + shown.err
