"""One home's SQLite file: transactions, durability, and the translation of its errors.

Knows no table but Alembic's. WAL with `synchronous=FULL`: what was committed survives a power cut.
Writers begin IMMEDIATE, since a deferred transaction that reads and then writes cannot wait for a
lock. A transaction belongs to its thread; one opened inside another joins it.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from memos.errors import StorageError
from memos.storage import schema

BUSY_TIMEOUT_MS = 30_000
CREATION_WAIT_S = 1.0
_TABLES = "SELECT count(*), total(name = 'alembic_version') FROM sqlite_master"
_MOVE_AWAY = "move it away or set MEMOS_HOME to another folder."


class Database:
    """The SQLite file of one home."""

    def __init__(self, path: Path) -> None:
        """Open it, creating or migrating the schema. Raises `StorageError`."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._found = path.exists()
            if not self._found:
                path.touch(mode=0o600)  # what is remembered is nobody else's business
        except OSError as error:
            raise StorageError(f"{path.parent}: cannot be created ({error.strerror}); set MEMOS_HOME.") from None
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})
        self._writer = self._engine.execution_options(memos_write=True)
        self._current = threading.local()
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        try:
            with self._translated():
                self._prepare()
        except StorageError:
            self._engine.dispose()
            raise

    @contextmanager
    def write(self) -> Generator[sa.Connection, None, None]:
        """A write transaction: commits on leaving, rolls back on any exception.

        Inside another it is a part of that one: undone alone when it fails, committed with the whole. Where SQLite
        has undone the whole by itself, as it does on a full disk, all that is left of the whole raises `StorageError`.
        """
        joined: sa.Connection | None = getattr(self._current, "connection", None)
        if joined is not None:
            with self._translated(), self._part_of(joined):
                yield joined
            return
        with self._translated(), self._writer.begin() as connection:
            self._current.connection = connection
            try:
                yield connection
                self._require_open(connection)  # or the commit would commit nothing and say nothing
            finally:
                self._current.connection = None

    @contextmanager
    def read(self) -> Generator[sa.Connection, None, None]:
        """A consistent view; inside a write transaction, what it has written so far."""
        joined: sa.Connection | None = getattr(self._current, "connection", None)
        if joined is not None:
            self._require_open(joined)
            with self._translated():
                yield joined
            return
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has a write transaction open, which may yet be rolled back."""
        return getattr(self._current, "connection", None) is not None

    def require_room(self, spared_bytes: int) -> None:
        """Raises `StorageError` when the disk has less than this left."""
        if shutil.disk_usage(self.path.parent).free < spared_bytes:
            raise StorageError(
                f"{self.path}: the disk is almost full, and {spared_bytes >> 20} MB of it are kept for what is said; "
                "free some space and repeat the command."
            )

    def empty_log(self, wait_s: float = 0) -> None:
        """Move the write-ahead log into the file and give its space back, as far as that goes."""
        try:
            with closing(sqlite3.connect(self.path, timeout=wait_s)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            return  # the log does as well, and a failure in hand is the one to tell

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _part_of(self, whole: sa.Connection) -> Generator[None, None, None]:
        self._require_open(whole)
        part = whole.begin_nested()
        try:
            yield
        except BaseException:
            if _is_open(whole):  # else there is nothing left to go back to
                part.rollback()
            raise
        self._require_open(whole)
        part.commit()

    def _require_open(self, connection: sa.Connection) -> None:
        if not _is_open(connection):
            raise StorageError(f"{self.path}: a failure undid the whole transaction, nothing of it is stored; repeat.")

    @contextmanager
    def _translated(self) -> Generator[None, None, None]:
        try:
            yield
        except DBAPIError as error:
            failure = _translate(error, self.path)
            self.empty_log()  # a failed transaction may have filled it, and the disk
            raise failure from error
        except StorageError as error:
            if isinstance(error.__cause__, DBAPIError):  # from a part of this transaction, whose locks are free now
                self.empty_log()
            raise

    def _prepare(self) -> None:
        revision = self._revision()
        if revision == schema.SCHEMA_REVISION:
            return
        if revision is None:
            self._create()
            return
        from memos.storage import migrate

        migrate.upgrade(self._engine, self.path)

    def _revision(self) -> str | None:
        """The schema's revision; None in an empty file. Raises `StorageError` for a file of another program."""
        with self.read() as connection:
            count, versioned = connection.exec_driver_sql(_TABLES).one()
            if not count:
                return None
            row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first() if versioned else None
        if row is None:
            raise StorageError(f"{self.path}: is no memos database, or a damaged one; {_MOVE_AWAY}")
        return str(row[0])

    def _create(self) -> None:
        if self._found and self._used_before():
            self._await_creation()
        with self.write() as connection:
            if self._revision() is not None:  # another process was faster
                return
            schema.metadata.create_all(connection)
            connection.exec_driver_sql(
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
                "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
            )
            connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (schema.SCHEMA_REVISION,))
        self.empty_log(wait_s=1)  # into the file itself, so that one without a table has lost its content

    def _used_before(self) -> bool:
        """Whether what lies beside the file belonged to an earlier content of it."""
        return any(any((self.path.parent / name).glob("*")) for name in ("index", "locks"))

    def _await_creation(self) -> None:
        """Another process may be about to fill the file; if none is, its content was lost."""
        deadline = time.monotonic() + CREATION_WAIT_S
        while self._revision() is None:
            if time.monotonic() > deadline:
                raise StorageError(
                    f"{self.path}: is empty, but this home has been in use; restore a copy, or remove the file to "
                    "start anew."
                )
            time.sleep(0.05)


def _is_open(connection: sa.Connection) -> bool:
    """Whether SQLite still has the transaction open: some failures end it."""
    raw: object = connection.connection.dbapi_connection
    return isinstance(raw, sqlite3.Connection) and raw.in_transaction


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    count, versioned = connection.execute(_TABLES).fetchone()
    if versioned or not count:  # another program's file keeps its mode
        connection.execute("PRAGMA journal_mode = WAL")


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("memos_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _translate(error: DBAPIError, path: Path) -> StorageError:
    """One line that says what to do. SQLite tells causes apart by code, so no text is compared."""
    cause = error.orig
    code = getattr(cause, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    advice = {
        sqlite3.SQLITE_FULL: "the disk is full; free some space and repeat the command. Nothing accepted is lost.",
        sqlite3.SQLITE_READONLY: "not writable; check the permissions of the folder, or set MEMOS_HOME.",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the permissions of the folder, or set MEMOS_HOME.",
        sqlite3.SQLITE_PERM: "not permitted; check the permissions of the folder, or set MEMOS_HOME.",
        sqlite3.SQLITE_BUSY: "another process has held it for too long; repeat the command.",
        sqlite3.SQLITE_NOTADB: f"is no memos database; {_MOVE_AWAY}",
        sqlite3.SQLITE_CORRUPT: "is damaged; restore a copy, or move it away to start anew.",
        sqlite3.SQLITE_IOERR: "the disk does not read or write as it should; check it for space and faults.",
    }.get(primary or -1)
    return StorageError(f"{path}: {advice or cause}")
