"""Functions that reach the user or steer the loop."""

from __future__ import annotations

from datetime import timedelta

from memos.errors import Refusal
from memos.tooling import ToolContext, effect

MAX_PAUSE_MINUTES = 360
"""Source: MemGPT's reference code."""


@effect("read")
def send_message(message: str) -> str:
    """Say something to the user. This is the only way to reach them.

    Args:
        message: What the user will read.
    """
    if not message.strip():
        raise Refusal("message is empty; write what the user should read.")
    return "OK"


@effect("memory")
def pause_heartbeats(context: ToolContext, minutes: int) -> str:
    """Hold back timed heartbeats for a while. User messages still wake you.

    Args:
        minutes: How long, 360 at most.
    """
    if minutes < 1:
        raise Refusal("minutes must be at least 1.")
    granted = min(minutes, MAX_PAUSE_MINUTES)
    context.state.pause_heartbeats(context.clock.now() + timedelta(minutes=granted))
    return f"Timed heartbeats are paused for {granted} minutes."
