"""Reading a document by lines and pages gives the very text at those places."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memos.errors import DocumentError
from memos.hits import DocumentInfo
from memos.storage.documents import SqliteDocuments
from memos.storage.scope import Scope
from memos.storage.vectors import VectorIndex

Load = Callable[..., DocumentInfo]


@pytest.fixture
def documents(scope: Scope, index: VectorIndex) -> SqliteDocuments:
    return SqliteDocuments(scope, index)


def test_only_attached_documents_are_there(
    documents: SqliteDocuments, load: Load, new_agent: Callable[[str], Scope], index: VectorIndex
) -> None:
    mine = load("/mine.txt", ["my fish\n"])
    load("/theirs.txt", ["their fish\n"])
    assert documents.list() == []
    for _ in range(2):
        documents.attach("/mine.txt")
    assert documents.list() == [mine]
    assert documents.find("mine.txt") == mine
    assert documents.find("theirs.txt") is None
    page = documents.search("fish", limit=5)
    assert (page.total, page.hits[0].text, page.hits[0].source) == (1, "my fish\n", "/mine.txt")
    assert SqliteDocuments(new_agent("bob"), index).search("fish", limit=5).total == 0
    with pytest.raises(DocumentError, match="no document is stored under this path"):
        documents.attach("/unknown.txt")


def test_search_takes_a_name(documents: SqliteDocuments, load: Load) -> None:
    for name in ("a", "b"):
        load(f"/{name}.txt", [f"fish of {name}\n"])
        documents.attach(f"/{name}.txt")
    assert {hit.text for hit in documents.search("fish", limit=5).hits} == {"fish of a\n", "fish of b\n"}
    assert [hit.text for hit in documents.search("fish", limit=5, name="b.txt").hits] == ["fish of b\n"]
    assert documents.search("fish", limit=5, name="c.txt").total == 0


def test_a_passage_is_read_by_its_id(documents: SqliteDocuments, load: Load) -> None:
    load("/a.txt", ["one\n", "two fish\n"], paged=True)
    documents.attach("/a.txt")
    (hit,) = documents.search("fish", limit=5).hits
    span = documents.passage(hit.id)
    assert span is not None
    assert (span.text, span.char_start, span.char_end, span.line_start, span.line_end, span.page, span.source) == (
        "two fish\n", 4, 13, 2, 3, 2, "/a.txt",
    )  # fmt: skip
    assert documents.passage("unknown") is None


def test_lines_are_the_lines_of_the_text(documents: SqliteDocuments, load: Load) -> None:
    lines = [f"line {number}" for number in range(1, 401)]
    text = "\n".join(lines)
    document = load("/a.txt", [text[start : start + 37] for start in range(0, len(text), 37)])
    span = documents.lines(document, 100, 3)
    assert span.text == "line 100\nline 101\nline 102\n"
    assert text[span.char_start : span.char_end] == span.text
    assert (span.line_start, span.line_end, span.source) == (100, 103, "/a.txt")
    assert documents.lines(document, 400, 5).text == "line 400"
    assert documents.lines(document, 399, 50).line_end == 401
    assert documents.lines(document, -3, 1).text == "line 1\n"
    beyond = documents.lines(document, 500, 5)
    assert (beyond.text, beyond.char_start, beyond.char_end) == ("", len(text), len(text))
    assert documents.lines(document, 1, 0).text == ""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.text("ab\n", min_size=1, max_size=6), min_size=1, max_size=40),
    first=st.integers(1, 30),
    count=st.integers(1, 12),
)
def test_any_window_of_any_chunking(
    documents: SqliteDocuments, load: Load, pieces: list[str], first: int, count: int
) -> None:
    text = "".join(pieces)
    document = load("/any.txt", pieces)
    span = documents.lines(document, first, count)
    assert span.text == "".join(text.splitlines(keepends=True)[first - 1 : first - 1 + count])
    assert text[span.char_start : span.char_end] == span.text


def test_pages_are_whole_and_may_be_empty(documents: SqliteDocuments, load: Load) -> None:
    document = load("/a.pdf", [f"page {number}\n" for number in range(1, 60)], paged=True)
    span = documents.page(document, 42)
    assert span is not None
    assert (span.text, span.page, span.line_start, span.line_end) == ("page 42\n", 42, 42, 43)
    assert documents.page(document, 0) is None
    assert documents.page(document, 60) is None
    assert documents.page(load("/plain.txt", ["x\n"]), 1) is None
    lines = documents.lines(document, 42, 2)
    assert (lines.text, lines.page) == ("page 42\npage 43\n", 42)


def test_a_page_without_text_is_empty_not_missing(documents: SqliteDocuments, load: Load) -> None:
    from dataclasses import replace

    document = replace(load("/a.pdf", ["only\n"], paged=True), pages=3)
    empty = documents.page(document, 2)
    assert empty is not None
    assert (empty.text, empty.page, empty.char_start, empty.char_end) == ("", 2, 5, 5)
