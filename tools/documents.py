"""Functions by which the model pages through documents."""

from __future__ import annotations

import json

from memos.errors import Refusal
from memos.hits import DocumentInfo, TextSpan
from memos.tooling import ToolContext, effect
from memos.tools.recall import HEADER_TOKENS, HIT_FIELDS_TOKENS, shown_page

LINES_SHOWN = 40


@effect("read")
def list_documents(context: ToolContext, page: int = 1) -> str:
    """List the documents you may read.

    Args:
        page: Which page of the list.
    """
    if page < 1:
        raise Refusal("pages count from 1.")
    documents = context.documents.list()
    size = 20
    shown = documents[(page - 1) * size : page * size]
    lines = [
        json.dumps(
            {"source": d.source, "lines": d.lines, "pages": d.pages, "characters": d.characters}, ensure_ascii=False
        )
        for d in shown
    ]
    return "\n".join([f"{len(documents)} documents (page {page} of {max(1, -(-len(documents) // size))}).", *lines])


@effect("read")
def search_document(context: ToolContext, query: str, document: str | None = None, page: int = 1) -> str:
    """Search documents by words and by meaning.

    Args:
        query: What to look for.
        document: Only in this document (its source or file name).
        page: Which page of results.
    """
    if page < 1:
        raise Refusal("pages count from 1.")
    name = _find(context, document).source if document else None
    size = context.page_size
    found = context.documents.search(query, limit=size, offset=(page - 1) * size, name=name)
    return shown_page(context, found, page)


@effect("read")
def open_document(
    context: ToolContext, document: str, line: int | None = None, page: int | None = None, start_char: int = 0
) -> str:
    """Read a document from a line on, or one of its pages.

    Args:
        document: Its source or file name.
        line: First line to show (from 1).
        page: Page to show (from 1), for documents that have pages.
        start_char: Where to read on in a page or in long lines.
    """
    info = _find(context, document)
    if page is not None:
        if info.pages is None:
            raise Refusal(f"{info.source} has no pages; open it by line (1 to {info.lines}).")
        span = context.documents.page(info, page)
        if span is None:
            raise Refusal(f"{info.source} has pages 1 to {info.pages}.")
    else:
        first = line or 1
        if not 1 <= first <= info.lines:
            raise Refusal(f"{info.source} has lines 1 to {info.lines}.")
        span = context.documents.lines(info, first, LINES_SHOWN)
    return _shown(context, info, span, page is not None, start_char)


def _find(context: ToolContext, name: str) -> DocumentInfo:
    found = context.documents.find(name)
    if found is None:
        names = ", ".join(document.source for document in context.documents.list()[:10]) or "none"
        raise Refusal(f"no single document is called {name!r}; the documents are {names}.")
    return found


def _shown(context: ToolContext, info: DocumentInfo, span: TextSpan, by_page: bool, start_char: int) -> str:
    """A header, then the text as one JSON string: whatever it says, it stays inside its quotation."""
    if not 0 <= start_char <= len(span.text):
        raise Refusal(f"this part has {len(span.text)} characters; start_char must lie within.")
    # Room for the header, which names the source once more than the fields do.
    limit = max(32, context.result_limit_tokens - 2 * HEADER_TOKENS - HIT_FIELDS_TOKENS)
    text = context.clip(span.text[start_char:], limit)
    end = start_char + len(text)
    line = span.line_start + span.text.count("\n", 0, start_char)
    where = f"page {span.page} of {info.pages}, " if span.page is not None else ""
    header = f"{info.source}, {where}lines {line}-{line + text.rstrip().count(chr(10))} of {info.lines}."
    fields = {"source": info.source, "line": line, "page": span.page, "text": text}
    more = _next(info, span, by_page, end)
    return f"{header}{more}\n{json.dumps(fields, ensure_ascii=False)}"


def _next(info: DocumentInfo, span: TextSpan, by_page: bool, end: int) -> str:
    """How to read on: in the same part, or where it ends."""
    if end < len(span.text):
        part = f"page={span.page}" if by_page else f"line={span.line_start}"
        return f" Read on with {part}, start_char={end}."
    if by_page:
        return f" Read on with page={span.page + 1}." if span.page and span.page < (info.pages or 0) else ""
    return f" Read on with line={span.line_end}." if span.line_end <= info.lines else ""
