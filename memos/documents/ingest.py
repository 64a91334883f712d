"""The document job: files into the library, once each, with a report of what became of them.

Knows the library only as a port; what is embedded, and when, is the index's own affair.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from memos.documents import chunks, readers
from memos.documents.paths import expand
from memos.documents.sections import Section, printable, problem, reading, require_regular
from memos.errors import DocumentError
from memos.hits import DocumentInfo
from memos.ports import Library
from memos.records import Chunk

BATCH_CHUNKS = 256
"""Handed to the library at a time: about 150 kB of text, so that its transactions stay short."""

Status = Literal["stored", "known", "failed"]


@dataclass(frozen=True, slots=True)
class DocumentReport:
    """What became of one path."""

    source: str
    status: Status
    pages: int | None = None
    passages: int | None = None
    characters: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of all."""

    documents: tuple[DocumentReport, ...]
    seconds: float

    @property
    def failed(self) -> tuple[DocumentReport, ...]:
        return tuple(document for document in self.documents if document.status == "failed")

    def to_json(self) -> dict[str, object]:
        """The object that `memos ingest --json` prints."""
        return {"documents": [asdict(document) for document in self.documents], "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the job is."""

    source: str
    """The file being read."""
    characters: int
    """Of it, so far."""
    total_characters: int | None
    """A guess: a text has at most as many as its file has bytes; a PDF is foretold by its pages so far."""
    documents_done: int
    documents_total: int


def ingest(
    paths: Sequence[Path | str],
    library: Library,
    *,
    on_document: Callable[[DocumentInfo], object] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Store each file, and the files of each folder; a file that fails is reported and the rest goes on.

    `on_document` is called once a document is whole in the library, new or known; by a `DocumentError` it
    reports that the document is gone again. Raises only what
    the library raises; then, as on an interrupt, documents already reported whole stay and the one
    at hand leaves nothing.
    """
    started = time.monotonic()
    candidates = expand(paths)
    reports: list[DocumentReport] = []
    for candidate in candidates:
        source = printable(candidate.path)
        try:
            if candidate.error is not None:
                raise candidate.error
            load = _Load(candidate.path, library, _watcher(progress, len(reports), len(candidates)))
            status, document = load.run()
            if on_document is not None:
                on_document(document)
        except DocumentError as error:
            reports.append(DocumentReport(source, "failed", error=str(error)))
            continue
        reports.append(DocumentReport(source, status, document.pages, document.passages, document.characters))
    return IngestReport(tuple(reports), time.monotonic() - started)


_Watcher = Callable[[str, int, int | None], None]


def _watcher(progress: Callable[[Progress], None] | None, done: int, total: int) -> _Watcher:
    def watch(source: str, characters: int, guess: int | None) -> None:
        if progress is not None:
            progress(Progress(source, characters, guess, done, total))

    return watch


class _Load:
    """One file on its way into the library."""

    def __init__(self, path: Path, library: Library, watch: _Watcher) -> None:
        self._path = path
        self._library = library
        self._watch = watch
        self._content_hash = hashlib.sha256()
        self._pages: int | None = None
        self._total_guess: int | None = None
        self._extracted = 0
        self._characters = 0
        self._lines = 0

    def run(self) -> tuple[Status, DocumentInfo]:
        source = self._source()
        before = require_regular(self._path)
        self._watch(source, 0, None)
        file_hash = _hash_file(self._path)
        known = self._library.find_file(file_hash)
        if known is not None and (linked := self._library.link(known.id, source, file_hash)) is not None:
            return "known", linked
        self._total_guess = before.st_size
        with _Draft(self._library, file_hash) as draft:
            for batch in _batches(chunks.split(self._sections())):
                draft.add(batch)
                self._count(batch)
                self._watch(source, self._characters, self._total_guess)
            self._require_unchanged(before)
            document = draft.finish(self._content_hash.digest(), source, pages=self._pages, lines=self._lines)
        return ("stored" if document.id == draft.id else "known"), document

    def _source(self) -> str:
        source = str(self._path)
        if source != os.fsencode(self._path).decode("utf-8", "replace"):
            raise problem(self._path, "has a name that is no valid text; rename it.")
        return source

    def _sections(self) -> Iterator[Section]:
        for section in readers.read(self._path):
            self._content_hash.update(section.text.encode("utf-8"))
            self._extracted += len(section.text)
            if section.page is not None and section.page_count is not None:
                self._pages = section.page
                self._total_guess = self._extracted * section.page_count // section.page
            yield section

    def _count(self, batch: Sequence[Chunk]) -> None:
        self._characters = batch[-1].char_end
        self._lines = batch[-1].line_end - 1

    def _require_unchanged(self, before: os.stat_result) -> None:
        """The hash taken before must name the text read after."""
        after = require_regular(self._path)
        if (after.st_ino, after.st_size, after.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
            raise problem(self._path, "changed while it was being read; ingest it again.")


class _Draft:
    """A document half in the library: leaving without `finish`, for whatever reason, discards it."""

    def __init__(self, library: Library, file_hash: bytes) -> None:
        self._library = library
        self._file_hash = file_hash
        self._finished = False
        self.id: int | None = None
        """None until there is something to add, so that a file without text touches nothing."""

    def __enter__(self) -> _Draft:
        return self

    def add(self, batch: Sequence[Chunk]) -> None:
        if self.id is None:
            self.id = self._library.begin(self._file_hash)
        self._library.add(self.id, batch)

    def finish(self, content_hash: bytes, source: str, *, pages: int | None, lines: int) -> DocumentInfo:
        if self.id is None:
            self.id = self._library.begin(self._file_hash)
        document = self._library.finish(self.id, content_hash, source, pages=pages, lines=lines)
        self._finished = True
        return document

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.id is not None and not self._finished:
            self._library.discard(self.id)


def _hash_file(path: Path) -> bytes:
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _batches(stream: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    batch: list[Chunk] = []
    for chunk in stream:
        batch.append(chunk)
        if len(batch) == BATCH_CHUNKS:
            yield batch
            batch = []
    if batch:
        yield batch
