import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memos.documents.chunks import BLOCK_LIMIT_CHARACTERS, CHUNK_LIMIT_CHARACTERS, split
from memos.documents.sections import Section
from memos.records import Chunk

ANY_TEXT = st.text(st.one_of(st.characters(), st.sampled_from("\n\n \t.#|`*-\r\ud800\u0301")), max_size=300)


def check(text: str, found: list[Chunk]) -> None:
    """What every list of chunks must be to its text, said anew without the code's own counting."""
    lines_before, position = text.split("\n"), 0
    assert "".join(chunk.text for chunk in found) == text
    for chunk in found:
        assert chunk.text
        assert len(chunk.text) <= CHUNK_LIMIT_CHARACTERS
        assert (chunk.char_start, chunk.char_end) == (position, position + len(chunk.text))
        assert text[chunk.char_start : chunk.char_end] == chunk.text
        assert chunk.line_start == len(text[: chunk.char_start].split("\n"))
        assert chunk.line_end == len(text[: chunk.char_end - 1].split("\n")) + 1
        window = "\n".join(lines_before[chunk.line_start - 1 : chunk.line_end - 1]) + "\n"
        assert chunk.text in window
        position = chunk.char_end


@settings(deadline=None)
@given(st.lists(ANY_TEXT, max_size=4), st.booleans(), st.integers(1, 12))
def test_chunks_are_the_text(texts: list[str], markdown: bool, times: int) -> None:
    sections = [Section(text * times, markdown=markdown) for text in texts]
    check("".join(section.text for section in sections), list(split(sections)))


@settings(deadline=None)
@given(st.lists(ANY_TEXT, max_size=5))
def test_no_chunk_crosses_a_page(texts: list[str]) -> None:
    pages = [Section(text + "\n", number, len(texts)) for number, text in enumerate(texts, 1)]
    found = list(split(pages))
    check("".join(page.text for page in pages), found)
    for page in pages:
        assert "".join(chunk.text for chunk in found if chunk.page == page.page) == page.text


@settings(deadline=None, max_examples=20)
@given(st.text(alphabet="ab \n.é😀", min_size=1, max_size=60), st.integers(1, 4))
def test_text_of_many_blocks_is_chunked_exactly(seed: str, pieces: int) -> None:
    text = (seed * (3 * BLOCK_LIMIT_CHARACTERS // len(seed)))[: 2 * BLOCK_LIMIT_CHARACTERS + 77]
    size = len(text) // pieces + 1
    found = list(split(Section(text[at : at + size]) for at in range(0, len(text), size)))
    assert "".join(chunk.text for chunk in found) == text
    assert found[-1].line_end - 1 == text.count("\n") + (not text.endswith("\n"))
    for chunk in found[:: max(1, len(found) // 20)]:
        assert text[chunk.char_start : chunk.char_end] == chunk.text
        assert chunk.line_start == text.count("\n", 0, chunk.char_start) + 1


def test_sections_without_pages_are_one_text() -> None:
    assert [chunk.text for chunk in split([Section("one "), Section("sent"), Section("ence.")])] == ["one sentence."]


def test_no_text_gives_no_chunks() -> None:
    assert list(split([])) == []
    assert list(split([Section("")])) == []


def test_paragraphs_stay_together() -> None:
    paragraphs = [f"Paragraph {number}. " + "Some words in it. " * 30 + "\n\n" for number in range(200)]
    assert [chunk.text for chunk in split([Section("".join(paragraphs))])] == paragraphs


def test_markdown_is_cut_at_headings() -> None:
    text = "".join(f"# Title {number}\n\n" + "Words of a sentence. " * 25 + "\n\n" for number in range(6))
    found = list(split([Section(text, markdown=True)]))
    check(text, found)
    assert all(chunk.text.startswith("# Title") for chunk in found)


@pytest.mark.parametrize(
    ("piece", "times"), [("a", 1_000_000), (" ", 1_000_000), ("e\u0301", 500_000), ("word ", 200_000), ("世", 100_000)]
)
def test_one_endless_line_takes_linear_time(piece: str, times: int) -> None:
    text = piece * times
    started = time.process_time()
    found = list(split([Section(text)]))
    assert time.process_time() - started < 3  # the splitter left alone takes 8 s for the first two
    assert "".join(chunk.text for chunk in found) == text
    assert {(chunk.line_start, chunk.line_end) for chunk in found} == {(1, 2)}
