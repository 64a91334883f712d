"""The Protocols between the kernel and the world: models, embedders, stores, the clock.

The kernel sees only these; `memos.build` decides which classes stand behind them. A backend, an
embedder or a store of one's own is a class that fulfils one of them. The stores here are bound to
one agent and its current timeline; the registry of agents is `memos.storage`'s own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from memos.hits import DocumentInfo, HitPage, Passage, TextSpan
from memos.messages import LoopMode, Message, ToolCall, ToolSchema, Usage
from memos.records import Block, BlockVersion, Chunk, OpenTurn, PastStep, Receipt, StepRecord, Window

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# ---------------------------------------------------------------- models

Section = Literal["system", "core", "summary", "queue"]
Purpose = Literal["turn", "summary"]


@dataclass(frozen=True, slots=True)
class Page:
    """One piece of the prompt, the unit that is paged in and out."""

    key: str
    """Stable identity: equal keys mean byte-equal content."""
    section: Section
    message: Message
    tokens: int


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked to complete."""

    pages: tuple[Page, ...]
    tools: tuple[ToolSchema, ...]
    max_output_tokens: int
    loop: LoopMode = "heartbeat"
    purpose: Purpose = "turn"


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a reply as it arrives."""

    text: str = ""
    thoughts: str = ""
    arguments: str = ""
    """A further piece of the raw arguments of the call `call_index`."""
    call_index: int | None = None
    call_name: str | None = None
    """The name of that call, on the delta that opens it."""


FinishReason = Literal["stop", "calls", "length", "refused"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole completion; the last thing `Backend.complete` yields."""

    text: str = ""
    thoughts: str = ""
    """Reasoning that the provider reports apart from the text."""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = field(default_factory=Usage)
    finish_reason: FinishReason = "stop"


class Backend(Protocol):
    """A model."""

    @property
    def spec(self) -> str:
        """The model specification, as `--model` takes it."""
        ...

    @property
    def context_tokens(self) -> int | None:
        """The model's context window, where it is known."""
        ...

    @property
    def writes_summaries(self) -> bool:
        """Whether it can be asked to summarise; if not, summaries are extractive."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, at once: exact, or on the safe side of an estimate."""
        ...

    def count_exactly(self, text: str) -> int:
        """The same, as near to the truth as can be; asked only when the window gets tight, since it may load much."""
        ...

    def complete(self, request: Request) -> Iterator[Delta | Reply]:
        """Stream a completion: any number of deltas, then exactly one `Reply`.

        Closing the iterator cancels. Raises `BackendError`.
        """
        ...

    def close(self) -> None: ...


class Embedder(Protocol):
    """Texts to vectors."""

    @property
    def name(self) -> str:
        """Identity of the vectors: an index made under another name is rebuilt."""
        ...

    @property
    def dim(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape (n, dim): float32, unit rows (a text without any known token gives zeros)."""
        ...


# ---------------------------------------------------------------- stores


class RecallStore(Protocol):
    """The append-only log of one agent on its current timeline."""

    def append(self, message: Message) -> Message:
        """Store it with the next id. Committed means accepted (inside a transaction: when that commits)."""
        ...

    def read(self, first_id: int, last_id: int | None = None, *, limit: int | None = None) -> list[Message]:
        """Messages first_id..last_id (both inclusive) in order."""
        ...

    def last_id(self) -> int:
        """The log's head; 0 when it is empty."""
        ...

    def count(self) -> int: ...

    def search(
        self,
        query: str,
        *,
        limit: int,
        offset: int = 0,
        start: datetime | None = None,
        end: datetime | None = None,
        without_id: int | None = None,
    ) -> HitPage:
        """Spoken words (events and the agent's own), best first; start inclusive, end exclusive.

        With `without_id`, that message is left out.
        """
        ...

    def between(self, start: datetime, end: datetime, *, limit: int, offset: int = 0) -> HitPage:
        """Spoken words said in [start, end), oldest first."""
        ...


class ArchivalStore(Protocol):
    """The passages one agent wrote for itself."""

    def insert(self, text: str, *, tags: Sequence[str] = ()) -> tuple[Passage, ...]:
        """Store the text, chunked where it is long. Content already there is not stored twice."""
        ...

    def search(
        self, query: str, *, limit: int, offset: int = 0, tags: Sequence[str] = (), source: str | None = None
    ) -> HitPage:
        """The agent's own passages and those of the documents it may read, best first."""
        ...

    def passage(self, passage_id: str) -> Passage | None:
        """One of the agent's own passages, whole."""
        ...

    def delete(self, passage_id: str) -> bool:
        """Hide a passage on this timeline; False when there is none of that id."""
        ...

    def count(self) -> int: ...


class DocumentStore(Protocol):
    """The documents this agent may read."""

    def list(self) -> list[DocumentInfo]: ...

    def find(self, name: str) -> DocumentInfo | None:
        """By path, by file name, or by a unique part of either."""
        ...

    def search(self, query: str, *, limit: int, offset: int = 0, name: str | None = None) -> HitPage: ...

    def passage(self, passage_id: str) -> TextSpan | None:
        """A passage of one of these documents, whole, with its place."""
        ...

    def passages(self, document: DocumentInfo, first: int, count: int) -> Sequence[TextSpan]:
        """The passages that touch `count` lines from line `first` on, each whole."""
        ...

    def lines(self, document: DocumentInfo, first: int, count: int) -> TextSpan:
        """`count` lines from line `first` (from 1)."""
        ...

    def page(self, document: DocumentInfo, number: int) -> TextSpan | None:
        """One page (from 1) of a document that has pages."""
        ...


class BlockStore(Protocol):
    """The blocks of core memory that one agent holds, and their history."""

    def blocks(self, as_of: int | None = None) -> tuple[Block, ...]:
        """Blocks in order, now or as of a block version."""
        ...

    def add_block(self, block: Block, cause: str) -> Block: ...

    def edit_block(self, label: str, value: str, cause: str) -> Block:
        """Append a version. Raises `UsageError` for a label that does not exist."""
        ...

    def core_version(self) -> int:
        """The newest version of any block this agent has held; grows with every change of core memory."""
        ...

    def rewrite_block(self, block: Block, cause: str) -> Block:
        """Append a version that is all of `block`: value, description, limit and read-only flag.

        Raises `UsageError` when another holder's window is too small for a raised limit.
        """
        ...

    def share_block(self, label: str, agent: str, cause: str) -> None:
        """Let another agent of the home hold the same block.

        Raises `AgentNotFound`, or `UsageError` when it has one of that label or its window is too small for it.
        """
        ...

    def remove_block(self, label: str, cause: str) -> None:
        """Take the block from this agent from now on; past prompts still show it."""
        ...

    def block_holders(self, label: str) -> Sequence[str]:
        """The names of all agents that hold this block."""
        ...

    def block_history(self, label: str) -> Sequence[BlockVersion]:
        """All versions, oldest first."""
        ...

    def tell_other_holders(self, label: str, text: str) -> None:
        """Append a system alert to the log of every other agent that holds the block."""
        ...


class TurnStore(Protocol):
    """Turns of one agent, the steps they took and the effects they started."""

    def open_turn(self, opening_id: int, idempotency_key: str | None) -> None: ...

    def reopen_turn(self, opening_id: int) -> None:
        """Take a turn that was stopped for a running one again."""
        ...

    def end_turn(self, opening_id: int, stopped_by: str) -> None: ...

    def turn(self, opening_id: int) -> OpenTurn | None: ...

    def last_turn(self) -> OpenTurn | None: ...

    def turn_by_key(self, idempotency_key: str) -> OpenTurn | None: ...

    def record_step(self, message_id: int, step: StepRecord) -> None:
        """Note what the reply `message_id` answered, so that its request can be made again."""
        ...

    def past_steps(self, first_id: int, last_id: int) -> Sequence[PastStep]:
        """The steps whose replies lie in this range of the log."""
        ...

    def last_step(self) -> PastStep | None:
        """The newest step of all."""
        ...

    def start_effect(self, message_id: int, call_id: str) -> None:
        """Note, committed, that a call with effects outside memos is about to run."""
        ...

    def effect_started(self, message_id: int, call_id: str) -> bool: ...


class StateStore(BlockStore, TurnStore, Protocol):
    """All state of one agent but its words, and the transaction that every store shares."""

    def transaction(self) -> AbstractContextManager[None]:
        """One transaction over every store; inside another it joins it. Never held while a model runs."""
        ...

    def window(self) -> Window: ...

    def move_window(self, window: Window, cause: str) -> None:
        """Make it the current one; the earlier ones stay as history."""
        ...

    def receipts(self) -> list[Receipt]: ...

    def standing_receipts(self) -> list[Receipt]:
        """Those not undone, oldest first: together they cover all that is not in the queue."""
        ...

    def receipt(self, receipt_id: int) -> Receipt: ...

    def add_receipt(
        self, *, first_id: int, last_id: int, summary: str, replaced_id: int | None, freed_tokens: int, model: str
    ) -> Receipt: ...

    def pause_heartbeats(self, until: datetime) -> None: ...

    def heartbeats_paused_until(self) -> datetime | None: ...


class Clock(Protocol):
    """What time it is, where the agent lives."""

    def now(self) -> datetime:
        """Aware, in the agent's time zone."""
        ...

    def at(self, moment: datetime) -> datetime:
        """A naive moment as it was or will be there, daylight saving time included."""
        ...


class Library(Protocol):
    """The documents of a home, whoever may read them. Stored once, however often they are ingested."""

    def find_file(self, file_hash: bytes) -> DocumentInfo | None:
        """A whole document whose text a file of exactly these bytes holds."""
        ...

    def begin(self, file_hash: bytes) -> int:
        """Start loading a document; abandoned loads of the past are cleared away. Returns its draft id."""
        ...

    def add(self, draft_id: int, chunks: Sequence[Chunk]) -> None:
        """Append chunks, committed in short transactions. Not searchable before `finish`."""
        ...

    def finish(self, draft_id: int, content_hash: bytes, source: str, *, pages: int | None, lines: int) -> DocumentInfo:
        """Make the draft whole and searchable; a document of the same text is kept in its stead."""
        ...

    def discard(self, draft_id: int) -> None: ...

    def link(self, document_id: int, source: str, file_hash: bytes) -> DocumentInfo | None:
        """Name this path as a source of the document (instead of what it held before); None if it is there no more."""
        ...

    def list(self) -> list[DocumentInfo]: ...

    def find(self, name: str) -> DocumentInfo | None: ...

    def text(self, document: DocumentInfo) -> Iterator[str]:
        """The extracted text, in pieces."""
        ...

    def remove(self, document: DocumentInfo) -> None:
        """Forget the source, and the document with its passages when no other source names it."""
        ...
