"""The vector index against real LanceDB: it lags, dies, tears and is made anew; searches stay right."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from filelock import FileLock
from numpy.typing import NDArray

from memos.errors import StorageError
from memos.hits import DocumentInfo
from memos.storage import pending, schema, vectors
from memos.storage.archival import SqliteArchival
from memos.storage.database import Database
from memos.storage.embedder import StaticEmbedder
from memos.storage.lance import VectorTable
from memos.storage.library import SqliteLibrary
from memos.storage.scope import Scope
from memos.storage.vectors import VectorIndex

OpenIndex = Callable[[], VectorIndex]

FACTS = ["Ada keeps trilobites in the cellar.", "The train to Turin leaves at nine.", "Rex is a brown dog."]


class Reversed:
    """Another embedder: the same vectors, back to front."""

    name = "reversed"
    dim = 256

    def __init__(self, inner: StaticEmbedder) -> None:
        self._inner = inner

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.ascontiguousarray(self._inner.embed(texts)[:, ::-1])


@pytest.fixture
def archival(scope: Scope, index: VectorIndex) -> SqliteArchival:
    return SqliteArchival(scope, index)


@pytest.fixture
def owner(scope: Scope) -> str:
    return f"a{scope.agent_id}"


def state_of(database: Database) -> pending.IndexState:
    with database.read() as connection:
        return pending.state(connection)


def table_of(tmp_path: Path, database: Database) -> VectorTable:
    """The index as its state describes it."""
    state = state_of(database)
    return VectorTable.open(tmp_path / "index", state.table_name, state.table_version)


def rows_of(tmp_path: Path, database: Database) -> int:
    return table_of(tmp_path, database).count()


def ranking(index: VectorIndex, owner: str, query: str = "Where are the fossils?") -> list[tuple[int, float]]:
    return [(seq, round(score, 4)) for seq, score in index.search(query, [owner], 10)]


def test_a_search_sees_what_was_just_written_without_lancedb(
    archival: SqliteArchival, index: VectorIndex, owner: str, tmp_path: Path
) -> None:
    for fact in FACTS:
        archival.insert(fact)
    assert index.search("dog", [owner], 1)[0][0] == 3
    assert len(index.search("dog", [owner], 10)) == 3
    assert not (tmp_path / "index").exists()


def test_applied_and_pending_score_alike(
    archival: SqliteArchival, index: VectorIndex, owner: str, database: Database, tmp_path: Path
) -> None:
    for fact in FACTS[:2]:
        archival.insert(fact)
    archival.insert(FACTS[2])
    before = ranking(index, owner)
    index.apply_pending()
    assert (state_of(database).embedder, state_of(database).applied_seq) == ("static-minilm-256-1", 3)
    assert rows_of(tmp_path, database) == 3
    assert ranking(index, owner) == before
    archival.insert("A fossil fish hangs in the hall.")
    assert {seq for seq, _ in ranking(index, owner)} == {1, 2, 3, 4}


def test_dying_between_the_write_and_its_record_doubles_nothing(
    archival: SqliteArchival, index: VectorIndex, open_index: OpenIndex, owner: str, database: Database, tmp_path: Path
) -> None:
    for fact in FACTS:
        archival.insert(fact)
    index.apply_pending()
    before = ranking(index, owner)
    archival.insert("More fossils.")
    state = state_of(database)
    index.apply_pending()
    for earlier in (state, pending.NOTHING):
        with database.write() as connection:
            pending.save(connection, earlier)
        again = open_index()
        assert set(before) < set(ranking(again, owner))
        again.apply_pending()
        assert rows_of(tmp_path, database) == 4
        assert len(ranking(again, owner)) == 4


def test_owners_are_kept_apart(
    archival: SqliteArchival, index: VectorIndex, new_agent: Callable[[str], Scope], owner: str
) -> None:
    archival.insert(FACTS[0])
    other = new_agent("bob")
    SqliteArchival(other, index).insert("Bob hides fossils too.")
    index.apply_pending()
    assert [seq for seq, _ in ranking(index, owner)] == [1]
    assert [seq for seq, _ in ranking(index, f"a{other.agent_id}")] == [2]
    assert index.search("fossils", [], 5) == []
    assert index.search("", [owner], 5) == []


@pytest.mark.parametrize("damage", ["removed", "truncated", "garbage", "emptied", "a file"])
@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
def test_a_damaged_index_is_no_error_and_gives_no_wrong_result(
    damage: str,
    many: bool,
    archival: SqliteArchival,
    index: VectorIndex,
    open_index: OpenIndex,
    owner: str,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if many:  # worth making anew for one search
        monkeypatch.setattr(vectors, "LONG_TAIL_PASSAGES", 3)
    for fact in FACTS:
        archival.insert(fact)
    index.apply_pending()
    before = ranking(index, owner)
    _damage(tmp_path / "index", damage, state_of(database).table_name)
    again = open_index()
    assert ranking(again, owner) == before
    if many:
        assert rows_of(tmp_path, database) == 3
    archival.insert("One more fossil.")
    again.apply_pending()
    assert rows_of(tmp_path, database) == 4
    assert len(ranking(open_index(), owner)) == 4


def _damage(folder: Path, damage: str, name: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    if damage in ("removed", "a file"):
        shutil.rmtree(folder)
        if damage == "a file":
            folder.write_text("not a folder")
    elif damage == "emptied":  # an older version, as a power cut may leave
        shutil.rmtree(folder)
        VectorTable.create(folder, name, 256)
    for path in files if folder.is_dir() else ():
        if damage == "truncated":
            path.write_bytes(b"")
        elif damage == "garbage":
            path.write_bytes(b"\xff" * path.stat().st_size)


def test_another_embedder_means_another_index(
    archival: SqliteArchival,
    index: VectorIndex,
    embedder: StaticEmbedder,
    owner: str,
    database: Database,
    tmp_path: Path,
) -> None:
    for fact in FACTS:
        archival.insert(fact)
    index.apply_pending()
    before = ranking(index, owner)
    other = VectorIndex(database, tmp_path / "index", tmp_path / "index.lock", lambda: Reversed(embedder))
    assert ranking(other, owner) == before  # from SQLite
    other.rebuild()
    assert state_of(database).embedder == "reversed"
    assert ranking(other, owner) == before  # from its own index
    assert ranking(index, owner) == before  # which is not this one's any more


def test_rebuild_tells_how_far_it_is_and_leaves_out_what_is_gone(
    archival: SqliteArchival,
    index: VectorIndex,
    owner: str,
    load: Callable[..., DocumentInfo],
    library: SqliteLibrary,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(vectors, "BATCH_PASSAGES", 2)
    for fact in FACTS:
        archival.insert(fact)
    gone, kept = load("gone.txt", ["a\n", "b\n"]), load("kept.txt", ["Fossils of Turin.\n"])
    library.remove(gone)
    seen: list[tuple[int, int]] = []
    index.rebuild(lambda done, total: seen.append((done, total)))
    assert seen == [(2, 4), (4, 4)]
    assert rows_of(tmp_path, database) == 4
    assert [seq for seq, _ in ranking(index, f"d{kept.id}")] == [6]
    assert len(ranking(index, owner)) == 3


def test_a_document_is_added_and_removed_whole(
    index: VectorIndex, load: Callable[..., DocumentInfo], library: SqliteLibrary, database: Database, tmp_path: Path
) -> None:
    document = load("a.txt", ["Trilobites lived long ago.\n", "Dogs did not.\n"])
    assert [seq for seq, _ in ranking(index, f"d{document.id}")] == [1, 2]
    index.apply_pending()
    assert rows_of(tmp_path, database) == 2
    assert [seq for seq, _ in ranking(index, f"d{document.id}")] == [1, 2]
    library.remove(document)
    assert rows_of(tmp_path, database) == 0
    assert ranking(index, f"d{document.id}") == []


def test_a_long_tail_is_applied_by_the_search_that_finds_it(
    archival: SqliteArchival, index: VectorIndex, owner: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "LONG_TAIL_PASSAGES", 3)
    for fact in FACTS[:2]:
        archival.insert(fact)
    index.search("dog", [owner], 5)
    index.close()
    assert state_of(database).applied_seq == 0
    with database.write():
        archival.insert(FACTS[2])
        index.search("dog", [owner], 5)  # may yet be rolled back: nothing is applied
        assert state_of(database).applied_seq == 0
    index.close()
    assert state_of(database).applied_seq == 3


def test_what_was_rolled_back_is_not_remembered(
    archival: SqliteArchival, index: VectorIndex, owner: str, database: Database
) -> None:
    with contextlib.suppress(KeyError), database.write():
        archival.insert("Taxes are due in April.")
        index.search("dog", [owner], 5)
        raise KeyError
    archival.insert("Rex is a brown dog.")  # takes the same seq
    assert index.search("Rex is a brown dog.", [owner], 5)[0][1] > 0.99


def test_only_one_process_writes_and_others_are_still_right(
    archival: SqliteArchival,
    index: VectorIndex,
    owner: str,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archival.insert(FACTS[0])
    monkeypatch.setattr(vectors, "REBUILD_WAIT_S", 0)
    with FileLock(tmp_path / "index.lock"):
        index.apply_pending()
        assert state_of(database).applied_seq == 0
        assert len(ranking(index, owner)) == 1
        with pytest.raises(StorageError, match="another process"):
            index.rebuild()
    index.apply_pending()
    assert state_of(database).applied_seq == 1


def test_a_half_made_index_is_not_read(
    archival: SqliteArchival, index: VectorIndex, open_index: OpenIndex, owner: str, database: Database
) -> None:
    for fact in FACTS:
        archival.insert(fact)
    index.apply_pending()
    before = ranking(index, owner)
    with database.write() as connection:  # a rebuild that died at once
        pending.save(connection, pending.IndexState("", 3))
    again = open_index()
    assert ranking(again, owner) == before
    archival.insert("More fossils.")
    again.apply_pending()
    assert (state_of(database).embedder, state_of(database).applied_seq) == ("static-minilm-256-1", 4)
    assert len(ranking(again, owner)) == 4


def test_two_threads_write_and_search_at_once(
    archival: SqliteArchival, index: VectorIndex, owner: str, database: Database, tmp_path: Path
) -> None:
    def work(number: int) -> bool:
        archival.insert(f"Note {number} about trilobites and the cellar.")
        if number % 5 == 0:
            index.apply_pending()
        return len(index.search("trilobites", [owner], 1000)) >= 1

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(work, range(30)))
    index.apply_pending()
    assert rows_of(tmp_path, database) == 30
    assert len(index.search("trilobites", [owner], 1000)) == 30


def test_small_files_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from memos.storage import lance

    monkeypatch.setattr(lance, "MAX_FRAGMENTS", 3)
    table = VectorTable.create(tmp_path / "merged", "small", 4)
    for seq in range(6):
        table.add([seq], ["a1"], np.eye(4, dtype=np.float32)[[seq % 4]])
    table.compact()
    assert table.fragments() == 1
    assert table.nearest(np.eye(4, dtype=np.float32)[1], ["a1"], 2) == {1: 1.0, 5: 1.0}


def test_deleting_an_agent_erases_its_vectors(
    archival: SqliteArchival, index: VectorIndex, scope: Scope, database: Database, tmp_path: Path
) -> None:
    for fact in FACTS:
        archival.insert(fact)
    index.apply_pending()
    with database.write() as connection:
        removed = [{"operation": "remove", "item": "passage", "item_id": seq} for seq in (1, 2, 3)]
        connection.execute(sa.insert(schema.index_log), removed)
        connection.execute(sa.delete(schema.agents))
    index.apply_pending()
    assert rows_of(tmp_path, database) == 0


def test_nothing_heavy_is_loaded_until_it_is_needed() -> None:
    code = (
        "import sys, memos.storage.vectors, memos.storage.search, memos.storage.archival, memos.storage.library;"
        "sys.exit(' '.join({'lancedb', 'numpy', 'pyarrow', 'tokenizers', 'filelock'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
