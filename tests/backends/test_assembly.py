"""Replies put together from the deltas of servers that differ."""

from __future__ import annotations

import re

import pytest

from memos.backends.assembly import ReplyAssembler, new_call_id
from memos.messages import Usage
from memos.ports import Delta, Reply

Json = dict[str, object]


def assemble(
    *deltas: Json, reason: str | None = "stop", known: frozenset[str] = frozenset()
) -> tuple[list[Delta], Reply]:
    assembler = ReplyAssembler(known)
    shown = [piece for delta in deltas for piece in assembler.feed({"choices": [{"delta": delta}]})]
    shown += assembler.feed({"choices": [{"delta": {}, "finish_reason": reason}]})
    return shown, assembler.reply()


def call(index: int | None, call_id: str | None, name: str | None, arguments: object) -> Json:
    fields: Json = {"id": call_id, "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [fields if index is None else {**fields, "index": index}]}


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param(
            [call(0, "a", "f", ""), call(1, "b", "g", ""), call(0, None, None, "{}"), call(1, None, None, "[]")],
            [("a", "f", "{}"), ("b", "g", "[]")],
            id="interleaved",
        ),
        pytest.param(
            [call(0, "a", "f", '{"x"'), call(0, "a", "f", ": 1}")], [("a", "f", '{"x": 1}')], id="id and name repeated"
        ),
        pytest.param(
            [call(0, "a", "f", "{}"), call(0, "b", "f", "{}")],
            [("a", "f", "{}"), ("b", "f", "{}")],
            id="all numbered 0",
        ),
        pytest.param([call(0, "", "f", "{}"), call(0, "", "f", "{}")], [(None, "f", "{}")] * 2, id="all 0, no ids"),
        pytest.param(
            [call(None, "a", "f", '{"x"'), call(None, None, None, ":1}"), call(None, "b", "g", "{}")],
            [("a", "f", '{"x":1}'), ("b", "g", "{}")],
            id="no numbers",
        ),
        pytest.param([call(0, None, "f", {"x": 1})], [(None, "f", '{"x": 1}')], id="arguments an object"),
        pytest.param([call(0, "a", "f", None)], [("a", "f", "")], id="no arguments"),
        pytest.param([call(3, "a", "f", "{}")], [("a", "f", "{}")], id="numbers that begin late"),
        pytest.param(
            [call(0, "a", "f", "{}"), call(1, "a", "g", "{}")], [("a", "f", "{}"), (None, "g", "{}")], id="same id"
        ),
    ],
)
def test_calls(deltas: list[Json], expected: list[tuple[str | None, str, str]]) -> None:
    _, reply = assemble(*deltas)
    assert [(made.name, made.arguments) for made in reply.calls] == [(name, text) for _, name, text in expected]
    for made, (call_id, _, _) in zip(reply.calls, expected, strict=True):
        assert made.id == call_id if call_id else re.fullmatch(r"call_[0-9a-f]{12}", made.id)
    assert len({made.id for made in reply.calls}) == len(expected)
    assert reply.finish_reason == "calls"


def test_an_id_already_in_the_window_is_replaced() -> None:
    _, reply = assemble(call(0, "call_0", "f", "{}"), known=frozenset({"call_0"}))
    assert reply.calls[0].id != "call_0"


def test_new_call_ids_differ() -> None:
    assert len({new_call_id() for _ in range(1000)}) == 1000


def test_surrogate_pair_in_two_deltas_becomes_one_character() -> None:
    shown, reply = assemble({"content": "a\ud83e"}, {"content": "\udd95b"}, {"content": "\ud83e"})
    assert reply.text == "a🦕b\ufffd"
    assert "".join(delta.text for delta in shown) == "a🦕b"


def test_typed_parts_of_content() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Two and two."}]}
    _, reply = assemble({"content": [thinking, {"type": "text", "text": "4"}]})
    assert (reply.thoughts, reply.text) == ("Two and two.", "4")


@pytest.mark.parametrize(
    ("reason", "mapped"),
    [("stop", "stop"), ("tool_calls", "stop"), ("length", "length"), ("content_filter", "refused"), ("", "stop")],
)
def test_finish_reasons(reason: str, mapped: str) -> None:
    assert assemble({"content": "x"}, reason=reason)[1].finish_reason == mapped


def test_refusal_is_text() -> None:
    _, reply = assemble({"refusal": "I cannot."})
    assert (reply.text, reply.finish_reason) == ("I cannot.", "refused")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, Usage(5, 2, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(5, 0, 4)),
        ({"prompt_tokens": 5, "prompt_cache_hit_tokens": 3, "prompt_tokens_details": None}, Usage(5, 0, 3)),
        ({"prompt_tokens": None, "completion_tokens": "9"}, Usage()),
        (None, Usage()),
    ],
)
def test_usage(usage: object, expected: Usage) -> None:
    assembler = ReplyAssembler()
    assert list(assembler.feed({"choices": [], "usage": usage})) == []
    assert list(assembler.feed({"choices": None, "usage": None})) == []
    assert assembler.reply().usage == expected
