"""The documents one agent may read: found, searched, and read by lines or pages.

A document's passages in order are its text, so a window of it reads only the passages it touches.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from memos.errors import DocumentError
from memos.hits import DocumentInfo, HitPage, TextSpan
from memos.storage import catalogue, schema
from memos.storage.scope import Scope
from memos.storage.search import Reach, search_passages
from memos.storage.vectors import VectorIndex

if TYPE_CHECKING:
    _Row = sa.Row[*tuple[Any, ...]]

READ_PASSAGES = 16
"""Read at a time: about what a window of a document touches."""

_P = schema.passages.c
_DOCUMENT = sa.bindparam("document", type_=sa.Integer)
_ORDINAL = sa.bindparam("ordinal", type_=sa.Integer)
_COLUMNS = (_P.ordinal, _P.text, _P.page, _P.line_start, _P.line_end, _P.char_start, _P.char_end)
_BY_ID = (
    sa.select(*_COLUMNS, schema.sources.c.path.label("source"))
    .join(schema.documents, schema.documents.c.id == _P.document_id)
    .join(schema.sources, schema.sources.c.document_id == _P.document_id)
    .join(schema.agent_sources, schema.agent_sources.c.source_id == schema.sources.c.id)
    .where(
        _P.id == sa.bindparam("id", type_=sa.Text),
        schema.documents.c.whole,
        schema.agent_sources.c.agent_id == sa.bindparam("agent", type_=sa.Integer),
    )
    .order_by(schema.sources.c.path)
    .limit(1)
)
_FROM = (
    sa.select(*_COLUMNS)
    .where(_P.document_id == _DOCUMENT, _P.ordinal >= _ORDINAL)
    .order_by(_P.ordinal)
    .limit(READ_PASSAGES)
)
_AT = sa.select(_P.line_end, _P.page).where(_P.document_id == _DOCUMENT, _P.ordinal == _ORDINAL)


class SqliteDocuments:
    """The documents of the home that one agent may read."""

    def __init__(self, scope: Scope, index: VectorIndex) -> None:
        self._scope = scope
        self._index = index

    def attach(self, source: str) -> bool:
        """Let the agent read what is stored under this path, now and after it is ingested anew.

        False when it might before. Raises `DocumentError` when nothing is stored there (any more), `AgentNotFound`
        when the agent is gone.
        """
        sources, links = schema.sources.c, schema.agent_sources.c
        with self._scope.database.write() as connection:
            self._scope.head(connection)  # raises for a deleted agent
            source_id = connection.scalar(sa.select(sources.id).where(sources.path == source))
            if source_id is None:
                raise DocumentError(f"{source}: no document is stored under this path (any more); ingest it.")
            known = sa.select(sa.exists().where(links.agent_id == self._scope.agent_id, links.source_id == source_id))
            if connection.scalar(known):
                return False
            values = {"agent_id": self._scope.agent_id, "source_id": source_id}
            connection.execute(sa.insert(schema.agent_sources), values)
        return True

    def list(self) -> list[DocumentInfo]:
        with self._scope.database.read() as connection:
            return catalogue.infos(connection, self._scope.agent_id)

    def find(self, name: str) -> DocumentInfo | None:
        """By path, by file name, or by a part of either that fits one document only."""
        with self._scope.database.read() as connection:
            return catalogue.find(connection, name, self._scope.agent_id)

    def search(self, query: str, *, limit: int, offset: int = 0, name: str | None = None) -> HitPage:
        """Passages of all these documents, or of the one that `name` finds, best first."""
        with self._scope.database.read() as connection:
            if name is None:
                documents = catalogue.ids(connection, self._scope.agent_id)
            else:
                found = catalogue.find(connection, name, self._scope.agent_id)
                documents = (found.id,) if found is not None else ()
        reach = Reach(own=False, documents=documents)
        return search_passages(self._scope, self._index, query, reach, limit=limit, offset=offset)

    def passage(self, passage_id: str) -> TextSpan | None:
        """A passage of one of these documents, whole, with its place."""
        with self._scope.database.read() as connection:
            row = connection.execute(_BY_ID, {"id": passage_id, "agent": self._scope.agent_id}).one_or_none()
        return _span(row.source, row) if row is not None else None

    def passages(self, document: DocumentInfo, first: int, count: int) -> builtins.list[TextSpan]:
        """The passages that touch `count` lines from line `first` on, each whole."""
        with self._scope.database.read() as connection:
            start = _first_ordinal(connection, document, lambda row: row.line_end > first)
            spans: builtins.list[TextSpan] = []
            for row in _passages(connection, document, start):
                if row.line_start >= first + count:
                    break
                spans.append(_span(document.source, row))
        return spans

    def lines(self, document: DocumentInfo, first: int, count: int) -> TextSpan:
        """`count` lines from line `first` (from 1); fewer, or none, where the document ends."""
        first, last = max(first, 1), max(first, 1) + max(count, 0)  # last: exclusive
        with self._scope.database.read() as connection:
            start = _first_ordinal(connection, document, lambda row: row.line_end > first)
            rows: list[_Row] = []
            for row in _passages(connection, document, start):
                if row.line_start >= last:
                    break
                rows.append(row)
        if not rows or count < 1:
            return TextSpan(document.source, "", document.characters, document.characters, first, first, None)
        text = "".join(row.text for row in rows)
        begin = _after_lines(text, 0, first - rows[0].line_start)
        end = _after_lines(text, begin, count)
        char_start = rows[0].char_start + begin
        return TextSpan(
            source=document.source,
            text=text[begin:end],
            char_start=char_start,
            char_end=rows[0].char_start + end,
            line_start=first,
            line_end=min(last, rows[-1].line_end),
            page=next(row.page for row in rows if row.char_end > char_start),
        )

    def page(self, document: DocumentInfo, number: int) -> TextSpan | None:
        """One page (from 1) of a document that has pages; None where there is no such page."""
        if document.pages is None or not 1 <= number <= document.pages:
            return None
        with self._scope.database.read() as connection:
            start = _first_ordinal(connection, document, lambda row: (row.page or 0) >= number)
            rows: list[_Row] = []
            following: _Row | None = None
            for row in _passages(connection, document, start):
                if row.page != number:
                    following = row
                    break
                rows.append(row)
        if not rows:  # a page without text
            at = following.char_start if following is not None else document.characters
            line = following.line_start if following is not None else document.lines
            return TextSpan(document.source, "", at, at, line, line, number)
        return TextSpan(
            source=document.source,
            text="".join(row.text for row in rows),
            char_start=rows[0].char_start,
            char_end=rows[-1].char_end,
            line_start=rows[0].line_start,
            line_end=rows[-1].line_end,
            page=number,
        )


def _span(source: str, row: _Row) -> TextSpan:
    return TextSpan(source, row.text, row.char_start, row.char_end, row.line_start, row.line_end, row.page)


def _first_ordinal(connection: sa.Connection, document: DocumentInfo, reached: Callable[[_Row], bool]) -> int:
    """The first passage that has reached the place; places only increase, so halving finds it."""
    low, high = 0, document.passages
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(_AT, {"document": document.id, "ordinal": middle}).one_or_none()
        if row is None or reached(row):
            high = middle
        else:
            low = middle + 1
    return low


def _passages(connection: sa.Connection, document: DocumentInfo, start: int) -> Iterator[_Row]:
    while rows := connection.execute(_FROM, {"document": document.id, "ordinal": start}).all():
        yield from rows
        start += len(rows)


def _after_lines(text: str, start: int, count: int) -> int:
    """The offset after `count` further lines, or the end of the text."""
    for _ in range(count):
        newline = text.find("\n", start)
        if newline < 0:
            return len(text)
        start = newline + 1
    return start
