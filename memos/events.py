"""Events in: what wakes an agent. Events out: what a turn emits, in order, for whoever watches.

Every event in becomes a message of the log before anything else happens. `Agent.stream` yields
the events out, `Agent.send` folds them into a `Turn`; the terminal, `--json` and logs are readers
of the same stream. Nothing here knows who reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from memos.messages import Message, Status, Usage

# ---------------------------------------------------------------- in


@dataclass(frozen=True, slots=True)
class UserMessage:
    """A person (or a program in a person's place) says something."""

    text: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """An interactive session starts."""

    last_login: datetime | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The agent runs again without a new message."""

    reason: str


@dataclass(frozen=True, slots=True)
class SystemAlert:
    """The controller tells the model something: an edit from outside, a loaded document."""

    text: str


EventIn = UserMessage | Login | Heartbeat | SystemAlert

# ---------------------------------------------------------------- out

StoppedBy = Literal["yield", "steps", "repeat", "tokens", "cost", "interrupt", "error"]


@dataclass(frozen=True, slots=True)
class ContextUsage:
    """How full the window is, by section; all figures in tokens."""

    limit_tokens: int
    reserve_tokens: int
    used_tokens: int
    system_tokens: int
    functions_tokens: int
    core_tokens: int
    summary_tokens: int
    queue_tokens: int
    prefix_tokens: int
    """The head of the prompt that is byte for byte the head of the request before."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of what the user is being told, as it arrives."""

    text: str


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """A piece of the model's inner monologue or reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A tool is about to run."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A tool has run and its result stands in the log."""

    call_id: str
    name: str
    arguments: str
    status: Status
    result: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """One whole message to the user, committed to the log."""

    text: str


@dataclass(frozen=True, slots=True)
class MemoryEdited:
    """A block of core memory changed."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Pressure:
    """The window is filling up; the model has been warned."""

    used_tokens: int
    budget_tokens: int


@dataclass(frozen=True, slots=True)
class Flushed:
    """The oldest part of the queue was paged out and summarised."""

    receipt_id: int
    first_id: int
    last_id: int
    freed_tokens: int
    usage: Usage = field(default_factory=Usage)
    """What the summary took, where a model wrote it."""


@dataclass(frozen=True, slots=True)
class StepFinished:
    """One inference is over and its reply stands in the log."""

    usage: Usage
    context: ContextUsage


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One call of a turn, as `send --json` reports it."""

    name: str
    arguments: str
    status: Status
    result: str


@dataclass(frozen=True, slots=True)
class Turn:
    """All steps from an event to the yield, folded."""

    reply: str
    """The texts sent to the user, joined with blank lines."""
    stopped_by: StoppedBy
    steps: int
    tool_calls: tuple[ToolRun, ...] = ()
    usage: Usage = field(default_factory=Usage)
    context: ContextUsage | None = None
    error: str | None = None
    messages: tuple[Message, ...] = ()
    """What the turn added to the log, the opening event included."""


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The agent yields to the user."""

    turn: Turn


EventOut = (
    TextDelta
    | ThoughtDelta
    | CallStarted
    | CallFinished
    | Spoken
    | MemoryEdited
    | Pressure
    | Flushed
    | StepFinished
    | TurnFinished
)
