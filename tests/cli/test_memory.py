"""`memos memory`: blocks shown and edited from outside, with their history, and told to the agent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.program import TIMEOUT_S, Program

from memos.agent import Agent

BLOCK_FIELDS = ["label", "value", "limit_tokens", "description", "read_only", "version", "tokens", "shared_with"]


@pytest.fixture
def memos(memos_inside: Program) -> Program:
    """With the default agent, which has said nothing yet."""
    Agent.open().close()
    return memos_inside


def blocks(memos: Program, agent: str = "default") -> dict[str, dict[str, Any]]:
    shown = memos("memory", "--json", "--agent", agent).json["blocks"]
    return {block["label"]: block for block in shown}


def says(memos: Program, label: str, *options: str) -> str:
    shown = memos("memory", "show", label, *options)
    assert shown.code == 0, shown.err
    return shown.out.removesuffix("\n")


def versions(memos: Program, label: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = memos("memory", "history", label, "--json").json["versions"]
    return found


def newest_text(memos: Program, agent: str = "default") -> str:
    messages = memos("log", "--last", "1", "--json", "--agent", agent).json["messages"]
    return str(messages[0]["text"]) if messages else ""


def test_looking_creates_nothing(memos_inside: Program) -> None:
    for command in (["list"], ["show", "human"], ["new", "tasks"], ["append", "human", "x"]):
        assert memos_inside("memory", *command).code == 3
    assert not memos_inside.home.exists()


def test_the_blocks(memos: Program) -> None:
    shown = blocks(memos)

    assert list(shown) == ["persona", "human"]
    assert list(shown["human"]) == BLOCK_FIELDS
    assert (shown["human"]["value"], shown["human"]["shared_with"]) == ("", [])
    lines = memos("memory").out.splitlines()
    assert lines[0].split()[0] == "block"
    assert lines[2].split()[:2] == ["human", f"0/{shown['human']['limit_tokens']}"]


def test_an_edit_is_a_version_and_the_agent_is_told(memos: Program) -> None:
    edited = memos("memory", "edit", "human", "--text", "Ada collects trilobites.")

    assert (edited.code, edited.out) == (0, "")
    assert says(memos, "human") == "Ada collects trilobites."
    assert "Ada collects trilobites." in newest_text(memos)
    assert memos("memory", "append", "human", "Lives in Turin.").code == 0
    assert says(memos, "human") == "Ada collects trilobites.\nLives in Turin."
    assert [version["cause"] for version in versions(memos, "human")] == ["created", "command line", "command line"]


def test_text_from_standard_input(memos: Program) -> None:
    memos("memory", "edit", "human", "-", stdin="naïve\nAda\n")
    assert says(memos, "human") == "naïve\nAda"
    memos("memory", "edit", "human", "--text", "-", stdin="Bob\n")
    assert says(memos, "human") == "Bob"
    memos("memory", "append", "human", "-", stdin="and Ada\n")
    assert says(memos, "human") == "Bob\nand Ada"


def test_edits_that_cannot_be(memos: Program) -> None:
    limit = blocks(memos)["human"]["limit_tokens"]
    before = versions(memos, "human")

    for arguments, said in (
        (["edit", "human"], "--text"),
        (["edit", "human", "loose words"], "--text"),
        (["edit", "human", "-", "--text", "both"], "--text"),
        (["edit", "nobody", "--text", "x"], "'nobody'"),
        (["edit", "human", "--text", "pebble " * 2 * limit], str(limit)),
        (["append", "human", " "], "nothing to append"),
        (["append", "nobody", "x"], "'nobody'"),
        (["show", "nobody"], "'nobody'"),
        (["show", "human", "--version", "99"], "no version 99"),
        (["restore", "human", "99"], "no version 99"),
        (["diff", "human", "--from", "99"], "no version 99"),
        (["history", "nobody"], "'nobody'"),
        (["configure", "human"], "nothing to change"),
        (["configure", "nobody", "--writable"], "'nobody'"),
        (["new", "human"], "already"),
        (["new", "two words"], "cannot name a block"),
        (["remove", "human"], "--yes"),
        (["remove", "nobody", "--yes"], "'nobody'"),
    ):
        refused = memos("memory", *arguments)
        assert (refused.code, refused.out) == (2, ""), arguments
        assert said in refused.err, arguments
    assert versions(memos, "human") == before
    assert newest_text(memos) == ""
    for arguments in (["list"], ["edit", "human", "--text", "x"]):
        assert memos("memory", *arguments, "--agent", "nobody").code == 3
    assert memos("memory", "edit", "human", "-", stdin=b"\xff\xfe").code == 2


def test_history_diff_and_restore(memos: Program) -> None:
    for text in ("one\ntwo", "one\nthree"):
        memos("memory", "edit", "human", "--text", text)
    created, second, third = (version["version"] for version in versions(memos, "human"))

    assert says(memos, "human", "--version", str(second)) == "one\ntwo"
    old = memos("memory", "show", "human", "--version", str(second), "--json").json
    assert (old["label"], old["value"], old["cause"]) == ("human", "one\ntwo", "command line")
    newest = memos("memory", "diff", "human").out.splitlines()
    assert ("-two" in newest, "+three" in newest, " one" in newest) == (True, True, True)
    whole = memos("memory", "diff", "human", "--from", str(created), "--to", str(third)).out.splitlines()
    assert ("+one" in whole, "+three" in whole, "-two" in whole) == (True, True, False)
    assert [line.split()[0] for line in memos("memory", "history", "human").out.splitlines()[1:]] == [
        str(created),
        str(second),
        str(third),
    ]

    assert memos("memory", "restore", "human", str(second)).code == 0
    assert says(memos, "human") == "one\ntwo"
    assert versions(memos, "human")[-1]["cause"] == f"restore of version {second}"
    assert "one\ntwo" in newest_text(memos)


def test_a_new_block_of_ones_own(memos: Program) -> None:
    made = memos(
        *("memory", "new", "tasks", "--text", "Dust the shelves.", "--limit-tokens", "200"),
        *("--description", "What is to be done.", "--read-only"),
    )

    assert made.code == 0, made.err
    block = blocks(memos)["tasks"]
    assert (block["value"], block["limit_tokens"], block["read_only"]) == ("Dust the shelves.", 200, True)
    assert block["description"] == "What is to be done."
    assert "tasks" in newest_text(memos)
    assert "read-only" in memos("memory", "append", "tasks", "x").err
    assert memos("memory", "edit", "tasks", "--text", "The user may.").code == 0
    assert memos("memory", "configure", "tasks", "--writable", "--limit-tokens", "300").code == 0
    assert blocks(memos)["tasks"]["limit_tokens"] == 300
    assert memos("memory", "append", "tasks", "So may the model.").code == 0
    assert memos("memory", "configure", "tasks", "--limit-tokens", "1").code == 2

    assert memos("memory", "remove", "tasks", "--yes").code == 0
    assert "tasks" not in blocks(memos)


def test_a_block_that_leaves_no_room_is_refused_and_the_agent_still_opens(memos: Program) -> None:
    before = blocks(memos)

    for arguments in (
        ["new", "huge", "--limit-tokens", "9000"],
        ["configure", "human", "--limit-tokens", "9000"],
    ):
        refused = memos("memory", *arguments)
        assert (refused.code, refused.out) == (3, "")
        assert "nothing was changed" in refused.err
        assert "too small" in refused.err
    assert blocks(memos) == before
    assert newest_text(memos) == ""
    assert memos("send", "I collect trilobites.").code == 0


def test_an_agent_that_was_never_opened_keeps_its_first_blocks(memos: Program) -> None:
    for name in ("ada", "bob", "eve"):
        memos("agents", "new", name)
    assert "no blocks yet" in memos("memory", "--agent", "ada").err

    assert memos("memory", "append", "human", "Ada.", "--agent", "ada").code == 0
    assert memos("memory", "new", "tasks", "--agent", "bob").code == 0
    assert memos("memory", "share", "tasks", "--with", "eve", "--agent", "bob").code == 0

    assert list(blocks(memos, "ada")) == ["persona", "human"]
    assert list(blocks(memos, "bob")) == ["persona", "human", "tasks"]
    assert list(blocks(memos, "eve")) == ["persona", "human", "tasks"]


def test_a_block_that_two_agents_hold(memos: Program) -> None:
    memos("agents", "new", "bob")
    memos("memory", "new", "tasks", "--text", "Dust the shelves.")

    assert memos("memory", "share", "tasks", "--with", "bob").code == 0
    memos("memory", "append", "tasks", "Wind the clock.", "--agent", "bob")

    assert says(memos, "tasks") == "Dust the shelves.\nWind the clock."
    assert "Wind the clock." in newest_text(memos)
    assert blocks(memos)["tasks"]["shared_with"] == ["bob"]
    assert blocks(memos)["human"]["shared_with"] == []
    for arguments, code in (
        (["share", "tasks", "--with", "bob"], 2),
        (["share", "nothing", "--with", "bob"], 2),
        (["share", "tasks", "--with", "nobody"], 3),
        (["share", "tasks"], 2),
    ):
        assert memos("memory", *arguments).code == code, arguments
    assert memos("memory", "remove", "tasks", "--yes").code == 0
    assert says(memos, "tasks", "--agent", "bob") == "Dust the shelves.\nWind the clock."


def test_a_share_that_leaves_the_other_no_room_is_refused(memos: Program) -> None:
    memos("agents", "new", "bob")
    assert memos("memory", "new", "tasks", "--limit-tokens", "700").code == 0
    assert memos("memory", "new", "notes", "--limit-tokens", "1000", "--agent", "bob").code == 0

    refused = memos("memory", "share", "tasks", "--with", "bob")

    assert (refused.code, refused.out) == (2, "")
    assert "'bob' could not be opened any more" in refused.err
    assert list(blocks(memos, "bob")) == ["persona", "human", "notes"]
    assert newest_text(memos, "bob").startswith("Core memory has a new block 'notes'")


def test_a_limit_that_leaves_another_holder_no_room_is_refused(memos: Program) -> None:
    memos("agents", "new", "bob")
    assert memos("memory", "new", "tasks", "--limit-tokens", "400").code == 0
    assert memos("memory", "share", "tasks", "--with", "bob").code == 0
    assert memos("memory", "new", "notes", "--limit-tokens", "700", "--agent", "bob").code == 0
    before = versions(memos, "tasks")

    refused = memos("memory", "configure", "tasks", "--limit-tokens", "600")

    assert (refused.code, refused.out) == (2, "")
    assert "'bob' could not be opened any more" in refused.err
    assert versions(memos, "tasks") == before


def test_what_a_block_is_has_a_history_too(memos: Program) -> None:
    first = blocks(memos)["human"]
    memos("memory", "configure", "human", "--limit-tokens", "40", "--description", "Who asks.", "--read-only")

    created, changed = versions(memos, "human")
    assert {name: changed[name] for name in ("limit_tokens", "description", "read_only")} == {
        "limit_tokens": 40,
        "description": "Who asks.",
        "read_only": True,
    }
    assert created["limit_tokens"] == first["limit_tokens"]
    newest = memos("memory", "history", "human").out.splitlines()[-1]
    assert ("0/40" in newest, "read-only" in newest, "Who asks." in newest) == (True, True, True)
    assert memos("memory", "diff", "human").out.splitlines() == [
        f"# limit_tokens: {first['limit_tokens']} -> 40",
        f"# description: {first['description']!r} -> 'Who asks.'",
        "# read_only: False -> True",
    ]

    assert memos("memory", "restore", "human", str(created["version"])).code == 0
    assert blocks(memos)["human"] | {"version": 0} == first | {"version": 0}


def test_restoring_a_limit_without_room_is_refused(memos: Program) -> None:
    memos("memory", "new", "tasks", "--limit-tokens", "700")
    memos("memory", "configure", "tasks", "--limit-tokens", "40")
    memos("memory", "new", "notes", "--limit-tokens", "1000")
    created, narrowed = versions(memos, "tasks")

    refused = memos("memory", "restore", "tasks", str(created["version"]))

    assert (refused.code, refused.out) == (3, "")
    assert "nothing was changed" in refused.err
    assert versions(memos, "tasks") == [created, narrowed]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("body", "code"), [("printf 'Ada.\\n' > \"$1\"", 0), ("exit 3", 1), (":", 0)])
def test_an_edit_in_the_users_editor(memos: Program, tmp_path: Path, body: str, code: int) -> None:
    import pty

    memos("memory", "edit", "human", "--text", "Before.")
    editor = tmp_path / "my editor"
    editor.write_text(f'#!/bin/sh\ngrep -q Before. "$1" || exit 9\n{body}\n', encoding="utf-8")
    editor.chmod(0o700)
    master, slave = pty.openpty()
    done = subprocess.run(
        memos.command("memory", "edit", "human"),
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
        env=memos.environment() | {"EDITOR": f"'{editor}'"},
        cwd=memos.folder,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(slave)
    os.close(master)

    assert done.returncode == code, done.stderr
    assert says(memos, "human") == ("Ada." if "Ada" in body else "Before.")
    assert b"nothing was changed" in done.stderr.lower() or "Ada" in body
