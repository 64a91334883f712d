"""Core memory's blocks and every version they have had, in SQLite. Implements `BlockStore`.

A version is all that a block is at a time: value, description, limit, read-only flag. Who holds a
block is kept from version to version as well, so that a past prompt shows the blocks of its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from memos.accept import alert
from memos.errors import AgentNotFound, UsageError
from memos.messages import storable
from memos.records import Block, BlockVersion
from memos.settings import DEFAULT_CONTEXT_TOKENS
from memos.storage import schema
from memos.storage.recall import SqliteRecall
from memos.storage.scope import AGENT, Store, from_micros

_blocks = schema.blocks.c
_versions = schema.block_versions.c
_holders = schema.agent_blocks.c
_agents = schema.agents.c
_steps = schema.steps.c
_NOW = 2**62

SMALL_PROMPT_TOKENS = 600
"""What the compact system prompt and functions take, at most: of a small window, too much to leave it out."""

# Building a statement costs more than running it, and a step runs these several times: each is built once.
_AS_OF = sa.bindparam("as_of", type_=sa.Integer)
_HELD = sa.and_(
    _holders.agent_id == AGENT,
    _holders.since_version <= _AS_OF,
    sa.or_(_holders.until_version.is_(None), _holders.until_version > _AS_OF),
)
_earlier = schema.block_versions.alias().c
_NEWEST = (
    sa.select(sa.func.max(_earlier.id)).where(_earlier.block_id == _blocks.id, _earlier.id <= _AS_OF).scalar_subquery()
)
_BLOCKS = (
    sa.select(
        _blocks.label,
        _versions.value,
        _versions.limit_tokens,
        _versions.description,
        _versions.read_only,
        _versions.id,
    )
    .join(schema.agent_blocks, _holders.block_id == _blocks.id)
    .join(schema.block_versions, _versions.id == _NEWEST)
    .where(_HELD)
    .order_by(_holders.position)
)
_BLOCK_ID = (
    sa.select(_blocks.id)
    .join(schema.agent_blocks, _holders.block_id == _blocks.id)
    .where(
        _holders.agent_id == AGENT,
        _holders.until_version.is_(None),
        _blocks.label == sa.bindparam("label", type_=sa.Text),
    )
)
_CORE_VERSION = (
    sa.select(sa.func.max(_versions.id))
    .join(schema.agent_blocks, _holders.block_id == _versions.block_id)
    .where(
        _holders.agent_id == AGENT,
        sa.or_(_holders.until_version.is_(None), _versions.id <= _holders.until_version),
    )
)
_LAST_WINDOW = (
    sa.select(_steps.limit_tokens).where(_steps.agent_id == AGENT).order_by(_steps.message_id.desc()).limit(1)
)


class SqliteBlocks(Store):
    """The blocks one agent holds; some may be held by others too."""

    def blocks(self, as_of: int | None = None) -> tuple[Block, ...]:
        values = {"agent": self._scope.agent_id, "as_of": _NOW if as_of is None else as_of}
        with self._database.read() as connection:
            return tuple(Block(*row) for row in connection.execute(_BLOCKS, values))

    def core_version(self) -> int:
        with self._database.read() as connection:
            return connection.execute(_CORE_VERSION, {"agent": self._scope.agent_id}).scalar() or 0

    def add_block(self, block: Block, cause: str) -> Block:
        with self._database.write() as connection:
            if connection.execute(_BLOCK_ID, {"agent": self._scope.agent_id, "label": block.label}).first() is not None:
                raise UsageError(f"There is a block {block.label!r} already.")
            values = {"label": block.label}
            block_id = int(connection.execute(sa.insert(schema.blocks).returning(_blocks.id), values).scalar_one())
            version = self._add_version(connection, block_id, block, cause)
            _hold(connection, self._scope.agent_id, block_id, version)
        return replace(block, version=version)

    def edit_block(self, label: str, value: str, cause: str) -> Block:
        with self._database.write() as connection:
            block_id = self._block_id(connection, label)
            edited = replace(self._block(label), value=value)
            return replace(edited, version=self._add_version(connection, block_id, edited, cause))

    def rewrite_block(self, block: Block, cause: str) -> Block:
        with self._database.write() as connection:
            block_id = self._block_id(connection, block.label)
            more_tokens = block.limit_tokens - self._block(block.label).limit_tokens
            if more_tokens > 0:
                for agent_id, name, _ in self._other_holders(connection, block_id):
                    _require_room(connection, agent_id, name, more_tokens)
            return replace(block, version=self._add_version(connection, block_id, block, cause))

    def share_block(self, label: str, agent: str, cause: str) -> None:
        with self._database.write() as connection:
            block_id = self._block_id(connection, label)
            other = connection.scalar(sa.select(_agents.id).where(_agents.name == agent))
            if other is None:
                raise AgentNotFound(f"There is no agent {agent!r}; create it with `memos agents new {agent}`.")
            if connection.execute(_BLOCK_ID, {"agent": other, "label": label}).first() is not None:
                raise UsageError(f"Agent {agent!r} has a block {label!r} already.")
            block = self._block(label)
            _require_room(connection, other, agent, block.limit_tokens)
            _hold(connection, other, block_id, self._add_version(connection, block_id, block, cause))

    def remove_block(self, label: str, cause: str) -> None:
        with self._database.write() as connection:
            block_id = self._block_id(connection, label)
            version = self._add_version(connection, block_id, self._block(label), cause)
            connection.execute(
                sa.update(schema.agent_blocks)
                .where(
                    _holders.agent_id == self._scope.agent_id,
                    _holders.block_id == block_id,
                    _holders.until_version.is_(None),
                )
                .values(until_version=version)
            )

    def block_history(self, label: str) -> Sequence[BlockVersion]:
        with self._database.read() as connection:
            query = (
                sa.select(
                    _versions.id,
                    _versions.value,
                    _versions.limit_tokens,
                    _versions.description,
                    _versions.read_only,
                    _versions.cause,
                    _agents.name,
                    _versions.at_message_id,
                    _versions.created_at,
                )
                .outerjoin(schema.agents, _agents.id == _versions.agent_id)
                .where(_versions.block_id == self._block_id(connection, label))
                .order_by(_versions.id)
            )
            return [BlockVersion(*row[:-1], from_micros(row[-1])) for row in connection.execute(query)]

    def block_holders(self, label: str) -> Sequence[str]:
        with self._database.read() as connection:
            query = (
                sa.select(_agents.name)
                .join(schema.agent_blocks, _holders.agent_id == _agents.id)
                .where(_holders.block_id == self._block_id(connection, label), _holders.until_version.is_(None))
                .order_by(_agents.name)
            )
            return list(connection.scalars(query))

    def tell_other_holders(self, label: str, text: str) -> None:
        with self._database.write() as connection:
            for agent_id, _, timeline_id in self._other_holders(connection, self._block_id(connection, label)):
                recall = SqliteRecall(replace(self._scope, agent_id=agent_id, timeline_id=timeline_id))
                recall.append(alert("system_alert", text, self._scope.clock.now()))

    def _other_holders(self, connection: sa.Connection, block_id: int) -> Sequence[tuple[int, str, int]]:
        """Id, name and timeline of each."""
        query = (
            sa.select(_agents.id, _agents.name, _agents.timeline_id)
            .join(schema.agent_blocks, _holders.agent_id == _agents.id)
            .where(
                _holders.block_id == block_id,
                _holders.until_version.is_(None),
                _agents.id != self._scope.agent_id,
            )
        )
        return [(row.id, row.name, row.timeline_id) for row in connection.execute(query)]

    def _block_id(self, connection: sa.Connection, label: str) -> int:
        block_id = connection.execute(_BLOCK_ID, {"agent": self._scope.agent_id, "label": label}).scalar()
        if block_id is None:
            raise UsageError(f"There is no block {label!r}.")
        return int(block_id)

    def _block(self, label: str) -> Block:
        return next(block for block in self.blocks() if block.label == label)

    def _add_version(self, connection: sa.Connection, block_id: int, block: Block, cause: str) -> int:
        values = {
            **self._here(connection),
            "block_id": block_id,
            "value": storable(block.value),
            "description": storable(block.description),
            "limit_tokens": block.limit_tokens,
            "read_only": block.read_only,
            "cause": cause,
        }
        return int(connection.execute(sa.insert(schema.block_versions).returning(_versions.id), values).scalar_one())


def _require_room(connection: sa.Connection, agent_id: int, name: str, more_tokens: int) -> None:
    """Refuse blocks with which an agent that is not open here could not be opened any more.

    A rule of thumb on the safe side, by the window it last ran with. Raises `UsageError`.
    """
    values = {"agent": agent_id, "as_of": _NOW}
    window_tokens: int = connection.execute(_LAST_WINDOW, values).scalar() or DEFAULT_CONTEXT_TOKENS
    room = max(0, min(window_tokens // 4, window_tokens // 3 - SMALL_PROMPT_TOKENS))
    blocks = sum(row.limit_tokens for row in connection.execute(_BLOCKS, values)) + more_tokens
    if blocks > room:
        raise UsageError(
            f"Agent {name!r} could not be opened any more: its blocks might take {blocks} tokens, and a window of "
            f"{window_tokens} has room for {room}. Lower the limit, or remove a block from that agent."
        )


def _hold(connection: sa.Connection, agent_id: int, block_id: int, since_version: int) -> None:
    """Give an agent a block, after those it has."""
    last = connection.scalar(sa.select(sa.func.max(_holders.position)).where(_holders.agent_id == agent_id))
    connection.execute(
        sa.insert(schema.agent_blocks),
        {
            "agent_id": agent_id,
            "block_id": block_id,
            "position": 0 if last is None else last + 1,
            "since_version": since_version,
        },
    )
