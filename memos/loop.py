"""What a turn does next, told from the messages it has added to the log.

Pure functions: the controller asks them, and a turn cut off by a crash is carried on by asking them
again. Priorities: memory pressure > failed call > requested heartbeat > yield.
Source: MemGPT, arXiv 2310.08560, §2.4 (control flow).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from memos.messages import LoopMode, Message, ToolCall
from memos.tooling import requests_heartbeat

REPEATS = 3
"""The same call with the same arguments this often in a row ends the turn."""


@dataclass(frozen=True, slots=True)
class Act:
    """Run the calls of a reply that have no result yet."""

    reply: Message
    calls: tuple[ToolCall, ...]


Next = Act | Literal["infer", "yield"]


def next_action(turn: Sequence[Message], loop: LoopMode) -> Next:
    """What follows, given the turn's messages from its opening event on."""
    reply_at = max((i for i, message in enumerate(turn) if message.kind == "reply"), default=None)
    if reply_at is None:
        return "infer"
    reply, after = turn[reply_at], turn[reply_at + 1 :]
    answered = {message.call_id for message in after if message.kind == "result"}
    waiting = tuple(call for call in reply.calls if call.id not in answered)
    if waiting:
        return Act(reply, waiting)
    if any(message.kind == "pressure" for message in after):
        return "infer"
    if any(message.kind == "result" and message.status != "ok" for message in after):
        return "infer"
    if loop == "native":
        return "infer" if reply.calls else "yield"
    return "infer" if any(requests_heartbeat(call) for call in reply.calls) else "yield"


def count_steps(turn: Sequence[Message]) -> int:
    return sum(message.kind == "reply" for message in turn)


def is_repeating(turn: Sequence[Message]) -> bool:
    """Whether the last `REPEATS` calls of the turn are one and the same."""
    made = [(call.name, call.arguments) for message in turn for call in message.calls]
    return len(made) >= REPEATS and len(set(made[-REPEATS:])) == 1
