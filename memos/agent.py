"""The public `Agent`: a model with a memory, opened by name in a home."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from memos import settings
from memos.accept import alert, from_elsewhere, paged_in
from memos.build import Parts, assemble, make_backend, wake
from memos.core_memory import CoreMemory
from memos.documents.ingest import IngestReport, Progress, ingest
from memos.errors import AgentBusy, UsageError
from memos.events import ContextUsage, EventIn, EventOut, Heartbeat, Login, Turn, UserMessage
from memos.hits import DocumentInfo, HitPage
from memos.home import Home, Memory
from memos.messages import LoopMode, Message
from memos.ports import ArchivalStore, Backend, DocumentStore, Embedder, Reply
from memos.records import Receipt
from memos.requests import PastRequest, RequestLog
from memos.turns import last_turn


class Recall:
    """Everything an agent and its users ever said."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        offset: int = 0,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> HitPage:
        """Spoken words, best first; start inclusive, end exclusive."""
        return self._memory.recall.search(query, limit=limit, offset=offset, start=start, end=end)

    def read(self, first_id: int = 1, last_id: int | None = None) -> list[Message]:
        """Messages by their ids, both inclusive."""
        return self._memory.recall.read(first_id, last_id)

    def append(self, role: str, text: str, *, name: str | None = None, created_at: datetime | None = None) -> Message:
        """Add history from elsewhere, without waking the agent. `role` is "user" or "assistant".

        A time without a zone is taken to be where the agent lives.
        """
        now = self._memory.clock.now()
        at = now if created_at is None else created_at if created_at.tzinfo else self._memory.clock.at(created_at)
        if role not in ("user", "assistant"):
            raise UsageError(f'role is "user" or "assistant", not {role!r}.')
        return self._memory.recall.append(from_elsewhere("user" if role == "user" else "assistant", text, name, at))

    def count(self) -> int:
        return self._memory.recall.count()


class Agent:
    """A model with a memory. One process takes its turns at a time; everything else needs no lock.

    Open it with `Agent.open`, close it with `close` or a `with` block.
    """

    def __init__(self, home: Home, parts: Parts, functions: Sequence[Callable[..., object]]) -> None:
        self._home = home
        self._parts = parts
        self._functions = functions
        self._turns = threading.Lock()
        self.recall = Recall(parts.memory)

    @classmethod
    def open(
        cls,
        name: str = "default",
        *,
        model: str | None = None,
        backend: Backend | None = None,
        home: Path | str | None = None,
        context_tokens: int | None = None,
        loop: LoopMode | None = None,
        tools: Sequence[Callable[..., object]] = (),
        embedder: Embedder | None = None,
        create: bool = True,
    ) -> Agent:
        """Open an agent, creating it unless `create` is false.

        `backend` and `embedder` take objects of your own (see `memos.ports`) in place of those that
        the settings name. `tools` are functions with type hints and a docstring.
        Raises `SettingsError`, `AgentNotFound`, `StorageError`, `UsageError`.
        """
        flags: dict[str, object] = {"model": model, "context_tokens": context_tokens, "loop": loop}
        configuration = settings.load(flags, home=home)
        chosen = backend if backend is not None else make_backend(configuration.settings)
        opened = Home(configuration, embedder=embedder)
        try:
            memory = wake(opened, name, chosen, create=create)
            return cls(opened, assemble(opened, memory, chosen, tools), tools)
        except BaseException:
            opened.close()
            raise

    @property
    def name(self) -> str:
        return self._parts.memory.info.name

    @property
    def model(self) -> str:
        """The specification of the model that answers."""
        return self._parts.backend.spec

    @property
    def loop(self) -> LoopMode:
        return self._home.settings.loop

    @property
    def core(self) -> CoreMemory:
        """Core memory: a mapping from label to block."""
        return self._parts.core

    @property
    def archival(self) -> ArchivalStore:
        return self._parts.memory.archival

    @property
    def documents(self) -> DocumentStore:
        return self._parts.memory.documents

    # ------------------------------------------------------------ turns

    def send(self, text: str, *, name: str | None = None, idempotency_key: str | None = None) -> Turn:
        """Say something and wait for the turn to end.

        A key that was used before gives that turn again instead of a second one. Raises `BackendError`
        when the model fails, `AgentBusy` when another process takes a turn; what was said is kept.
        """
        return last_turn(self.stream(text, name=name, idempotency_key=idempotency_key))

    def stream(self, text: str, *, name: str | None = None, idempotency_key: str | None = None) -> Iterator[EventOut]:
        """The same, event by event. The last is a `TurnFinished`.

        A turn whose stream is left early is carried on by the next one.
        """
        if not text.strip():
            raise UsageError("There is nothing to send: the text is empty.")
        return self._turn(UserMessage(text, name), idempotency_key)

    async def asend(self, text: str, *, name: str | None = None, idempotency_key: str | None = None) -> Turn:
        """`send` in a worker thread."""
        return await asyncio.to_thread(self.send, text, name=name, idempotency_key=idempotency_key)

    async def astream(
        self, text: str, *, name: str | None = None, idempotency_key: str | None = None
    ) -> AsyncIterator[EventOut]:
        """`stream`, each step of it in a worker thread."""
        events = self.stream(text, name=name, idempotency_key=idempotency_key)
        try:
            while (event := await self._next_of(events)) is not None:
                yield event
        finally:
            await asyncio.to_thread(_close, events)

    async def _next_of(self, events: Iterator[EventOut]) -> EventOut | None:
        """One event, from a worker thread. Cancelled, it interrupts the turn and waits for its end."""
        waiting = asyncio.ensure_future(asyncio.to_thread(next, events, None))
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            self.interrupt()
            await asyncio.wait([waiting])
            await asyncio.to_thread(deque, events, 0)  # runs it to its end, keeping nothing
            raise

    def heartbeat(self, reason: str = "A timed heartbeat.") -> Turn | None:
        """Run the agent with no new message; None while the agent has paused its heartbeats."""
        until = self._parts.memory.state.heartbeats_paused_until()
        if until is not None and self._parts.memory.clock.now() < until:
            return None
        return last_turn(self._turn(Heartbeat(reason), None))

    def login(self) -> None:
        """Note in the log that a session begins; the agent sees it with the next turn."""
        info = self._parts.memory.info
        seen_before = self._parts.memory.recall.last_id() > 0
        self._parts.controller.note(Login(info.last_active_at if seen_before else None))

    def interrupt(self) -> None:
        """End the running turn at the next safe point; callable from any thread or a signal handler."""
        self._parts.controller.interrupt()

    @property
    def waiting_for_model(self) -> bool:
        """Whether the running turn only waits for its model.

        A signal handler that has called `interrupt` may then raise KeyboardInterrupt to end the wait
        at once; the turn ends as interrupted, and what was said so far is kept.
        """
        return self._parts.controller.waiting_for_model

    def context(self) -> ContextUsage:
        """How full the window is now, by section."""
        context = self._parts.context
        with context.lock:
            context.reload()
            context.recall_sent(self._parts.memory.state.last_step())
            return context.compile().usage

    # ------------------------------------------------------------ what was paged out

    def receipts(self) -> list[Receipt]:
        """The flushes that stand, oldest first: together they cover all that is not in the queue."""
        return self._parts.memory.state.standing_receipts()

    def undo_flush(self) -> Receipt:
        """Take the newest flush back into the queue.

        Raises `UsageError` when there is none or the window lacks the room (it says how much).
        """
        with self._own_turn():
            self._parts.context.reload()
            return self._parts.pager.undo()

    def page_in(self, first_id: int, last_id: int | None = None) -> Message:
        """Bring old messages back verbatim, as one event at the end of the queue. Raises `UsageError`."""
        memory = self._parts.memory
        found = memory.recall.read(first_id, last_id if last_id is not None else first_id)
        if not found:
            raise UsageError(f"There are no messages {first_id} to {last_id or first_id}.")
        return memory.recall.append(paged_in(found, memory.clock.now()))

    def requests(self, opening_id: int | None = None) -> list[PastRequest]:
        """The exact requests of a turn, by the message that opened it; of the last turn when none is named."""
        return self._request_log().of_turn(opening_id)

    def replay(self, message_id: int) -> Reply:
        """Send the request that a reply answered once more, to this agent's model; nothing is stored."""
        return self._request_log().replay(message_id)

    def _request_log(self) -> RequestLog:
        memory = self._parts.memory
        return RequestLog(backend=self._parts.backend, recall=memory.recall, state=memory.state, clock=memory.clock)

    # ------------------------------------------------------------ documents

    def ingest(self, *paths: Path | str, progress: Callable[[Progress], None] | None = None) -> IngestReport:
        """Load files or folders and let this agent read them."""
        memory = self._parts.memory

        def attach(document: DocumentInfo) -> None:
            with memory.state.transaction():
                if memory.documents.attach(document.source):
                    text = f"A document was loaded: {document.source} ({document.lines} lines). Search and open it."
                    memory.recall.append(alert("system_alert", text, memory.clock.now()))

        had_documents = bool(memory.documents.list())
        report = ingest(paths, self._home.library, on_document=attach, progress=progress)
        self._home.index.apply_pending()
        if not had_documents and memory.documents.list():
            with self._own_turn():  # the first document brings functions to read it with
                self._parts = assemble(self._home, memory, self._parts.backend, self._functions)
        return report

    def close(self) -> None:
        """Let go of the model and the home. Nothing is unsaved at any time."""
        self._parts.backend.close()
        self._home.close()

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _turn(self, event: EventIn, idempotency_key: str | None) -> Iterator[EventOut]:
        with self._own_turn():
            yield from self._parts.controller.turn(event, idempotency_key)

    @contextmanager
    def _own_turn(self) -> Generator[None, None, None]:
        """One turn at a time, in this process and in others. Raises `AgentBusy` after the wait of the settings."""
        if not self._turns.acquire(timeout=self._home.settings.busy_wait_s):
            raise AgentBusy(f"Agent {self.name!r} is busy: this process is taking a turn of it.")
        try:
            with self._home.turn_lock(self._parts.memory.info):
                yield
        finally:
            self._turns.release()


def _close(events: Iterator[EventOut]) -> None:
    close = getattr(events, "close", None)
    if close is not None:
        close()
