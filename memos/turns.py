"""A turn told as a whole, from the messages it added to the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from memos.errors import UsageError
from memos.events import ContextUsage, EventOut, StoppedBy, ToolRun, Turn, TurnFinished
from memos.loop import count_steps
from memos.messages import Message, Usage, sent_text

_REASONS: dict[str, StoppedBy] = {reason: reason for reason in get_args(StoppedBy)}


def last_turn(events: Iterator[EventOut], watch: Callable[[EventOut], None] | None = None) -> Turn:
    """Run a stream to its end; the turn of its last `TurnFinished`. Each event is shown to `watch`."""
    turn: Turn | None = None
    for event in events:
        if watch is not None:
            watch(event)
        if isinstance(event, TurnFinished):
            turn = event.turn
    if turn is None:
        raise UsageError("The turn ended without a result.")
    return turn


def fold(
    messages: Sequence[Message], *, stopped_by: str, usage: Usage, context: ContextUsage, error: str | None
) -> Turn:
    """Reply, tool runs and figures of a turn. Only what was really sent is part of the reply."""
    results = {message.call_id: message for message in messages if message.kind == "result"}
    spoken: list[str] = []
    runs: list[ToolRun] = []
    for message in messages:
        if message.kind != "reply":
            continue
        if message.text:
            spoken.append(message.text)
        for call in message.calls:
            result = results.get(call.id)
            if result is None:
                continue
            runs.append(ToolRun(call.name, call.arguments, result.status, result.text))
            said = sent_text(call)
            if said and result.status == "ok":
                spoken.append(said)
    return Turn(
        reply="\n\n".join(spoken),
        stopped_by=_REASONS.get(stopped_by, "error"),
        steps=count_steps(messages),
        tool_calls=tuple(runs),
        usage=usage,
        context=context,
        error=error,
        messages=tuple(messages),
    )
