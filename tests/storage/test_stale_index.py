"""An index that belongs to another state of the home, or to another home, misleads nobody."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from memos.clock import SystemClock
from memos.hits import DocumentInfo
from memos.storage import pending, schema
from memos.storage.agents import AgentRegistry
from memos.storage.archival import SqliteArchival
from memos.storage.database import Database
from memos.storage.documents import SqliteDocuments
from memos.storage.embedder import StaticEmbedder
from memos.storage.lance import VectorTable
from memos.storage.scope import Scope
from memos.storage.search import Reach, search_passages
from memos.storage.vectors import VectorIndex


class Home:
    """A database with an index beside it, opened as a process would."""

    def __init__(self, folder: Path, embedder: StaticEmbedder) -> None:
        self.database = Database(folder / "memos.db")
        self.index = VectorIndex(self.database, folder / "index", folder / "index.lock", lambda: embedder)
        info = AgentRegistry(self.database, SystemClock()).find_or_create("ada")
        self.owner = f"a{info.id}"
        self.archival = SqliteArchival(Scope(self.database, info.id, info.timeline_id, SystemClock()), self.index)

    def keep(self, *texts: str) -> None:
        for text in texts:
            self.archival.insert(text)
        self.index.apply_pending()

    def cosine(self, text: str) -> float:
        """Of the nearest passage to this very text."""
        return self.index.search(text, [self.owner], 1)[0][1]


Open = Callable[[], Home]


@pytest.fixture
def open_home(tmp_path: Path, embedder: StaticEmbedder) -> Open:
    return lambda: Home(tmp_path, embedder)


NEW = ["Trilobites are fossils.", "Bananas contain potassium.", "Jazz began in New Orleans."]


def test_an_index_of_a_database_that_was_replaced_is_not_used(open_home: Open, tmp_path: Path) -> None:
    home = open_home()
    home.keep(*(f"The capital of country {number} is city {number * 7}." for number in range(3)))
    home.database.close()
    (tmp_path / "memos.db").unlink()
    home = open_home()
    home.keep(*NEW)
    assert [home.cosine(text) for text in NEW] == pytest.approx([1, 1, 1], abs=1e-3)
    home.database.close()


def test_an_older_copy_of_the_database_goes_on_from_the_index_of_its_time(open_home: Open, tmp_path: Path) -> None:
    home = open_home()
    home.keep("The first thing.")
    home.database.close()
    shutil.copy(tmp_path / "memos.db", tmp_path / "copy.db")
    home = open_home()
    home.keep(*(f"An old thing {number} about ships." for number in range(4)))
    home.database.close()
    for name in ("memos.db-wal", "memos.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy.db", tmp_path / "memos.db")
    home = open_home()
    assert home.cosine("The first thing.") == pytest.approx(1, abs=1e-3)
    home.keep(*NEW)
    assert [home.cosine(text) for text in NEW] == pytest.approx([1, 1, 1], abs=1e-3)
    assert len(home.index.search("ships", [home.owner], 20)) == 4
    home.database.close()


def test_an_older_copy_of_the_index_is_made_anew(open_home: Open, tmp_path: Path) -> None:
    home = open_home()
    home.keep(NEW[0])
    shutil.copytree(tmp_path / "index", tmp_path / "copy")
    home.keep(*NEW)
    home.database.close()
    shutil.rmtree(tmp_path / "index")
    shutil.copytree(tmp_path / "copy", tmp_path / "index")
    home = open_home()
    home.keep("One more.")
    assert [home.cosine(text) for text in NEW] == pytest.approx([1, 1, 1], abs=1e-3)
    home.database.close()


def test_an_index_with_rows_that_nobody_stored_is_made_anew(open_home: Open, tmp_path: Path) -> None:
    home = open_home()
    home.keep(*NEW)
    with home.database.read() as connection:
        state = pending.state(connection)
    table = VectorTable.open(tmp_path / "index", state.table_name, state.table_version)
    table.go_back_here()
    table.add([2], [home.owner], np.eye(256, dtype=np.float32)[:1])
    with home.database.write() as connection:
        grown = pending.IndexState(state.embedder, state.applied_seq, state.table_name, table.version)
        pending.save(connection, grown)
    home.database.close()
    home = open_home()
    assert len(home.index.search(NEW[0], [home.owner], 10)) == 3
    home.keep("One more.")
    assert len(home.index.search(NEW[0], [home.owner], 10)) == 4
    home.database.close()


def test_what_is_added_while_an_index_is_made_is_in_it_once(open_home: Open) -> None:
    home = open_home()
    home.keep(*NEW)

    def say(_done: int, _total: int) -> None:
        home.archival.insert("Said in the middle of it.")

    home.index.rebuild(say)
    home.archival.insert("And after it.")
    assert len(home.index.search("middle", [home.owner], 10)) == 5
    home.index.apply_pending()
    assert [seq for seq, _ in sorted(home.index.search("middle", [home.owner], 10))] == [1, 2, 3, 4, 5]
    home.database.close()


def test_the_folder_of_the_index_is_private(open_home: Open, tmp_path: Path) -> None:
    home = open_home()
    home.keep(*NEW)
    assert (tmp_path / "index").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "index.lock").stat().st_mode & 0o777 == 0o600
    home.database.close()


@pytest.mark.parametrize("wrong", ["another's document", "another's passage", "a draft", "hidden"])
def test_what_the_index_gives_wrongly_is_not_shown(
    wrong: str,
    scope: Scope,
    new_agent: Callable[[str], Scope],
    index: VectorIndex,
    database: Database,
    load: Callable[..., DocumentInfo],
    tmp_path: Path,
) -> None:
    """An index that says that everything is this agent's own."""
    mine = SqliteArchival(scope, index)
    mine.insert("A note about gardens.")
    secret = "Salary of Bob: 91,000 euros."
    documents: tuple[int, ...] = ()
    if wrong == "another's passage":
        SqliteArchival(new_agent("bob"), index).insert(secret)
    elif wrong == "hidden":
        (passage,) = mine.insert(secret)
        mine.delete(passage.id)
    else:
        document = load("/salaries.txt", [secret])
        if wrong == "a draft":
            SqliteDocuments(scope, index).attach("/salaries.txt")
            documents = (document.id,)
    index.apply_pending()
    with database.write() as connection:
        state = pending.state(connection)
        if wrong == "a draft":
            connection.execute(sa.update(schema.documents).values(whole=False))
            removed = [{"operation": "remove", "item": "document", "item_id": document} for document in documents]
            connection.execute(sa.insert(schema.index_log), removed)
    table = VectorTable.open(tmp_path / "index", state.table_name, state.table_version)
    table.go_back_here()
    table.remove([1, 2], [])
    vectors = StaticEmbedder().embed([secret, secret])
    table.add([1, 2], [f"a{scope.agent_id}"] * 2, vectors)
    with database.write() as connection:
        pending.save(connection, pending.IndexState(state.embedder, state.applied_seq, state.table_name, table.version))
    page = search_passages(scope, index, "salary", Reach(own=True, documents=documents), limit=9)
    assert (page.total, [hit.text for hit in page.hits]) == (1, ["A note about gardens."])
