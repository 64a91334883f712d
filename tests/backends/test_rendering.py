"""Pages as the API's messages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memos.backends.rendering import render_messages, valid_arguments
from memos.ports import Page, Request

MakePage = Callable[..., Page]
MakeRequest = Callable[..., Request]
SEND = ("c1", "send_message", '{"message": "Hi Ada"}')
NOTE = ("c2", "archival_memory_insert", '{"content": "x"}')


def test_leading_system_pages_are_one_message(page: MakePage, request_of: MakeRequest) -> None:
    rendered = render_messages(
        request_of(page("system", "A"), page("system", "B"), page("user", "C"), page("system", "D"))
    )
    assert rendered == [
        {"role": "system", "content": "A\n\nB"},
        {"role": "user", "content": "C"},
        {"role": "user", "content": "D"},
    ]


def test_heartbeat_step(page: MakePage, request_of: MakeRequest) -> None:
    step = page("assistant", "", thoughts="She said hello.", calls=[SEND, NOTE])
    rendered = render_messages(
        request_of(step, page("tool", "OK 2", call_id="c2"), page("user", "alert"), page("tool", "OK 1", call_id="c1"))
    )
    assert rendered == [
        {
            "role": "assistant",
            "content": "She said hello.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "send_message", "arguments": SEND[2]}},
                {"id": "c2", "type": "function", "function": {"name": NOTE[1], "arguments": NOTE[2]}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "OK 1"},
        {"role": "tool", "tool_call_id": "c2", "content": "OK 2"},
        {"role": "user", "content": "alert"},
    ]


def test_native_step_keeps_its_reasoning_to_itself(page: MakePage, request_of: MakeRequest) -> None:
    pages = [page("assistant", "Hi.", thoughts="secret", calls=[NOTE]), page("tool", "OK", call_id="c2")]
    reply, result = render_messages(request_of(*pages, loop="native"))
    assert (reply["content"], result["content"]) == ("Hi.", "OK")
    assert "secret" not in str(reply)


def test_send_message_reads_as_a_plain_reply_in_native_mode(page: MakePage, request_of: MakeRequest) -> None:
    pages = [page("assistant", "", thoughts="t", calls=[SEND]), page("tool", "OK", call_id="c1")]
    assert render_messages(request_of(*pages, loop="native")) == [{"role": "assistant", "content": "Hi Ada"}]


def test_plain_reply_of_native_mode_in_heartbeat_mode(page: MakePage, request_of: MakeRequest) -> None:
    rendered = render_messages(request_of(page("assistant", "Hi.", thoughts="secret")))
    assert rendered == [{"role": "assistant", "content": "Hi."}]


def test_orphans_are_never_sent(page: MakePage, request_of: MakeRequest) -> None:
    rendered = render_messages(
        request_of(
            page("tool", "orphan", call_id="c0"),
            page("assistant", "", calls=[SEND, NOTE]),
            page("tool", "orphan", call_id="c9"),
            page("tool", "OK", call_id="c1"),
            page("assistant", "", calls=[("c3", "f", "{}")]),
            page("tool", "late", call_id="c2"),
            page("assistant", ""),
        )
    )
    assert [(message["role"], message["content"]) for message in rendered] == [("assistant", None), ("tool", "OK")]
    assert [call["id"] for call in rendered[0]["tool_calls"]] == ["c1"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        ('{ "a":1 }', '{ "a":1 }'),
        ('{"a": "x', "{}"),
        ("", "{}"),
        ("[1]", "{}"),
        ('"text"', "{}"),
        ('{"a": "line\nline"}', '{"a": "line\\nline"}'),
        ('{"a": NaN}', "{}"),
        ("[" * 100_000, "{}"),
    ],
)
def test_arguments_are_always_json(raw: str, sent: str) -> None:
    assert valid_arguments(raw) == sent
