"""What the stores keep of an agent, as frozen values. Knows no store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from memos.messages import LoopMode, ToolSchema, Usage


@dataclass(frozen=True, slots=True)
class Window:
    """The whole state of paging: what is in context now."""

    first_id: int = 1
    """The queue is the log from here to its head."""
    pinned_id: int | None = None
    """The event that opened the running turn, when the turn has pushed it out of the queue."""
    receipt_id: int | None = None
    """The receipt whose summary stands in slot 0."""
    core_version: int = 0
    """The newest block version rendered in the prefix (write-back: later ones are seen in the queue)."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of core memory in one of its versions."""

    label: str
    value: str
    limit_tokens: int
    description: str = ""
    read_only: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one flush did: which messages the summary now covers."""

    id: int
    first_id: int
    last_id: int
    summary: str
    replaced_id: int | None
    freed_tokens: int
    model: str
    """The model that wrote the summary, or "extractive"."""
    at_message_id: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """A turn that was accepted and has not yielded yet."""

    opening_id: int
    idempotency_key: str | None = None
    stopped_by: str | None = None
    """None while the turn runs (or was cut off by a crash)."""
    last_id: int | None = None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What one inference was asked and what it took. With the log, its request can be made again."""

    model: str
    loop: LoopMode
    system: str
    tools: tuple[ToolSchema, ...]
    head_id: int
    """The newest message in the request."""
    limit_tokens: int
    reserve_tokens: int
    spool_tokens: int
    usage: Usage
    cost_micros: int = 0
    """Millionths of the currency that the price settings are in."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document's extracted text; the chunks in order are the text, nothing left out."""

    text: str
    char_start: int
    char_end: int
    line_start: int
    line_end: int
    """Exclusive: the line after the last one this chunk touches."""
    page: int | None = None


@dataclass(frozen=True, slots=True)
class BlockVersion:
    """All that a block was at a time."""

    version: int
    value: str
    limit_tokens: int
    description: str
    read_only: bool
    cause: str
    """What made it: a tool's name, "python", "command line", "restore of 12" …"""
    agent: str | None
    """Who made it; None when that agent is gone."""
    at_message_id: int
    """The head of that agent's log at the time."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PastStep:
    """A step as it was asked: with the log, its request can be made again byte for byte."""

    message_id: int
    """Its reply."""
    window: Window
    record: StepRecord
