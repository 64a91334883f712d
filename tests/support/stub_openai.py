"""A small OpenAI-compatible server on loopback, standard library only.

    with StubServer(["Hello.", Answer(calls=(StubCall("send_message", {"message": "Hi"}),))]) as server:
        ...  # server.base_url is "http://127.0.0.1:PORT/v1"
        server.requests[-1].body["messages"]

Answers come from a list, the last of which repeats, or from a function of the request's body. It
answers at once and always the same way; what goes wrong on the wire is a `Wire` or a `Raw` answer.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from itertools import count
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import cast

Json = dict[str, object]


@dataclass(frozen=True)
class Wire:
    """How an answer travels."""

    latency_s: float = 0
    """Wait before the first byte."""
    chunk_delay_s: float = 0
    """Wait after each chunk of a stream."""
    chunk_chars: int = 8
    """Characters of each delta, arguments too."""
    byte_split: int | None = None
    """Write the stream in pieces of this size, so that characters and lines are cut anywhere."""
    cut_after: int | None = None
    """Drop the connection after this many chunks."""
    has_finish: bool = True
    has_done: bool = True
    crlf: bool = False
    comments: bool = False


@dataclass(frozen=True)
class StubCall:
    """A tool call; arguments that are a string are sent as they are."""

    name: str
    arguments: Mapping[str, object] | str
    id: str | None = None


@dataclass(frozen=True)
class Answer:
    """A completion."""

    text: str | None = None
    calls: Sequence[StubCall] = ()
    finish_reason: str | None = None
    usage: Mapping[str, object] = field(default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 3})
    extra: Mapping[str, object] = field(default_factory=dict[str, object])
    """Further fields of the message, such as reasoning."""
    wire: Wire = Wire()


@dataclass(frozen=True)
class Raw:
    """A response given byte for byte."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Reply = str | Answer | Raw
Policy = Callable[[Json], Reply]


@dataclass(frozen=True)
class RecordedRequest:
    """What a client sent."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Json


def error(status: int, code: object = None, message: str = "no", **fields: object) -> Raw:
    """An error response as OpenAI writes it; a 429 or 5xx may be repeated at once."""
    body: Json = {"error": {"message": message, "type": "stub_error", "code": code, **fields}}
    return Raw(json.dumps(body).encode(), status, headers={"Retry-After-Ms": "1"})


def events(*chunks: Json | str, done: bool = True) -> Raw:
    """A stream of chosen chunks; a string stands as the data of its event."""
    lines = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks] + ["[DONE]"] * done
    return Raw("".join(f"data: {line}\n\n" for line in lines).encode(), content_type="text/event-stream")


class StubServer:
    """The server, running while the context is open."""

    def __init__(self, answers: Policy | Sequence[Reply] = ("OK",)) -> None:
        self.requests: list[RecordedRequest] = []
        self.disconnected = threading.Event()
        """Set when a client went away in the middle of an answer."""
        self._policy = answers if callable(answers) else _in_order(answers)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def answer(self, body: Json) -> Reply:
        return self._policy(body)

    def __enter__(self) -> StubServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _in_order(replies: Sequence[Reply]) -> Policy:
    numbers = count()
    return lambda _body: replies[min(next(numbers), len(replies) - 1)]


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    stub: StubServer

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """A client that went away is no failure of the server."""
        if isinstance(sys.exception(), ConnectionError):
            self.stub.disconnected.set()
        else:
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests are quiet."""

    def do_POST(self) -> None:
        stub = cast("_Server", self.server).stub
        body: Json = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        stub.requests.append(RecordedRequest(self.path, headers, body))
        if self.path != "/v1/chat/completions":
            self._send(error(404, "not_found", self.path))
            return
        reply = stub.answer(body)
        if isinstance(reply, Raw):
            self._send(reply)
            return
        answer = Answer(reply) if isinstance(reply, str) else reply
        time.sleep(answer.wire.latency_s)
        if body.get("stream"):
            self._send_stream(answer)
        else:
            self._send(Raw(json.dumps(_completion(answer)).encode()))

    def _send(self, raw: Raw) -> None:
        self.send_response(raw.status)
        self.send_header("Content-Type", raw.content_type)
        self.send_header("Content-Length", str(len(raw.body)))
        for name, value in raw.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw.body)

    def _send_stream(self, answer: Answer) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        wire, eol = answer.wire, "\r\n" if answer.wire.crlf else "\n"
        chunks = [json.dumps(chunk, ensure_ascii=False) for chunk in _chunks(answer)]
        lines = [f"data: {chunk}{eol}{eol}" for chunk in [*chunks, *["[DONE]"] * wire.has_done]]
        if wire.comments:
            lines = [f": keep-alive{eol}{eol}{line}" for line in lines]
        if wire.chunk_delay_s or wire.cut_after is not None:
            for line in lines[: wire.cut_after]:
                self._write_pieces(line.encode(), wire.byte_split)
                time.sleep(wire.chunk_delay_s)
        else:
            self._write_pieces("".join(lines).encode(), wire.byte_split)
        if wire.cut_after is not None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(b"0\r\n\r\n")

    def _write_pieces(self, data: bytes, size: int | None) -> None:
        size = size or len(data)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))


_HEAD: Json = {"id": "chatcmpl-stub", "created": 0, "model": "stub"}


def _completion(answer: Answer) -> Json:
    message: Json = {"role": "assistant", "content": answer.text, **answer.extra}
    if answer.calls:
        message["tool_calls"] = [_call(number, call) for number, call in enumerate(answer.calls)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(answer)}
    return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": dict(answer.usage)}


def _chunks(answer: Answer) -> list[Json]:
    """The chunks of a stream: text, calls, the reason it stopped, usage."""
    size = answer.wire.chunk_chars
    deltas: list[Mapping[str, object]] = [{"role": "assistant", "content": "" if answer.text else None, **answer.extra}]
    deltas.extend({"content": piece} for piece in _cut(answer.text or "", size))
    for number, call in enumerate(answer.calls):
        opened = {**_call(number, call), "index": number, "function": {"name": call.name, "arguments": ""}}
        deltas.append({"tool_calls": [opened]})
        deltas.extend(
            {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
            for piece in _cut(_arguments(call), size)
        )
    chunks = [_chunk({"index": 0, "delta": delta, "finish_reason": None}) for delta in deltas]
    if answer.wire.has_finish:
        chunks.append(_chunk({"index": 0, "delta": {}, "finish_reason": _reason(answer)}))
    return [*chunks, {**_chunk(), "usage": dict(answer.usage)}]


def _chunk(*choices: Json) -> Json:
    return {**_HEAD, "object": "chat.completion.chunk", "choices": list(choices)}


def _call(number: int, call: StubCall) -> Json:
    function = {"name": call.name, "arguments": _arguments(call)}
    return {"id": call.id or f"call_stub_{number}", "type": "function", "function": function}


def _arguments(call: StubCall) -> str:
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)


def _reason(answer: Answer) -> str:
    return answer.finish_reason or ("tool_calls" if answer.calls else "stop")


def _cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]
