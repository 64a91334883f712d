"""Listening to a model: a completion as it arrives, told on, and broken off when the user interrupts.

Stores nothing and decides nothing; what was heard is the controller's to keep.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator

from memos.errors import BackendError
from memos.events import EventOut, TextDelta, ThoughtDelta
from memos.messages import LoopMode
from memos.ports import Backend, Delta, Reply, Request
from memos.speech import SpeechStream


class Listener:
    """Hears the completions of one backend."""

    def __init__(self, backend: Backend, loop: LoopMode, interrupted: threading.Event) -> None:
        self.waiting = False
        """Whether it now only waits for the model."""
        self._backend = backend
        self._loop = loop
        self._interrupted = interrupted

    def hear(self, request: Request) -> Generator[EventOut, None, tuple[Reply, str | None]]:
        """The reply; and when an interrupt cut it short, what had been said aloud of it.

        Raises `BackendError`.
        """
        stream = self._backend.complete(request)
        text, thoughts, spoken = "", "", ""
        speech = SpeechStream()
        try:
            while not self._interrupted.is_set():
                piece = self._next_piece(stream)
                if piece is None:
                    break
                if isinstance(piece, Reply):
                    return piece, None
                heard = speech.hear(piece)
                text, thoughts, spoken = text + piece.text, thoughts + piece.thoughts, spoken + heard
                yield from self._told(piece, heard)
        finally:
            close = getattr(stream, "close", None)
            if close is not None:
                close()
        if self._interrupted.is_set():
            return Reply(text, thoughts), spoken
        raise BackendError(f"{self._backend.spec} ended its stream without a reply.")

    def _next_piece(self, stream: Iterator[Delta | Reply]) -> Delta | Reply | None:
        """What the model says next; None at the end, or when Ctrl-C broke the wait after an interrupt."""
        self.waiting = True
        try:
            return next(stream, None)
        except KeyboardInterrupt:
            if not self._interrupted.is_set():
                raise
            return None
        finally:
            self.waiting = False

    def _told(self, piece: Delta, heard: str) -> Iterator[EventOut]:
        if piece.thoughts:
            yield ThoughtDelta(piece.thoughts)
        if piece.text:
            yield ThoughtDelta(piece.text) if self._loop == "heartbeat" else TextDelta(piece.text)
        if heard:
            yield TextDelta(heard)
