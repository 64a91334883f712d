"""A disk that fills up: what was accepted stays, and what is small goes on."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from memos.clock import SystemClock
from memos.errors import StorageError
from memos.messages import Message
from memos.records import Chunk
from memos.storage import library as library_module
from memos.storage import schema
from memos.storage.agents import AgentRegistry
from memos.storage.database import Database
from memos.storage.library import SqliteLibrary
from memos.storage.recall import SqliteRecall
from memos.storage.scope import Scope
from memos.storage.vectors import VectorIndex


def add(connection: sa.Connection, name: str) -> None:
    connection.execute(sa.insert(schema.agents), {"name": name, "created_at": 0, "last_active_at": 0})


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(sa.select(schema.agents.c.name).order_by(schema.agents.c.name)))


def chunk(number: int) -> Chunk:
    text = f"Paragraph {number} " + " ".join(f"tide{number * word % 9973}" for word in range(90)) + "\n"
    return Chunk(text, 0, len(text), 1, 2)


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of so many megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("disk", [3], indirect=True)
def test_a_transaction_too_large_for_the_disk_leaves_room_for_small_ones(disk: Path) -> None:
    database = Database(disk / "memos.db")
    with database.write() as connection:
        add(connection, "ada")

    def fill() -> None:
        with database.write() as whole:
            add(whole, "bea")
            with contextlib.suppress(StorageError), database.write() as part:
                for number in range(8_000):
                    add(part, f"agent {number} " + "x" * 1000)

    with pytest.raises(StorageError, match="undid the whole transaction"):
        fill()
    assert names(database) == ["ada"]
    for number in range(20):
        with database.write() as connection:
            add(connection, f"small {number}")
    assert len(names(database)) == 21
    database.close()


@pytest.mark.parametrize("disk", [24], indirect=True)
def test_a_load_too_large_for_the_disk_leaves_room_for_what_is_said(disk: Path, index: VectorIndex) -> None:
    database, clock = Database(disk / "memos.db"), SystemClock()
    info = AgentRegistry(database, clock).create("ada")
    recall = SqliteRecall(Scope(database, info.id, info.timeline_id, clock))
    library = SqliteLibrary(database, clock, index)
    draft = library.begin(b"big")
    with pytest.raises(StorageError, match="almost full"):
        for batch in range(200):
            library.add(draft, [chunk(batch * 100 + number) for number in range(100)])
    for number in range(20):
        recall.append(Message("user", "user_message", f"Small {number}", datetime.now(UTC)))
    library.discard(draft)
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.passages)) == 0
    assert recall.count() == 20
    database.close()


def test_a_load_is_refused_before_the_disk_is_full(
    library: SqliteLibrary, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = library.begin(b"big")
    library.add(draft, [chunk(1)])
    monkeypatch.setattr(library_module, "SPARED_BYTES", 1 << 62)
    with pytest.raises(StorageError, match=r"almost full.*kept for what is said"):
        library.add(draft, [chunk(2)])
    library.discard(draft)
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.documents)) == 0
