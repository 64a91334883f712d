"""Which documents there are, by any of their names: for everybody, or for one agent's eyes."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import sqlalchemy as sa

from memos.hits import DocumentInfo
from memos.storage import schema
from memos.storage.scope import from_micros

_D = schema.documents.c
_S = schema.sources.c
_R = schema.agent_sources.c


def infos(connection: sa.Connection, agent_id: int | None = None) -> list[DocumentInfo]:
    """The whole documents (that this agent may read), each once, under the first of its paths."""
    query = sa.select(schema.documents, sa.func.min(_S.path).label("source")).join_from(
        schema.documents, schema.sources
    )
    query = query.where(_D.whole).group_by(_D.id).order_by(sa.text("source"))
    return [_info(row, row.source) for row in connection.execute(_readable(query, agent_id))]


def info(connection: sa.Connection, document_id: int, source: str | None = None) -> DocumentInfo:
    """One document, under this path or the first of its paths."""
    first = sa.select(sa.func.min(_S.path)).where(_S.document_id == document_id)
    row = connection.execute(sa.select(schema.documents).where(_D.id == document_id)).one()
    return _info(row, source or connection.scalar(first) or "")


def ids(connection: sa.Connection, agent_id: int) -> tuple[int, ...]:
    """The whole documents this agent may read."""
    query = sa.select(_D.id).distinct().join_from(schema.documents, schema.sources).where(_D.whole).order_by(_D.id)
    return tuple(connection.scalars(_readable(query, agent_id)))


def find(connection: sa.Connection, name: str, agent_id: int | None = None) -> DocumentInfo | None:
    """By path, else by file name, else by a part of the path, whatever the case; None unless it fits one document."""
    query = sa.select(_S.path, _S.document_id).join_from(schema.sources, schema.documents).where(_D.whole)
    found = connection.execute(_readable(query, agent_id).order_by(_S.path))
    paths = {row.path: row.document_id for row in found}
    wanted = name.strip().casefold()
    if name not in paths and not wanted:
        return None
    for fits in (
        [path for path in paths if path == name],
        [path for path in paths if PurePath(path).name.casefold() == wanted],
        [path for path in paths if wanted in path.casefold()],
    ):
        if len({paths[path] for path in fits}) == 1:
            return info(connection, paths[fits[0]], fits[0])
        if fits:
            return None
    return None


def _readable(query: sa.Select[*tuple[Any, ...]], agent_id: int | None) -> sa.Select[*tuple[Any, ...]]:
    if agent_id is None:
        return query
    return query.join(schema.agent_sources, _R.source_id == _S.id).where(_R.agent_id == agent_id)


def _info(row: sa.Row[*tuple[Any, ...]], source: str) -> DocumentInfo:
    return DocumentInfo(
        id=row.id,
        source=source,
        characters=row.characters,
        passages=row.passages,
        pages=row.pages,
        lines=row.lines,
        created_at=from_micros(row.created_at),
    )
