"""`memos search`: what an agent remembers about some words."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

from memos.cli import output, shapes
from memos.cli.send import check_text
from memos.cli.session import Flags, is_fresh, load, missing_agent, open_home
from memos.errors import UsageError
from memos.hits import Hit, HitPage

if TYPE_CHECKING:
    from memos.home import Memory

Tiers = Literal["recall", "archival", "documents", "all"]
SHOWN_CHARS = 300
"""Of a hit's text, on the screen; `--json` gives all of it."""


def run(query: str, flags: Flags, *, tier: Tiers, limit: int, as_json: bool) -> None:
    """Print the best hits, best first."""
    if not query.strip():
        raise UsageError("there is nothing to search for: the query is empty.")
    configuration = load(flags)
    name = configuration.settings.agent
    if is_fresh(configuration):
        raise missing_agent(name)
    with open_home(configuration) as home:
        page = _search(home.memory(name), check_text(query), tier, limit)
    if as_json:
        output.emit_json(shapes.search_json(page))
        return
    for hit in page.hits:
        output.emit(_line(hit))
    output.note(f"{len(page.hits)} of {page.total} hits." if page.hits else "Nothing found.")


def _search(memory: Memory, query: str, tier: Tiers, limit: int) -> HitPage:
    match tier:
        case "recall":
            return memory.recall.search(query, limit=limit)
        case "archival":
            return memory.archival.search(query, limit=limit)
        case "documents":
            return memory.documents.search(query, limit=limit)
        case "all":  # archival reaches the documents too
            pages = [memory.recall.search(query, limit=limit), memory.archival.search(query, limit=limit)]
            return HitPage(sum(page.total for page in pages), interleave([page.hits for page in pages])[:limit])


def interleave(ranked: list[tuple[Hit, ...]]) -> tuple[Hit, ...]:
    """The first of each list, then the second of each: scores of different tiers do not compare."""
    return tuple(hit for rank in zip_longest(*ranked) for hit in rank if hit is not None)


def _line(hit: Hit) -> str:
    text = " ".join(hit.text.split())
    if len(text) > SHOWN_CHARS:
        text = f"{text[:SHOWN_CHARS]}…"
    return f"[{_origin(hit)}] {text}"


def _origin(hit: Hit) -> str:
    parts = [hit.tier, hit.name or hit.role or ""]
    if hit.source is not None:
        parts.append(hit.source)
    elif hit.created_at is not None:
        parts.append(hit.created_at.strftime("%Y-%m-%d %H:%M"))
    if hit.page is not None:
        parts.append(f"page {hit.page}")
    if hit.line_start is not None:
        parts.append(f"line {hit.line_start}")
    return ", ".join(part for part in parts if part)
