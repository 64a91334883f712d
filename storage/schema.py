"""The tables of a home. SQLite holds the truth; LanceDB is an index that can be made again from it.

Rules the tables keep:

* Message ids only increase per agent; a **timeline** is a list of spans over them, so a fork copies
  spans and never rows. `windows`, `block_versions`, `placements` and `receipts` are appended, never
  overwritten, and carry `at_message_id`, the log's head when they happened.
* A **passage** is content; a **placement** makes it visible to an agent from a point on. A document
  is its passages in order: together they are the extracted text, character for character.
* Ids that stand in an index outside SQLite, or in a log, are never used twice (AUTOINCREMENT).
* Times are integers: microseconds since the epoch, UTC; the offset they were said in stands beside.

A change here goes with a migration; `SCHEMA_REVISION` names the newest.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import event

SCHEMA_REVISION = "0001"

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _agent(*, index: bool = False) -> sa.Column[int]:
    return sa.Column(
        "agent_id", sa.Integer, sa.ForeignKey("agents.id", ondelete="CASCADE"), nullable=False, index=index
    )


def _timeline() -> sa.Column[int]:
    return sa.Column("timeline_id", sa.Integer, sa.ForeignKey("timelines.id", ondelete="CASCADE"), nullable=False)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


agents = sa.Table(
    "agents",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("scratch", sa.Boolean, nullable=False, default=False),
    sa.Column("timezone", sa.Text),
    sa.Column("timeline_id", sa.Integer),
    sa.Column("next_message_id", sa.Integer, nullable=False, default=1),
    sa.Column("heartbeats_paused_until", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("last_active_at", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

timelines = sa.Table(
    "timelines",
    metadata,
    _id(),
    _agent(index=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

timeline_spans = sa.Table(
    "timeline_spans",
    metadata,
    sa.Column("timeline_id", sa.Integer, sa.ForeignKey("timelines.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("source_id", sa.Integer, sa.ForeignKey("timelines.id", ondelete="CASCADE"), nullable=False),
    sa.Column("lo", sa.Integer, nullable=False),
    sa.Column("hi", sa.Integer),  # inclusive; NULL while the timeline grows
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    _agent(),
    sa.Column("id", sa.Integer, nullable=False),
    _timeline(),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("header", sa.Text, nullable=False, default=""),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("thoughts", sa.Text, nullable=False, default=""),
    sa.Column("calls", sa.Text),  # JSON list of {id, name, arguments}
    sa.Column("call_id", sa.Text),
    sa.Column("status", sa.Text, nullable=False, default="ok"),
    sa.Column("spoken", sa.Boolean, nullable=False),  # whether it says anything aloud, so that none need be decoded
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("utc_offset_minutes", sa.Integer, nullable=False),
    sa.UniqueConstraint("agent_id", "id"),
    sa.Index(None, "agent_id", "spoken", "created_at"),
    sqlite_autoincrement=True,
)

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("agent_id", sa.Integer, sa.ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("opening_id", sa.Integer, primary_key=True),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("stopped_by", sa.Text),  # NULL: running, or cut off by a crash
    sa.Column("last_id", sa.Integer),
    sa.UniqueConstraint("agent_id", "idempotency_key"),
)

# What a request held that the log does not: system prompt and functions, each pair once.
outfits = sa.Table(
    "outfits",
    metadata,
    _id(),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("system", sa.Text, nullable=False),
    sa.Column("functions", sa.Text, nullable=False),  # JSON list of {name, description, parameters}
)

# With its window, its log's head and its outfit, the request of any step can be made again, byte for byte.
steps = sa.Table(
    "steps",
    metadata,
    sa.Column("agent_id", sa.Integer, sa.ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("message_id", sa.Integer, primary_key=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("loop", sa.Text, nullable=False),
    sa.Column("outfit_id", sa.Integer, sa.ForeignKey("outfits.id"), nullable=False),
    sa.Column("head_id", sa.Integer, nullable=False),  # the newest message the request held
    sa.Column("limit_tokens", sa.Integer, nullable=False),
    sa.Column("reserve_tokens", sa.Integer, nullable=False),
    sa.Column("spool_tokens", sa.Integer, nullable=False),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("completion_tokens", sa.Integer, nullable=False),
    sa.Column("cached_tokens", sa.Integer, nullable=False),
    sa.Column("cost_micros", sa.Integer, nullable=False),  # millionths of the currency of the price settings
)

effects = sa.Table(
    "effects",
    metadata,
    sa.Column("agent_id", sa.Integer, sa.ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("message_id", sa.Integer, primary_key=True),
    sa.Column("call_id", sa.Text, primary_key=True),
    sa.Column("started_at", sa.BigInteger, nullable=False),
)

windows = sa.Table(
    "windows",
    metadata,
    _id(),
    _agent(index=True),
    _timeline(),
    sa.Column("at_message_id", sa.Integer, nullable=False),
    sa.Column("first_id", sa.Integer, nullable=False),
    sa.Column("pinned_id", sa.Integer),
    sa.Column("receipt_id", sa.Integer),
    sa.Column("core_version", sa.Integer, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

receipts = sa.Table(
    "receipts",
    metadata,
    _id(),
    _agent(index=True),
    _timeline(),
    sa.Column("at_message_id", sa.Integer, nullable=False),
    sa.Column("first_id", sa.Integer, nullable=False),
    sa.Column("last_id", sa.Integer, nullable=False),
    sa.Column("replaced_id", sa.Integer),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("freed_tokens", sa.Integer, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

blocks = sa.Table(
    "blocks",
    metadata,
    _id(),
    sa.Column("label", sa.Text, nullable=False),
)

# Who holds a block, from one version to another: a past prompt shows the blocks of its time.
agent_blocks = sa.Table(
    "agent_blocks",
    metadata,
    _id(),
    _agent(index=True),
    sa.Column("block_id", sa.Integer, sa.ForeignKey("blocks.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("since_version", sa.Integer, nullable=False),
    sa.Column("until_version", sa.Integer),  # exclusive; NULL while it is held
)

block_versions = sa.Table(
    "block_versions",
    metadata,
    _id(),
    sa.Column("block_id", sa.Integer, sa.ForeignKey("blocks.id", ondelete="CASCADE"), nullable=False, index=True),
    # Who edited, where in which log; NULL once that agent is gone (a shared block outlives it).
    sa.Column("agent_id", sa.Integer, sa.ForeignKey("agents.id", ondelete="SET NULL")),
    sa.Column("timeline_id", sa.Integer, sa.ForeignKey("timelines.id", ondelete="SET NULL")),
    sa.Column("at_message_id", sa.Integer, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("limit_tokens", sa.Integer, nullable=False),
    sa.Column("read_only", sa.Boolean, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

documents = sa.Table(
    "documents",
    metadata,
    _id(),
    sa.Column("whole", sa.Boolean, nullable=False, default=False),  # only whole documents are visible
    sa.Column("file_hash", sa.LargeBinary, nullable=False, index=True),
    sa.Column("content_hash", sa.LargeBinary, unique=True),  # of the extracted text; NULL while loading
    sa.Column("characters", sa.Integer, nullable=False, default=0),
    sa.Column("lines", sa.Integer, nullable=False, default=0),
    sa.Column("pages", sa.Integer),
    sa.Column("passages", sa.Integer, nullable=False, default=0),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("touched_at", sa.BigInteger, nullable=False),  # last batch; tells abandoned loads
    sqlite_autoincrement=True,
)

sources = sa.Table(
    "sources",
    metadata,
    _id(),
    sa.Column("path", sa.Text, nullable=False, unique=True),
    sa.Column("document_id", sa.Integer, sa.ForeignKey("documents.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("file_hash", sa.LargeBinary, nullable=False, index=True),  # other bytes may hold the same text
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

agent_sources = sa.Table(
    "agent_sources",
    metadata,
    sa.Column("agent_id", sa.Integer, sa.ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True),
)

passages = sa.Table(
    "passages",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False, index=True),  # derived from content and origin
    sa.Column("agent_id", sa.Integer, sa.ForeignKey("agents.id", ondelete="CASCADE")),  # whose memory …
    sa.Column(
        "document_id", sa.Integer, sa.ForeignKey("documents.id", ondelete="CASCADE")
    ),  # … or which document's piece
    sa.Column("ordinal", sa.Integer, nullable=False, default=0),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("page", sa.Integer),
    sa.Column("line_start", sa.Integer),
    sa.Column("line_end", sa.Integer),
    sa.Column("char_start", sa.Integer),
    sa.Column("char_end", sa.Integer),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("agent_id", "id"),
    sa.UniqueConstraint("document_id", "ordinal"),
    sa.CheckConstraint("(agent_id IS NULL) != (document_id IS NULL)", name="one_origin"),
    sqlite_autoincrement=True,
)

placements = sa.Table(
    "placements",
    metadata,
    _id(),
    _agent(),
    _timeline(),
    sa.Column("at_message_id", sa.Integer, nullable=False),
    sa.Column("passage_seq", sa.Integer, sa.ForeignKey("passages.seq", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("operation", sa.Text, nullable=False),  # insert | delete
    sa.Column("tags", sa.Text, nullable=False, default="[]"),  # JSON list
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index(None, "agent_id", "passage_seq"),
)

index_log = sa.Table(
    "index_log",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("operation", sa.Text, nullable=False),  # add | remove
    sa.Column("item", sa.Text, nullable=False),  # passage | document
    sa.Column("item_id", sa.Integer, nullable=False),  # passages.seq or documents.id
    sqlite_autoincrement=True,
)

index_state = sa.Table(
    "index_state",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("embedder", sa.Text, nullable=False),
    sa.Column("applied_seq", sa.Integer, nullable=False),
    sa.Column("table_name", sa.Text, nullable=False),  # drawn anew with each index: no other file's is taken for it
    sa.Column("table_version", sa.Integer, nullable=False),
)

# Full text: contentless tables whose rowid is the seq of the row they index. `owner` is one word
# (a12: agent 12, d7: document 7), so that a query can be confined before it is ranked; `words` is
# what memos.storage.lexical makes of the text.
FULL_TEXT_TABLES = ("messages_fts", "passages_fts")


@event.listens_for(metadata, "after_create")
def _create_full_text(_target: sa.MetaData, connection: sa.Connection, **_options: object) -> None:
    for name in FULL_TEXT_TABLES:
        connection.exec_driver_sql(
            f"CREATE VIRTUAL TABLE {name} USING fts5(owner, words, content='', "
            "tokenize='porter unicode61 remove_diacritics 2')"
        )
        # The owner confines a search; it says nothing about how well a row fits.
        connection.exec_driver_sql(f"INSERT INTO {name} ({name}, rank) VALUES ('rank', 'bm25(0.0, 1.0)')")  # noqa: S608
