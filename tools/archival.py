"""Functions by which the model keeps and finds passages."""

from __future__ import annotations

from memos.errors import Refusal
from memos.tooling import ToolContext, effect
from memos.tools.recall import shown_page


@effect("memory")
def archival_memory_insert(context: ToolContext, content: str, tags: list[str] | None = None) -> str:
    """Store something for good in archival memory, which has no size limit and is searched by meaning.

    Args:
        content: What to store, in words that will make sense on their own.
        tags: Labels to find it by.
    """
    if not content.strip():
        raise Refusal("content is empty; there is nothing to store.")
    passages = context.archival.insert(content, tags=tags or [])
    return f"Stored as {', '.join(passage.id for passage in passages)}."


@effect("read")
def archival_memory_search(
    context: ToolContext, query: str, page: int = 1, tags: list[str] | None = None, source: str | None = None
) -> str:
    """Search archival memory and the documents you may read, by words and by meaning.

    Args:
        query: What to look for.
        page: Which page of results.
        tags: Only passages that carry all of these.
        source: Only passages of this document.
    """
    if page < 1:
        raise Refusal("pages count from 1.")
    size = context.page_size
    found = context.archival.search(query, limit=size, offset=(page - 1) * size, tags=tags or [], source=source)
    return shown_page(context, found, page)
