"""A home, opened: its stores, its agents, its documents, and what it knows of windows.

The one place where the concrete stores are named. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from uuid import uuid4

from memos.clock import SystemClock
from memos.context import Budget, choose_budget
from memos.errors import AgentBusy, AgentNotFound
from memos.learned import LearnedWindows
from memos.ports import Backend, Clock, Embedder
from memos.settings import DEFAULT_CONTEXT_TOKENS, Configuration, Settings
from memos.storage.agents import AgentInfo, AgentRegistry
from memos.storage.archival import SqliteArchival
from memos.storage.database import Database
from memos.storage.documents import SqliteDocuments
from memos.storage.library import SqliteLibrary
from memos.storage.locks import TurnLock
from memos.storage.recall import SqliteRecall
from memos.storage.scope import Scope
from memos.storage.state import SqliteState
from memos.storage.vectors import VectorIndex

if TYPE_CHECKING:
    from memos.storage.embedder import StaticEmbedder


APPLY_AT_CLOSE = 512
"""Passages the index may lag behind when a home is closed: as many cost a search a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The stores of one agent."""

    info: AgentInfo
    clock: Clock
    recall: SqliteRecall
    archival: SqliteArchival
    documents: SqliteDocuments
    state: SqliteState


class Home:
    """One home, opened: its agents, its documents, and the memory of each agent."""

    def __init__(self, configuration: Configuration, *, embedder: Embedder | None = None) -> None:
        """Raises `StorageError`."""
        self.configuration = configuration
        self.settings: Settings = configuration.settings
        paths = configuration.paths
        self.clock = SystemClock(self.settings.timezone)
        self.database = Database(paths.database)
        self._embedder = embedder
        self.index = VectorIndex(self.database, paths.index, paths.locks / "index.lock", self.embedder)
        self.agents = AgentRegistry(self.database, self.clock)
        self.learned = LearnedWindows(paths.cache)
        self.library = SqliteLibrary(self.database, self.clock, self.index)

    def embedder(self) -> Embedder:
        return self._embedder if self._embedder is not None else _static_embedder()

    def memory(self, agent: str) -> Memory:
        """The stores of an agent, without the lock on its turns. Raises `AgentNotFound`."""
        info = self.agents.find(agent)
        clock = SystemClock(info.timezone or self.settings.timezone)
        scope = Scope(self.database, info.id, info.timeline_id, clock)
        archival, documents = SqliteArchival(scope, self.index), SqliteDocuments(scope, self.index)
        return Memory(info, clock, SqliteRecall(scope), archival, documents, SqliteState(scope))

    def turn_lock(self, info: AgentInfo, *, wait: bool = True) -> AbstractContextManager[None]:
        """Held while a turn is taken. Raises `AgentBusy` when another process has it (for too long)."""
        return self._lock(info.name if info.scratch else f"agent-{info.id}", info.name, wait=wait)

    def delete_agent(self, name: str) -> None:
        """Erase an agent, unless it is taking a turn. Raises `AgentNotFound`, `AgentBusy`."""
        info = self.agents.find(name)
        with self.turn_lock(info, wait=False):
            self.agents.delete(name)
        self._remove_lock(info.name if info.scratch else f"agent-{info.id}")

    @contextmanager
    def scratch_agent(self) -> Generator[Memory, None, None]:
        """An agent for one job, gone afterwards, also when its process dies: the next one sweeps it away."""
        for info in self.agents.list(scratch=True):
            with suppress(AgentBusy, AgentNotFound):
                self.delete_agent(info.name)
        name = f"scratch-{uuid4().hex[:12]}"
        with self._lock(name, name, wait=False):  # before it exists, so that no other process sweeps it
            self.agents.create(name, timezone=self.settings.timezone, scratch=True)
            try:
                yield self.memory(name)
            finally:
                self.agents.delete(name)
        self._remove_lock(name)

    def _lock(self, key: str, name: str, *, wait: bool) -> AbstractContextManager[None]:
        wait_s = self.settings.busy_wait_s if wait else 0
        return TurnLock(self.configuration.paths.locks, key, name, wait_s=wait_s).held()

    def _remove_lock(self, key: str) -> None:
        for ending in ("lock", "json"):
            (self.configuration.paths.locks / f"{key}.{ending}").unlink(missing_ok=True)

    def budget(self, backend: Backend, *, learned: bool = True) -> Budget:
        """The window to use: the least of the settings, the model's own, and, with `learned`, what its server told."""
        claims = (self.settings.context_tokens, backend.context_tokens)
        claimed = min((claim for claim in claims if claim is not None), default=DEFAULT_CONTEXT_TOKENS)
        told = self.learned.get(backend.spec) if learned else None
        limit = claimed if told is None else min(claimed, told)
        return choose_budget(limit, self.settings.output_reserve_tokens)

    def close(self) -> None:
        """Apply what the index lags behind, if that is much, and let go of the files."""
        self.index.apply_pending(at_least=APPLY_AT_CLOSE)
        self.database.close()


@cache
def _static_embedder() -> StaticEmbedder:
    from memos.storage.embedder import StaticEmbedder

    return StaticEmbedder()
