"""Replies put together from what a chat-completions server sends, whole or in pieces.

A whole message is one large delta, so both ways share one assembler. Servers differ in every detail
that the API's description leaves open; what is understood here was seen from a real one. Pure: no
SDK, no network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import TypeGuard
from uuid import uuid4

from memos.messages import ToolCall, Usage, parse_object
from memos.ports import Delta, FinishReason, Reply

_FINISH_REASONS: dict[str, FinishReason] = {
    "tool_calls": "calls",
    "function_call": "calls",
    "length": "length",
    "content_filter": "refused",
}
_THOUGHT_FIELDS = ("reasoning_content", "reasoning")
_CACHED_FIELDS = ("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens")


def new_call_id() -> str:
    """An id for a call whose server gave it none; unique across processes and logs."""
    return f"call_{uuid4().hex[:12]}"


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a value read from JSON is an object."""
    return isinstance(value, dict)


class _Text:
    """Pieces of text, joined; a half of a surrogate pair waits for its other half."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._held = ""

    def add(self, piece: str) -> str:
        """Take a piece; return what may be shown of it."""
        piece = self._held + piece
        self._held = piece[-1] if piece and "\ud800" <= piece[-1] <= "\udbff" else ""
        whole = _without_surrogates(piece[: len(piece) - len(self._held)])
        self._pieces.append(whole)
        return whole

    def finish(self) -> str:
        return "".join(self._pieces) + _without_surrogates(self._held)


@dataclass
class _OpenCall:
    """A call that is still arriving."""

    index: int | None
    id: str
    name: str = ""
    arguments: _Text = field(default_factory=_Text)


class ReplyAssembler:
    """Deltas of one completion in, one `Reply` out."""

    def __init__(self, known_call_ids: Set[str] = frozenset()) -> None:
        self._known_call_ids = known_call_ids
        self._text = _Text()
        self._thoughts = _Text()
        self._calls: list[_OpenCall] = []
        self._usage = Usage()
        self._finish_reason: str | None = None
        self._refused = False

    @property
    def finished(self) -> bool:
        """Whether the server has said why it stopped."""
        return self._finish_reason is not None

    def feed(self, body: dict[str, object]) -> Iterator[Delta]:
        """Take a chunk of a stream, or a whole completion.

        Only the first choice is read. Usage may come with any chunk; the last one counts.
        """
        usage = body.get("usage")
        if is_object(usage):
            self._usage = _read_usage(usage)
        choice = _first_choice(body)
        if choice is None:
            return
        content = choice.get("delta", choice.get("message"))
        if is_object(content):
            yield from self._feed_content(content)
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            self._finish_reason = reason

    def reply(self) -> Reply:
        """All of it, put together."""
        calls = self._finished_calls()
        return Reply(
            text=self._text.finish(),
            thoughts=self._thoughts.finish(),
            calls=calls,
            usage=self._usage,
            finish_reason=self._mapped_reason(has_calls=bool(calls)),
        )

    def _feed_content(self, content: dict[str, object]) -> Iterator[Delta]:
        thoughts, text = _split_content(content.get("content"))
        thoughts = _first_text(content, _THOUGHT_FIELDS) + thoughts
        refusal = content.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refused = True
            text += refusal
        if thoughts and (shown := self._thoughts.add(thoughts)):
            yield Delta(thoughts=shown)
        if text and (shown := self._text.add(text)):
            yield Delta(text=shown)
        for call in _objects(content.get("tool_calls")):
            yield self._feed_call(call)

    def _feed_call(self, delta: dict[str, object]) -> Delta:
        function = delta.get("function")
        function = function if is_object(function) else {}
        index, call_id, name = delta.get("index"), delta.get("id"), function.get("name")
        name = name if isinstance(name, str) else ""
        call_id = call_id if isinstance(call_id, str) else ""
        number = self._place(index if isinstance(index, int) else None, call_id, name)
        call = self._calls[number]
        call.id = call.id or call_id
        opens = bool(name) and not call.name
        if opens:
            call.name = name
        shown = call.arguments.add(_argument_text(function.get("arguments")))
        return Delta(arguments=shown, call_index=number, call_name=name if opens else None)

    def _place(self, index: int | None, call_id: str, name: str) -> int:
        """Which call a delta belongs to; a new one where none fits.

        Some servers number every call 0, some number none, some repeat the id or the name in each delta.
        """
        same_id = [number for number, call in enumerate(self._calls) if call_id and call.id == call_id]
        same_index = [number for number, call in enumerate(self._calls) if index is None or call.index == index]
        places = same_index if index is not None or not same_id else same_id
        if places and not _starts_another(self._calls[places[-1]], call_id, name, numbered=index is not None):
            return places[-1]
        self._calls.append(_OpenCall(index, call_id))
        return len(self._calls) - 1

    def _finished_calls(self) -> tuple[ToolCall, ...]:
        taken = set(self._known_call_ids)
        finished: list[ToolCall] = []
        for call in self._calls:
            # A server that counts its ids anew in every reply must not answer an older call.
            call_id = call.id if call.id and call.id not in taken else new_call_id()
            taken.add(call_id)
            finished.append(ToolCall(call_id, call.name, call.arguments.finish()))
        return tuple(finished)

    def _mapped_reason(self, *, has_calls: bool) -> FinishReason:
        if self._refused:
            return "refused"
        mapped = _FINISH_REASONS.get(self._finish_reason or "", "stop")
        if mapped in ("stop", "calls"):
            return "calls" if has_calls else "stop"
        return mapped


def holds_completion(body: dict[str, object]) -> bool:
    """Whether a whole response is a completion at all."""
    choice = _first_choice(body)
    return choice is not None and is_object(choice.get("message"))


def _starts_another(call: _OpenCall, call_id: str, name: str, *, numbered: bool) -> bool:
    """Whether a delta that could belong to `call` opens the next one instead."""
    if call_id and call.id:
        return call_id != call.id
    if not name or not call.name:
        return False
    return name != call.name or not numbered or parse_object(call.arguments.finish()) is not None


def _first_choice(body: dict[str, object]) -> dict[str, object] | None:
    return next(iter(_objects(body.get("choices"))), None)


def _objects(value: object) -> list[dict[str, object]]:
    """The objects of a JSON array; none of anything else."""
    return [item for item in value if is_object(item)] if _is_array(value) else []


def _is_array(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _split_content(content: object) -> tuple[str, str]:
    """Thoughts and text of a message's content: a string, or a list of typed parts."""
    if isinstance(content, str):
        return "", content
    thoughts, text = "", ""
    for part in _objects(content):
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            thoughts += inner if isinstance(inner, str) else "".join(_split_content(inner))
        elif isinstance(said := part.get("text"), str):
            text += said
    return thoughts, text


def _first_text(fields: dict[str, object], names: tuple[str, ...]) -> str:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _argument_text(arguments: object) -> str:
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False) if is_object(arguments) else ""


def _read_usage(usage: dict[str, object]) -> Usage:
    """The counts a server reports; zero stands for what it does not."""
    details = usage.get("prompt_tokens_details")
    cached = _first_count(details if is_object(details) else {}) or _first_count(usage)
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), cached)


def _first_count(fields: dict[str, object]) -> int:
    return next((count for name in _CACHED_FIELDS if (count := _count(fields.get(name)))), 0)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _without_surrogates(text: str) -> str:
    """Pairs joined to the character they mean; lone halves replaced, for no store or screen takes them."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
