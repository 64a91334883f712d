"""What the adapter hears: streams and whole replies, however they are cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from support.stub_openai import Answer, Policy, Raw, Reply, StubCall, StubServer, Wire, events

from memos.backends.openai_api import OpenAIBackend
from memos.errors import ConnectionFailed, MalformedReply, ServerFailed
from memos.messages import Usage, parse_object
from memos.ports import Delta, Request
from memos.ports import Reply as WholeReply

Start = Callable[[Policy | Sequence[Reply]], StubServer]

TEXT = "Größe 三葉虫 🦕 — and\nmore"
USAGE = {"prompt_tokens": 70, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 64}}
CALLS = (
    StubCall("core_memory_append", {"label": "human", "content": "collects 三葉虫 🦕"}, "call_a"),
    StubCall("send_message", '{"message": "broken', "call_b"),
)


def run(server: StubServer, request: Request, *, stream: bool = True) -> tuple[list[Delta], WholeReply]:
    backend = OpenAIBackend("stub", server.base_url, stream=stream, timeout_s=5, max_retries=0)
    *deltas, reply = backend.complete(request)
    backend.close()
    assert isinstance(reply, WholeReply)
    assert all(isinstance(delta, Delta) for delta in deltas)
    return [delta for delta in deltas if isinstance(delta, Delta)], reply


def check_full(deltas: list[Delta], reply: WholeReply) -> None:
    """The reply that all the ways below must come to."""
    assert reply.text == "".join(delta.text for delta in deltas) == TEXT
    assert reply.thoughts == "".join(delta.thoughts for delta in deltas) == "Hm."
    assert [(call.id, call.name) for call in reply.calls] == [
        ("call_a", "core_memory_append"),
        ("call_b", "send_message"),
    ]
    assert parse_object(reply.calls[0].arguments) == CALLS[0].arguments
    assert reply.calls[1].arguments == '{"message": "broken'
    for number, call in enumerate(reply.calls):
        mine = [delta for delta in deltas if delta.call_index == number]
        assert "".join(delta.arguments for delta in mine) == call.arguments
        assert [delta.call_name for delta in mine if delta.call_name] == [call.name]
    assert reply.usage == Usage(70, 9, 64)
    assert reply.finish_reason == "calls"


@pytest.mark.parametrize("byte_split", [None, *range(1, 18)])
def test_stream_cut_at_any_byte(openai_server: Start, hello: Request, byte_split: int | None) -> None:
    wire = Wire(byte_split=byte_split, chunk_chars=3, crlf=bool(byte_split and byte_split % 2), comments=True)
    answer = Answer(TEXT, CALLS, usage=USAGE, extra={"reasoning_content": "Hm."}, wire=wire)
    check_full(*run(openai_server([answer]), hello))


def test_whole_reply(openai_server: Start, hello: Request) -> None:
    answer = Answer(TEXT, CALLS, usage=USAGE, extra={"reasoning": "Hm."})
    server = openai_server([answer])
    check_full(*run(server, hello, stream=False))
    assert "stream" not in server.requests[0].body


def test_server_that_does_not_stream_is_read_whole(openai_server: Start, hello: Request) -> None:
    body = b'{"choices": [{"message": {"role": "assistant", "content": "At once."}, "finish_reason": "stop"}]}'
    deltas, reply = run(openai_server([Raw(body)]), hello)
    assert (reply.text, reply.finish_reason, reply.usage) == ("At once.", "stop", Usage())
    assert deltas == [Delta(text="At once.")]


def test_missing_done_is_no_failure(openai_server: Start, hello: Request) -> None:
    assert run(openai_server([Answer("All.", wire=Wire(has_done=False))]), hello)[1].text == "All."


@pytest.mark.parametrize(
    "wire", [Wire(cut_after=3, chunk_chars=1), Wire(has_finish=False), Wire(has_finish=False, has_done=False)]
)
def test_broken_stream_is_a_failed_connection(openai_server: Start, hello: Request, wire: Wire) -> None:
    server = openai_server([Answer("Half of it", wire=wire)])
    backend = OpenAIBackend("stub", server.base_url, timeout_s=5, max_retries=3)
    with pytest.raises(ConnectionFailed) as caught:
        list(backend.complete(hello))
    assert caught.value.retryable
    assert len(server.requests) == 1, "nothing is repeated once deltas have come"
    backend.close()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "raw",
    [
        Raw(b"<html>502 Bad Gateway</html>", content_type="text/html"),
        Raw(b"<html>502 Bad Gateway</html>"),
        Raw(b'{"choices": []}'),
        Raw(b"[1, 2]"),
        Raw(b""),
    ],
)
def test_garbage_is_a_malformed_reply(openai_server: Start, hello: Request, raw: Raw, *, stream: bool) -> None:
    with pytest.raises(MalformedReply):
        run(openai_server([raw]), hello, stream=stream)


@pytest.mark.parametrize("event", ["{broken", '"a string"', "\\"])
def test_garbage_inside_a_stream(openai_server: Start, hello: Request, event: str) -> None:
    with pytest.raises(MalformedReply):
        run(openai_server([events(event)]), hello)


def test_error_inside_a_stream(openai_server: Start, hello: Request) -> None:
    with pytest.raises(ServerFailed, match="out of memory"):
        run(openai_server([events({"error": {"message": "out of memory", "code": 502}})]), hello)


def test_closing_the_iterator_closes_the_connection(openai_server: Start, hello: Request) -> None:
    server = openai_server([Answer("word " * 4000, wire=Wire(chunk_delay_s=0.002, chunk_chars=5))])
    backend = OpenAIBackend("stub", server.base_url, timeout_s=5)
    replying = iter(backend.complete(hello))
    assert isinstance(next(replying), Delta)
    replying.close()  # type: ignore[attr-defined]
    assert server.disconnected.wait(3)
    backend.close()
