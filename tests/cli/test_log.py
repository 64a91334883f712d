"""`memos log`: what was said, what was paged out, the way back, and what the model was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.model import Model, in_turn, saying
from support.program import Program

from memos.agent import Agent

Script = Callable[[list[dict[str, object]]], str]

WINDOW = "1500"
WORDS = "pebble lantern orchard " * 12


def says(text: str) -> dict[str, object]:
    return {"calls": [{"name": "send_message", "arguments": {"message": text}}]}


@pytest.fixture
def memos(memos_inside: Program, script: Script) -> Program:
    """With a model that says little, in a window that fills up soon."""
    memos_inside.variables |= {"MEMOS_MODEL": script([says("Ok.")]), "MEMOS_CONTEXT_TOKENS": WINDOW}
    return memos_inside


@pytest.fixture
def filled(memos: Program) -> Program:
    """The same after as many turns as make two flushes."""
    with Agent.open(model=memos.variables["MEMOS_MODEL"], context_tokens=int(WINDOW)) as agent:
        for number in range(60):
            agent.send(f"{number} {WORDS}")
            if len(agent.receipts()) == 2:
                return memos
    raise AssertionError("the window never filled up")


def receipts(memos: Program) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = memos("log", "receipts", "--json").json["receipts"]
    return found


def test_looking_creates_nothing(memos: Program) -> None:
    for command in (["log"], ["log", "receipts"], ["log", "undo"], ["log", "requests"]):
        refused = memos(*command)
        assert (refused.code, refused.out) == (3, "")
        assert "memos send" in refused.err
    assert not memos.home.exists()


def test_the_newest_messages(memos: Program) -> None:
    memos("send", "My name is Ada.")
    memos("send", "two\nlines")

    shown = memos("log")
    newest = memos("log", "--last", "3", "--json").json["messages"]

    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0].startswith("1  20")
    assert lines[0].endswith("  user")
    assert lines[1] == "    My name is Ada."
    assert "    two\n    lines\n" in shown.out
    assert '    → send_message {"message": "Ok."}' in lines
    assert [message["role"] for message in newest] == ["user", "assistant", "tool"]
    assert newest[0]["text"] == "two\nlines"
    assert newest[1]["calls"] == [{"name": "send_message", "arguments": {"message": "Ok."}}]
    assert newest[2]["kind"] == "result"


def test_looking_needs_no_model(filled: Program) -> None:
    filled.variables["MEMOS_MODEL"] = "openai:gpt-4o-mini"  # without a key

    for command in (["log"], ["log", "receipts"], ["log", "show", "1", "--messages"], ["memory"]):
        assert filled(*command).code == 0
    assert filled("log", "requests").code == 3


def test_receipts_cover_what_was_paged_out(filled: Program) -> None:
    first, second = receipts(filled)

    assert (first["first_id"], first["stands"], second["stands"]) == (1, True, True)
    assert second["first_id"] == first["last_id"] + 1
    assert second["replaced_id"] == first["id"]
    table = filled("log", "receipts").out.splitlines()
    assert len(table) == 3
    assert table[1].split()[:3] == [str(first["id"]), "yes", f"1-{first['last_id']}"]


def test_one_receipt_with_what_it_covers(filled: Program) -> None:
    first, second = receipts(filled)

    whole = filled("log", "show", str(second["id"]), "--messages", "--json").json
    plain = filled("log", "show", str(second["id"]), "--messages").out

    assert whole["old_summary"] == first["summary"]
    assert whole["summary"] == second["summary"]
    covered = [message["id"] for message in whole["messages"]]
    assert covered == list(range(second["first_id"], second["last_id"] + 1))
    assert first["summary"] in plain
    assert f"{second['first_id']}  " in plain
    assert filled("log", "show", str(second["id"]), "--json").json["messages"] is None
    unknown = filled("log", "show", "999")
    assert (unknown.code, unknown.out) == (2, "")
    assert "no receipt 999" in unknown.err


def test_undo_puts_messages_back(memos: Program) -> None:
    memos.variables["MEMOS_FLUSH_FRACTION"] = "0.3"
    memos.variables["MEMOS_WARN_FRACTION"] = "0.3"
    memos.variables["MEMOS_CONTEXT_TOKENS"] = "8192"
    for number in range(30):
        memos("send", f"{number} {WORDS}")
        if receipts(memos):
            break
    (flushed,) = receipts(memos)
    memos.variables["MEMOS_FLUSH_FRACTION"] = "0.9"

    undone = memos("log", "undo")

    assert (undone.code, undone.out) == (0, "")
    assert f"messages 1 to {flushed['last_id']}" in undone.err
    assert [receipt["stands"] for receipt in receipts(memos)] == [False]
    assert "undone" in memos("log", "receipts").out
    nothing = memos("log", "undo")
    assert (nothing.code, nothing.out) == (2, "")
    assert "no flush to undo" in nothing.err


def test_undo_without_room_says_how_much_is_lacking(filled: Program) -> None:
    for number in range(30):  # until what was freed is used up again
        before = receipts(filled)
        refused = filled("log", "undo")
        if refused.code:
            break
        filled("send", f"again {number} {WORDS}")
    else:
        raise AssertionError("there was always room")

    assert refused.code == 2
    assert "tokens of room" in refused.err
    assert int(refused.err.split(" lacks ")[1].split()[0]) > 0
    assert receipts(filled) == before


def test_old_messages_come_back_word_for_word(filled: Program) -> None:
    paged = filled("log", "page-in", "1-2")

    assert (paged.code, paged.out) == (0, "")
    (newest,) = filled("log", "--last", "1", "--json").json["messages"]
    assert newest["kind"] == "paged_in"
    assert f"0 {WORDS.strip()}" in newest["text"]
    for span, said in (("9000-9001", "no messages 9000"), ("1-", "FIRST-LAST"), ("x", "FIRST-LAST"), ("5-2", "no mes")):
        refused = filled("log", "page-in", span)
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err
    assert filled("log", "page-in", "1", "--agent", "nobody").code == 3


def test_requests_are_what_the_backend_got(memos: Program) -> None:
    memos("send", "Before.")
    model = Model(in_turn(lambda: saying("Hello Ada.")))
    with Agent.open(backend=model, context_tokens=int(WINDOW)) as agent:
        agent.send("My name is Ada.")

    (shown,) = memos("log", "requests", "--json").json["requests"]

    (request,) = model.requests
    assert [message["text"] for message in shown["messages"]] == [page.message.rendered for page in request.pages]
    assert [message["role"] for message in shown["messages"]] == [page.message.role for page in request.pages]
    assert [message["key"] for message in shown["messages"]] == [page.key for page in request.pages]
    assert [call["arguments"] for message in shown["messages"] for call in message["calls"]] == [
        call.arguments for page in request.pages for call in page.message.calls
    ]
    assert [tool["name"] for tool in shown["tools"]] == [tool.name for tool in request.tools]
    assert shown["max_output_tokens"] == request.max_output_tokens


def test_requests_for_people_and_of_an_earlier_turn(memos: Program) -> None:
    memos("send", "My name is Ada.")
    memos("send", "Second.")

    plain = memos("log", "requests", "--turn", "1").out

    assert "answered by message 2" in plain
    assert "-- core · " in plain
    assert "] My name is Ada." in plain
    assert "Second." not in plain
    assert "send_message" in plain.split("== functions: ")[1].splitlines()[0]


def test_a_past_request_sent_again_stores_nothing(memos: Program, script: Script) -> None:
    memos("send", "My name is Ada.")
    before = memos("log", "--json").json

    other = script([{"text": "Other thoughts.", **says("Other.")}])
    again = memos("log", "requests", "--replay", "2", "--model", other, "--json")
    plain = memos("log", "requests", "--replay", "2")

    assert again.json["reply"]["text"] == "Other thoughts."
    assert again.json["reply"]["calls"][0]["arguments"] == '{"message": "Other."}'
    assert plain.out == '→ send_message {"message": "Ok."}\n'
    assert memos("log", "--json").json == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--replay", "1"], "no reply"),
        (["--replay", "99"], "no reply"),
        (["--turn", "2"], "no turn that message 2 opened"),
        (["--turn", "1", "--replay", "2"], "exclude each other"),
    ],
)
def test_requests_that_cannot_be(memos: Program, options: list[str], said: str) -> None:
    memos("send", "hi")

    refused = memos("log", "requests", *options)

    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert said in refused.err
