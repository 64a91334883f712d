"""The stores of one agent, on real files, at a time that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from memos.home import Home, Memory
from memos.settings import load
from memos.storage.recall import SqliteRecall
from memos.storage.scope import Scope
from memos.storage.state import SqliteState


@dataclass
class StoppedClock:
    """It is always the same moment."""

    moment: datetime = datetime(2026, 1, 2, 9, 30, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def at(self, moment: datetime) -> datetime:
        return moment.replace(tzinfo=UTC)


@pytest.fixture
def memory() -> Iterator[Memory]:
    """An agent without blocks and messages."""
    home = Home(load())
    info = home.agents.create("ada")
    scope = Scope(home.database, info.id, info.timeline_id, StoppedClock())
    opened = home.memory("ada")
    yield replace(opened, clock=scope.clock, recall=SqliteRecall(scope), state=SqliteState(scope))
    home.close()
