"""Policies that turn evicted messages into a summary: by a model, and by extraction when no model can.

Plain functions from messages to text. A summary that fails never costs the turn: the extractive one
needs nothing and always fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from memos.errors import BackendError
from memos.messages import Message
from memos.ports import Backend, Page, Reply, Request

CountTokens = Callable[[str], int]

_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+")


def transcript(messages: Iterable[Message]) -> str:
    """Who said what, one message a line or more; tool chatter shortened to its names."""
    return "\n".join(line for message in messages if (line := _line(message)))


def summarise_with_model(
    backend: Backend,
    *,
    prompt: str,
    old_summary: str,
    messages: Sequence[Message],
    room_tokens: int,
    cap_tokens: int,
    now: datetime,
) -> str | None:
    """Ask the model for a summary of old summary + messages, in as many parts as fit `room_tokens`.

    None when the model fails, says nothing, or says more than `cap_tokens`.
    """
    summary = old_summary
    for part in _parts(
        transcript(messages), room_tokens - backend.count_tokens(prompt) - cap_tokens, backend.count_tokens
    ):
        text = f"Summary so far:\n{summary or '(none)'}\n\nWhat happened next:\n{part}"
        pages = (
            Page("summariser", "system", Message("system", "system_alert", prompt, now), backend.count_tokens(prompt)),
            Page("evicted", "queue", Message("user", "system_alert", text, now), backend.count_tokens(text)),
        )
        answer = _complete(backend, Request(pages, (), cap_tokens, loop="native", purpose="summary"))
        if not answer or backend.count_tokens(answer) > cap_tokens:
            return None
        summary = answer
    return summary


def summarise_by_extraction(
    old_summary: str, messages: Sequence[Message], *, cap_tokens: int, count_tokens: CountTokens
) -> str:
    """First sentences of what was said, newest kept first when they do not all fit; never above the cap."""
    lines = [line for line in old_summary.splitlines() if line.strip()]
    lines += [f"{_speaker(message)}: {_first_sentence(message.spoken)}" for message in messages if message.spoken]
    kept: list[str] = []
    used = 0
    for line in reversed(lines):
        size = count_tokens(line) + 1
        if used + size > cap_tokens:
            continue
        kept.append(line)
        used += size
    return "\n".join(reversed(kept))


def _complete(backend: Backend, request: Request) -> str | None:
    try:
        for piece in backend.complete(request):
            if isinstance(piece, Reply):
                return piece.text.strip()
    except BackendError:
        return None
    return None


def _parts(text: str, room_tokens: int, count_tokens: CountTokens) -> list[str]:
    """The text in pieces of at most `room_tokens`, cut between lines where it can be."""
    if count_tokens(text) <= room_tokens or room_tokens < 16:
        return [text]
    middle = len(text) // 2
    cut = text.rfind("\n", 1, middle) + 1 or text.rfind(" ", 1, middle) + 1 or middle
    return [*_parts(text[:cut], room_tokens, count_tokens), *_parts(text[cut:], room_tokens, count_tokens)]


def _line(message: Message) -> str:
    if message.spoken:
        return f"{_speaker(message)}: {message.spoken}"
    if message.kind == "result":
        return f"(result of {message.name}: {message.text[:200]})"
    if message.kind == "reply":
        return f"(called {', '.join(call.name for call in message.calls)})" if message.calls else ""
    return f"({message.kind}: {message.text[:200]})"


def _speaker(message: Message) -> str:
    day = message.created_at.strftime("%Y-%m-%d")
    return f"{day} {message.name or ('I' if message.role == 'assistant' else 'user')}"


def _first_sentence(text: str, limit_chars: int = 160) -> str:
    flat = " ".join(text.split())
    return _SENTENCE_END.split(flat, maxsplit=1)[0][:limit_chars]
