"""Citations: only what stands in a document word for word, with its true place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model import Model, call, calling, in_turn, saying

from memos import Agent
from memos.citations import MIN_QUOTE_CHARS, find_citations
from memos.events import ToolRun
from memos.hits import HitPage, render_page
from memos.home import Home, Memory
from memos.records import Chunk
from memos.settings import load

TEXT = """The Cave

We found the trilobite in the third cave, under a slab of slate.
Nobody had been there for a hundred years.

The second cave held only bats, and the smell of them.
"""


@pytest.fixture
def cave(tmp_path: Path) -> Path:
    path = tmp_path / "cave.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def agent(cave: Path) -> Iterator[Agent]:
    """An agent that searches its document, then says something."""
    search = call("search_document", query="trilobite cave", request_heartbeat=True)
    with Agent.open("ada", backend=Model(in_turn(lambda: calling(search), lambda: saying("Hm.")))) as opened:
        opened.ingest(cave)
        yield opened


def runs(agent: Agent) -> tuple[ToolRun, ...]:
    return agent.send("What of the cave?").tool_calls


def test_a_quote_has_its_true_offsets_and_lines(agent: Agent, cave: Path) -> None:
    answer = 'They say: "trilobite in the third cave, under a slab of slate.\nNobody had been there" — so.'
    (found,) = find_citations(answer, runs(agent), agent.documents)
    assert found.quote in answer
    assert TEXT[found.char_start : found.char_end] == found.quote
    assert found.quote.startswith("trilobite in the third")
    assert found.quote.endswith("had been there")
    assert (found.line_start, found.line_end) == (3, 5)
    assert (found.source, found.page) == (str(cave), None)
    assert found.to_json()["char_start"] == TEXT.index("trilobite")


def test_only_verbatim_words_count(agent: Agent) -> None:
    shown = runs(agent)
    assert find_citations("The fossil lay in cave number three below some slate.", shown, agent.documents) == []
    (found,) = find_citations(
        "WE FOUND the trilobite in the third cave, UNDER A SLAB OF SLATE.", shown, agent.documents
    )
    assert found.quote == "the trilobite in the third cave,"


def test_nothing_shorter_than_the_minimum(agent: Agent) -> None:
    shown = runs(agent)
    enough, too_few = "the trilobite in the", "trilobite in the"
    assert sum(map(str.isalnum, enough)) >= MIN_QUOTE_CHARS > sum(map(str.isalnum, too_few))
    assert [c.quote for c in find_citations(f"<{enough}>", shown, agent.documents)] == [enough]
    assert find_citations(f"<{too_few}>", shown, agent.documents) == []


def test_a_citation_is_of_whole_words_and_one_place(agent: Agent) -> None:
    shown = runs(agent)
    (found,) = find_citations("ound the trilobite in the third ca", shown * 2, agent.documents)
    assert found.quote == "the trilobite in the third"


def test_quotes_come_in_the_answers_order_and_overlapping_ones_once(agent: Agent) -> None:
    late = "The second cave held only bats, and the smell of them."
    early = "Nobody had been there for a hundred years."
    shown = runs(agent)
    both = find_citations(f"{late} | {early}", shown * 2, agent.documents)
    assert [c.quote for c in both] == [late, early]
    again = find_citations(f"{early} And once more: {early}", shown, agent.documents)
    assert [c.quote for c in again] == [early]


def test_what_was_not_shown_is_not_cited(agent: Agent) -> None:
    quote = "Nobody had been there for a hundred years."
    assert find_citations(quote, (), agent.documents) == []
    failed = ToolRun("search_document", "{}", "failed", runs(agent)[0].result)
    assert find_citations(quote, [failed], agent.documents) == []


def test_a_result_that_claims_what_is_not_stored_proves_nothing(agent: Agent, cave: Path) -> None:
    words = "The moon is made of green cheese, he said."
    lie = json.dumps({"tier": "documents", "id": "0" * 24, "source": str(cave), "text": words})
    run = ToolRun("search_document", "{}", "ok", lie)
    assert find_citations(words, [run], agent.documents) == []


def test_an_opened_document_is_cited_too(agent: Agent, cave: Path) -> None:
    opening = call("open_document", document="cave.txt", line=6, request_heartbeat=True)
    with Agent.open("ada", backend=Model(in_turn(lambda: calling(opening), lambda: saying("Hm.")))) as other:
        shown = other.send("Open it.").tool_calls
        (found,) = find_citations("It held only bats, and the smell of them.", shown, other.documents)
    assert TEXT[found.char_start : found.char_end] == found.quote
    assert (found.line_start, found.line_end) == (6, 7)


def test_page_numbers_are_those_of_the_document() -> None:
    home = Home(load())
    home.agents.create("ada")
    memory: Memory = home.memory("ada")
    pages = ["The first page tells of rivers and stones.\n", "The second page tells of fossils and dust.\n"]
    draft = home.library.begin(b"file")
    chunks: list[Chunk] = []
    start = 0
    for number, page in enumerate(pages, 1):
        chunks.append(Chunk(page, start, start + len(page), number, number + 1, page=number))
        start += len(page)
    home.library.add(draft, chunks)
    home.library.finish(draft, b"text", "/books/two.pdf", pages=2, lines=3)
    memory.documents.attach("/books/two.pdf")
    hits: HitPage = memory.documents.search("fossils rivers", limit=5)
    run = ToolRun("search_document", "{}", "ok", render_page(hits, number=1, size=5, clip=lambda text: text))
    found = find_citations(
        "It tells of fossils and dust, as 'The first page tells of rivers' did.", [run], memory.documents
    )
    by_page = {citation.page: citation for citation in found}
    assert set(by_page) == {1, 2}
    whole = "".join(pages)
    for citation in found:
        assert whole[citation.char_start : citation.char_end] == citation.quote
        assert citation.line_start == citation.page
    home.close()
