"""Window, receipts and paused heartbeats of one agent, in SQLite; with blocks and turns, the `StateStore`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa

from memos.errors import UsageError
from memos.messages import storable
from memos.records import Receipt, Window
from memos.storage import schema
from memos.storage.blocks import SqliteBlocks
from memos.storage.scope import AGENT, TIMELINE, Row, from_micros, on_timeline, to_micros
from memos.storage.turns import SqliteTurns

_windows = schema.windows.c
_receipts = schema.receipts.c
_agents = schema.agents.c

_WINDOW = (
    sa.select(_windows.first_id, _windows.pinned_id, _windows.receipt_id, _windows.core_version)
    .where(_windows.agent_id == AGENT, on_timeline(TIMELINE, _windows.timeline_id, _windows.at_message_id))
    .order_by(_windows.id.desc())
    .limit(1)
)


class SqliteState(SqliteBlocks, SqliteTurns):
    """The state of one agent on one timeline."""

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        with self._database.write():
            yield

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

    def standing_receipts(self) -> list[Receipt]:
        standing: list[Receipt] = []
        receipt_id = self.window().receipt_id
        while receipt_id is not None:
            standing.append(self.receipt(receipt_id))
            receipt_id = standing[-1].replaced_id
        return standing[::-1]

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
                "summary": storable(summary),
                "replaced_id": replaced_id,
                "freed_tokens": freed_tokens,
                "model": model,
            }
            inserted = connection.execute(sa.insert(schema.receipts).returning(_receipts.id), values).scalar_one()
        return self.receipt(inserted)

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
