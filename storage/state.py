"""Window, core memory, receipts, turns and steps of one agent, in SQLite. Implements `StateStore`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from memos.errors import UsageError
from memos.messages import ToolSchema
from memos.records import Block, OpenTurn, Receipt, StepRecord, Window
from memos.storage import schema
from memos.storage.scope import Row, Scope, from_micros, on_timeline, to_micros

_windows = schema.windows.c
_receipts = schema.receipts.c
_blocks = schema.blocks.c
_versions = schema.block_versions.c
_turns = schema.turns.c
_agents = schema.agents.c


_AGENT = sa.bindparam("agent", type_=sa.Integer)
_TIMELINE = sa.bindparam("timeline", type_=sa.Integer)
_AS_OF = sa.bindparam("as_of", type_=sa.Integer)
_NOW = 2**62

# Building a statement costs more than running it, and a step runs these several times: each is built once.
_WINDOW = (
    sa.select(_windows.first_id, _windows.pinned_id, _windows.receipt_id, _windows.core_version)
    .where(_windows.agent_id == _AGENT, on_timeline(_TIMELINE, _windows.timeline_id, _windows.at_message_id))
    .order_by(_windows.id.desc())
    .limit(1)
)
_earlier = schema.block_versions.alias().c
_NEWEST = (
    sa.select(sa.func.max(_earlier.id)).where(_earlier.block_id == _blocks.id, _earlier.id <= _AS_OF).scalar_subquery()
)
_BLOCKS = (
    sa.select(
        _blocks.label, _versions.value, _blocks.limit_tokens, _blocks.description, _blocks.read_only, _versions.id
    )
    .join(schema.agent_blocks, schema.agent_blocks.c.block_id == _blocks.id)
    .join(schema.block_versions, _versions.id == _NEWEST)
    .where(schema.agent_blocks.c.agent_id == _AGENT)
    .order_by(schema.agent_blocks.c.position)
)
_BLOCK_ID = (
    sa.select(_blocks.id)
    .join(schema.agent_blocks, schema.agent_blocks.c.block_id == _blocks.id)
    .where(schema.agent_blocks.c.agent_id == _AGENT, _blocks.label == sa.bindparam("label", type_=sa.Text))
)
_TURN = sa.select(_turns.opening_id, _turns.idempotency_key, _turns.stopped_by, _turns.last_id).where(
    _turns.agent_id == _AGENT
)
_LAST_TURN = _TURN.order_by(_turns.opening_id.desc()).limit(1)
_KEYED_TURN = _TURN.where(_turns.idempotency_key == sa.bindparam("key", type_=sa.Text))


class SqliteState:
    """The state of one agent on one timeline."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._database = scope.database
        self._outfit_known: tuple[str, tuple[ToolSchema, ...], int] | None = None
        self._whose: dict[str, object] = {"agent": scope.agent_id, "timeline": scope.timeline_id}

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        with self._database.write():
            yield

    # ------------------------------------------------------------ window, receipts

    def window(self) -> Window:
        with self._database.read() as connection:
            row = connection.execute(_WINDOW, self._whose).one_or_none()
        return Window(*row) if row is not None else Window()

    def move_window(self, window: Window, cause: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                sa.insert(schema.windows),
                {
                    **self._here(connection),
                    "first_id": window.first_id,
                    "pinned_id": window.pinned_id,
                    "receipt_id": window.receipt_id,
                    "core_version": window.core_version,
                    "cause": cause,
                },
            )

    def receipts(self) -> list[Receipt]:
        query = sa.select(schema.receipts).where(
            _receipts.agent_id == self._scope.agent_id,
            on_timeline(self._scope.timeline_id, _receipts.timeline_id, _receipts.at_message_id),
        )
        with self._database.read() as connection:
            return [_receipt(row) for row in connection.execute(query.order_by(_receipts.id))]

    def receipt(self, receipt_id: int) -> Receipt:
        query = sa.select(schema.receipts).where(_receipts.id == receipt_id, _receipts.agent_id == self._scope.agent_id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise UsageError(f"There is no receipt {receipt_id}.")
        return _receipt(row)

    def add_receipt(
        self, *, first_id: int, last_id: int, summary: str, replaced_id: int | None, freed_tokens: int, model: str
    ) -> Receipt:
        with self._database.write() as connection:
            values = {
                **self._here(connection),
                "first_id": first_id,
                "last_id": last_id,
                "summary": summary,
                "replaced_id": replaced_id,
                "freed_tokens": freed_tokens,
                "model": model,
            }
            inserted = connection.execute(sa.insert(schema.receipts).returning(_receipts.id), values).scalar_one()
        return self.receipt(inserted)

    # ------------------------------------------------------------ core memory

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
            held = sa.select(sa.func.count()).where(schema.agent_blocks.c.agent_id == self._scope.agent_id)
            position = connection.execute(held).scalar_one()
            connection.execute(
                sa.insert(schema.agent_blocks),
                {"agent_id": self._scope.agent_id, "block_id": block_id, "position": position},
            )
            self._add_version(connection, block_id, block.value, cause)
        return self._block(block.label)

    def edit_block(self, label: str, value: str, cause: str) -> Block:
        with self._database.write() as connection:
            block_id = connection.execute(_BLOCK_ID, {"agent": self._scope.agent_id, "label": label}).scalar()
            if block_id is None:
                raise UsageError(f"There is no block {label!r}.")
            self._add_version(connection, block_id, value, cause)
        return self._block(label)

    def _block(self, label: str) -> Block:
        return next(block for block in self.blocks() if block.label == label)

    def _add_version(self, connection: sa.Connection, block_id: int, value: str, cause: str) -> None:
        connection.execute(
            sa.insert(schema.block_versions),
            {**self._here(connection), "block_id": block_id, "value": value, "cause": cause},
        )

    # ------------------------------------------------------------ turns, steps

    def open_turn(self, opening_id: int, idempotency_key: str | None) -> None:
        with self._database.write() as connection:
            active = sa.update(schema.agents).where(_agents.id == self._scope.agent_id)
            connection.execute(active.values(last_active_at=self._scope.now()))
            connection.execute(
                sa.insert(schema.turns),
                {
                    "agent_id": self._scope.agent_id,
                    "opening_id": opening_id,
                    "idempotency_key": idempotency_key,
                },
            )

    def end_turn(self, opening_id: int, stopped_by: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                sa.update(schema.turns)
                .where(_turns.agent_id == self._scope.agent_id, _turns.opening_id == opening_id)
                .values(stopped_by=stopped_by, last_id=self._scope.head(connection))
            )

    def last_turn(self) -> OpenTurn | None:
        return self._turn(_LAST_TURN, {"agent": self._scope.agent_id})

    def turn_by_key(self, idempotency_key: str) -> OpenTurn | None:
        return self._turn(_KEYED_TURN, {"agent": self._scope.agent_id, "key": idempotency_key})

    def _turn(self, query: sa.Select[*tuple[Any, ...]], values: dict[str, object]) -> OpenTurn | None:
        with self._database.read() as connection:
            row: Row | None = connection.execute(query, values).one_or_none()
        return OpenTurn(row.opening_id, row.idempotency_key, row.stopped_by, row.last_id) if row is not None else None

    def record_step(self, message_id: int, step: StepRecord) -> None:
        with self._database.write() as connection:
            connection.execute(
                sa.insert(schema.steps),
                {
                    "agent_id": self._scope.agent_id,
                    "message_id": message_id,
                    "model": step.model,
                    "loop": step.loop,
                    "outfit_id": self._outfit(connection, step.system, step.tools),
                    "head_id": step.head_id,
                    "limit_tokens": step.limit_tokens,
                    "reserve_tokens": step.reserve_tokens,
                    "prompt_tokens": step.usage.prompt_tokens,
                    "completion_tokens": step.usage.completion_tokens,
                    "cached_tokens": step.usage.cached_tokens,
                    "cost_micros": step.cost_micros,
                },
            )

    def _outfit(self, connection: sa.Connection, system: str, tools: tuple[ToolSchema, ...]) -> int:
        """The id of this pair of system prompt and functions; each is stored once."""
        if self._outfit_known is not None and self._outfit_known[:2] == (system, tools):
            return self._outfit_known[2]
        functions = json.dumps([asdict(tool) for tool in tools], ensure_ascii=False)
        digest = hashlib.sha256(f"{system}\0{functions}".encode()).hexdigest()
        outfits = schema.outfits.c
        found = connection.scalar(sa.select(outfits.id).where(outfits.hash == digest))
        if found is None:
            values = {"hash": digest, "system": system, "functions": functions}
            return int(connection.execute(sa.insert(schema.outfits).returning(outfits.id), values).scalar_one())
        # Only what stood there before: a new row may yet be rolled back.
        self._outfit_known = (system, tools, int(found))
        return int(found)

    def start_effect(self, message_id: int, call_id: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                sa.insert(schema.effects),
                {
                    "agent_id": self._scope.agent_id,
                    "message_id": message_id,
                    "call_id": call_id,
                    "started_at": self._scope.now(),
                },
            )

    def effect_started(self, message_id: int, call_id: str) -> bool:
        effects = schema.effects.c
        query = sa.select(sa.func.count()).where(
            effects.agent_id == self._scope.agent_id, effects.message_id == message_id, effects.call_id == call_id
        )
        with self._database.read() as connection:
            return bool(connection.execute(query).scalar_one())

    # ------------------------------------------------------------ heartbeats

    def pause_heartbeats(self, until: datetime) -> None:
        with self._database.write() as connection:
            connection.execute(
                sa.update(schema.agents)
                .where(_agents.id == self._scope.agent_id)
                .values(heartbeats_paused_until=to_micros(until))
            )

    def heartbeats_paused_until(self) -> datetime | None:
        query = sa.select(_agents.heartbeats_paused_until).where(_agents.id == self._scope.agent_id)
        with self._database.read() as connection:
            micros = connection.execute(query).scalar()
        return from_micros(micros) if micros is not None else None

    def _here(self, connection: sa.Connection) -> dict[str, object]:
        """What every appended row says of its place in time."""
        return {
            "agent_id": self._scope.agent_id,
            "timeline_id": self._scope.timeline_id,
            "at_message_id": self._scope.head(connection),
            "created_at": self._scope.now(),
        }


def _receipt(row: Row) -> Receipt:
    return Receipt(
        id=row.id,
        first_id=row.first_id,
        last_id=row.last_id,
        summary=row.summary,
        replaced_id=row.replaced_id,
        freed_tokens=row.freed_tokens,
        model=row.model,
        at_message_id=row.at_message_id,
        created_at=from_micros(row.created_at),
    )
