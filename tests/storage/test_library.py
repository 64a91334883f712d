"""Documents are stored once, whole or not at all, and removed with all their traces."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from memos.errors import StorageError
from memos.hits import DocumentInfo
from memos.records import Chunk
from memos.storage import schema
from memos.storage.database import Database
from memos.storage.documents import SqliteDocuments
from memos.storage.library import SqliteLibrary
from memos.storage.scope import Scope
from memos.storage.vectors import VectorIndex

Load = Callable[..., DocumentInfo]


def chunk(text: str) -> Chunk:
    return Chunk(text, 0, len(text), 1, 2)


def count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def words_left(database: Database, word: str) -> int:
    with database.read() as connection:
        query = "SELECT count(*) FROM passages_fts WHERE passages_fts MATCH ?"
        return connection.exec_driver_sql(query, (word,)).scalar_one()


def test_a_document_is_its_pieces(library: SqliteLibrary, load: Load, clock: Any) -> None:
    pieces = [f"Piece {number}.\n" for number in range(250)]
    document = load("/a/b.txt", pieces)
    assert document == DocumentInfo(
        id=document.id,
        source="/a/b.txt",
        characters=sum(map(len, pieces)),
        passages=250,
        pages=None,
        lines=251,
        created_at=clock.now(),
    )
    assert list(library.text(document)) == pieces
    assert library.list() == [document]


def test_a_draft_is_nowhere_to_be_seen(
    library: SqliteLibrary, scope: Scope, index: VectorIndex, database: Database
) -> None:
    draft = library.begin(b"file")
    library.add(draft, [chunk("hidden trilobite\n")])
    assert library.list() == []
    assert library.find_file(b"file") is None
    assert index.search("trilobite", [f"d{draft}"], 5) == []
    library.discard(draft)
    assert (count(database, schema.documents), count(database, schema.passages)) == (0, 0)
    assert words_left(database, "trilobite") == 0


def test_the_same_text_is_stored_once(library: SqliteLibrary, load: Load, database: Database) -> None:
    first = load("/one.txt", ["Same fish.\n"])
    second = load("/two.txt", ["Same fish.\n"])
    assert (second.id, second.source) == (first.id, "/two.txt")
    assert (count(database, schema.documents), count(database, schema.passages)) == (1, 1)
    assert words_left(database, "fish") == 1
    assert [info.source for info in library.list()] == ["/one.txt"]


def test_a_known_file_is_recognised_by_its_bytes(library: SqliteLibrary) -> None:
    draft = library.begin(b"bytes")
    library.add(draft, [chunk("x")])
    document = library.finish(draft, b"content", "/x.txt", pages=3, lines=1)
    assert document.pages == 3
    assert library.find_file(b"bytes") == document
    assert library.find_file(b"other") is None
    copy = library.link(document.id, "/copy.txt", b"bytes")
    assert copy is not None
    assert copy.source == "/copy.txt"
    assert library.find("/copy.txt") is not None


def test_another_file_of_the_same_text_is_recognised_by_its_bytes_too(library: SqliteLibrary) -> None:
    documents = [
        library.finish(library.begin(file), b"content", source, pages=None, lines=1)
        for file, source in ((b"plain", "/x.txt"), (b"with a mark", "/y.txt"))
    ]
    assert documents[0].id == documents[1].id
    found = library.find_file(b"with a mark")
    assert found is not None
    assert found.id == documents[0].id
    library.remove(documents[1])
    assert library.find_file(b"with a mark") is None
    assert library.find_file(b"plain") is not None


def test_a_document_that_is_being_removed_gets_no_new_source(
    library: SqliteLibrary, load: Load, database: Database
) -> None:
    document = load("/a.txt", ["fish\n"])
    with database.write() as connection:  # what a removal commits before it takes anything out
        connection.execute(sa.delete(schema.sources))
        connection.execute(sa.update(schema.documents).values(whole=False, content_hash=None))
    assert library.link(document.id, "/b.txt", b"file") is None
    library.discard(document.id)
    assert library.link(document.id, "/b.txt", b"file") is None
    assert count(database, schema.sources) == 0


def test_passage_ids_come_from_content_and_origin(library: SqliteLibrary, load: Load, database: Database) -> None:
    def ids() -> list[str]:
        with database.read() as connection:
            return list(connection.scalars(sa.select(schema.passages.c.id).order_by(schema.passages.c.seq)))

    document = load("/a.txt", ["twice\n", "twice\n"])
    before = ids()
    library.remove(document)
    load("/a.txt", ["twice\n", "twice\n"])
    assert ids() == before
    assert len(set(before)) == 2


def test_a_changed_file_replaces_what_its_path_held(
    library: SqliteLibrary, load: Load, scope: Scope, index: VectorIndex, database: Database
) -> None:
    load("/note.txt", ["old fish\n"])
    documents = SqliteDocuments(scope, index)
    documents.attach("/note.txt")
    new = load("/note.txt", ["new fish\n"])
    assert library.list() == documents.list() == [new]
    assert [hit.text for hit in documents.search("fish", limit=5).hits] == ["new fish\n"]
    assert count(database, schema.passages) == 1
    assert words_left(database, "old") == 0


def test_removing_the_last_source_removes_the_document(
    library: SqliteLibrary, load: Load, scope: Scope, index: VectorIndex, database: Database
) -> None:
    pieces = [f"fish {number}\n" for number in range(230)]
    load("/one.txt", pieces)
    load("/two.txt", pieces)
    documents = SqliteDocuments(scope, index)
    documents.attach("/one.txt")
    for source, left in (("/one.txt", ["/two.txt"]), ("/two.txt", [])):
        found = library.find(source)
        assert found is not None
        library.remove(found)
        assert [info.source for info in library.list()] == left
        assert documents.list() == []
    assert (count(database, schema.documents), count(database, schema.passages)) == (0, 0)
    assert words_left(database, "fish") == 0
    load("/one.txt", pieces)
    assert words_left(database, "fish") == 230


def test_abandoned_loads_are_cleared_away_and_running_ones_are_not(
    library: SqliteLibrary, database: Database, clock: Any
) -> None:
    old = library.begin(b"old")
    library.add(old, [chunk(f"fish {number}") for number in range(150)])
    clock.advance(timedelta(minutes=9))
    library.add(old, [chunk("still at it")])
    clock.advance(timedelta(minutes=9))
    running = library.begin(b"new")
    assert count(database, schema.documents) == 2
    clock.advance(timedelta(minutes=9))
    library.begin(b"third")
    assert words_left(database, "fish") == 0
    assert (count(database, schema.documents), count(database, schema.passages)) == (2, 0)
    with pytest.raises(StorageError, match="start it again"):
        library.add(old, [chunk("too late")])
    with pytest.raises(StorageError):
        library.finish(old, b"content", "/late.txt", pages=None, lines=1)
    library.add(running, [chunk("on time")])


def test_a_removal_cut_short_is_finished_by_the_next_load(
    library: SqliteLibrary, load: Load, database: Database, clock: Any
) -> None:
    document = load("/a.txt", ["fish\n"])
    with database.write() as connection:  # what a removal commits before it takes anything out
        connection.execute(sa.delete(schema.sources))
        connection.execute(sa.update(schema.documents).values(whole=False, content_hash=None))
    assert library.list() == []
    assert load("/b.txt", ["fish\n"]).id != document.id
    clock.advance(timedelta(minutes=11))
    library.discard(library.begin(b"next"))
    assert (count(database, schema.documents), words_left(database, "fish")) == (1, 1)


def test_finds_by_path_name_or_unique_part(library: SqliteLibrary, load: Load) -> None:
    for source in ("/books/Gatsby.txt", "/books/war.txt", "/notes/war.txt", "/notes/peace.md"):
        load(source, [f"{source}\n"])
    found = {name: info.source if (info := library.find(name)) else None for name in (
        "/books/war.txt", "gatsby.txt", "GATSBY", "peace", "war.txt", "books", "nothing", "", " ",
    )}  # fmt: skip
    assert found == {
        "/books/war.txt": "/books/war.txt",
        "gatsby.txt": "/books/Gatsby.txt",
        "GATSBY": "/books/Gatsby.txt",
        "peace": "/notes/peace.md",
        "war.txt": None,
        "books": None,
        "nothing": None,
        "": None,
        " ": None,
    }


class CountingDatabase(Database):
    """Counts write transactions."""

    writes = 0

    @contextmanager
    def write(self) -> Generator[sa.Connection]:
        self.writes += 1
        with super().write() as connection:
            yield connection


def test_loading_holds_the_write_lock_only_briefly(database: Database, clock: Any, index: VectorIndex) -> None:
    counting = CountingDatabase(database.path)
    library = SqliteLibrary(counting, clock, index)
    draft = library.begin(b"long")
    counting.writes = 0
    library.add(draft, [chunk(f"{number} " + "word " * 150) for number in range(250)])
    assert counting.writes == 3
    counting.close()
