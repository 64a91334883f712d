"""Policies that turn evicted messages into a summary: by a model, and by extraction when no model can.

Plain functions from messages to text. A summary that fails never costs the turn: the extractive one
needs nothing and always fits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from memos.context import MESSAGE_OVERHEAD_TOKENS
from memos.errors import BackendError
from memos.messages import Message, ToolSchema
from memos.ports import Backend, Page, Reply, Request

CountTokens = Callable[[str], int]

MIN_PART_TOKENS = 64
"""A summariser that sees less at a time would be asked for ever."""

_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+")


def transcript(messages: Iterable[Message]) -> str:
    """Who said what, one JSON object a line; tool chatter shortened to its names."""
    return "\n".join(line for message in messages if (line := _line(message)))


@dataclass(frozen=True, slots=True)
class SummaryJob:
    """What is to be condensed, and into how much."""

    old_summary: str
    messages: Sequence[Message]
    """What is being evicted, whole and in order."""
    cap_tokens: int
    now: datetime


def summarise_in_place(
    backend: Backend, job: SummaryJob, pages: tuple[Page, ...], tools: tuple[ToolSchema, ...], room_tokens: int
) -> str | None:
    """Ask at the end of the present prompt, whose evaluation the model still holds.

    None when that does not fit in `room_tokens`, or when the model fails, says nothing or too much.
    """
    last = job.messages[-1]
    task = (
        "[system] Before we go on: the oldest messages are about to leave your view. Write one summary, in the first "
        "person, of the summary above (if there is one) and of the conversation up to and including the message "
        f"{_opening_words(last)!r}. Keep names, facts, numbers, dates, decisions, promises and open questions. "
        f"At most {_words(job.cap_tokens)} words of plain text; call no function; write only the summary."
    )
    size = backend.count_tokens(task) + MESSAGE_OVERHEAD_TOKENS
    if size > room_tokens:
        return None
    page = Page(f"summarise:{last.id}", "queue", Message("user", "system_alert", task, job.now), size)
    request = Request((*pages, page), tools, job.cap_tokens, purpose="summary")
    return _accepted(backend, request, job.cap_tokens)


def summarise_apart(backend: Backend, job: SummaryJob, prompt: str, room_tokens: int) -> str | None:
    """Ask in a prompt of its own, in as many parts as fit `room_tokens`, each on top of the summary so far."""
    summary = job.old_summary
    fixed = backend.count_tokens(prompt) + backend.count_tokens(_task("", "")) + 2 * MESSAGE_OVERHEAD_TOKENS
    room = room_tokens - fixed - max(job.cap_tokens, backend.count_tokens(summary))
    if room < MIN_PART_TOKENS:
        return None
    for part in _parts(transcript(job.messages), room, backend.count_tokens):
        text = _task(summary, part)
        pages = (
            Page("summariser", "system", Message("system", "system_alert", prompt, job.now), fixed),
            Page("evicted", "queue", Message("user", "system_alert", text, job.now), backend.count_tokens(text)),
        )
        answer = _accepted(backend, Request(pages, (), job.cap_tokens, purpose="summary"), job.cap_tokens)
        if not answer:
            return None
        summary = answer
    return summary


def summarise_by_extraction(job: SummaryJob, count_tokens: CountTokens) -> str:
    """First sentences of what was said; the newest are kept when they do not all fit. Never above the cap."""
    lines = [line for line in job.old_summary.splitlines() if line.strip()]
    lines += [f"{_speaker(message)}: {_first_sentence(message.spoken)}" for message in job.messages if message.spoken]
    kept: list[str] = []
    used = 0
    for line in reversed(lines):
        size = count_tokens(line) + 1
        if used + size > job.cap_tokens:
            break
        kept.append(line)
        used += size
    return "\n".join(reversed(kept))


def _task(summary: str, part: str) -> str:
    return f"Summary so far:\n{summary or '(none)'}\n\nWhat happened next:\n{part}"


def _accepted(backend: Backend, request: Request, cap_tokens: int) -> str | None:
    answer = _complete(backend, request)
    return answer if answer and backend.count_tokens(answer) <= cap_tokens else None


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
    if count_tokens(text) <= room_tokens or len(text) < 2:
        return [text]
    middle = len(text) // 2
    cut = text.rfind("\n", 1, middle) + 1 or text.rfind(" ", 1, middle) + 1 or middle
    return [*_parts(text[:cut], room_tokens, count_tokens), *_parts(text[cut:], room_tokens, count_tokens)]


def _line(message: Message) -> str:
    """One JSON object: whatever a text says, it cannot pose as another line."""
    if message.spoken:
        fields = {"from": _speaker(message), "text": message.spoken}
    elif message.kind == "result":
        fields = {"result of": message.name or "", "text": message.text[:200]}
    elif message.kind == "reply":
        fields = {"called": ", ".join(call.name for call in message.calls)} if message.calls else {}
    else:
        fields = {"event": message.kind, "text": message.text[:200]}
    return json.dumps(fields, ensure_ascii=False) if fields else ""


def _speaker(message: Message) -> str:
    who = "I" if message.role == "assistant" else f"user {message.name}" if message.name else "user"
    return f"{message.created_at:%Y-%m-%d} {who}"


def _first_sentence(text: str, limit_chars: int = 160) -> str:
    flat = " ".join(text.split())
    return _SENTENCE_END.split(flat, maxsplit=1)[0][:limit_chars]


def _opening_words(message: Message, limit_chars: int = 60) -> str:
    flat = " ".join((message.rendered or message.spoken or message.thoughts or message.kind).split())
    return flat[:limit_chars]


def _words(tokens: int) -> int:
    return max(20, tokens * 3 // 5)
