"""What the model may call, thin over the ports. Each docstring is prompt text, written for the model."""

from __future__ import annotations

from collections.abc import Callable

from memos.tools import archival, control, core, documents, recall

BASE_TOOLS: tuple[Callable[..., object], ...] = (
    control.send_message,
    control.pause_heartbeats,
    core.core_memory_append,
    core.core_memory_replace,
    recall.conversation_search,
    recall.conversation_search_date,
    recall.open_memory,
    archival.archival_memory_insert,
    archival.archival_memory_search,
)
"""What every agent has."""

COMPACT_TOOLS: tuple[Callable[..., object], ...] = (
    control.send_message,
    core.core_memory_append,
    core.core_memory_replace,
    recall.conversation_search,
    recall.open_memory,
    archival.archival_memory_insert,
    archival.archival_memory_search,
)
"""What an agent with a small window has."""

DOCUMENT_TOOLS: tuple[Callable[..., object], ...] = (
    documents.list_documents,
    documents.search_document,
    documents.open_document,
)
"""What an agent has once it may read a document."""

COMPACT_DOCUMENT_TOOLS: tuple[Callable[..., object], ...] = (documents.search_document, documents.open_document)
