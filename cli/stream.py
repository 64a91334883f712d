"""Readers of a turn's events: one that speaks to a terminal, one that prints JSON, and Ctrl-C.

Decides nothing; what is shown here has already happened.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from memos.cli import output
from memos.errors import BackendError
from memos.events import EventOut, Flushed, MemoryEdited, Pressure, Spoken, TextDelta, Turn, TurnFinished

if TYPE_CHECKING:
    from memos.agent import Agent

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def run_turn(agent: Agent, text: str, watch: Callable[[EventOut], None]) -> Turn:
    """Let the agent take a turn, handing each event on; Ctrl-C asks it to stop.

    A turn that the model's provider ended is returned like any other, with `stopped_by` "error".
    """
    turn: Turn | None = None
    with stopping_on_ctrl_c(agent):
        try:
            for event in agent.stream(text):
                watch(event)
                if isinstance(event, TurnFinished):
                    turn = event.turn
        except BackendError:
            if turn is None or turn.stopped_by != "error":
                raise
    if turn is None:
        raise RuntimeError("the stream of events ended without TurnFinished")
    return turn


def conclude(turn: Turn) -> int:
    """What to exit with: 0 only when the agent came to its own end, else stderr says why it did not."""
    match turn.stopped_by:
        case "yield":
            if not turn.reply:
                output.note("The agent said nothing. A model that answers in plain text wants --loop native.")
            return 0
        case "error":
            output.note_error(turn.error or "the model's provider failed.")
            return BackendError.exit_code
        case "interrupt":
            output.note_error("interrupted; what was said so far is kept.")
            return EXIT_INTERRUPTED
        case "steps":
            output.note_error(f"the turn was ended after {turn.steps} steps; `max_steps` in the settings is the limit.")
        case "repeat":
            output.note_error("the turn was ended: the model made the same call three times in a row.")
        case "tokens" | "cost":
            limit = f"max_turn_{turn.stopped_by}"
            output.note_error(f"the turn was ended after {turn.steps} steps; `{limit}` in the settings is the limit.")
    return EXIT_FAILED


class Speaker:
    """Shows what the agent says as it arrives; its memory's doings go to stderr, in a terminal."""

    def __init__(self, *, notices: bool) -> None:
        self._notices = notices
        self._shown = ""
        self._messages = 0

    def __call__(self, event: EventOut) -> None:
        match event:
            case TextDelta(text):
                self._say(text)
            case Spoken(text):
                self._settle(text)
            case TurnFinished():
                if self._shown:
                    output.emit("")
            case Pressure(used_tokens, budget_tokens):
                self._notice(f"the window is filling up: {used_tokens} of {budget_tokens} tokens; the agent was told")
            case MemoryEdited(label):
                self._notice(f"core memory: {label} was edited")
            case Flushed(_, first_id, last_id):
                self._notice(f"messages {first_id} to {last_id} were paged out; they stay in recall")
            case _:
                return

    def _say(self, text: str) -> None:
        if not self._shown and self._messages:
            output.emit("")
        self._shown += text
        output.emit(text, end="")

    def _settle(self, text: str) -> None:
        """The whole message is known: show what is lacking of it."""
        if text.startswith(self._shown):
            self._say(text[len(self._shown) :])
        else:  # the stream broke and the reply was asked for again
            output.emit(f"\n{text}", end="")
        output.emit("")
        self._shown = ""
        self._messages += 1

    def _notice(self, text: str) -> None:
        if self._notices:
            output.note(f"· {text}")


@contextmanager
def stopping_on_ctrl_c(agent: Agent) -> Generator[None, None, None]:
    """While it lasts, the first Ctrl-C asks the agent to stop and the second stops at once."""
    previous = signal.getsignal(signal.SIGINT)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Not through sys.stderr, which the interrupted code may be writing to.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"\nStopping; Ctrl-C again stops at once.\n")
        agent.interrupt()
        if agent.waiting_for_model:
            raise KeyboardInterrupt  # breaks the wait; the turn ends as interrupted

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
