"""Stores on a real SQLite file and a real LanceDB folder, both of this test's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from memos.hits import DocumentInfo
from memos.records import Chunk
from memos.storage import schema
from memos.storage.database import Database
from memos.storage.embedder import StaticEmbedder
from memos.storage.library import SqliteLibrary
from memos.storage.scope import Scope
from memos.storage.vectors import VectorIndex


@dataclass
class HandClock:
    """Stands still until it is moved."""

    moment: datetime = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def at(self, moment: datetime) -> datetime:
        return moment.replace(tzinfo=self.moment.tzinfo)

    def advance(self, by: timedelta) -> None:
        self.moment += by


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "memos.db")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def embedder() -> StaticEmbedder:
    return StaticEmbedder()


@pytest.fixture
def open_index(database: Database, tmp_path: Path, embedder: StaticEmbedder) -> Callable[[], VectorIndex]:
    """Each call opens the index as another process would."""
    return lambda: VectorIndex(database, tmp_path / "index", tmp_path / "index.lock", lambda: embedder)


@pytest.fixture
def index(open_index: Callable[[], VectorIndex]) -> VectorIndex:
    return open_index()


@pytest.fixture
def new_agent(database: Database, clock: HandClock) -> Callable[[str], Scope]:
    def create(name: str) -> Scope:
        with database.write() as connection:
            agent_id = connection.execute(
                sa.insert(schema.agents).returning(schema.agents.c.id),
                {"name": name, "created_at": 0, "last_active_at": 0},
            ).scalar_one()
            timeline_id = connection.execute(
                sa.insert(schema.timelines).returning(schema.timelines.c.id), {"agent_id": agent_id, "created_at": 0}
            ).scalar_one()
            spans = {"timeline_id": timeline_id, "position": 0, "source_id": timeline_id, "lo": 0}
            connection.execute(sa.insert(schema.timeline_spans), spans)
        return Scope(database, agent_id, timeline_id, clock)

    return create


@pytest.fixture
def scope(new_agent: Callable[[str], Scope]) -> Scope:
    return new_agent("ada")


@pytest.fixture
def fork(database: Database) -> Callable[[Scope, int], Scope]:
    """Another timeline of the same agent that shares the log up to a message."""

    def split(scope: Scope, last_id: int) -> Scope:
        with database.write() as connection:
            timeline_id = connection.execute(
                sa.insert(schema.timelines).returning(schema.timelines.c.id),
                {"agent_id": scope.agent_id, "created_at": 0},
            ).scalar_one()
            shared = {"timeline_id": timeline_id, "position": 0, "source_id": scope.timeline_id, "lo": 0, "hi": last_id}
            own = {"timeline_id": timeline_id, "position": 1, "source_id": timeline_id, "lo": last_id + 1, "hi": None}
            connection.execute(sa.insert(schema.timeline_spans), [shared, own])
        return replace(scope, timeline_id=timeline_id)

    return split


@pytest.fixture
def library(database: Database, clock: HandClock, index: VectorIndex) -> SqliteLibrary:
    return SqliteLibrary(database, clock, index)


@pytest.fixture
def load(library: SqliteLibrary) -> Callable[..., DocumentInfo]:
    """Store pieces of text as a document, one piece a page where `paged`."""

    def store(source: str, pieces: list[str], *, paged: bool = False) -> DocumentInfo:
        text = "".join(pieces)
        draft = library.begin(hashlib.sha256(source.encode() + text.encode()).digest())
        library.add(draft, list(_chunks(pieces, paged=paged)))
        return library.finish(
            draft,
            hashlib.sha256(text.encode()).digest(),
            source,
            pages=len(pieces) if paged else None,
            lines=text.count("\n") + 1,
        )

    return store


def _chunks(pieces: list[str], *, paged: bool) -> Iterator[Chunk]:
    char, line = 0, 1
    for number, piece in enumerate(pieces, 1):
        newlines = piece.count("\n")
        touched = line + newlines + (not piece.endswith("\n"))
        yield Chunk(piece, char, char + len(piece), line, touched, page=number if paged else None)
        char, line = char + len(piece), line + newlines
