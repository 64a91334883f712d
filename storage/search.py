"""Which passages answer a query: full text and vectors, fused, over what one agent may see.

An agent sees passages of its own whose latest placement on its timeline is an insert, and passages
of whole documents. Who may read which document is the caller's business.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from memos.hits import Hit, HitPage
from memos.storage import lexical, schema
from memos.storage.scope import Scope, from_micros, on_timeline
from memos.storage.vectors import VectorIndex

VECTOR_CANDIDATES = 100
"""How many of the nearest passages compete. Source: measured on LoCoMo; deeper changes nothing."""
MIN_COSINE = 0.25
"""A passage that shares no word with the query counts as found only if it is at least this near."""

_P = schema.passages.c
_L = schema.placements.c
_FTS = sa.table("passages_fts", sa.column("rowid", sa.Integer), sa.column("rank", sa.Float))
_AGENT = sa.bindparam("agent", type_=sa.Integer)
_TIMELINE = sa.bindparam("timeline", type_=sa.Integer)


def latest_placement(seq: sa.ColumnElement[int]) -> sa.ScalarSelect[int]:
    """The id of the placement that counts for passage `seq` (parameters: agent, timeline)."""
    earlier = schema.placements.alias()
    query = sa.select(earlier.c.id).where(
        earlier.c.agent_id == _AGENT,
        earlier.c.passage_seq == seq,
        on_timeline(_TIMELINE, earlier.c.timeline_id, earlier.c.at_message_id),
    )
    return query.order_by(earlier.c.id.desc()).limit(1).correlate_except(earlier).scalar_subquery()


_TAGS_FIT = sa.text(
    "NOT EXISTS (SELECT 1 FROM json_each(:tags) AS wanted "
    "WHERE wanted.value NOT IN (SELECT value FROM json_each(placements.tags)))"
)
_MATCH = sa.text("passages_fts MATCH :match")
_FOUND = sa.select(_FTS.c.rowid, _FTS.c.rank).where(_MATCH)
_FOUND_OWN = (
    sa.select(_FTS.c.rowid, _FTS.c.rank)
    .join_from(_FTS, schema.placements, _L.id == latest_placement(_FTS.c.rowid))
    .where(_MATCH, _L.operation == "insert", _TAGS_FIT)
)
_AMONG = sa.text("passages.seq IN (SELECT value FROM json_each(:seqs))")
_WHOLE = sa.text("SELECT id FROM documents WHERE whole AND id IN (SELECT value FROM json_each(:documents))")
# Whatever an index says: own passages that stand, and those of whole documents within reach.
_IN_REACH = sa.or_(
    sa.and_(sa.bindparam("own", type_=sa.Boolean), _P.agent_id == _AGENT, _L.operation == "insert", _TAGS_FIT),
    sa.text(f"passages.document_id IN ({_WHOLE})"),
)
_VISIBLE = (
    sa.select(_P.seq)
    .select_from(schema.passages)
    .outerjoin(schema.placements, sa.and_(_P.agent_id == _AGENT, _L.id == latest_placement(_P.seq)))
    .where(_AMONG, _IN_REACH)
)
_SOURCE = (
    sa.select(sa.func.min(schema.sources.c.path))
    .join(schema.agent_sources, schema.agent_sources.c.source_id == schema.sources.c.id)
    .where(schema.sources.c.document_id == _P.document_id, schema.agent_sources.c.agent_id == _AGENT)
    .scalar_subquery()
)
_ROWS = (
    sa.select(schema.passages, _L.tags, _L.created_at.label("placed_at"), _SOURCE.label("source"))
    .select_from(schema.passages)
    .outerjoin(schema.placements, sa.and_(_P.agent_id == _AGENT, _L.id == latest_placement(_P.seq)))
    .where(_AMONG, _IN_REACH)
)


@dataclass(frozen=True, slots=True)
class Reach:
    """What a search covers."""

    own: bool
    """The agent's own passages, those with all of `tags`."""
    documents: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()


def search_passages(
    scope: Scope, index: VectorIndex, query: str, reach: Reach, *, limit: int, offset: int = 0
) -> HitPage:
    """The passages that share a word with the query, and the near ones that share none, best first.

    `total` counts all of the former and those of the `VECTOR_CANDIDATES` nearest that are at least
    `MIN_COSINE` near; it is the same on every page. Equal scores: the newest first.
    """
    words = _lexical_scores(scope, query, reach)
    vectors = _vector_scores(scope, index, query, reach)
    found = {seq for seq, cosine in vectors.items() if cosine >= MIN_COSINE} | words.keys()
    scores = fuse(found, words, vectors)
    ranked = sorted(found, key=lambda seq: (-scores[seq], -seq))
    page = ranked[offset : offset + limit]
    return HitPage(total=len(ranked), hits=_hits(scope, page, reach, scores), offset=offset)


def fuse(found: Iterable[int], words: Mapping[int, float], vectors: Mapping[int, float]) -> dict[int, float]:
    """The sum of both scores, each in standard deviations from its mean over all that was found.

    What shares no word scores 0 there; what is not among the nearest is at most as near as the last of them.
    """
    seqs = sorted(found)
    farthest = min(vectors.values(), default=0.0)
    by_words = _standardised([words.get(seq, 0.0) for seq in seqs])
    by_vectors = _standardised([vectors.get(seq, farthest) for seq in seqs])
    return {seq: word + vector for seq, word, vector in zip(seqs, by_words, by_vectors, strict=True)}


def _standardised(scores: Sequence[float]) -> list[float]:
    """Zeros where the scores tell nothing apart."""
    if not scores:
        return []
    mean = sum(scores) / len(scores)
    deviation = (sum((score - mean) ** 2 for score in scores) / len(scores)) ** 0.5
    return [(score - mean) / deviation if deviation > 1e-9 else 0.0 for score in scores]


def _lexical_scores(scope: Scope, query: str, reach: Reach) -> dict[int, float]:
    own = lexical.match_query(query, [f"a{scope.agent_id}"]) if reach.own else None
    scores: dict[int, float] = {}
    with scope.database.read() as connection:
        whole = connection.scalars(_WHOLE, {"documents": json.dumps(reach.documents)})
        documents = lexical.match_query(query, [f"d{document}" for document in whole])
        if own is not None:
            rows = connection.execute(_FOUND_OWN, _values(scope, reach) | {"match": own})
            scores |= {seq: -rank for seq, rank in rows}
        if documents is not None:
            scores |= {seq: -rank for seq, rank in connection.execute(_FOUND, {"match": documents})}
    return scores


def _vector_scores(scope: Scope, index: VectorIndex, query: str, reach: Reach) -> dict[int, float]:
    """The nearest passages that are visible; asks for more while hidden ones take their places."""
    owners = [f"a{scope.agent_id}"] * reach.own + [f"d{document}" for document in reach.documents]
    depth = VECTOR_CANDIDATES
    while True:
        nearest = index.search(query, owners, depth)
        values = _values(scope, reach) | {"seqs": json.dumps([seq for seq, _ in nearest])}
        with scope.database.read() as connection:
            visible = set(connection.scalars(_VISIBLE, values))
        kept = [hit for hit in nearest if hit[0] in visible][:VECTOR_CANDIDATES]
        if len(kept) == VECTOR_CANDIDATES or len(nearest) < depth:
            return dict(kept)
        depth *= 4


def _hits(scope: Scope, seqs: Sequence[int], reach: Reach, scores: Mapping[int, float]) -> tuple[Hit, ...]:
    if not seqs:
        return ()
    values = _values(scope, reach) | {"seqs": json.dumps(seqs)}
    with scope.database.read() as connection:
        rows = {row.seq: row for row in connection.execute(_ROWS, values)}
    return tuple(_hit(rows[seq], scores[seq]) for seq in seqs if seq in rows)


def _hit(row: sa.Row[*tuple[Any, ...]], score: float) -> Hit:
    return Hit(
        tier="archival" if row.document_id is None else "documents",
        id=row.id,
        text=row.text,
        score=score,
        created_at=from_micros(row.created_at if row.placed_at is None else row.placed_at),
        tags=tuple(json.loads(row.tags or "[]")),
        source=row.source,
        page=row.page,
        line_start=row.line_start,
        line_end=row.line_end,
        char_start=row.char_start,
        char_end=row.char_end,
    )


def _values(scope: Scope, reach: Reach) -> dict[str, object]:
    return {
        "agent": scope.agent_id,
        "timeline": scope.timeline_id,
        "own": reach.own,
        "documents": json.dumps(reach.documents),
        "tags": json.dumps(reach.tags),
    }
