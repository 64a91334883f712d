"""Timed heartbeats of an open chat: while nobody writes, the agent wakes at an interval of its own.

One thread keeps the time. A turn of the user's and a heartbeat exclude each other, and a pause that
the agent asked for is the agent's own business.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from memos.cli import output
from memos.errors import AgentBusy, MemosError

if TYPE_CHECKING:
    from memos.agent import Agent

LEAVE_WITHIN_S = 5.0
"""How long leaving the chat waits for a heartbeat that is running; what it has done is stored in any case."""

MAKE_WAY_S = 0.05
"""How long a heartbeat that is running may take to end by itself before it is asked to."""


class Heartbeats:
    """Wakes an agent while its block lasts."""

    def __init__(self, agent: Agent, minutes: float | None) -> None:
        """`minutes` between the last sign of life and the next heartbeat; None: never."""
        self._agent = agent
        self._interval_s = minutes * 60 if minutes is not None else None
        self._due_s = 0.0
        self._turn = threading.Lock()
        self._screen = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Heartbeats:
        if self._interval_s is not None:
            self.put_off()
            self._thread = threading.Thread(target=self._keep_time, args=(self._interval_s,), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._agent.interrupt()
            self._thread.join(LEAVE_WITHIN_S)

    def put_off(self) -> None:
        """Somebody is there: the interval begins anew."""
        self._due_s = time.monotonic() + (self._interval_s or 0.0)

    @contextmanager
    def held_back(self) -> Generator[None, None, None]:
        """While the user's turn runs. A heartbeat that is running is asked to make way first.

        Raises `AgentBusy` when the user presses Ctrl-C before it has.
        """
        try:
            while not self._turn.acquire(timeout=MAKE_WAY_S):
                self._agent.interrupt()
        except KeyboardInterrupt:
            raise AgentBusy("interrupted while a heartbeat was still running; nothing was sent.") from None
        try:
            yield
        finally:
            self.put_off()
            self._turn.release()

    @contextmanager
    def above_the_prompt(self) -> Generator[None, None, None]:
        """While the user may type: what is printed appears above the line."""
        from prompt_toolkit.patch_stdout import patch_stdout

        self.put_off()
        with ExitStack() as stack:
            with self._screen:
                stack.enter_context(patch_stdout())
            try:
                yield
            finally:
                # What a heartbeat is printing must be out before the streams are put back.
                with self._screen:
                    stack.close()

    def _keep_time(self, interval_s: float) -> None:
        while not self._ended.wait(max(0.0, self._due_s - time.monotonic())):
            with self._turn:
                if time.monotonic() >= self._due_s and not self._ended.is_set():
                    self._beat()
                    self._due_s = time.monotonic() + interval_s

    def _beat(self) -> None:
        """One turn; whatever becomes of it, the chat goes on."""
        try:
            turn = self._agent.heartbeat()
        except MemosError as error:
            self._print(notice=f"· heartbeat: {' '.join(str(error).split())}")
            return
        if turn is None:
            return
        broken_off = turn.stopped_by not in ("yield", "interrupt")
        self._print(turn.reply, notice=f"· heartbeat: ended by its limit of {turn.stopped_by}" if broken_off else "")

    def _print(self, said: str = "", *, notice: str = "") -> None:
        with self._screen:
            if said:
                output.emit(said)
            if notice:
                output.note(notice)
