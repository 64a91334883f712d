"""Loading a document while another process removes its twin: reported stored and stored, or failed, never both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from memos.documents.ingest import ingest
from memos.hits import DocumentInfo
from memos.ports import Clock
from memos.storage.database import Database
from memos.storage.documents import SqliteDocuments
from memos.storage.library import SqliteLibrary
from memos.storage.scope import Scope
from memos.storage.vectors import VectorIndex

TEXT = "Same words in both files.\n" * 20


class Raced(SqliteLibrary):
    """A library at which another process strikes right after a file was looked up."""

    strike: Callable[[], None]

    def find_file(self, file_hash: bytes) -> DocumentInfo | None:
        found = super().find_file(file_hash)
        if found is not None:
            self.strike()
        return found


@pytest.fixture
def raced(database: Database, clock: Clock, index: VectorIndex) -> Raced:
    return Raced(database, clock, index)


def test_a_twin_that_is_removed_meanwhile_is_loaded_anew(raced: Raced, library: SqliteLibrary, tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    for path in (one, two):
        path.write_text(TEXT)
    ingest([one], library)
    raced.strike = lambda: library.remove(library.list()[0])
    report = ingest([two], raced)
    assert [document.status for document in report.documents] == ["stored"]
    (kept,) = library.list()
    assert (kept.source, "".join(library.text(kept))) == (str(two), TEXT)


def test_what_is_removed_before_an_agent_may_read_it_has_failed(
    library: SqliteLibrary, scope: Scope, index: VectorIndex, tmp_path: Path
) -> None:
    path, other = tmp_path / "one.txt", tmp_path / "two.txt"
    path.write_text(TEXT)
    other.write_text("Other words.\n")
    documents = SqliteDocuments(scope, index)

    def attach(document: DocumentInfo) -> None:
        if document.source == str(path):
            library.remove(document)
        documents.attach(document.source)

    report = ingest([path, other], library, on_document=attach)
    assert [document.status for document in report.documents] == ["failed", "stored"]
    assert "no document is stored" in str(report.documents[0].error)
    assert [document.source for document in library.list()] == [str(other)]


def test_a_second_file_of_a_known_text_is_read_once(library: SqliteLibrary, tmp_path: Path) -> None:
    plain, marked = tmp_path / "plain.txt", tmp_path / "marked.txt"
    plain.write_text(TEXT)
    marked.write_text("\ufeff" + TEXT)
    read: list[str] = []

    def load() -> list[str]:
        read.clear()
        report = ingest([plain, marked], library, progress=lambda at: read.append(at.source) if at.characters else None)
        return [document.status for document in report.documents]

    assert load() == ["stored", "known"]
    assert set(read) == {str(plain), str(marked)}
    assert load() == ["known", "known"]
    assert read == []
