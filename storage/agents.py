"""The agents of a home: created, found, listed, renamed, deleted. Knows nothing of what they say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from memos.errors import AgentNotFound, UsageError
from memos.ports import Clock
from memos.records import Block
from memos.storage import schema
from memos.storage.blocks import SqliteBlocks
from memos.storage.database import Database
from memos.storage.lexical import index_words
from memos.storage.recall import erase_words
from memos.storage.scope import Row, Scope, from_micros, to_micros

MERGED_PAGES = 500
"""Of the full text, in one transaction: some 2 MB."""

_agents = schema.agents.c
_NAME = re.compile(r"[\w][\w .@-]{0,63}")


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent, as `memos agents list` shows it."""

    id: int
    name: str
    timeline_id: int
    timezone: str | None
    scratch: bool
    created_at: datetime
    last_active_at: datetime
    messages: int
    passages: int
    documents: int


class AgentRegistry:
    """The agents of one home."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def list(self, *, scratch: bool = False) -> list[AgentInfo]:
        with self._database.read() as connection:
            rows = connection.execute(_described().where(_agents.scratch == scratch).order_by(_agents.name))
            return [_info(row) for row in rows]

    def find(self, name: str) -> AgentInfo:
        """Raises `AgentNotFound`."""
        found = self.get(name)
        if found is None:
            raise AgentNotFound(f"There is no agent {name!r}; create it with `memos agents new {name}`.")
        return found

    def get(self, name: str) -> AgentInfo | None:
        with self._database.read() as connection:
            row = connection.execute(_described().where(_agents.name == name)).one_or_none()
        return _info(row) if row is not None else None

    def create(self, name: str, *, timezone: str | None = None, scratch: bool = False) -> AgentInfo:
        """Raises `UsageError` for a name that is taken or cannot be one."""
        _check_name(name)
        with self._database.write() as connection:
            _require_free(connection, name)
            self._create(connection, name, timezone, scratch=scratch)
            return self.find(name)

    def find_or_create(
        self, name: str, *, timezone: str | None = None, first_blocks: Sequence[Block] = ()
    ) -> AgentInfo:
        """The agent of that name, made with these blocks if there is none; whoever else opens it at the same time.

        One that has never held a block is given them as well. Raises `UsageError` for a name that cannot be one.
        """
        with self._database.write() as connection:
            info = self.get(name)
            if info is None:
                _check_name(name)
                self._create(connection, name, timezone, scratch=False)
                info = self.find(name)
            blocks = SqliteBlocks(Scope(self._database, info.id, info.timeline_id, self._clock))
            if not blocks.core_version():
                for block in first_blocks:
                    blocks.add_block(block, "created")
        return info

    def _create(self, connection: sa.Connection, name: str, timezone: str | None, *, scratch: bool) -> None:
        now = to_micros(self._clock.now())
        values = {"name": name, "scratch": scratch, "timezone": timezone, "created_at": now, "last_active_at": now}
        agent_id = connection.execute(sa.insert(schema.agents).returning(_agents.id), values).scalar_one()
        timeline_id = connection.execute(
            sa.insert(schema.timelines).returning(schema.timelines.c.id), {"agent_id": agent_id, "created_at": now}
        ).scalar_one()
        connection.execute(
            sa.insert(schema.timeline_spans),
            {"timeline_id": timeline_id, "position": 0, "source_id": timeline_id, "lo": 0, "hi": None},
        )
        connection.execute(sa.update(schema.agents).where(_agents.id == agent_id).values(timeline_id=timeline_id))

    def rename(self, old: str, new: str) -> None:
        """Raises `AgentNotFound`, or `UsageError` for a name that is taken."""
        _check_name(new)
        with self._database.write() as connection:
            self.find(old)
            _require_free(connection, new)
            connection.execute(sa.update(schema.agents).where(_agents.name == old).values(name=new))

    def delete(self, name: str) -> None:
        """Erase an agent with everything only it holds. Documents stay. Raises `AgentNotFound`.

        No word of it is left in the file, except of a scratch agent, whose words go as the full text is merged.
        """
        info = self.find(name)
        with self._database.write() as connection:
            erase_words(connection, info.id)
            _erase_passage_words(connection, info.id)
            held = sa.select(schema.agent_blocks.c.block_id)
            own = connection.scalars(held.where(schema.agent_blocks.c.agent_id == info.id)).all()
            passages = sa.select(schema.passages.c.seq).where(schema.passages.c.agent_id == info.id)
            removed = [
                {"operation": "remove", "item": "passage", "item_id": seq} for seq in connection.scalars(passages)
            ]
            if removed:
                connection.execute(sa.insert(schema.index_log), removed)
            connection.execute(sa.delete(schema.agents).where(_agents.id == info.id))
            connection.execute(
                sa.delete(schema.blocks).where(schema.blocks.c.id.in_(own), schema.blocks.c.id.not_in(held))
            )
        if not info.scratch:
            self._forget_words()

    def _forget_words(self) -> None:
        """Rewrite the full text without what was erased, in short transactions; until then it only hides it."""
        for table in schema.FULL_TEXT_TABLES:
            # A negative number begins a merge of everything. Source: sqlite.org/fts5.html, "The 'merge' Command".
            merge = f"INSERT INTO {table} ({table}, rank) VALUES ('merge', -{MERGED_PAGES})"  # noqa: S608
            merging = True
            while merging:
                with self._database.write() as connection:
                    before = _total_changes(connection)
                    connection.exec_driver_sql(merge)
                    merging = _total_changes(connection) - before >= 2
        self._database.empty_log()


def _total_changes(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("SELECT total_changes()").scalar_one())


def _erase_passage_words(connection: sa.Connection, agent_id: int) -> None:
    own = sa.select(schema.passages.c.seq, schema.passages.c.text).where(schema.passages.c.agent_id == agent_id)
    for seq, text in connection.execute(own):
        connection.exec_driver_sql(
            "INSERT INTO passages_fts (passages_fts, rowid, owner, words) VALUES ('delete', ?, ?, ?)",
            (seq, f"a{agent_id}", index_words(text)),
        )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name an agent: use letters, digits, spaces and . @ _ - (64 at most).")


def _require_free(connection: sa.Connection, name: str) -> None:
    taken = sa.select(sa.func.count()).where(_agents.name == name)
    if connection.execute(taken).scalar_one():
        raise UsageError(f"There is an agent {name!r} already.")


def _described() -> sa.Select[*tuple[Any, ...]]:
    messages = sa.select(sa.func.count()).where(schema.messages.c.agent_id == _agents.id)
    passages = sa.select(sa.func.count()).where(schema.passages.c.agent_id == _agents.id)
    documents = sa.select(sa.func.count()).where(schema.agent_sources.c.agent_id == _agents.id)
    return sa.select(
        _agents.id,
        _agents.name,
        _agents.timeline_id,
        _agents.timezone,
        _agents.scratch,
        _agents.created_at,
        _agents.last_active_at,
        messages.scalar_subquery().label("messages"),
        passages.scalar_subquery().label("passages"),
        documents.scalar_subquery().label("documents"),
    )


def _info(row: Row) -> AgentInfo:
    return AgentInfo(
        id=row.id,
        name=row.name,
        timeline_id=row.timeline_id,
        timezone=row.timezone,
        scratch=row.scratch,
        created_at=from_micros(row.created_at),
        last_active_at=from_micros(row.last_active_at),
        messages=row.messages,
        passages=row.passages,
        documents=row.documents,
    )
