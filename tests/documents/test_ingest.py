import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from memos.documents import ingest as ingest_module
from memos.documents.ingest import Progress, ingest
from memos.errors import StorageError
from memos.hits import DocumentInfo
from memos.storage import schema
from memos.storage.database import Database
from memos.storage.embedder import StaticEmbedder
from memos.storage.library import SqliteLibrary
from memos.storage.vectors import VectorIndex

MakePdf = Callable[..., Path]

PROSE = "The library keeps what it is told. " * 40 + "\n\nA second paragraph ends it."


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def at(self, moment: datetime) -> datetime:
        return moment.replace(tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "home" / "memos.db")
    yield database
    database.close()


@pytest.fixture
def library(database: Database, tmp_path: Path) -> SqliteLibrary:
    home = tmp_path / "home"
    index = VectorIndex(database, home / "index", home / "index.lock", StaticEmbedder)
    return SqliteLibrary(database, FixedClock(), index)


def rows(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def nothing_stored(database: Database) -> bool:
    return not any(rows(database, table) for table in (schema.documents, schema.passages, schema.sources))


def text_of(library: SqliteLibrary, document: DocumentInfo) -> str:
    return "".join(library.text(document))


def test_a_document_is_stored_whole_and_reported(tmp_path: Path, library: SqliteLibrary) -> None:
    path = tmp_path / "prose.txt"
    path.write_text(PROSE, encoding="utf-8")
    report = ingest([path], library)
    (document,) = library.list()
    assert text_of(library, document) == PROSE
    assert (document.source, document.characters, document.pages, document.lines) == (str(path), len(PROSE), None, 3)
    assert report.seconds > 0
    assert report.failed == ()
    shape = report.to_json()
    assert list(shape) == ["documents", "seconds"]
    assert shape["documents"] == [
        {
            "source": str(path),
            "status": "stored",
            "pages": None,
            "passages": document.passages,
            "characters": len(PROSE),
            "error": None,
        }
    ]


def test_pages_of_a_pdf_are_counted_and_kept(make_pdf: MakePdf, library: SqliteLibrary, database: Database) -> None:
    ingest([make_pdf([["Alpha"], [], ["Gamma", "delta"]])], library)
    (document,) = library.list()
    assert (document.pages, document.lines) == (3, 4)
    assert text_of(library, document) == "Alpha\n\nGamma\ndelta"
    columns = schema.passages.c
    query = sa.select(columns.page, columns.text, columns.line_start, columns.char_start).order_by(columns.ordinal)
    with database.read() as connection:
        found = [tuple(row) for row in connection.execute(query)]
    assert found == [(1, "Alpha\n", 1, 0), (2, "\n", 2, 6), (3, "Gamma\ndelta", 3, 7)]


def test_the_same_file_is_known_the_second_time(tmp_path: Path, library: SqliteLibrary, database: Database) -> None:
    path, copy = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_text(PROSE, encoding="utf-8")
    copy.write_text(PROSE, encoding="utf-8")
    statuses = [document.status for document in ingest([path, copy, path], library).documents]
    assert statuses == ["stored", "known"]
    assert [document.status for document in ingest([path], library).documents] == ["known"]
    assert rows(database, schema.documents) == 1
    with database.read() as connection:
        assert sorted(connection.scalars(sa.select(schema.sources.c.path))) == [str(path), str(copy)]


def test_the_same_text_in_other_bytes_is_known(tmp_path: Path, library: SqliteLibrary, database: Database) -> None:
    path, marked = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_bytes(PROSE.encode())
    marked.write_bytes(PROSE.replace("\n", "\r\n").encode("utf-16"))
    assert [document.status for document in ingest([path, marked], library).documents] == ["stored", "known"]
    assert rows(database, schema.documents) == 1


def test_a_changed_file_replaces_what_its_path_named(tmp_path: Path, library: SqliteLibrary) -> None:
    path = tmp_path / "a.txt"
    path.write_text("first", encoding="utf-8")
    ingest([path], library)
    path.write_text("second", encoding="utf-8")
    assert ingest([path], library).documents[0].status == "stored"
    (document,) = library.list()
    assert text_of(library, document) == "second"


def test_the_content_hash_is_that_of_the_text(tmp_path: Path, library: SqliteLibrary, database: Database) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("naïve\r\n".encode("cp1252"))
    ingest([path], library)
    with database.read() as connection:
        stored = connection.execute(sa.select(schema.documents.c.file_hash, schema.documents.c.content_hash)).one()
    assert stored.file_hash == hashlib.sha256(path.read_bytes()).digest()
    assert stored.content_hash == hashlib.sha256("naïve\n".encode()).digest()


def test_a_failing_file_is_reported_and_the_rest_goes_on(
    tmp_path: Path, make_pdf: MakePdf, library: SqliteLibrary
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"")
    (folder / "b.bin").write_bytes(b"\0\1\2")
    (folder / "c.txt").write_text("fine", encoding="utf-8")
    locked = make_pdf([["Secret"]], locked=True)
    seen: list[str] = []
    report = ingest([folder, locked, "missing.txt"], library, on_document=lambda document: seen.append(document.source))
    assert [(Path(d.source).name, d.status) for d in report.documents] == [
        ("a.txt", "failed"),
        ("b.bin", "failed"),
        ("c.txt", "stored"),
        ("made.pdf", "failed"),
        ("missing.txt", "failed"),
    ]
    assert all(d.error and d.pages is None and d.passages is None for d in report.failed)
    assert "password" in str(report.documents[3].error)
    assert report.documents[4].source == str(Path("missing.txt").absolute())
    assert seen == [str(folder / "c.txt")]


def test_files_that_fail_write_nothing(
    tmp_path: Path, make_pdf: MakePdf, library: SqliteLibrary, database: Database
) -> None:
    scan = make_pdf([[] for _ in range(5)], "scan.pdf")
    broken = make_pdf([["One"], ["Two"]], "broken.pdf")
    broken.write_bytes(broken.read_bytes().replace(b"7 0 obj\n<< /Type /Page ", b"7 0 obj\n[] % /Type /Pag"))
    assert len(ingest([scan, broken, tmp_path / "none"], library).failed) == 3
    assert nothing_stored(database)
    with database.read() as connection:
        assert not connection.exec_driver_sql("SELECT * FROM sqlite_sequence").all()


def test_folders_are_walked_in_order_without_hidden_files_or_loops(tmp_path: Path, library: SqliteLibrary) -> None:
    root = tmp_path / "docs"
    for name in ("b/two.txt", "a.txt", "b/deep/three.txt", ".hidden.txt", ".git/config", "z.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name, encoding="utf-8")
    (root / "b" / "up").symlink_to(root)
    report = ingest([root, root / "a.txt"], library)
    assert [os.path.relpath(d.source, root) for d in report.documents] == [
        "a.txt",
        "b/deep/three.txt",
        "b/two.txt",
        "z.txt",
    ]
    assert report.failed == ()


def test_a_folder_without_files_is_an_error(tmp_path: Path, library: SqliteLibrary) -> None:
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    (tmp_path / "empty" / ".hidden").touch()
    (report,) = ingest([tmp_path / "empty"], library).documents
    assert report.status == "failed"
    assert "holds no files" in str(report.error)


def test_a_hidden_file_that_is_named_is_read(tmp_path: Path, library: SqliteLibrary) -> None:
    path = tmp_path / ".notes"
    path.write_text("named", encoding="utf-8")
    assert ingest([path], library).documents[0].status == "stored"


def test_links_keep_their_own_name(tmp_path: Path, library: SqliteLibrary) -> None:
    (tmp_path / "real.txt").write_text("text", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    assert ingest([tmp_path / "link.txt"], library).documents[0].source == str(tmp_path / "link.txt")


def test_a_name_that_is_no_text_is_refused(tmp_path: Path, library: SqliteLibrary) -> None:
    path = tmp_path / "caf\udce9.txt"
    try:
        path.write_text("text", encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes only valid names")
    (report,) = ingest([tmp_path / path], library).documents
    assert "rename it" in str(report.error)
    report.source.encode("utf-8")


def test_an_interrupt_leaves_nothing_of_the_document_at_hand(
    tmp_path: Path, library: SqliteLibrary, database: Database
) -> None:
    (tmp_path / "a.txt").write_text("whole", encoding="utf-8")
    (tmp_path / "b.txt").write_text("Another sentence of many. " * 20_000, encoding="utf-8")
    added: list[int] = []

    def interrupt(progress: Progress) -> None:
        if progress.source.endswith("b.txt") and progress.characters:
            added.append(rows(database, schema.passages))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest([tmp_path / "a.txt", tmp_path / "b.txt"], library, progress=interrupt)
    assert added[0] > 1
    assert rows(database, schema.documents) == rows(database, schema.passages) == 1
    assert [text_of(library, document) for document in library.list()] == ["whole"]


def test_a_full_disk_ends_the_job_and_leaves_nothing(
    tmp_path: Path, library: SqliteLibrary, database: Database
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Another sentence of many. " * 80_000, encoding="utf-8")
    with database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 250}")
    added: list[int] = []
    with pytest.raises(StorageError, match="disk is full"):
        ingest([path], library, progress=lambda progress: added.append(progress.characters))
    assert added[-1] > 0
    assert nothing_stored(database)


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, library: SqliteLibrary, database: Database
) -> None:
    path = tmp_path / "log.txt"
    path.write_text("Another sentence of many. " * 20_000, encoding="utf-8")

    def grow(progress: Progress) -> None:
        if progress.characters:
            with path.open("a", encoding="utf-8") as file:
                file.write("more")

    (report,) = ingest([path], library, progress=grow).documents
    assert "changed while it was being read" in str(report.error)
    assert nothing_stored(database)


def test_progress_reaches_its_own_guess(tmp_path: Path, make_pdf: MakePdf, library: SqliteLibrary) -> None:
    text = tmp_path / "a.txt"
    text.write_text("Another sentence of many. " * 20_000, encoding="utf-8")
    pdf = make_pdf([[f"Page {number}"] for number in range(ingest_module.BATCH_CHUNKS + 5)])
    seen: list[Progress] = []
    ingest([text, pdf], library, progress=seen.append)
    for done, path in enumerate((text, pdf)):
        mine = [progress for progress in seen if progress.source == str(path)]
        assert [progress.characters for progress in mine] == sorted(progress.characters for progress in mine)
        assert len(mine) > 2
        assert mine[0].characters == 0
        assert mine[-1].characters == mine[-1].total_characters
        assert {(progress.documents_done, progress.documents_total) for progress in mine} == {(done, 2)}
