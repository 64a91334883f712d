"""The part of `index_log` that no index holds yet, and the passages it stands for.

A row names a passage an agent wrote, or a document, which stands for all its passages.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

STATE_NAME = "vectors"


@dataclass(frozen=True, slots=True)
class IndexState:
    """How far the index has come, whose vectors it holds, and which table of which version it is."""

    embedder: str
    """Empty while the index is being made anew."""
    applied_seq: int
    """Everything of the log up to here is in the index."""
    table_name: str = ""
    table_version: int = 0
    """What was written to the table after it does not count: its writer died, or the home is an older copy."""


NOTHING = IndexState("", 0)


@dataclass(frozen=True, slots=True)
class Row:
    """A passage as the index needs it."""

    seq: int
    id: str
    owner: str
    text: str


def owner_of(agent_id: int | None, document_id: int | None) -> str:
    """The one word that stands for an agent or a document in every index."""
    return f"a{agent_id}" if agent_id is not None else f"d{document_id}"


_COLUMNS = "p.seq, p.id, p.agent_id, p.document_id, p.text"
_OF_AGENTS = "p.agent_id IN (SELECT value FROM json_each(:agents))"
_OF_DOCUMENTS = "p.document_id IN (SELECT value FROM json_each(:documents))"
_PASSAGES_ADDED = """
    FROM index_log l JOIN passages p ON p.seq = l.item_id
    WHERE l.seq > :applied AND l.operation = 'add' AND l.item = 'passage'
"""
_DOCUMENTS_ADDED = """
    FROM index_log l JOIN passages p ON p.document_id = l.item_id
    WHERE l.seq > :applied AND l.operation = 'add' AND l.item = 'document'
"""
_STATE = sa.text("SELECT embedder, applied_seq, table_name, table_version FROM index_state WHERE name = :name")
_SAVE = sa.text(
    "INSERT OR REPLACE INTO index_state (name, embedder, applied_seq, table_name, table_version) "
    "VALUES (:name, :embedder, :applied, :table, :version)"
)
_LAST_SEQ = sa.text("SELECT coalesce(max(seq), 0) FROM index_log")
_COUNT_ALL = sa.text("""
    SELECT (SELECT count(*) FROM passages WHERE agent_id IS NOT NULL)
         + (SELECT coalesce(sum(passages), 0) FROM documents WHERE whole)
""")
_COUNT = sa.text("""
    SELECT coalesce(sum(CASE item WHEN 'passage' THEN 1 ELSE coalesce(d.passages, 0) END), 0)
    FROM index_log l LEFT JOIN documents d ON l.item = 'document' AND d.id = l.item_id
    WHERE l.seq > :applied AND l.operation = 'add'
""")
_COUNT_REMOVED = sa.text("SELECT count(*) FROM index_log WHERE seq > :applied AND operation = 'remove'")
_REMOVALS = sa.text("SELECT item, item_id FROM index_log WHERE seq > :applied AND operation = 'remove'")
_TAIL = sa.text(
    f"SELECT {_COLUMNS} {_PASSAGES_ADDED} AND {_OF_AGENTS} "
    f"UNION ALL SELECT {_COLUMNS} {_DOCUMENTS_ADDED} AND {_OF_DOCUMENTS}"
)
_TAIL_BATCH = sa.text(
    f"SELECT {_COLUMNS} {_PASSAGES_ADDED} AND l.seq <= :upto AND p.seq > :after "
    f"UNION ALL SELECT {_COLUMNS} {_DOCUMENTS_ADDED} AND l.seq <= :upto AND p.seq > :after "
    "ORDER BY p.seq LIMIT :limit"
)
_ADDED_LATER = "SELECT item_id FROM index_log WHERE seq > :upto AND operation = 'add' AND item ="
_ALL = sa.text(
    f"SELECT {_COLUMNS} FROM passages p LEFT JOIN documents d ON d.id = p.document_id "  # noqa: S608
    f"WHERE p.seq > :after AND (p.agent_id IS NOT NULL AND p.seq NOT IN ({_ADDED_LATER} 'passage') "
    f"OR d.whole AND d.id NOT IN ({_ADDED_LATER} 'document')) ORDER BY p.seq LIMIT :limit"
)
_OWNED = sa.text(
    f"SELECT {_COLUMNS} FROM passages p WHERE ({_OF_AGENTS} OR {_OF_DOCUMENTS}) "  # noqa: S608
    "AND p.seq > :after ORDER BY p.seq LIMIT :limit"
)
_ANY_INDEXED = sa.text(
    f"SELECT EXISTS (SELECT 1 FROM passages p WHERE ({_OF_AGENTS} OR {_OF_DOCUMENTS}) "  # noqa: S608
    "AND p.seq NOT IN (SELECT value FROM json_each(:tail)))"
)


def state(connection: sa.Connection) -> IndexState:
    row = connection.execute(_STATE, {"name": STATE_NAME}).one_or_none()
    return IndexState(*row) if row is not None else NOTHING


def save(connection: sa.Connection, new: IndexState) -> None:
    values = {"embedder": new.embedder, "applied": new.applied_seq}
    connection.execute(_SAVE, {"name": STATE_NAME, **values, "table": new.table_name, "version": new.table_version})


def last_seq(connection: sa.Connection) -> int:
    return int(connection.execute(_LAST_SEQ).scalar_one())


def count_all(connection: sa.Connection) -> int:
    """Passages that an index holds when it is up to date."""
    return int(connection.execute(_COUNT_ALL).scalar_one())


def count(connection: sa.Connection, since: IndexState) -> int:
    """Passages waiting to be added."""
    return int(connection.execute(_COUNT, {"applied": since.applied_seq}).scalar_one())


def count_removed(connection: sa.Connection, since: IndexState) -> int:
    """Passages and documents waiting to be removed."""
    return int(connection.execute(_COUNT_REMOVED, {"applied": since.applied_seq}).scalar_one())


def removals(connection: sa.Connection, since: IndexState) -> list[tuple[str, int]]:
    """What waits to be removed: ("passage", passages.seq) or ("document", documents.id)."""
    return [(row.item, row.item_id) for row in connection.execute(_REMOVALS, {"applied": since.applied_seq})]


def tail(connection: sa.Connection, since: IndexState, owners: Sequence[str]) -> list[Row]:
    """The waiting passages of these owners."""
    return _rows(connection, _TAIL, _ids(owners) | {"applied": since.applied_seq})


def tail_batch(connection: sa.Connection, since: IndexState, upto: int, after: int, limit: int) -> list[Row]:
    """Waiting passages of the log up to `upto`, by seq, from the one after `after`."""
    values = {"applied": since.applied_seq, "upto": upto, "after": after, "limit": limit}
    return _rows(connection, _TAIL_BATCH, values)


def everything(connection: sa.Connection, upto: int, after: int, limit: int) -> list[Row]:
    """Passages that belong in an index of the log up to `upto`, by seq, from the one after `after`."""
    return _rows(connection, _ALL, {"upto": upto, "after": after, "limit": limit})


def owned(connection: sa.Connection, owners: Sequence[str], after: int, limit: int) -> list[Row]:
    """The passages of these owners, by seq, from the one after `after`."""
    return _rows(connection, _OWNED, _ids(owners) | {"after": after, "limit": limit})


def any_indexed(connection: sa.Connection, owners: Sequence[str], tail_seqs: Collection[int]) -> bool:
    """Whether these owners have a passage that is not waiting."""
    return bool(connection.execute(_ANY_INDEXED, _ids(owners) | {"tail": json.dumps(list(tail_seqs))}).scalar())


def _ids(owners: Sequence[str]) -> dict[str, object]:
    return {
        "agents": json.dumps([int(owner[1:]) for owner in owners if owner[0] == "a"]),
        "documents": json.dumps([int(owner[1:]) for owner in owners if owner[0] == "d"]),
    }


def _rows(connection: sa.Connection, query: sa.TextClause, values: dict[str, Any]) -> list[Row]:
    return [
        Row(row.seq, row.id, owner_of(row.agent_id, row.document_id), row.text)
        for row in connection.execute(query, values)
    ]
