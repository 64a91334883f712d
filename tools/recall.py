"""Functions by which the model finds what was said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from memos.errors import Refusal
from memos.hits import HitPage, render_page
from memos.tooling import ToolContext, effect

HIT_FIELDS_TOKENS = 64
"""Room for what stands around a hit's text: tier, id, time, source, line."""
HEADER_TOKENS = 48
"""Room for the line above a text that says what it is and how to read on."""


@effect("read")
def conversation_search(
    context: ToolContext, query: str, page: int = 1, start: str | None = None, end: str | None = None
) -> str:
    """Search everything the user and you ever said, also what is no longer in view.

    Args:
        query: Words to look for.
        page: Which page of results.
        start: First day to look at, YYYY-MM-DD.
        end: Last day to look at, YYYY-MM-DD.
    """
    size = context.page_size
    turn = context.state.last_turn()  # the question just asked would be its own best match
    found = context.recall.search(
        query,
        without_id=turn.opening_id if turn is not None else None,
        limit=size,
        offset=_offset(page, size),
        start=_day(context, start) if start else None,
        end=_day_after(context, end) if end else None,
    )
    return shown_page(context, found, page)


@effect("read")
def conversation_search_date(context: ToolContext, start_date: str, end_date: str, page: int = 1) -> str:
    """List what was said between two days, both included, oldest first.

    Args:
        start_date: First day, YYYY-MM-DD.
        end_date: Last day, YYYY-MM-DD.
        page: Which page of results.
    """
    size = context.page_size
    start, end = _day(context, start_date), _day_after(context, end_date)
    if end <= start:
        raise Refusal("end_date lies before start_date; swap them.")
    found = context.recall.between(start, end, limit=size, offset=_offset(page, size))
    return shown_page(context, found, page)


@effect("read")
def open_memory(context: ToolContext, id: str, start_char: int = 0) -> str:  # noqa: A002 - the model reads "id" in results
    """Read one message or stored passage verbatim, also a long one that was shown only in part.

    Args:
        id: As a search or a shortened message names it.
        start_char: Where to read on.
    """
    what, text = _whole(context, id.strip())
    if not 0 <= start_char <= len(text):
        raise Refusal(f"{what} has {len(text)} characters; start_char must lie within.")
    end = start_char + len(context.clip(text[start_char:], context.result_limit_tokens - HEADER_TOKENS))
    more = f" Read on with start_char={end}." if end < len(text) else ""
    return f"{what}, characters {start_char}-{end} of {len(text)}.{more}\n{text[start_char:end]}"


def shown_page(context: ToolContext, found: HitPage, number: int) -> str:
    """A page of hits within the result's budget: short texts whole, long ones cut to an equal share of the rest."""

    def render(limit: int) -> str:
        return render_page(found, number=number, size=context.page_size, clip=lambda text: context.clip(text, limit))

    room = context.result_limit_tokens - context.count_tokens(render(0))
    return render(max(0, _share([context.count_quoted(hit.text) for hit in found.hits], room)))


def _share(sizes: Sequence[int], room: int) -> int:
    """The limit per text at which all of them together take at most `room`."""
    rest = sorted(sizes)
    while rest and rest[0] <= room // len(rest):
        room -= rest.pop(0)
    return room // len(rest) if rest else max(sizes, default=room)


def _whole(context: ToolContext, memory_id: str) -> tuple[str, str]:
    """What has that id, a message or an archival passage, and its text. Raises `Refusal` when nothing has."""
    if memory_id.isdecimal() and len(memory_id) < 19:
        found = context.recall.read(int(memory_id), int(memory_id))
        if found:
            return f"Message {memory_id}", found[0].whole
    passage = context.archival.passage(memory_id) or context.documents.passage(memory_id)
    if passage is None:
        raise Refusal(f"there is no message or passage {memory_id!r}.")
    return f"Passage {memory_id}", passage.text


def _offset(page: int, size: int) -> int:
    if page < 1:
        raise Refusal("pages count from 1.")
    return (page - 1) * size


def _day_after(context: ToolContext, text: str) -> datetime:
    """Midnight at the end of the day."""
    try:
        return context.clock.at(datetime.combine(_date(text) + timedelta(days=1), time()))
    except OverflowError:
        raise Refusal(f"{text!r} is too far away; write another day.") from None


def _day(context: ToolContext, text: str) -> datetime:
    """Midnight, where the agent lives, at the start of the day."""
    try:
        return context.clock.at(datetime.combine(_date(text), time()))
    except OverflowError:
        raise Refusal(f"{text!r} is too far away; write another day.") from None


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        raise Refusal(f"{text!r} is no date; write YYYY-MM-DD.") from None
