"""Heartbeats of an open chat: while nobody writes, the agent wakes at an interval of its own.

A heartbeat is a turn like any other and runs where the others do: the prompt makes way for it and
comes back with what was typed. A pause that the agent asked for is the agent's own business.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from memos.cli import output
from memos.cli.stream import stopping_on_ctrl_c
from memos.errors import MemosError

if TYPE_CHECKING:
    from memos.agent import Agent


class Heartbeats:
    """When the next one is due."""

    def __init__(self, minutes: float | None) -> None:
        """`minutes` between the last sign of life and the next heartbeat; None: never."""
        self._interval_s = minutes * 60 if minutes is not None else None
        self._due_s = 0.0
        self.put_off()

    def put_off(self) -> None:
        """Somebody is there: the interval begins anew."""
        self._due_s = time.monotonic() + (self._interval_s or 0.0)

    async def due(self) -> bool:
        """Wait until one is due, however often it is put off meanwhile; False where there are none."""
        if self._interval_s is None:
            return False
        while (left_s := self._due_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)
        return True


def beat(agent: Agent) -> None:
    """One turn without a new message; whatever becomes of it, the chat goes on."""
    try:
        with stopping_on_ctrl_c(agent):
            turn = agent.heartbeat()
    except MemosError as error:
        output.note(f"· heartbeat: {' '.join(str(error).split())}")
        return
    except KeyboardInterrupt:
        output.note("· heartbeat: stopped")
        return
    if turn is None:
        return
    if turn.reply:
        output.emit(turn.reply)
    if turn.stopped_by not in ("yield", "interrupt"):
        output.note(f"· heartbeat: ended by its limit of {turn.stopped_by}")
