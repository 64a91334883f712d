"""What the log holds and the queue shows: messages, tool calls and usage.

A message is immutable. Its `id` is its place in one agent's log: ids only ever increase.
This module knows nothing of stores, prompts or providers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeGuard

Role = Literal["system", "user", "assistant", "tool"]
Kind = Literal[
    "user_message",
    "history",
    "login",
    "heartbeat",
    "system_alert",
    "pressure",
    "interrupt",
    "paged_in",
    "reply",
    "result",
]
"""What a message is to memos; its role is only what a model's template calls it."""

LoopMode = Literal["heartbeat", "native"]
"""How an agent runs: it speaks by send_message alone, or plain text is its reply."""

Status = Literal["ok", "failed", "interrupted", "partial"]

SPOKEN_KINDS: frozenset[Kind] = frozenset({"user_message", "history", "reply"})
"""Kinds whose spoken text recall search finds; tool chatter and alerts are left out."""

_STAMP = re.compile(r"^\[(?=\d{4}-\d\d-\d\d )", re.MULTILINE)

SEND_MESSAGE = "send_message"
"""The one function through which a model reaches the user in heartbeat mode."""


CORE_EDITS = frozenset({"core_memory_append", "core_memory_replace"})
"""Functions whose results show a block anew: until the prompt's head does, nothing else shows the edit."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call exactly as the model wrote it."""

    id: str
    name: str
    arguments: str
    """The raw argument text: JSON when the model behaved, anything when it did not."""


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """A function as a model is told of it."""

    name: str
    description: str
    parameters: dict[str, object]
    """JSON schema of the arguments object."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens one completion (or several, added) took, as the backend counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that the backend did not have to evaluate again."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of an agent's log."""

    role: Role
    kind: Kind
    text: str
    """The content byte for byte as it was accepted: a user's words, a visible reply, a tool's result."""
    created_at: datetime
    """Aware; kept as UTC together with the offset it was said in."""
    id: int = 0
    """Place in the agent's log, from 1; 0 until it has been appended."""
    header: str = ""
    """Stamp put before the text when it is rendered (sender, time). Stored, so a rendering never changes."""
    name: str | None = None
    """The speaker of an event, the tool of a result."""
    thoughts: str = ""
    """The model's inner monologue or reasoning; never part of the answer."""
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None
    """For a result: the call it answers."""
    status: Status = "ok"

    @property
    def rendered(self) -> str:
        """The whole text as a model reads it. A line that looks like a stamp of ours is indented: only we stamp."""
        return self.header + _STAMP.sub(" [", self.text)

    @property
    def whole(self) -> str:
        """Everything it holds, as one text: thoughts, text, and each call as it was written."""
        parts = [self.thoughts, self.text, *(f"{call.name}({call.arguments})" for call in self.calls)]
        return "\n\n".join(part for part in parts if part)

    @property
    def spoken(self) -> str:
        """What was said aloud: an event's words, a plain reply, the texts of send_message calls."""
        if self.kind not in SPOKEN_KINDS:
            return ""
        if self.role != "assistant":
            return self.text
        said = [self.text] if self.text else []
        said += [text for call in self.calls if (text := sent_text(call))]
        return "\n\n".join(said)


def sent_text(call: ToolCall) -> str | None:
    """The user-visible text of a send_message call, or None for any other or unreadable call."""
    if call.name != SEND_MESSAGE:
        return None
    arguments = parse_object(call.arguments)
    text = arguments.get("message") if arguments is not None else None
    return text if isinstance(text, str) else None


def parse_object(text: str) -> dict[str, object] | None:
    """Read a JSON object; raw control characters in strings are allowed, anything else gives None."""
    try:
        value: object = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return value if _is_object(value) else None


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def storable(text: str) -> str:
    """The text with lone surrogates replaced, which neither UTF-8 nor SQLite can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
