"""The first schema. Frozen: later changes are revisions of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    _create_agents()
    _create_log()
    _create_turns()
    _create_paging()
    _create_core_memory()
    _create_documents()
    _create_passages()
    _create_index()
    _create_full_text()


def _create_agents() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scratch", sa.Boolean(), nullable=False),
        sa.Column("timezone", sa.Text()),
        sa.Column("timeline_id", sa.Integer()),
        sa.Column("next_message_id", sa.Integer(), nullable=False),
        sa.Column("heartbeats_paused_until", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_active_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("name", name=op.f("uq_agents_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "timelines",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_timelines_agent_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timelines")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_timelines_agent_id"), "timelines", ["agent_id"], unique=False)
    op.create_table(
        "timeline_spans",
        sa.Column("timeline_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("lo", sa.Integer(), nullable=False),
        sa.Column("hi", sa.Integer()),
        sa.ForeignKeyConstraint(
            ["source_id"], ["timelines.id"], name=op.f("fk_timeline_spans_source_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["timeline_id"], ["timelines.id"], name=op.f("fk_timeline_spans_timeline_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("timeline_id", "position", name=op.f("pk_timeline_spans")),
    )


def _create_log() -> None:
    op.create_table(
        "messages",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("timeline_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("header", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("thoughts", sa.Text(), nullable=False),
        sa.Column("calls", sa.Text()),
        sa.Column("call_id", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("spoken", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("utc_offset_minutes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_messages_agent_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["timeline_id"], ["timelines.id"], name=op.f("fk_messages_timeline_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_messages")),
        sa.UniqueConstraint("agent_id", "id", name=op.f("uq_messages_agent_id_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_messages_agent_id_spoken_created_at"), "messages", ["agent_id", "spoken", "created_at"], unique=False
    )


def _create_turns() -> None:
    op.create_table(
        "outfits",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("functions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outfits")),
        sa.UniqueConstraint("hash", name=op.f("uq_outfits_hash")),
    )
    op.create_table(
        "effects",
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_effects_agent_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("agent_id", "message_id", "call_id", name=op.f("pk_effects")),
    )
    op.create_table(
        "steps",
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("loop", sa.Text(), nullable=False),
        sa.Column("outfit_id", sa.Integer(), nullable=False),
        sa.Column("head_id", sa.Integer(), nullable=False),
        sa.Column("limit_tokens", sa.Integer(), nullable=False),
        sa.Column("reserve_tokens", sa.Integer(), nullable=False),
        sa.Column("spool_tokens", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("cost_micros", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_steps_agent_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["outfit_id"], ["outfits.id"], name=op.f("fk_steps_outfit_id")),
        sa.PrimaryKeyConstraint("agent_id", "message_id", name=op.f("pk_steps")),
    )
    op.create_table(
        "turns",
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("opening_id", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("stopped_by", sa.Text()),
        sa.Column("last_id", sa.Integer()),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_turns_agent_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("agent_id", "opening_id", name=op.f("pk_turns")),
        sa.UniqueConstraint("agent_id", "idempotency_key", name=op.f("uq_turns_agent_id_idempotency_key")),
    )


def _create_paging() -> None:
    op.create_table(
        "receipts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("timeline_id", sa.Integer(), nullable=False),
        sa.Column("at_message_id", sa.Integer(), nullable=False),
        sa.Column("first_id", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.Integer(), nullable=False),
        sa.Column("replaced_id", sa.Integer()),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("freed_tokens", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_receipts_agent_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["timeline_id"], ["timelines.id"], name=op.f("fk_receipts_timeline_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipts")),
    )
    op.create_index(op.f("ix_receipts_agent_id"), "receipts", ["agent_id"], unique=False)
    op.create_table(
        "windows",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("timeline_id", sa.Integer(), nullable=False),
        sa.Column("at_message_id", sa.Integer(), nullable=False),
        sa.Column("first_id", sa.Integer(), nullable=False),
        sa.Column("pinned_id", sa.Integer()),
        sa.Column("receipt_id", sa.Integer()),
        sa.Column("core_version", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_windows_agent_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["timeline_id"], ["timelines.id"], name=op.f("fk_windows_timeline_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_windows")),
    )
    op.create_index(op.f("ix_windows_agent_id"), "windows", ["agent_id"], unique=False)


def _create_core_memory() -> None:
    op.create_table(
        "blocks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blocks")),
    )
    op.create_table(
        "agent_blocks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("block_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("since_version", sa.Integer(), nullable=False),
        sa.Column("until_version", sa.Integer()),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_agent_blocks_agent_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["block_id"], ["blocks.id"], name=op.f("fk_agent_blocks_block_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_blocks")),
    )
    op.create_index(op.f("ix_agent_blocks_agent_id"), "agent_blocks", ["agent_id"], unique=False)
    op.create_index(op.f("ix_agent_blocks_block_id"), "agent_blocks", ["block_id"], unique=False)
    op.create_table(
        "block_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("block_id", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.Integer()),
        sa.Column("timeline_id", sa.Integer()),
        sa.Column("at_message_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("limit_tokens", sa.Integer(), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_block_versions_agent_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["block_id"], ["blocks.id"], name=op.f("fk_block_versions_block_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["timeline_id"], ["timelines.id"], name=op.f("fk_block_versions_timeline_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_versions")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_block_versions_block_id"), "block_versions", ["block_id"], unique=False)


def _create_documents() -> None:
    op.create_table(
        "documents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("file_hash", sa.LargeBinary(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary()),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer()),
        sa.Column("passages", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sa.UniqueConstraint("content_hash", name=op.f("uq_documents_content_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_documents_file_hash"), "documents", ["file_hash"], unique=False)
    op.create_table(
        "sources",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("file_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_sources_document_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("path", name=op.f("uq_sources_path")),
    )
    op.create_index(op.f("ix_sources_document_id"), "sources", ["document_id"], unique=False)
    op.create_index(op.f("ix_sources_file_hash"), "sources", ["file_hash"], unique=False)
    op.create_table(
        "agent_sources",
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_agent_sources_agent_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name=op.f("fk_agent_sources_source_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", "source_id", name=op.f("pk_agent_sources")),
    )


def _create_passages() -> None:
    op.create_table(
        "passages",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Integer()),
        sa.Column("document_id", sa.Integer()),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("page", sa.Integer()),
        sa.Column("line_start", sa.Integer()),
        sa.Column("line_end", sa.Integer()),
        sa.Column("char_start", sa.Integer()),
        sa.Column("char_end", sa.Integer()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(agent_id IS NULL) != (document_id IS NULL)", name="one_origin"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_passages_agent_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_passages_document_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_passages")),
        sa.UniqueConstraint("agent_id", "id", name=op.f("uq_passages_agent_id_id")),
        sa.UniqueConstraint("document_id", "ordinal", name=op.f("uq_passages_document_id_ordinal")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_passages_id"), "passages", ["id"], unique=False)
    op.create_table(
        "placements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("timeline_id", sa.Integer(), nullable=False),
        sa.Column("at_message_id", sa.Integer(), nullable=False),
        sa.Column("passage_seq", sa.Integer(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_placements_agent_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["passage_seq"], ["passages.seq"], name=op.f("fk_placements_passage_seq"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["timeline_id"], ["timelines.id"], name=op.f("fk_placements_timeline_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_placements")),
    )
    op.create_index(op.f("ix_placements_agent_id_passage_seq"), "placements", ["agent_id", "passage_seq"], unique=False)
    op.create_index(op.f("ix_placements_passage_seq"), "placements", ["passage_seq"], unique=False)


def _create_index() -> None:
    op.create_table(
        "index_log",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_index_log")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "index_state",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.Column("applied_seq", sa.Integer(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("table_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_index_state")),
    )


def _create_full_text() -> None:
    for name in ("messages_fts", "passages_fts"):
        op.execute(
            f"CREATE VIRTUAL TABLE {name} USING fts5(owner, words, content='', "
            "tokenize='porter unicode61 remove_diacritics 2')"
        )
        op.execute(f"INSERT INTO {name} ({name}, rank) VALUES ('rank', 'bm25(0.0, 1.0)')")  # noqa: S608
