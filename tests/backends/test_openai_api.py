"""What the adapter sends, to whom, and what it makes of refusals."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest
from support.stub_openai import Answer, Policy, Raw, Reply, StubServer, Wire, error

from memos.backends.openai_api import PLACEHOLDER_KEY, OpenAIBackend
from memos.backends.provider_errors import Provider
from memos.errors import (
    BackendError,
    ConnectionFailed,
    ContextOverflow,
    CredentialsError,
    RateLimited,
    ServerFailed,
    SettingsError,
)
from memos.ports import Page, Request
from memos.ports import Reply as WholeReply

Start = Callable[[Policy | Sequence[Reply]], StubServer]
KEY = "sk-secret-of-the-named-server"


def complete(
    url: str, request: Request, *, key: str | None = None, stream: bool = True, retries: int = 0
) -> WholeReply:
    backend = OpenAIBackend("stub", url, key, stream=stream, timeout_s=2, max_retries=retries)
    try:
        *_, reply = backend.complete(request)
    finally:
        backend.close()
    assert isinstance(reply, WholeReply)
    return reply


def test_request_body(openai_server: Start, hello: Request) -> None:
    server = openai_server(["Hi."])
    complete(server.base_url, hello)
    assert server.requests[0].body == {
        "model": "stub",
        "messages": [{"role": "system", "content": "You are Ada's."}, {"role": "user", "content": "Hello"}],
        "max_tokens": 256,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "send_message",
                    "description": "Does send_message.",
                    "parameters": {"type": "object", "properties": {}},
                },
            }
        ],
        "tool_choice": "auto",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_no_tools_are_not_sent_as_an_empty_list(
    openai_server: Start, page: Callable[..., Page], request_of: Callable[..., Request]
) -> None:
    server = openai_server(["Hi."])
    complete(server.base_url, request_of(page("user", "Hello")))
    assert not server.requests[0].body.keys() & {"tools", "tool_choice"}


def test_a_summary_calls_nothing(
    openai_server: Start, page: Callable[..., Page], request_of: Callable[..., Request]
) -> None:
    server = openai_server(["Ada said hello."])
    complete(server.base_url, request_of(page("user", "Sum up."), tools=["send_message"], purpose="summary"))
    assert server.requests[0].body["tool_choice"] == "none"
    assert server.requests[0].body["tools"], "the prefix stays as it was"


@pytest.mark.parametrize("key", [None, KEY])
def test_a_named_server_sees_its_own_key_only(
    openai_server: Start, hello: Request, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-the-real-admin")
    monkeypatch.setenv("OPENAI_ORG_ID", "the-real-org")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "the-real-project")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer the-real-custom\nX-Mine: the-real-x")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/the-real-url")
    server = openai_server(["Hi."])
    complete(server.base_url, hello, key=key)
    headers = server.requests[0].headers
    assert headers["authorization"] == f"Bearer {key or PLACEHOLDER_KEY}"
    assert "the-real" not in str(headers)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (error(401, "invalid_api_key", f"Incorrect API key provided: {KEY[:9]}"), CredentialsError),
        (error(403, None, f"{KEY} may not"), CredentialsError),
        (error(404, "model_not_found", f"no model for {KEY}"), BackendError),
        (error(400, "invalid_value", f"bad value with {KEY}\nand a second line"), BackendError),
        (error(429, "rate_limit_exceeded", f"slow down {KEY}"), RateLimited),
        (error(500, None, f"broken {KEY}"), ServerFailed),
        (error(503, None, "x" * 5000), ServerFailed),
        (Raw(b"<html>Bad Gateway</html>", 502, "text/html"), ServerFailed),
        (Raw(b'{"error": "no object"}', 500), ServerFailed),
        (error(400, "context_length_exceeded"), ContextOverflow),
        (error(413), ContextOverflow),
    ],
)
def test_refusals(
    openai_server: Start, hello: Request, answer: Raw, raised: type[BackendError], *, stream: bool
) -> None:
    server = openai_server([answer])
    with pytest.raises(BackendError) as caught:
        complete(server.base_url, hello, key=KEY, stream=stream)
    assert type(caught.value) is raised
    line = str(caught.value)
    assert KEY[:9] not in line
    assert "\n" not in line
    assert len(line) < 400
    assert caught.value.__cause__ is None


SECRETS = ("correct-horse-battery", "ada:staple wagon", "staple wagon")


@pytest.mark.parametrize(
    "said",
    [
        SECRETS[0],
        f"{SECRETS[0][:10]}...{SECRETS[0][-6:]}",
        f"x{SECRETS[0][3:9]}x and {SECRETS[0][9:]}",
        base64.b64encode(SECRETS[0].encode()).decode(),
        base64.b64encode(b"Bearer " + SECRETS[0].encode()).decode(),
        base64.urlsafe_b64encode(b"??" + SECRETS[0].encode() + b"???").decode(),
        base64.b64encode(SECRETS[1].encode()).decode(),
        base64.b64encode(SECRETS[1].encode()).decode()[4:14],
        f"{SECRETS[1]} or {SECRETS[2]}",
    ],
)
def test_no_piece_of_a_secret_is_told(said: str) -> None:
    line = Provider("stub", "here", SECRETS).redact(f"The header {said} is wrong.")
    assert line.startswith("The header ")
    assert line.endswith(" is wrong.")
    told = line.removeprefix("The header ").removesuffix(" is wrong.").replace("[key]", "")
    pieces = {secret[at : at + 6] for secret in SECRETS for at in range(len(secret) - 5)}
    assert not any(piece in told for piece in pieces)
    assert len(told) <= len("... Bearer  or x and x")


def test_what_is_no_secret_is_told() -> None:
    assert Provider("stub", "here", ("", "abc")).redact("a\nb abc c") == "a b [key] c"
    assert Provider("stub", "here").redact("word " * 100) == "word " * 40 + "…"


@pytest.mark.parametrize("stream", [True, False])
def test_a_url_with_a_password_is_used_and_not_told(openai_server: Start, hello: Request, *, stream: bool) -> None:
    server = openai_server(["Hi.", error(400, "invalid_value", "not staple%20wagon, nor staple wagon")])
    url = server.base_url.replace("http://", "http://ada:staple%20wagon@")
    assert complete(url, hello, stream=stream).text == "Hi."
    with pytest.raises(BackendError) as caught:
        complete(url, hello, stream=stream)
    assert "not [key], nor [key]" in str(caught.value)


def test_overflow_is_known_by_its_code_alone(openai_server: Start, hello: Request) -> None:
    words = "This model's maximum context length is 4096 tokens."
    with pytest.raises(BackendError) as caught:
        complete(openai_server([error(400, "invalid_value", words)]).base_url, hello)
    assert not isinstance(caught.value, ContextOverflow)


@pytest.mark.parametrize("status", [400, 500])
def test_overflow_as_llama_server_says_it(openai_server: Start, hello: Request, status: int) -> None:
    answer = error(status, status, type="exceed_context_size_error", n_prompt_tokens=9000, n_ctx=4096)
    with pytest.raises(ContextOverflow) as caught:
        complete(openai_server([answer]).base_url, hello)
    assert caught.value.limit_tokens == 4096


def test_error_in_a_200(openai_server: Start, hello: Request) -> None:
    with pytest.raises(RateLimited, match="upstream"):
        complete(openai_server([Raw(b'{"error": {"code": 429, "message": "upstream"}}')]).base_url, hello, stream=False)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [429, 500])
def test_a_request_that_was_refused_for_now_is_repeated(
    openai_server: Start, hello: Request, status: int, *, stream: bool
) -> None:
    server = openai_server([error(status), "Hi."])
    assert complete(server.base_url, hello, stream=stream, retries=1).text == "Hi."
    assert len(server.requests) == 2


def test_unreachable_server(hello: Request) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}/v1"
        url = f"http://user:password@{address}?token=abc"
        with pytest.raises(ConnectionFailed, match="is the server running") as caught:
            complete(url, hello, key=KEY)
    line = str(caught.value)
    assert f"http://{address}: is the server" in line
    assert OpenAIBackend("stub", url).spec == f"openai:stub@http://{address}"
    assert not any(secret in line for secret in ("password", "abc", KEY))


def test_silent_server(openai_server: Start, hello: Request) -> None:
    server = openai_server([Answer("late", wire=Wire(latency_s=1))])
    backend = OpenAIBackend("stub", server.base_url, timeout_s=0.1, max_retries=0)
    with pytest.raises(ConnectionFailed, match="in time"):
        list(backend.complete(hello))
    backend.close()


def test_openai_itself_needs_a_key() -> None:
    with pytest.raises(SettingsError, match=r"OPENAI_API_KEY.*openai:NAME@BASE_URL"):
        OpenAIBackend("gpt-4o", None, None)


@pytest.mark.parametrize("key", ["sk-ab\ncd", "sk-…"])
def test_key_that_no_header_takes(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        OpenAIBackend("gpt-4o", None, key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://host:port/v1", ""])
def test_url_that_is_none(url: str) -> None:
    with pytest.raises(SettingsError, match="http://"):
        OpenAIBackend("stub", url)


def test_spec_and_counting() -> None:
    assert OpenAIBackend("gpt-4o", None, "sk-x").spec == "openai:gpt-4o"
    backend = OpenAIBackend("qwen", "http://[::1]:8000/v1", context_tokens=4096)
    assert (backend.spec, backend.context_tokens) == ("openai:qwen@http://[::1]:8000/v1", 4096)
    assert backend.count_tokens("three short words") >= 3


def test_the_sdk_is_imported_by_the_first_request_only() -> None:
    script = (
        "import sys; from memos.backends.openai_api import OpenAIBackend; OpenAIBackend('x', 'http://127.0.0.1:9/v1');"
        "sys.exit(any(name.split('.')[0] in ('openai', 'httpx', 'httpx2', 'tiktoken') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
