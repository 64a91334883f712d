"""Core memory's blocks and every version they have had, in SQLite. Implements `BlockStore`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from memos.accept import alert
from memos.errors import AgentNotFound, UsageError
from memos.records import Block, BlockVersion
from memos.storage import schema
from memos.storage.recall import SqliteRecall
from memos.storage.scope import AGENT, Store, from_micros

_blocks = schema.blocks.c
_versions = schema.block_versions.c
_holders = schema.agent_blocks.c
_agents = schema.agents.c
_NOW = 2**62

# Building a statement costs more than running it, and a step runs these several times: each is built once.
_AS_OF = sa.bindparam("as_of", type_=sa.Integer)
_earlier = schema.block_versions.alias().c
_NEWEST = (
    sa.select(sa.func.max(_earlier.id)).where(_earlier.block_id == _blocks.id, _earlier.id <= _AS_OF).scalar_subquery()
)
_BLOCKS = (
    sa.select(
        _blocks.label, _versions.value, _blocks.limit_tokens, _blocks.description, _blocks.read_only, _versions.id
    )
    .join(schema.agent_blocks, _holders.block_id == _blocks.id)
    .join(schema.block_versions, _versions.id == _NEWEST)
    .where(_holders.agent_id == AGENT)
    .order_by(_holders.position)
)
_BLOCK_ID = (
    sa.select(_blocks.id)
    .join(schema.agent_blocks, _holders.block_id == _blocks.id)
    .where(_holders.agent_id == AGENT, _blocks.label == sa.bindparam("label", type_=sa.Text))
)


class SqliteBlocks(Store):
    """The blocks one agent holds; some may be held by others too."""

    def blocks(self, as_of: int | None = None) -> tuple[Block, ...]:
        values = {"agent": self._scope.agent_id, "as_of": _NOW if as_of is None else as_of}
        with self._database.read() as connection:
            return tuple(Block(*row) for row in connection.execute(_BLOCKS, values))

    def add_block(self, block: Block, cause: str) -> Block:
        with self._database.write() as connection:
            block_id = connection.execute(
                sa.insert(schema.blocks).returning(_blocks.id),
                {
                    "label": block.label,
                    "description": block.description,
                    "limit_tokens": block.limit_tokens,
                    "read_only": block.read_only,
                },
            ).scalar_one()
            _hold(connection, self._scope.agent_id, block_id)
            self._add_version(connection, block_id, block.value, cause)
        return self._block(block.label)

    def edit_block(self, label: str, value: str, cause: str) -> Block:
        with self._database.write() as connection:
            self._add_version(connection, self._block_id(connection, label), value, cause)
        return self._block(label)

    def configure_block(self, block: Block) -> None:
        with self._database.write() as connection:
            connection.execute(
                sa.update(schema.blocks)
                .where(_blocks.id == self._block_id(connection, block.label))
                .values(description=block.description, limit_tokens=block.limit_tokens, read_only=block.read_only)
            )

    def share_block(self, label: str, agent: str) -> None:
        with self._database.write() as connection:
            block_id = self._block_id(connection, label)
            other = connection.scalar(sa.select(_agents.id).where(_agents.name == agent))
            if other is None:
                raise AgentNotFound(f"There is no agent {agent!r}.")
            if connection.execute(_BLOCK_ID, {"agent": other, "label": label}).scalar() is not None:
                raise UsageError(f"Agent {agent!r} has a block {label!r} already.")
            _hold(connection, other, block_id)

    def remove_block(self, label: str) -> None:
        with self._database.write() as connection:
            block_id = self._block_id(connection, label)
            mine = sa.and_(_holders.agent_id == self._scope.agent_id, _holders.block_id == block_id)
            connection.execute(sa.delete(schema.agent_blocks).where(mine))
            held = sa.exists().where(_holders.block_id == block_id)
            connection.execute(sa.delete(schema.blocks).where(_blocks.id == block_id, ~held))

    def block_history(self, label: str) -> Sequence[BlockVersion]:
        with self._database.read() as connection:
            query = (
                sa.select(
                    _versions.id,
                    _versions.value,
                    _versions.cause,
                    _agents.name,
                    _versions.at_message_id,
                    _versions.created_at,
                )
                .outerjoin(schema.agents, _agents.id == _versions.agent_id)
                .where(_versions.block_id == self._block_id(connection, label))
                .order_by(_versions.id)
            )
            return [BlockVersion(*row[:5], from_micros(row[5])) for row in connection.execute(query)]

    def tell_other_holders(self, label: str, text: str) -> None:
        with self._database.write() as connection:
            query = (
                sa.select(_agents.id, _agents.timeline_id)
                .join(schema.agent_blocks, _holders.agent_id == _agents.id)
                .where(_holders.block_id == self._block_id(connection, label), _agents.id != self._scope.agent_id)
            )
            for agent_id, timeline_id in connection.execute(query).all():
                recall = SqliteRecall(replace(self._scope, agent_id=agent_id, timeline_id=timeline_id))
                recall.append(alert("system_alert", text, self._scope.clock.now()))

    def _block_id(self, connection: sa.Connection, label: str) -> int:
        block_id = connection.execute(_BLOCK_ID, {"agent": self._scope.agent_id, "label": label}).scalar()
        if block_id is None:
            raise UsageError(f"There is no block {label!r}.")
        return int(block_id)

    def _block(self, label: str) -> Block:
        return next(block for block in self.blocks() if block.label == label)

    def _add_version(self, connection: sa.Connection, block_id: int, value: str, cause: str) -> None:
        connection.execute(
            sa.insert(schema.block_versions),
            {**self._here(connection), "block_id": block_id, "value": value, "cause": cause},
        )


def _hold(connection: sa.Connection, agent_id: int, block_id: int) -> None:
    """Give an agent a block, after those it has."""
    last = sa.select(sa.func.max(_holders.position)).where(_holders.agent_id == agent_id)
    position = connection.scalar(last)
    connection.execute(
        sa.insert(schema.agent_blocks),
        {"agent_id": agent_id, "block_id": block_id, "position": 0 if position is None else position + 1},
    )
