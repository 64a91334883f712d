"""Requests to put to a backend, and the servers that answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from support.stub_openai import Policy, Reply, StubServer

from memos.messages import LoopMode, Message, Role, ToolCall, ToolSchema
from memos.ports import Page, Purpose, Request

NOON = datetime(2024, 5, 4, 12, tzinfo=UTC)
KINDS = {"system": "system_alert", "user": "user_message", "assistant": "reply", "tool": "result"}


@pytest.fixture
def page() -> Callable[..., Page]:
    """Makes a page of a role and a text."""

    def make(
        role: Role,
        text: str,
        *,
        thoughts: str = "",
        calls: Sequence[tuple[str, str, str]] = (),
        call_id: str | None = None,
    ) -> Page:
        message = Message(
            role=role,
            kind=KINDS[role],  # type: ignore[arg-type]
            text=text,
            created_at=NOON,
            thoughts=thoughts,
            calls=tuple(ToolCall(*call) for call in calls),
            call_id=call_id,
        )
        return Page(key=text, section="queue", message=message, tokens=10)

    return make


@pytest.fixture
def request_of() -> Callable[..., Request]:
    """Makes a request of pages."""

    def make(
        *pages: Page, loop: LoopMode = "heartbeat", tools: Sequence[str] = (), purpose: Purpose = "turn"
    ) -> Request:
        schemas = tuple(ToolSchema(name, f"Does {name}.", {"type": "object", "properties": {}}) for name in tools)
        return Request(pages, schemas, 256, loop, purpose)

    return make


@pytest.fixture
def hello(page: Callable[..., Page], request_of: Callable[..., Request]) -> Request:
    """A short request with one tool."""
    return request_of(page("system", "You are Ada's."), page("user", "Hello"), tools=["send_message"])


@pytest.fixture
def openai_server() -> Iterator[Callable[[Policy | Sequence[Reply]], StubServer]]:
    """Starts servers that run until the test ends."""
    with ExitStack() as stack:
        yield lambda answers: stack.enter_context(StubServer(answers))


@pytest.fixture(autouse=True)
def _real_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment, which nothing but OpenAI itself may ever see."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-real-one")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
