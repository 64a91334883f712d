"""`memos agents`: made on purpose, renamed, deleted only when that is meant."""

from __future__ import annotations

import pytest
from support.program import Program

FIELDS = ["name", "created_at", "last_active_at", "messages", "passages", "documents", "scratch"]


@pytest.fixture
def memos(memos_inside: Program) -> Program:
    return memos_inside


def names(memos: Program) -> list[str]:
    agents = memos("agents", "--json").json["agents"]
    return [agent["name"] for agent in agents]


def test_looking_creates_nothing(memos: Program) -> None:
    shown = memos("agents")

    assert (shown.code, shown.out) == (0, "")
    assert "memos send" in shown.err
    assert not memos.home.exists()


def test_an_agent_from_beginning_to_end(memos: Program) -> None:
    assert memos("agents", "new", "ada").code == 0
    assert memos("send", "I collect trilobites.", "--agent", "ada").code == 0
    assert names(memos) == ["ada"]

    assert memos("agents", "rename", "ada", "lovelace").code == 0
    fields = memos("agents", "show", "lovelace", "--json").json
    assert list(fields) == FIELDS
    assert fields["messages"] >= 2
    assert memos("agents", "show", "ada").code == 3

    unsure = memos("agents", "delete", "lovelace")
    assert (unsure.code, unsure.out) == (2, "")
    assert "--yes" in unsure.err
    assert names(memos) == ["lovelace"]

    assert memos("agents", "delete", "lovelace", "--yes").code == 0
    assert names(memos) == []


def test_names_that_cannot_be(memos: Program) -> None:
    assert memos("agents", "new", "ada").code == 0

    for name in ("ada", "../ada", ""):
        refused = memos("agents", "new", name)
        assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert names(memos) == ["ada"]


def test_each_agent_has_its_own_memory(memos: Program) -> None:
    for name in ("ada", "bob"):
        memos("agents", "new", name)
    memos("send", "I collect trilobites.", "--agent", "ada")

    assert memos("search", "trilobites", "--agent", "ada", "--json").json["total"]
    assert memos("search", "trilobites", "--agent", "bob", "--json").json == {"total": 0, "hits": []}


def write_text(memos: Program, folder: str, name: str, text: str) -> None:
    path = memos.home / folder / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_new_agent_starts_with_the_persona_and_human_named(memos: Program) -> None:
    write_text(memos, "personas", "curator", "I keep the museum's fossils.\n")
    write_text(memos, "humans", "ada", "Ada collects trilobites.\n")

    made = memos("agents", "new", "ada", "--persona", "curator", "--human", "ada")

    assert (made.code, made.out) == (0, "")
    assert memos("memory", "show", "persona", "--agent", "ada").out == "I keep the museum's fossils.\n"
    assert memos("memory", "show", "human", "--agent", "ada").out == "Ada collects trilobites.\n"
    memos("send", "hi", "--agent", "ada")
    assert memos("memory", "show", "persona", "--agent", "ada").out == "I keep the museum's fossils.\n"


def test_a_persona_that_is_missing_or_too_long_makes_no_agent(memos: Program) -> None:
    write_text(memos, "personas", "epic", "pebble lantern " * 2000)

    for persona, said in (("nobody", "nobody.md"), ("epic", "tokens")):
        refused = memos("agents", "new", "ada", "--persona", persona)
        assert (refused.code, refused.out) == (3, "")
        assert said in refused.err
    assert names(memos) == []


def test_a_new_agent_lives_in_the_time_zone_of_the_settings(memos: Program) -> None:
    memos("agents", "new", "ada", MEMOS_TIMEZONE="Pacific/Auckland")
    memos("send", "hi", "--agent", "ada")

    messages = memos("log", "--agent", "ada", "--json").json["messages"]
    assert messages[0]["created_at"][-6:] in ("+12:00", "+13:00")
