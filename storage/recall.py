"""Recall storage: the append-only log of one agent, read by range and searched by words.

Nothing here ever changes or deletes a message, decides what is in context, or reads a clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from memos.errors import AgentNotFound, UsageError
from memos.hits import Hit, HitPage
from memos.messages import Message, ToolCall, storable
from memos.storage import lexical, schema
from memos.storage.scope import Scope, from_micros, offset_minutes, on_timeline, to_micros

if TYPE_CHECKING:
    _Row = sa.Row[*tuple[Any, ...]]

_M = schema.messages.c
_TIMELINES = schema.timelines.c
_FTS = sa.table("messages_fts", sa.column("rowid", sa.Integer), sa.column("rank", sa.Float))
_FIRST, _LAST = sa.bindparam("first", type_=sa.Integer), sa.bindparam("last", type_=sa.Integer)
_LIMIT, _OFFSET = sa.bindparam("limit", type_=sa.Integer), sa.bindparam("offset", type_=sa.Integer)
_START, _END = sa.bindparam("start", type_=sa.BigInteger), sa.bindparam("end", type_=sa.BigInteger)
_AGENT = sa.bindparam("agent", type_=sa.Integer)
_WITHOUT_SEQ = sa.bindparam("without_seq", type_=sa.Integer)
_UNLIMITED = -1
_FOREVER = 2**62
_NOWHERE = -1

_VISIBLE = sa.and_(
    _M.agent_id == _AGENT, on_timeline(sa.bindparam("timeline", type_=sa.Integer), _M.timeline_id, _M.id)
)
_UNREAD = ("seq", "agent_id", "timeline_id", "spoken")
_COLUMNS = [column for column in schema.messages.columns if column.name not in _UNREAD]
_STORED = ["agent_id", "timeline_id", "spoken", *(column.name for column in _COLUMNS)]

# Building and compiling a statement costs more than running it: each is made once.
_NEXT_ID = "UPDATE agents SET next_message_id = next_message_id + 1 WHERE id = ? RETURNING next_message_id - 1"
_INSERT = f"INSERT INTO messages ({', '.join(_STORED)}) VALUES ({', '.join('?' * len(_STORED))})"  # noqa: S608 - our own column names
_INSERT_WORDS = "INSERT INTO messages_fts (rowid, owner, words) VALUES (?, ?, ?)"
_ERASE_WORDS = "INSERT INTO messages_fts (messages_fts, rowid, owner, words) VALUES ('delete', ?, ?, ?)"
_READ = sa.select(*_COLUMNS).where(_VISIBLE, _M.id.between(_FIRST, _LAST)).order_by(_M.id).limit(_LIMIT)
_LAST_ID = sa.select(sa.func.max(_M.id)).where(_VISIBLE)
_COUNT = sa.select(sa.func.count()).select_from(schema.messages).where(_VISIBLE)

# The sum keeps SQLite from looking up the full text once per message.
_FOUND = sa.and_(
    sa.text("messages_fts MATCH :match"),
    _M.seq == _FTS.c.rowid + 0,
    _VISIBLE,
    _M.created_at >= _START,
    _M.created_at < _END,
    _FTS.c.rowid != _WITHOUT_SEQ,
)
_SEARCH = (
    sa.select(_FTS.c.rank, *_COLUMNS).where(_FOUND).order_by(_FTS.c.rank, _M.id.desc()).limit(_LIMIT).offset(_OFFSET)
)
_SEARCH_TOTAL = sa.select(sa.func.count()).select_from(_FTS, schema.messages).where(_FOUND)

# The log of an agent that never forked is all its own, so nothing but the full text need be asked. What every
# message holds would else be looked up once for each of them.
_FORKS = sa.select(sa.func.count()).where(
    _TIMELINES.agent_id == _AGENT, _TIMELINES.id != sa.bindparam("timeline", type_=sa.Integer)
)
_MATCHED = sa.and_(sa.text("messages_fts MATCH :match"), _FTS.c.rowid != _WITHOUT_SEQ)
_SEARCH_WHOLE_TOTAL = sa.select(sa.func.count()).select_from(_FTS).where(_MATCHED)
_SEARCH_WHOLE = (
    sa.select(_FTS.c.rowid, _FTS.c.rank)
    .where(_MATCHED)
    .order_by(_FTS.c.rank, _FTS.c.rowid.desc())
    .limit(_LIMIT)
    .offset(_OFFSET)
)
_BY_SEQ = sa.select(_M.seq, *_COLUMNS).where(_M.seq.in_(sa.bindparam("seqs", expanding=True)))

# By the index: the log's order within a moment is that of the rows.
_SAID = sa.and_(_M.agent_id == _AGENT, _M.spoken, _M.created_at >= _START, _M.created_at < _END)
_SAID_HERE = sa.and_(_SAID, _VISIBLE)
_BETWEEN = sa.select(*_COLUMNS).order_by(_M.created_at, _M.seq).limit(_LIMIT).offset(_OFFSET)
_BETWEEN_WHOLE, _BETWEEN_HERE = _BETWEEN.where(_SAID), _BETWEEN.where(_SAID_HERE)
_BETWEEN_TOTAL = sa.select(sa.func.count()).select_from(schema.messages)
_BETWEEN_WHOLE_TOTAL, _BETWEEN_HERE_TOTAL = _BETWEEN_TOTAL.where(_SAID), _BETWEEN_TOTAL.where(_SAID_HERE)


class SqliteRecall:
    """The log of one agent on its current timeline."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._whose = {"agent": scope.agent_id, "timeline": scope.timeline_id}
        self._owner = f"a{scope.agent_id}"

    def append(self, message: Message) -> Message:
        """Store it with the next id. Committed means accepted (inside a transaction: when that commits).

        What comes back is what was stored: lone surrogates, which no file can hold, are replaced.
        Raises `UsageError` for a time without an offset, `AgentNotFound` when the agent is gone.
        """
        if message.created_at.tzinfo is None:
            raise UsageError("created_at needs a time zone, such as datetime.now(timezone.utc)")
        message = _storable(message)
        with self._scope.database.write() as connection:
            message_id = connection.exec_driver_sql(_NEXT_ID, (self._scope.agent_id,)).scalar()
            if message_id is None:
                raise AgentNotFound("the agent has been deleted; open another one.")
            message = replace(message, id=message_id)
            row = (self._scope.agent_id, self._scope.timeline_id, bool(message.spoken), *_values(message))
            seq = connection.exec_driver_sql(_INSERT, row).lastrowid
            if words := _words(message):
                connection.exec_driver_sql(_INSERT_WORDS, (seq, self._owner, words))
        return message

    def read(self, first_id: int, last_id: int | None = None, *, limit: int | None = None) -> list[Message]:
        """Messages first_id..last_id (both inclusive) in order, the first `limit` of them."""
        bounds = {"first": first_id, "last": _FOREVER if last_id is None else last_id}
        values = self._whose | bounds | {"limit": _UNLIMITED if limit is None else limit}
        with self._scope.database.read() as connection:
            return [_message(row) for row in connection.execute(_READ, values)]

    def last_id(self) -> int:
        """The newest message on this timeline; 0 when there is none."""
        with self._scope.database.read() as connection:
            return connection.execute(_LAST_ID, self._whose).scalar() or 0

    def count(self) -> int:
        with self._scope.database.read() as connection:
            return connection.execute(_COUNT, self._whose).scalar_one()

    def search(
        self,
        query: str,
        *,
        limit: int,
        offset: int = 0,
        start: datetime | None = None,
        end: datetime | None = None,
        without_id: int | None = None,
    ) -> HitPage:
        """Spoken words with any word of the query, best first, then newest; start inclusive, end exclusive."""
        match = lexical.match_query(query, [self._owner])
        if match is None:
            return HitPage(total=0, hits=(), offset=offset)
        with self._scope.database.read() as connection:
            without = {"without_seq": self._seq(connection, without_id)}
            values = self._whose | _bounds(start, end) | {"match": match} | without
            if start is None and end is None and not connection.execute(_FORKS, self._whose).scalar_one():
                return _search_whole(connection, {"match": match, "limit": limit, "offset": offset} | without)
            total = connection.execute(_SEARCH_TOTAL, values).scalar_one()
            rows = connection.execute(_SEARCH, values | {"limit": limit, "offset": offset}).all() if total else ()
        return HitPage(total=total, hits=tuple(_hit(_message(row), -row.rank) for row in rows), offset=offset)

    def _seq(self, connection: sa.Connection, message_id: int | None) -> int:
        """Where a message stands among those of all agents; nowhere when none is meant."""
        if message_id is None:
            return _NOWHERE
        query = sa.select(_M.seq).where(_M.agent_id == self._scope.agent_id, _M.id == message_id)
        return connection.scalar(query) or _NOWHERE

    def between(self, start: datetime, end: datetime, *, limit: int, offset: int = 0) -> HitPage:
        """Spoken words said in [start, end), oldest first."""
        with self._scope.database.read() as connection:
            forked = connection.execute(_FORKS, self._whose).scalar_one()
            values = self._whose | _bounds(start, end) | {"limit": limit, "offset": offset}
            total = connection.execute(_BETWEEN_HERE_TOTAL if forked else _BETWEEN_WHOLE_TOTAL, values).scalar_one()
            rows = connection.execute(_BETWEEN_HERE if forked else _BETWEEN_WHOLE, values).all()
        return HitPage(total=total, hits=tuple(_hit(_message(row), 0.0) for row in rows), offset=offset)


def _search_whole(connection: sa.Connection, values: Mapping[str, object]) -> HitPage:
    """A page of the matches in the whole log of an agent."""
    total = connection.execute(_SEARCH_WHOLE_TOTAL, values).scalar_one()
    ranked = connection.execute(_SEARCH_WHOLE, values).all() if total else ()
    rows = {row.seq: row for row in connection.execute(_BY_SEQ, {"seqs": [row.rowid for row in ranked]})}
    hits = tuple(_hit(_message(rows[row.rowid]), -row.rank) for row in ranked)
    return HitPage(total=total, hits=hits, offset=int(str(values["offset"])))


def _bounds(start: datetime | None, end: datetime | None) -> dict[str, int]:
    return {
        "start": -_FOREVER if start is None else to_micros(start),
        "end": _FOREVER if end is None else to_micros(end),
    }


def _storable(message: Message) -> Message:
    texts = (message.text, message.header, message.thoughts, message.name or "", message.call_id or "")
    if all(text.isascii() or storable(text) is text for text in texts):
        return message
    return replace(
        message,
        text=storable(message.text),
        header=storable(message.header),
        thoughts=storable(message.thoughts),
        name=message.name and storable(message.name),
        call_id=message.call_id and storable(message.call_id),
    )


def _values(message: Message) -> tuple[object, ...]:
    """In the order of `_COLUMNS`."""
    # ASCII JSON: a lone surrogate in a model's arguments survives as it came.
    calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in message.calls]
    return (
        message.id,
        message.role,
        message.kind,
        message.header,
        message.text,
        message.name,
        message.thoughts,
        json.dumps(calls) if calls else None,
        message.call_id,
        message.status,
        to_micros(message.created_at),
        offset_minutes(message.created_at),
    )


def _message(row: _Row) -> Message:
    calls: list[dict[str, str]] = json.loads(row.calls) if row.calls else []
    return Message(
        role=row.role,
        kind=row.kind,
        text=row.text,
        created_at=from_micros(row.created_at, row.utc_offset_minutes),
        id=row.id,
        header=row.header,
        name=row.name,
        thoughts=row.thoughts,
        calls=tuple(ToolCall(call["id"], call["name"], call["arguments"]) for call in calls),
        call_id=row.call_id,
        status=row.status,
    )


def _words(message: Message) -> str:
    """What search finds it by; empty for a message that says nothing aloud."""
    spoken = message.spoken
    return lexical.index_words(f"{message.name}: {spoken}" if message.name and spoken else spoken)


def _hit(message: Message, score: float) -> Hit:
    return Hit(
        tier="recall",
        id=str(message.id),
        text=message.spoken,
        score=score,
        created_at=message.created_at,
        role=message.role,
        name=message.name,
    )


def erase_words(connection: sa.Connection, agent_id: int) -> None:
    """Take an agent's messages out of the full text, which holds no text and must be told the words again."""
    query = sa.select(_M.seq, *_COLUMNS).where(_M.agent_id == agent_id, _M.spoken)
    for row in connection.execute(query):
        if words := _words(_message(row)):
            connection.exec_driver_sql(_ERASE_WORDS, (row.seq, f"a{agent_id}", words))
