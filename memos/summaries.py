"""Policies that turn evicted messages into a summary: by a model, and by extraction when no model can.

Plain functions from messages to text. A summary that fails never costs the turn: the extractive one
needs nothing and always fits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from memos.context import MESSAGE_OVERHEAD_TOKENS
from memos.errors import BackendError
from memos.messages import LoopMode, Message, ToolSchema, Usage
from memos.ports import Backend, Page, Reply, Request
from memos.tokens import head_within

CountTokens = Callable[[str], int]

MIN_PART_TOKENS = 64
"""A summariser that sees less at a time would be asked for ever."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


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
    loop: LoopMode = "heartbeat"
    """How the agent runs: a request at the end of its prompt must be rendered as the prompt was."""
    stop: Callable[[], bool] = lambda: False
    """Asked between the pieces of an answer; True gives up."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a model wrote, and what it took; no text where it failed, said nothing, too much or only a part."""

    text: str | None
    usage: Usage = field(default_factory=Usage)


def summarise_in_place(
    backend: Backend, job: SummaryJob, pages: tuple[Page, ...], tools: tuple[ToolSchema, ...], room_tokens: int
) -> Summary:
    """Ask at the end of the present prompt, whose evaluation the model still holds, if `room_tokens` allow."""
    last = job.messages[-1]
    task = (
        "[system] Before we go on: the oldest messages are about to leave your view. Write one summary, in the first "
        f"person, of the summary above (if there is one) and of the conversation {_boundary(job, pages)}. Keep names, "
        "facts, numbers, dates, decisions, promises and open questions. "
        f"At most {_words(job.cap_tokens)} words of plain text; call no function; write only the summary."
    )
    size = backend.count_tokens(task) + MESSAGE_OVERHEAD_TOKENS
    if size > room_tokens:
        return Summary(None)
    page = Page(f"summarise:{last.id}", "queue", Message("user", "system_alert", task, job.now), size)
    return _ask(backend, Request((*pages, page), tools, job.cap_tokens, job.loop, "summary"), job)


def summarise_apart(backend: Backend, job: SummaryJob, prompt: str, room_tokens: int) -> Summary:
    """Ask in a prompt of its own, in as many parts as fit `room_tokens`, each on top of the summary so far."""
    summary = job.old_summary
    usage = Usage()
    task = _task("", "", job.cap_tokens)
    fixed = backend.count_tokens(prompt) + backend.count_tokens(task) + 2 * MESSAGE_OVERHEAD_TOKENS
    room = room_tokens - fixed - max(job.cap_tokens, backend.count_tokens(summary))
    if room < MIN_PART_TOKENS:
        return Summary(None)
    for part in _parts(transcript(job.messages), room, backend.count_tokens):
        text = _task(summary, part, job.cap_tokens)
        pages = (
            Page("summariser", "system", Message("system", "system_alert", prompt, job.now), fixed),
            Page("evicted", "queue", Message("user", "system_alert", text, job.now), backend.count_tokens(text)),
        )
        answer = _ask(backend, Request(pages, (), job.cap_tokens, job.loop, "summary"), job)
        usage += answer.usage
        if answer.text is None:
            return Summary(None, usage)
        summary = answer.text
    return Summary(summary, usage)


def summarise_by_extraction(job: SummaryJob, count_tokens: CountTokens) -> str:
    """First sentences of what was said, the newest kept; a share stays the old summary's. Never above the cap."""
    old = _last_lines(job.old_summary.splitlines(), job.cap_tokens // 3, count_tokens)
    said = [f"{_speaker(message)}: {_first_sentence(message.spoken)}" for message in job.messages if message.spoken]
    room = job.cap_tokens - (count_tokens("\n".join(old)) + 1 if old else 0)
    new = _last_lines(said, room, count_tokens)
    return "\n".join([*old, *new])


def _last_lines(lines: Sequence[str], cap_tokens: int, count_tokens: CountTokens) -> list[str]:
    """As many of the last lines as fit, none with more than a third of the room."""
    kept: list[str] = []
    used = 0
    for line in reversed(lines):
        clipped = line[: head_within(line, max(1, cap_tokens // 3), count_tokens)].strip()
        size = count_tokens(clipped) + 1
        if clipped and used + size <= cap_tokens:
            kept.append(clipped)
            used += size
    return kept[::-1]


def _task(summary: str, part: str, cap_tokens: int) -> str:
    words = f"At most {_words(cap_tokens)} words."
    return f"Summary so far:\n{summary or '(none)'}\n\nWhat happened next:\n{part}\n\n{words}"


def _boundary(job: SummaryJob, pages: tuple[Page, ...]) -> str:
    """Where the summary ends, told by a stamp: no two messages need differ in their words."""
    after = next(
        (page.message for page in pages if page.section == "queue" and page.message.id > job.messages[-1].id), None
    )
    if after is not None and after.header:
        return f"before the message that begins {_opening_words(after)!r}"
    stamped = next((message for message in reversed(job.messages) if message.header), job.messages[-1])
    return f"up to the message that begins {_opening_words(stamped)!r} and the replies to it"


def _ask(backend: Backend, request: Request, job: SummaryJob) -> Summary:
    """One answer, if it is whole and within the cap."""
    try:
        for piece in backend.complete(request):
            if isinstance(piece, Reply):
                text = piece.text.strip()
                whole = piece.finish_reason != "length" and backend.count_tokens(text) <= job.cap_tokens
                return Summary(text if text and whole else None, piece.usage)
            if job.stop():
                break
    except BackendError:
        return Summary(None)
    return Summary(None)


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
