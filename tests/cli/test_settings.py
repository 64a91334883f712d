"""Which setting wins, and where each came from."""

from __future__ import annotations

from typing import Any

import pytest
from support.program import Program


@pytest.fixture
def memos(memos_inside: Program) -> Program:
    return memos_inside


def shown(memos: Program, *arguments: str, **variables: str) -> dict[str, Any]:
    settings: dict[str, Any] = memos("config", "show", "--json", *arguments, **variables).json["settings"]
    return settings


def test_the_nearer_source_wins(memos: Program) -> None:
    assert shown(memos)["max_steps"] == {"value": 50, "origin": "default"}

    assert memos("config", "set", "max_steps", "40").code == 0
    assert shown(memos)["max_steps"] == {"value": 40, "origin": "user settings"}

    (memos.folder / "memos.toml").write_text("max_steps = 30\n", encoding="utf-8")
    assert shown(memos)["max_steps"] == {"value": 30, "origin": "project file"}

    assert shown(memos, MEMOS_MAX_STEPS="20")["max_steps"] == {"value": 20, "origin": "environment"}


def test_a_flag_wins_over_the_environment(memos: Program) -> None:
    refused = memos("send", "hi", "--model", "scripted:/flag", MEMOS_MODEL="scripted:/environment")

    assert refused.code == 3
    assert "flag" in refused.err


def test_the_agent_of_the_environment_is_meant(memos: Program) -> None:
    assert memos("agents", "new", "ada").code == 0

    sent = memos("send", "I collect trilobites.", "--json", MEMOS_AGENT="ada")

    assert sent.json["agent"] == "ada"
    listed = memos("agents", "list", "--json").json["agents"]
    assert [agent["name"] for agent in listed] == ["ada"]


def test_set_and_path(memos: Program) -> None:
    path = memos("config", "path").out.rstrip("\n")
    assert path == str(memos.home / "settings.toml")

    assert memos("config", "set", "agent", "ada").code == 0
    assert 'agent = "ada"' in (memos.home / "settings.toml").read_text(encoding="utf-8")
    assert memos("config", "set", "agent", "").code == 0
    assert "agent" not in (memos.home / "settings.toml").read_text(encoding="utf-8")


def test_a_table_for_people(memos: Program) -> None:
    lines = memos("config").out.splitlines()

    assert lines[0].split() == ["setting", "value", "origin"]
    assert ["model", "extractive", "default"] in [line.split() for line in lines]


def test_there_must_be_a_file_to_trust(memos: Program) -> None:
    refused = memos("config", "trust")

    assert (refused.code, refused.out) == (1, "")
    assert "memos.toml" in refused.err


def test_a_trusted_file_that_changed_is_not_trusted(memos: Program) -> None:
    project = memos.folder / "memos.toml"
    project.write_text('model = "scripted:a.json"\n', encoding="utf-8")
    assert memos("config", "show").code == 3
    memos("config", "trust")
    assert memos("config", "show").code == 0

    project.write_text('model = "scripted:b.json"\n', encoding="utf-8")

    assert memos("config", "show").code == 3
