"""A home made directly and one migrated from nothing are the same; newer homes are refused, older ones copied first."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

import memos
from memos.errors import StorageError, UsageError
from memos.storage import migrate, schema
from memos.storage.database import Database

NEXT_REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("agents", sa.Column("mood", sa.Text()))
    {then}
"""


def test_a_fresh_home_equals_one_migrated_from_nothing(tmp_path: Path) -> None:
    Database(tmp_path / "fresh.db").close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with engine.begin() as connection:
        config = migrate.configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()

    fresh, migrated = tables(tmp_path / "fresh.db"), tables(tmp_path / "migrated.db")
    assert fresh.keys() == migrated.keys()
    for name, definition in fresh.items():
        assert definition == migrated[name], name
    assert {"messages", "messages_fts", "passages_fts"} <= fresh.keys()
    for name in schema.FULL_TEXT_TABLES:
        settings = f"SELECT k, v FROM {name}_config ORDER BY k"
        assert query(tmp_path / "fresh.db", settings) == query(tmp_path / "migrated.db", settings)


def test_the_schema_names_the_newest_revision() -> None:
    assert ScriptDirectory.from_config(migrate.configuration()).get_heads() == [schema.SCHEMA_REVISION]


def test_a_newer_home_is_refused_in_one_line_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "memos.db"
    Database(path).close()
    execute(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()

    with pytest.raises(StorageError, match=r"newer memos \(schema 9999\); update") as caught:
        Database(path)

    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.before-*"))


def test_a_newer_program_copies_an_older_home_and_migrates_it(tmp_path: Path) -> None:
    path = older_home(tmp_path)
    result = open_with_next_version(tmp_path, path, then="pass")
    assert result.returncode == 0, result.stderr

    assert query(path, "SELECT name, mood FROM agents") == [("ada", None)]
    assert query(path, "SELECT version_num FROM alembic_version") == [("next",)]
    kept = tmp_path / "memos.db.before-next"
    assert query(kept, "SELECT version_num FROM alembic_version") == [(schema.SCHEMA_REVISION,)]
    assert query(kept, "SELECT name FROM agents") == [("ada",)]
    with pytest.raises(StorageError, match="newer"):
        Database(path)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = older_home(tmp_path)
    before = tables(path)
    result = open_with_next_version(tmp_path, path, then='op.execute("SELECT nothing FROM nowhere")')
    assert result.returncode != 0
    assert "nowhere" in result.stderr
    assert tables(path) == before
    Database(path).close()
    assert query(path, "SELECT name FROM agents") == [("ada",)]


def test_alembic_alone_is_told_that_it_needs_a_home() -> None:
    with pytest.raises(UsageError, match="home is opened"):
        command.upgrade(migrate.configuration(), "head")


def older_home(folder: Path) -> Path:
    path = folder / "memos.db"
    Database(path).close()
    execute(
        path,
        "INSERT INTO agents (name, scratch, next_message_id, created_at, last_active_at) VALUES ('ada', 0, 1, 0, 0)",
    )
    return path


def open_with_next_version(folder: Path, home: Path, *, then: str) -> subprocess.CompletedProcess[str]:
    """Open `home` with a copy of this program that has one more revision."""
    package = folder / "next" / "memos"
    shutil.copytree(
        Path(memos.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "static_embedder")
    )
    if not (package / "storage").exists():
        shutil.copytree(Path(schema.__file__).parent, package / "storage")
    versions = package / "storage" / "migrations" / "versions"
    (versions / "next.py").write_text(NEXT_REVISION.format(head=schema.SCHEMA_REVISION, then=then))
    module = package / "storage" / "schema.py"
    current = f'SCHEMA_REVISION = "{schema.SCHEMA_REVISION}"'
    assert current in module.read_text()
    module.write_text(module.read_text().replace(current, 'SCHEMA_REVISION = "next"'))
    program = "import pathlib, sys; from memos.storage.database import Database; Database(pathlib.Path(sys.argv[1]))"
    return subprocess.run(
        [sys.executable, "-c", program, str(home)],
        cwd=folder,  # else the folder that the tests run in comes before PYTHONPATH
        env=os.environ | {"PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def tables(path: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Every table and index: its columns in order, its constraints in any order."""
    rows = query(path, "SELECT name, coalesce(sql, '') FROM sqlite_master")
    return {str(name): normalised(str(sql)) for name, sql in rows}


def normalised(sql: str) -> tuple[list[str], list[str]]:
    parts = [" ".join(part.split()) for part in re.split(r",\s*(?![^()]*\))", sql.replace("(", "( ", 1))]
    if parts and parts[-1].endswith(")"):
        parts[-1] = parts[-1][:-1].strip()
    constraints = sorted(part for part in parts if part.startswith("CONSTRAINT"))
    return [part for part in parts if not part.startswith("CONSTRAINT")], constraints
