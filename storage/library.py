"""The documents of a home: loaded in short transactions, stored once, removed with all their traces.

A draft is a document that is not whole: nobody sees it. A document on its way out is a draft again,
so whatever a crash leaves is cleared away like an abandoned load. Knows no files and no formats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from memos.errors import StorageError
from memos.hits import DocumentInfo
from memos.messages import storable
from memos.ports import Clock
from memos.records import Chunk
from memos.storage import catalogue, lexical, schema
from memos.storage.database import Database
from memos.storage.scope import to_micros
from memos.storage.vectors import VectorIndex

BATCH_PASSAGES = 100
"""One transaction's worth: some 15 ms of work."""
SPARED_BYTES = 16 << 20
"""A load leaves so much of the disk to what is said, and to its own removal."""
ABANDONED_AFTER = timedelta(minutes=10)
ID_CHARS = 16

_D = schema.documents.c
_S = schema.sources.c
_P = schema.passages.c
_HASH = sa.bindparam("hash", type_=sa.LargeBinary)
_BY_FILE = sa.select(sa.func.min(_D.id)).where(
    _D.whole, sa.or_(_D.file_hash == _HASH, _D.id.in_(sa.select(_S.document_id).where(_S.file_hash == _HASH)))
)
_INSERT_WORDS = "INSERT INTO passages_fts (rowid, owner, words) VALUES (?, ?, ?)"
_ERASE_WORDS = "INSERT INTO passages_fts (passages_fts, rowid, owner, words) VALUES ('delete', ?, ?, ?)"


class SqliteLibrary:
    """Every document of one home."""

    def __init__(self, database: Database, clock: Clock, index: VectorIndex) -> None:
        self._database = database
        self._clock = clock
        self._index = index

    def find_file(self, file_hash: bytes) -> DocumentInfo | None:
        """A whole document whose text a file of exactly these bytes holds."""
        with self._database.read() as connection:
            document_id = connection.scalar(_BY_FILE, {"hash": file_hash})
            return catalogue.info(connection, document_id) if document_id is not None else None

    def begin(self, file_hash: bytes) -> int:
        """Start loading a document; abandoned loads of the past are cleared away. Returns its draft id."""
        now = self._now()
        abandoned = now - ABANDONED_AFTER // timedelta(microseconds=1)
        with self._database.read() as connection:
            query = sa.select(_D.id).where(~_D.whole, _D.touched_at < abandoned)
            old = connection.scalars(query).all()
        for draft_id in old:
            self._erase(draft_id)
        values = {"file_hash": file_hash, "created_at": now, "touched_at": now}
        with self._database.write() as connection:
            return int(connection.execute(sa.insert(schema.documents).returning(_D.id), values).scalar_one())

    def add(self, draft_id: int, chunks: Sequence[Chunk]) -> None:
        """Append chunks, committed in short transactions. Not searchable before `finish`."""
        for start in range(0, len(chunks), BATCH_PASSAGES):
            batch = chunks[start : start + BATCH_PASSAGES]
            words = [lexical.index_words(chunk.text) for chunk in batch]
            self._database.require_room(SPARED_BYTES)
            with self._database.write() as connection:
                self._add(connection, draft_id, batch, words)

    def finish(self, draft_id: int, content_hash: bytes, source: str, *, pages: int | None, lines: int) -> DocumentInfo:
        """Make the draft whole and searchable; a document of the same text is kept in its stead."""
        with self._database.write() as connection:
            existing = connection.scalar(sa.select(_D.id).where(_D.content_hash == content_hash, _D.whole))
            values = {"whole": True, "content_hash": content_hash, "pages": pages, "lines": lines}
            _, file_hash = self._update_draft(connection, draft_id, values if existing is None else {})
            if existing is None:
                _log(connection, "add", draft_id)
            document_id = draft_id if existing is None else existing
            orphan = self._link(connection, document_id, source, file_hash)
            info = catalogue.info(connection, document_id, source)
        if existing is not None:
            self._erase(draft_id)
        if orphan is not None:
            self._erase(orphan)
        return info

    def discard(self, draft_id: int) -> None:
        self._erase(draft_id)

    def link(self, document_id: int, source: str, file_hash: bytes) -> DocumentInfo | None:
        """Name this path as a source of the document (instead of what it held before); None if it is there no more."""
        with self._database.write() as connection:
            if not connection.scalar(sa.select(sa.exists().where(_D.id == document_id, _D.whole))):
                return None
            orphan = self._link(connection, document_id, source, file_hash)
            info = catalogue.info(connection, document_id, source)
        if orphan is not None:
            self._erase(orphan)
        return info

    def list(self) -> list[DocumentInfo]:
        with self._database.read() as connection:
            return catalogue.infos(connection)

    def find(self, name: str) -> DocumentInfo | None:
        """By path, by file name, or by a part of either that fits one document only."""
        with self._database.read() as connection:
            return catalogue.find(connection, name)

    def text(self, document: DocumentInfo) -> Iterator[str]:
        """The extracted text, in pieces."""
        query = sa.select(_P.text).where(_P.document_id == document.id).order_by(_P.ordinal).limit(BATCH_PASSAGES)
        for start in range(0, document.passages, BATCH_PASSAGES):
            with self._database.read() as connection:
                pieces = connection.scalars(query.where(_P.ordinal >= start)).all()
            yield from pieces

    def remove(self, document: DocumentInfo) -> None:
        """Forget the source, and the document with its passages when no other source names it."""
        with self._database.write() as connection:
            named = sa.and_(_S.path == document.source, _S.document_id == document.id)
            connection.execute(sa.delete(schema.sources).where(named))
            orphaned = _retire_orphan(connection, document.id)
        if orphaned:
            self._erase(document.id)
            self._index.apply_pending()  # what was removed should not linger as vectors

    # ------------------------------------------------------------

    def _add(self, connection: sa.Connection, draft_id: int, chunks: Sequence[Chunk], words: Sequence[str]) -> None:
        counts = {
            "passages": _D.passages + len(chunks),
            "characters": _D.characters + sum(len(chunk.text) for chunk in chunks),
        }
        passages, file_hash = self._update_draft(connection, draft_id, counts)
        first = passages - len(chunks)
        now = self._now()
        rows = [
            {
                "id": _passage_id(file_hash, ordinal, chunk.text),
                "document_id": draft_id,
                "ordinal": ordinal,
                "text": storable(chunk.text),
                "page": chunk.page,
                "line_start": chunk.line_start,
                "line_end": chunk.line_end,
                "char_start": chunk.char_start,
                "char_end": chunk.char_end,
                "created_at": now,
            }
            for ordinal, chunk in enumerate(chunks, first)
        ]
        connection.execute(sa.insert(schema.passages), rows)
        query = sa.select(_P.seq).where(_P.document_id == draft_id, _P.ordinal >= first).order_by(_P.ordinal)
        indexed = [(seq, f"d{draft_id}", text) for seq, text in zip(connection.scalars(query), words, strict=True)]
        connection.exec_driver_sql(_INSERT_WORDS, indexed)

    def _update_draft(self, connection: sa.Connection, draft_id: int, values: dict[str, Any]) -> tuple[int, bytes]:
        """Returns the draft's passages and file hash."""
        update = (
            sa.update(schema.documents)
            .where(_D.id == draft_id, ~_D.whole)
            .values(values | {"touched_at": self._now()})
            .returning(_D.passages, _D.file_hash)
        )
        row = connection.execute(update).one_or_none()
        if row is None:
            raise StorageError("loading a document was interrupted for too long and cleared away; start it again.")
        return row.passages, row.file_hash

    def _link(self, connection: sa.Connection, document_id: int, source: str, file_hash: bytes) -> int | None:
        """Returns the document that this leaves without a source; it is a draft now."""
        found = connection.execute(sa.select(_S.id, _S.document_id).where(_S.path == source)).one_or_none()
        values = {"document_id": document_id, "file_hash": file_hash}
        if found is None:
            created = {"path": source, "created_at": self._now()}
            connection.execute(sa.insert(schema.sources), values | created)
            return None
        connection.execute(sa.update(schema.sources).where(_S.id == found.id).values(values))
        if found.document_id == document_id:
            return None
        return found.document_id if _retire_orphan(connection, found.document_id) else None

    def _erase(self, draft_id: int) -> None:
        """Take out passages and words, a batch at a time, then the draft itself."""
        query = sa.select(_P.seq, _P.text).where(_P.document_id == draft_id).order_by(_P.ordinal).limit(BATCH_PASSAGES)
        whole = True
        while whole:
            with self._database.read() as connection:
                rows = connection.execute(query).all()
            erased = [(row.seq, f"d{draft_id}", lexical.index_words(row.text)) for row in rows]
            with self._database.write() as connection:
                whole = self._erase_batch(connection, draft_id, erased)

    def _erase_batch(self, connection: sa.Connection, draft_id: int, erased: Sequence[tuple[int, str, str]]) -> bool:
        """False when nothing is left."""
        seqs = [seq for seq, _, _ in erased]
        # Another process may be clearing the same draft: what is gone must not be erased from the words twice.
        query = sa.select(_P.seq).where(_P.seq.in_(seqs), _P.document_id == draft_id)
        present = set(connection.scalars(query.join(schema.documents, _D.id == _P.document_id).where(~_D.whole)))
        if present:
            connection.exec_driver_sql(_ERASE_WORDS, [row for row in erased if row[0] in present])
            connection.execute(sa.delete(schema.passages).where(_P.seq.in_(present)))
            return True
        if not erased:
            connection.execute(sa.delete(schema.documents).where(_D.id == draft_id, ~_D.whole))
            return False
        return bool(connection.scalar(sa.select(sa.exists().where(_D.id == draft_id, ~_D.whole))))

    def _now(self) -> int:
        return to_micros(self._clock.now())


def _retire_orphan(connection: sa.Connection, document_id: int) -> bool:
    """Make a document without sources a draft again, and tell the index. False when it has a source."""
    if connection.scalar(sa.select(sa.exists().where(_S.document_id == document_id))):
        return False
    retired = sa.update(schema.documents).where(_D.id == document_id, _D.whole)
    if connection.execute(retired.values(whole=False, content_hash=None)).rowcount:
        _log(connection, "remove", document_id)
    return True


def _log(connection: sa.Connection, operation: str, document_id: int) -> None:
    values = {"operation": operation, "item": "document", "item_id": document_id}
    connection.execute(sa.insert(schema.index_log), values)


def _passage_id(file_hash: bytes, ordinal: int, text: str) -> str:
    origin = b"document %s %d\n" % (file_hash.hex().encode(), ordinal)
    return hashlib.sha256(origin + text.encode("utf-8", "replace")).hexdigest()[:ID_CHARS]
