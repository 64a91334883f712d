"""The SQLite file: durable settings, transactions that nest, and errors that say what to do."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from memos.errors import StorageError
from memos.storage import database as database_module
from memos.storage import migrate, schema
from memos.storage.database import Database

MAKE = """
import sys
from pathlib import Path
from memos.storage.database import Database

Database(Path(sys.argv[1])).close()
"""

WRITE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from memos.messages import Message
from memos.storage.agents import AgentRegistry
from memos.storage.database import Database
from memos.storage.recall import SqliteRecall
from memos.storage.scope import Scope
from memos.clock import SystemClock

database = Database(Path(sys.argv[1]))
info = AgentRegistry(database, SystemClock()).find("ada")
recall = SqliteRecall(Scope(database, info.id, info.timeline_id, SystemClock()))
for number in range(40):
    recall.append(Message("user", "user_message", f"{sys.argv[2]} {number}", datetime.now(UTC)))
database.close()
"""


def add(connection: sa.Connection, name: str) -> None:
    connection.execute(sa.insert(schema.agents), {"name": name, "created_at": 0, "last_active_at": 0})


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(sa.select(schema.agents.c.name).order_by(schema.agents.c.name)))


def refusal(path: Path) -> str:
    with pytest.raises(StorageError) as caught:
        Database(path)
    assert "\n" not in str(caught.value)
    assert str(path.parent) in str(caught.value)
    return str(caught.value)


def test_it_is_durable_and_keeps_its_references(database: Database) -> None:
    with database.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_a_transaction_commits_on_leaving_and_not_before(tmp_path: Path, database: Database) -> None:
    other = Database(tmp_path / "memos.db")
    with database.write() as connection:
        add(connection, "ada")
        assert names(database) == ["ada"]
        assert names(other) == []
        assert database.in_transaction is True
    assert (names(other), database.in_transaction) == (["ada"], False)
    other.close()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_any_exception_rolls_back(database: Database, error: type[BaseException]) -> None:
    def fail() -> None:
        with database.write() as connection:
            add(connection, "ada")
            raise error

    with pytest.raises(error):
        fail()
    assert (names(database), database.in_transaction) == ([], False)


def test_an_inner_transaction_is_undone_alone(database: Database) -> None:
    with database.write() as outer:
        add(outer, "ada")
        with pytest.raises(ValueError), database.write() as inner:
            add(inner, "bea")
            with database.write() as innermost:
                add(innermost, "carla")
            raise ValueError
        with database.write() as inner:
            add(inner, "dora")
    assert names(database) == ["ada", "dora"]


def test_an_inner_transaction_falls_with_the_outer(database: Database) -> None:
    with pytest.raises(ValueError), database.write():
        with database.write() as inner:
            add(inner, "bea")
        raise ValueError
    assert names(database) == []


def test_a_transaction_belongs_to_its_thread(database: Database) -> None:
    seen: list[tuple[bool, list[str]]] = []
    with database.write() as connection:
        add(connection, "ada")
        thread = threading.Thread(target=lambda: seen.append((database.in_transaction, names(database))))
        thread.start()
        thread.join()
    assert seen == [(False, [])]


def test_two_processes_write_without_an_error(tmp_path: Path) -> None:
    from memos.clock import SystemClock
    from memos.storage.agents import AgentRegistry
    from memos.storage.recall import SqliteRecall
    from memos.storage.scope import Scope

    path = tmp_path / "memos.db"
    database = Database(path)
    info = AgentRegistry(database, SystemClock()).create("ada")
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(path), name]) for name in ("left", "right")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    log = SqliteRecall(Scope(database, info.id, info.timeline_id, SystemClock())).read(1)
    database.close()
    assert [message.id for message in log] == list(range(1, 81))
    for name in ("left", "right"):
        said = [message.text for message in log if message.text.startswith(name)]
        assert said == [f"{name} {number}" for number in range(40)]


def test_two_processes_make_one_home(tmp_path: Path) -> None:
    path = tmp_path / "new" / "memos.db"
    makers = [subprocess.Popen([sys.executable, "-c", MAKE, str(path)]) for _ in range(3)]
    assert [maker.wait(60) for maker in makers] == [0, 0, 0]
    Database(path).close()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "memos.db"
    path.write_bytes(b"This is a letter, not a database. " * 100)
    before = path.read_bytes()
    assert "no memos database; move it away or set MEMOS_HOME" in refusal(path)
    assert path.read_bytes() == before


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    path = tmp_path / "memos.db"
    path.mkdir()
    assert "cannot be opened" in refusal(path)


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be created" in refusal(tmp_path / "file" / "home" / "memos.db")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    assert "check the permissions" in refusal(folder / "memos.db")


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "memos.db"
    database = Database(path)
    with database.write() as connection:
        for number in range(400):
            add(connection, f"agent {number}")
    database.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StorageError, match=r"is damaged|no memos database"):
        names(Database(path))


def test_a_full_disk_loses_the_transaction_and_nothing_else(database: Database) -> None:
    with database.write() as connection:
        add(connection, "ada")

    def fill() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite clips it to the present size
            for number in range(10_000):
                add(connection, f"agent {number} " + "x" * 500)

    with pytest.raises(StorageError, match="the disk is full; free some space"):
        fill()
    assert names(database) == ["ada"]
    with database.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        add(connection, "bea")
    assert names(database) == ["ada", "bea"]


def test_a_home_and_its_copies_are_private(tmp_path: Path) -> None:
    path = tmp_path / "home" / "memos.db"
    Database(path).close()
    migrate.copy(path, path.with_name("copy"))
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in path.parent.iterdir()] == [0o600, 0o600]


def test_a_failed_transaction_gives_its_log_back(tmp_path: Path, database: Database) -> None:
    def fill() -> None:
        with database.write() as connection:
            for number in range(5_000):
                add(connection, f"agent {number} " + "x" * 1000)
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            add(connection, "x" * 100_000)

    with pytest.raises(StorageError, match="disk is full"):
        fill()
    assert (tmp_path / "memos.db-wal").stat().st_size == 0


def test_a_failure_in_a_part_is_a_storage_error_there(database: Database) -> None:
    with database.write() as whole:
        add(whole, "ada")
        with pytest.raises(StorageError, match="UNIQUE"), database.write() as part:
            add(part, "bea")
            add(part, "ada")
        with pytest.raises(StorageError, match="no such table"), database.read() as view:
            view.exec_driver_sql("SELECT * FROM nowhere")
        add(whole, "carla")
    assert names(database) == ["ada", "carla"]


def test_nothing_is_written_once_sqlite_has_undone_the_whole(database: Database) -> None:
    seen: list[str] = []

    def go_on() -> None:
        with database.write() as whole:
            add(whole, "ada")
            try:
                with database.write(), database.write() as part:
                    add(part, "bea")
                    part.exec_driver_sql(
                        "INSERT OR ROLLBACK INTO agents (name, scratch, next_message_id, created_at, last_active_at) "
                        "VALUES ('ada', 0, 1, 0, 0)"
                    )
            except StorageError as error:
                seen.append(str(error))
            for join in (database.write, database.read):
                try:
                    with join() as connection:
                        add(connection, "dora")
                except StorageError as error:
                    seen.append(str(error))

    with pytest.raises(StorageError, match="undid the whole transaction"):
        go_on()
    assert ["UNIQUE" in line for line in seen] == [True, False, False]
    assert all("undid the whole" in line for line in seen[1:])
    assert names(database) == []
    with database.write() as connection:
        add(connection, "emil")
    assert names(database) == ["emil"]


def test_a_new_file_holds_its_tables_without_the_log(tmp_path: Path) -> None:
    path = tmp_path / "memos.db"
    database = Database(path)
    assert (tmp_path / "memos.db-wal").stat().st_size == 0
    database.close()


@pytest.mark.parametrize("beside", ["index", "locks"])
@pytest.mark.parametrize("lost", ["emptied", "log gone"])
def test_a_home_whose_content_was_lost_is_not_begun_anew(
    tmp_path: Path, beside: str, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "CREATION_WAIT_S", 0)
    path = tmp_path / "memos.db"
    path.touch()
    if lost == "log gone":  # a file whose tables stood in the log only
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    (tmp_path / beside).mkdir()
    (tmp_path / beside / "something").touch()
    assert "is empty, but this home has been in use" in refusal(path)
    path.unlink()
    Database(path).close()


def test_an_empty_file_in_an_unused_home_is_begun(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "memos.db").touch()
    Database(tmp_path / "memos.db").close()


def test_a_home_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    Database(tmp_path / "other.db").close()
    path = tmp_path / "memos.db"
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "agent-1.lock").touch()
    path.touch()
    opened: list[str] = []

    def open_it() -> None:
        database = Database(path)
        opened.extend(names(database))
        database.close()

    thread = threading.Thread(target=open_it)
    thread.start()
    with (
        contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as made,
        contextlib.closing(sqlite3.connect(path)) as target,
    ):
        made.execute(
            "INSERT INTO agents (name, scratch, next_message_id, created_at, last_active_at) VALUES ('ada', 0, 1, 0, 0)"
        )
        made.commit()
        made.backup(target)
    thread.join()
    assert opened == ["ada"]


def test_a_file_without_its_version_is_told(tmp_path: Path) -> None:
    path = tmp_path / "memos.db"
    Database(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
    assert "is no memos database, or a damaged one" in refusal(path)


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "memos.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE agents (mine)")
    before = path.read_bytes()
    assert "is no memos database" in refusal(path)
    assert path.read_bytes() == before
