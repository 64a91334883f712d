"""What searches return: hits with their origin, in pages that know the true total.

Offsets count characters of the extracted text from 0, lines count from 1, ends are exclusive.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Tier = Literal["recall", "archival", "documents"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One found message or passage."""

    tier: Tier
    id: str
    """A message's id in its log, or a passage's content-derived id."""
    text: str
    score: float
    created_at: datetime | None = None
    """When it was said or inserted; never the time of the query."""
    role: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    source: str | None = None
    """For documents: the path it was ingested from."""
    page: int | None = None
    line_start: int | None = None
    line_end: int | None = None
    char_start: int | None = None
    char_end: int | None = None


@dataclass(frozen=True, slots=True)
class HitPage:
    """One page of a search."""

    total: int
    """All that match, not what this page holds."""
    hits: tuple[Hit, ...]
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """A stored passage: an archival memory, or a piece of a document."""

    id: str
    text: str
    created_at: datetime
    tags: tuple[str, ...] = ()
    source: str | None = None
    page: int | None = None
    line_start: int | None = None
    line_end: int | None = None
    char_start: int | None = None
    char_end: int | None = None


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document of the home, as `memos documents list` shows it."""

    id: int
    source: str
    characters: int
    passages: int
    pages: int | None
    lines: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A contiguous piece of a document's extracted text."""

    source: str
    text: str
    char_start: int
    char_end: int
    line_start: int
    line_end: int
    page: int | None


def render_page(page: HitPage, *, number: int, size: int, clip: Callable[[str], str]) -> str:
    """A page of hits as a model reads it: a header, then one JSON object a line.

    JSON keeps a hit's text inside its own quotation, whatever it says. `clip` gives the head of a
    text that is to be shown; what it shortens is marked with "cut": true.
    """
    if not page.hits:
        return "No results." if page.total == 0 else f"No results on page {number}; {page.total} in all."
    first, last = page.offset + 1, page.offset + len(page.hits)
    pages = -(-page.total // size)
    lines = [f"Results {first}-{last} of {page.total} (page {number} of {pages})."]
    lines += [json.dumps(_hit_fields(hit, clip), ensure_ascii=False) for hit in page.hits]
    return "\n".join(lines)


def parse_page(text: str) -> list[dict[str, object]]:
    """The hits of a rendered page, as their JSON objects; lines that are none are skipped."""
    found: list[dict[str, object]] = []
    for line in text.split("\n"):
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def _hit_fields(hit: Hit, clip: Callable[[str], str]) -> dict[str, object]:
    fields: dict[str, object] = {"tier": hit.tier, "id": hit.id}
    if hit.tier != "documents" and hit.created_at is not None:
        fields["time"] = hit.created_at.strftime("%Y-%m-%d %H:%M")
    if hit.name or hit.role:
        fields["from"] = hit.name or hit.role
    if hit.source is not None:
        fields["source"] = hit.source
    if hit.page is not None:
        fields["page"] = hit.page
    if hit.line_start is not None:
        fields["line"] = hit.line_start
    if hit.tags:
        fields["tags"] = list(hit.tags)
    fields["text"] = clip(hit.text)
    if fields["text"] != hit.text:
        fields["cut"] = True
    return fields
