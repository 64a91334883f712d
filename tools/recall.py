"""Functions by which the model finds what was said."""

from __future__ import annotations

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
    found = context.recall.search(
        query,
        limit=size,
        offset=_offset(page, size),
        start=_day(context, start) if start else None,
        end=_day(context, end) + timedelta(days=1) if end else None,
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
    start, end = _day(context, start_date), _day(context, end_date) + timedelta(days=1)
    if end <= start:
        raise Refusal("end_date lies before start_date; swap them.")
    found = context.recall.between(start, end, limit=size, offset=_offset(page, size))
    return shown_page(context, found, page)


@effect("read")
def open_message(context: ToolContext, message_id: int, start_char: int = 0) -> str:
    """Read one message verbatim, also a long one that was shown only in part.

    Args:
        message_id: The id that a search or a shortened message names.
        start_char: Where to read on.
    """
    found = context.recall.read(message_id, message_id)
    if not found:
        raise Refusal(f"there is no message {message_id}.")
    text = found[0].whole
    if not 0 <= start_char <= len(text):
        raise Refusal(f"message {message_id} has {len(text)} characters; start_char must lie within.")
    end = start_char + len(context.clip(text[start_char:], context.result_limit_tokens - HEADER_TOKENS))
    more = f" Read on with start_char={end}." if end < len(text) else ""
    return f"Message {message_id}, characters {start_char}-{end} of {len(text)}.{more}\n{text[start_char:end]}"


def shown_page(context: ToolContext, found: HitPage, number: int) -> str:
    """A page of hits, each with as much text as lets the page stay within the result's budget."""
    limit = max(16, context.result_limit_tokens // context.page_size - HIT_FIELDS_TOKENS)
    return render_page(found, number=number, size=context.page_size, clip=lambda text: context.clip(text, limit))


def _offset(page: int, size: int) -> int:
    if page < 1:
        raise Refusal("pages count from 1.")
    return (page - 1) * size


def _day(context: ToolContext, text: str) -> datetime:
    """Midnight, where the agent lives, at the start of the day."""
    try:
        day = date.fromisoformat(text.strip()[:10])
    except ValueError:
        raise Refusal(f"{text!r} is no date; write YYYY-MM-DD.") from None
    return datetime.combine(day, time(), tzinfo=context.clock.now().tzinfo)
