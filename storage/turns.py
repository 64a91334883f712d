"""Turns, the steps they took and the effects they started, in SQLite. Implements `TurnStore`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from memos.messages import ToolSchema, Usage, storable
from memos.records import OpenTurn, PastStep, StepRecord, Window
from memos.storage import schema
from memos.storage.scope import AGENT, TIMELINE, Row, Scope, Store, on_timeline

_turns = schema.turns.c
_agents = schema.agents.c
_windows = schema.windows.c

# Building a statement costs more than running it, and a step runs these several times: each is built once.
_TURN = sa.select(_turns.opening_id, _turns.idempotency_key, _turns.stopped_by, _turns.last_id).where(
    _turns.agent_id == AGENT
)
_OPENED_TURN = _TURN.where(_turns.opening_id == sa.bindparam("opening", type_=sa.Integer))
_LAST_TURN = _TURN.order_by(_turns.opening_id.desc()).limit(1)
_KEYED_TURN = _TURN.where(_turns.idempotency_key == sa.bindparam("key", type_=sa.Text))
_WINDOW_AT = (
    sa.select(_windows.first_id, _windows.pinned_id, _windows.receipt_id, _windows.core_version)
    .where(
        _windows.agent_id == AGENT,
        on_timeline(TIMELINE, _windows.timeline_id, _windows.at_message_id),
        _windows.at_message_id <= sa.bindparam("head", type_=sa.Integer),
    )
    .order_by(_windows.id.desc())
    .limit(1)
)


class SqliteTurns(Store):
    """What one agent's turns did."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._outfit_known: tuple[str, tuple[ToolSchema, ...], int] | None = None

    def open_turn(self, opening_id: int, idempotency_key: str | None) -> None:
        with self._database.write() as connection:
            active = sa.update(schema.agents).where(_agents.id == self._scope.agent_id)
            connection.execute(active.values(last_active_at=self._scope.now()))
            connection.execute(
                sa.insert(schema.turns),
                {
                    "agent_id": self._scope.agent_id,
                    "opening_id": opening_id,
                    "idempotency_key": idempotency_key and storable(idempotency_key),
                },
            )

    def reopen_turn(self, opening_id: int) -> None:
        with self._database.write() as connection:
            connection.execute(
                sa.update(schema.turns)
                .where(_turns.agent_id == self._scope.agent_id, _turns.opening_id == opening_id)
                .values(stopped_by=None, last_id=None)
            )

    def end_turn(self, opening_id: int, stopped_by: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                sa.update(schema.turns)
                .where(_turns.agent_id == self._scope.agent_id, _turns.opening_id == opening_id)
                .values(stopped_by=stopped_by, last_id=self._scope.head(connection))
            )

    def turn(self, opening_id: int) -> OpenTurn | None:
        return self._turn(_OPENED_TURN, {"agent": self._scope.agent_id, "opening": opening_id})

    def last_turn(self) -> OpenTurn | None:
        return self._turn(_LAST_TURN, {"agent": self._scope.agent_id})

    def turn_by_key(self, idempotency_key: str) -> OpenTurn | None:
        return self._turn(_KEYED_TURN, {"agent": self._scope.agent_id, "key": storable(idempotency_key)})

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
                    "spool_tokens": step.spool_tokens,
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

    def last_step(self) -> PastStep | None:
        newest = sa.select(sa.func.max(schema.steps.c.message_id)).where(
            schema.steps.c.agent_id == self._scope.agent_id
        )
        with self._database.read() as connection:
            message_id = connection.scalar(newest)
        return self.past_steps(message_id, message_id)[0] if message_id is not None else None

    def past_steps(self, first_id: int, last_id: int) -> Sequence[PastStep]:
        steps, outfits = schema.steps.c, schema.outfits.c
        query = (
            sa.select(schema.steps, outfits.system, outfits.functions)
            .join(schema.outfits, outfits.id == steps.outfit_id)
            .where(steps.agent_id == self._scope.agent_id, steps.message_id.between(first_id, last_id))
            .order_by(steps.message_id)
        )
        with self._database.read() as connection:
            return [
                PastStep(row.message_id, self._window_at(connection, row.head_id), _step_record(row))
                for row in connection.execute(query).all()
            ]

    def _window_at(self, connection: sa.Connection, head_id: int) -> Window:
        """The window in force when the log ended at `head_id` and a step was taken."""
        row = connection.execute(_WINDOW_AT, {**self._whose, "head": head_id}).one_or_none()
        return Window(*row) if row is not None else Window()

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


def _step_record(row: Row) -> StepRecord:
    usage = Usage(row.prompt_tokens, row.completion_tokens, row.cached_tokens)
    tools = tuple(ToolSchema(**tool) for tool in json.loads(row.functions))
    return StepRecord(
        model=row.model,
        loop=row.loop,
        system=row.system,
        tools=tools,
        head_id=row.head_id,
        limit_tokens=row.limit_tokens,
        reserve_tokens=row.reserve_tokens,
        spool_tokens=row.spool_tokens,
        usage=usage,
        cost_micros=row.cost_micros,
    )
