"""Bringing an older home's schema up to date. Needed rarely, so Alembic is imported only here."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from memos.errors import StorageError
from memos.storage import schema


def upgrade(engine: sa.Engine, path: Path) -> None:
    """Migrate to the newest revision in one transaction, keeping a copy of the file beside it first.

    Raises `StorageError` when the file's revision is none that this program knows.
    """
    config = configuration()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with engine.execution_options(memos_write=True).begin() as connection:
        # Read under the write lock: another process may have migrated while this one waited.
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision == schema.SCHEMA_REVISION:
            return
        if revision not in known:
            raise StorageError(
                f"{path}: was written by a newer memos (schema {revision}); update memos-agent to open it."
            )
        copy(path, path.with_name(f"{path.name}.before-{schema.SCHEMA_REVISION}"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def configuration() -> Config:
    """Alembic's configuration, with no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def copy(source: Path, target: Path) -> None:
    """A consistent copy, whatever the write-ahead log holds, and as private."""
    try:
        target.touch(mode=0o600)
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"{target}: no copy could be made before the migration ({error}); free some space."
        ) from None
