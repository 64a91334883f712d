"""Archival storage: the passages an agent writes for itself, hidden by placements and never rewritten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from memos.errors import UsageError
from memos.hits import HitPage, Passage
from memos.messages import storable
from memos.storage import catalogue, lexical, schema
from memos.storage.scope import Scope, from_micros
from memos.storage.search import Reach, latest_placement, search_passages
from memos.storage.vectors import VectorIndex

CHUNK_CHARS = 1_000
"""Longer texts are split: about what one vector can stand for and one search result can show."""
ID_CHARS = 16

_P = schema.passages.c
_L = schema.placements.c
_AGENT = sa.bindparam("agent", type_=sa.Integer)
_PLACED = sa.select(_P.seq, _P.text, _L.operation, _L.tags, _L.created_at).select_from(schema.passages)
_BY_ID = _PLACED.outerjoin(schema.placements, _L.id == latest_placement(_P.seq)).where(
    _P.agent_id == _AGENT, _P.id == sa.bindparam("id", type_=sa.Text)
)
_COUNT = (
    sa.select(sa.func.count())
    .select_from(schema.passages)
    .join(schema.placements, _L.id == latest_placement(_P.seq))
    .where(_P.agent_id == _AGENT, _L.operation == "insert")
)
_INSERT_WORDS = "INSERT INTO passages_fts (rowid, owner, words) VALUES (?, ?, ?)"


class SqliteArchival:
    """The archival memory of one agent on its current timeline."""

    def __init__(self, scope: Scope, index: VectorIndex) -> None:
        self._scope = scope
        self._index = index
        self._whose = {"agent": scope.agent_id, "timeline": scope.timeline_id}

    def insert(self, text: str, *, tags: Sequence[str] = ()) -> tuple[Passage, ...]:
        """Store the text, chunked where it is long, whitespace around the chunks left out.

        What is there already is not stored twice: it keeps its time, and gains the tags it lacks.
        Raises `UsageError` for a text without words, `AgentNotFound` when the agent is gone.
        """
        chunks = [storable(chunk.strip()) for chunk in _chunks(text) if chunk.strip()]
        if not chunks:
            raise UsageError("there is nothing to store: the text is empty")
        with self._scope.database.write() as connection:
            self._scope.head(connection)  # raises for a deleted agent
            return tuple(self._place(connection, chunk, tags) for chunk in dict.fromkeys(chunks))

    def search(
        self, query: str, *, limit: int, offset: int = 0, tags: Sequence[str] = (), source: str | None = None
    ) -> HitPage:
        """The agent's own passages and those of the documents it may read, best first.

        With `tags`, only own passages that carry all of them; with `source`, only that document's.
        """
        with self._scope.database.read() as connection:
            if source is not None:
                found = catalogue.find(connection, source, self._scope.agent_id)
                reach = Reach(own=False, documents=(found.id,) if found is not None else ())
            elif tags:
                reach = Reach(own=True, tags=tuple(tags))
            else:
                reach = Reach(own=True, documents=catalogue.ids(connection, self._scope.agent_id))
        return search_passages(self._scope, self._index, query, reach, limit=limit, offset=offset)

    def passage(self, passage_id: str) -> Passage | None:
        """One of the agent's own passages that is visible on this timeline."""
        with self._scope.database.read() as connection:
            row = connection.execute(_BY_ID, self._whose | {"id": passage_id}).one_or_none()
            if row is None or row.operation != "insert":
                return None
            text = connection.scalar(sa.select(_P.text).where(_P.seq == row.seq))
        return Passage(passage_id, str(text), from_micros(row.created_at), tuple(json.loads(row.tags)))

    def delete(self, passage_id: str) -> bool:
        """Hide a passage on this timeline; False when there is none of that id."""
        with self._scope.database.write() as connection:
            row = connection.execute(_BY_ID, self._whose | {"id": passage_id}).one_or_none()
            if row is None or row.operation != "insert":
                return False
            self._append(connection, row.seq, "delete", [], self._scope.now())
            return True

    def count(self) -> int:
        with self._scope.database.read() as connection:
            return int(connection.execute(_COUNT, self._whose).scalar_one())

    def _place(self, connection: sa.Connection, text: str, tags: Sequence[str]) -> Passage:
        passage_id = _passage_id(self._scope.agent_id, text)
        row = connection.execute(_BY_ID, self._whose | {"id": passage_id}).one_or_none()
        seq = self._store(connection, passage_id, text) if row is None else row.seq
        placed: list[str] | None = None
        created_at = self._scope.now()
        if row is not None and row.operation == "insert":
            placed, created_at = json.loads(row.tags), row.created_at
        wanted = [*(placed or []), *(tag for tag in dict.fromkeys(tags) if tag not in (placed or []))]
        if wanted != placed:
            self._append(connection, seq, "insert", wanted, created_at)
        return Passage(passage_id, text, from_micros(created_at), tuple(wanted))

    def _store(self, connection: sa.Connection, passage_id: str, text: str) -> int:
        agent_id = self._scope.agent_id
        values = {"id": passage_id, "agent_id": agent_id, "text": text, "created_at": self._scope.now()}
        seq = int(connection.execute(sa.insert(schema.passages).returning(_P.seq), values).scalar_one())
        connection.exec_driver_sql(_INSERT_WORDS, (seq, f"a{agent_id}", lexical.index_words(text)))
        connection.execute(sa.insert(schema.index_log), {"operation": "add", "item": "passage", "item_id": seq})
        return seq

    def _append(
        self, connection: sa.Connection, seq: int, operation: str, tags: Sequence[str], created_at: int
    ) -> None:
        values: dict[str, Any] = {
            "agent_id": self._scope.agent_id,
            "timeline_id": self._scope.timeline_id,
            "at_message_id": self._scope.head(connection),
            "passage_seq": seq,
            "operation": operation,
            "tags": json.dumps(list(tags)),
            "created_at": created_at,
        }
        connection.execute(sa.insert(schema.placements), values)


def _chunks(text: str) -> list[str]:
    if len(text) <= CHUNK_CHARS:
        return [text]
    from semantic_text_splitter import TextSplitter

    return TextSplitter(CHUNK_CHARS, trim=False).chunks(storable(text))


def _passage_id(agent_id: int, text: str) -> str:
    return hashlib.sha256(f"agent {agent_id}\n{text}".encode()).hexdigest()[:ID_CHARS]
