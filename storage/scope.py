"""Whose rows a store reads and writes: one agent on one timeline, and which log entries that makes visible."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import sqlalchemy as sa

from memos.errors import AgentNotFound
from memos.ports import Clock
from memos.storage import schema
from memos.storage.database import Database

AGENT = sa.bindparam("agent", type_=sa.Integer)
TIMELINE = sa.bindparam("timeline", type_=sa.Integer)

Row = sa.Row[*tuple[Any, ...]]
"""A row read by column name; the tables' types are SQLAlchemy's business."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One agent on its current timeline."""

    database: Database
    agent_id: int
    timeline_id: int
    clock: Clock

    def now(self) -> int:
        """Microseconds since the epoch, as the tables keep time."""
        return to_micros(self.clock.now())

    def head(self, connection: sa.Connection) -> int:
        """The id of the newest message; 0 before the first. Raises `AgentNotFound` when the agent is gone."""
        query = sa.select(schema.agents.c.next_message_id).where(schema.agents.c.id == self.agent_id)
        next_id = connection.execute(query).scalar()
        if next_id is None:
            raise AgentNotFound("the agent has been deleted; open another one.")
        return int(next_id) - 1


class Store:
    """What every store of one agent has: its scope, and what a row says of its place in time."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._database = scope.database
        self._whose: dict[str, object] = {"agent": scope.agent_id, "timeline": scope.timeline_id}

    def _here(self, connection: sa.Connection) -> dict[str, object]:
        """What every appended row says of its place in time."""
        return {
            "agent_id": self._scope.agent_id,
            "timeline_id": self._scope.timeline_id,
            "at_message_id": self._scope.head(connection),
            "created_at": self._scope.now(),
        }


def on_timeline(
    timeline_id: int | sa.ColumnElement[int], row_timeline: sa.ColumnElement[int], row_id: sa.ColumnElement[int]
) -> sa.Exists:
    """The condition that a row written at message `row_id` of `row_timeline` is part of this timeline."""
    spans = schema.timeline_spans.c
    return sa.exists().where(
        spans.timeline_id == timeline_id,
        spans.source_id == row_timeline,
        row_id >= spans.lo,
        sa.or_(spans.hi.is_(None), row_id <= spans.hi),
    )


def to_micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def from_micros(micros: int, utc_offset_minutes: int = 0) -> datetime:
    zone = timezone(timedelta(minutes=utc_offset_minutes)) if utc_offset_minutes else UTC
    return datetime.fromtimestamp(0, UTC).astimezone(zone) + timedelta(microseconds=micros)


def offset_minutes(moment: datetime) -> int:
    offset = moment.utcoffset()
    return round(offset.total_seconds() / 60) if offset is not None else 0
