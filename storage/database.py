"""One home's SQLite file: transactions, durability, and the translation of its errors.

Knows no table but Alembic's. WAL with `synchronous=FULL`: what was committed survives a power cut.
Writers begin IMMEDIATE, since a deferred transaction that reads and then writes cannot wait for a
lock. A transaction belongs to its thread; one opened inside another joins it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from memos.errors import StorageError
from memos.storage import schema

BUSY_TIMEOUT_MS = 30_000


class Database:
    """The SQLite file of one home."""

    def __init__(self, path: Path) -> None:
        """Open it, creating or migrating the schema. Raises `StorageError`."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():
                path.touch(mode=0o600)  # what is remembered is nobody else's business
        except OSError as error:
            raise StorageError(f"{path.parent}: cannot be created ({error.strerror}); set MEMOS_HOME.") from None
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})
        self._writer = self._engine.execution_options(memos_write=True)
        self._current = threading.local()
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        try:
            self._prepare()
        except StorageError:
            self._engine.dispose()
            raise

    @contextmanager
    def write(self) -> Generator[sa.Connection, None, None]:
        """A write transaction: commits on leaving, rolls back on any exception.

        Inside another it is a part of that one: undone alone when it fails, committed with the whole.
        """
        joined: sa.Connection | None = getattr(self._current, "connection", None)
        if joined is not None:
            with joined.begin_nested():
                yield joined
            return
        with self._translated(), self._writer.begin() as connection:
            self._current.connection = connection
            try:
                yield connection
            finally:
                self._current.connection = None

    @contextmanager
    def read(self) -> Generator[sa.Connection, None, None]:
        """A consistent view; inside a write transaction, what it has written so far."""
        joined: sa.Connection | None = getattr(self._current, "connection", None)
        if joined is not None:
            yield joined
            return
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has a write transaction open, which may yet be rolled back."""
        return getattr(self._current, "connection", None) is not None

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Generator[None, None, None]:
        try:
            yield
        except DBAPIError as error:
            raise _translate(error, self.path) from error

    def _prepare(self) -> None:
        revision = self._revision()
        if revision == schema.SCHEMA_REVISION:
            return
        if revision is None:
            self._create()
            return
        from memos.storage import migrate

        with self._translated():
            migrate.upgrade(self._engine, self.path)

    def _revision(self) -> str | None:
        with self.read() as connection:
            if not _has_version_table(connection):
                return None
            return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()

    def _create(self) -> None:
        with self.write() as connection:
            if _has_version_table(connection):  # another process was faster
                return
            schema.metadata.create_all(connection)
            connection.exec_driver_sql(
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
                "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
            )
            connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (schema.SCHEMA_REVISION,))


def _has_version_table(connection: sa.Connection) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
    return bool(connection.exec_driver_sql(query).scalar())


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


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
        sqlite3.SQLITE_NOTADB: "is no memos database; move it away or set MEMOS_HOME to another folder.",
        sqlite3.SQLITE_CORRUPT: "is damaged; restore a copy, or move it away to start anew.",
        sqlite3.SQLITE_IOERR: "the disk does not read or write as it should; check it for space and faults.",
    }.get(primary or -1)
    return StorageError(f"{path}: {advice or cause}")
