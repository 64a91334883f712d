"""Extracted text to chunks: the pieces that are stored, found and quoted.

The chunks in order are the text, nothing left out and nothing added, so that every offset and line
is exact by construction. Refuses to know where the text came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from typing import Protocol

from memos.documents.sections import Section
from memos.records import Chunk

CHUNK_LIMIT_CHARACTERS = 800
"""About 130 words: short enough to quote whole, and five hits of a search stay near 1,000 tokens;
long enough to answer a question without its neighbours. A mean of word vectors blurs beyond."""
BLOCK_LIMIT_CHARACTERS = 1 << 15
"""What the splitter sees at a time. Its time grows with the square of a text without borders (1 M
letters in a row: 8 s; in blocks of 32 Ki: 0.5 s), and prose too is split ten times as fast in
blocks; each costs one chunk that is not full."""

_SURROGATES = re.compile("[\ud800-\udfff]")


class _Splitter(Protocol):
    def chunks(self, text: str) -> list[str]: ...


def split(sections: Iterable[Section]) -> Iterator[Chunk]:
    """Cut at paragraphs, sentences or words, the largest that fit. No chunk crosses a page's border."""
    char, line = 0, 1
    for (page, markdown), run in groupby(sections, key=lambda section: (section.page, section.markdown)):
        splitter = _splitter(markdown=markdown)
        for block in _blocks(section.text for section in run):
            for text in _pieces(splitter, block):
                newlines = text.count("\n")
                line_end = line + newlines + (not text.endswith("\n"))
                yield Chunk(text, char, char + len(text), line, line_end, page)
                char += len(text)
                line += newlines


@cache
def _splitter(*, markdown: bool) -> _Splitter:
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    kind = MarkdownSplitter if markdown else TextSplitter
    return kind(CHUNK_LIMIT_CHARACTERS, trim=False)


def _blocks(texts: Iterable[str]) -> Iterator[str]:
    """The same text in pieces of at most `BLOCK_LIMIT_CHARACTERS`, cut at the best border at hand."""
    rest = ""
    for more in texts:
        text, start = rest + more, 0
        while len(text) - start > BLOCK_LIMIT_CHARACTERS:
            end = _border(text, start)
            yield text[start:end]
            start = end
        rest = text[start:]
    if rest:
        yield rest


def _border(text: str, start: int) -> int:
    limit = start + BLOCK_LIMIT_CHARACTERS
    for border in ("\n\n", "\n", ". ", " "):
        found = text.rfind(border, start + BLOCK_LIMIT_CHARACTERS // 2, limit)
        if found >= 0:
            return found + len(border)
    return limit


def _pieces(splitter: _Splitter, block: str) -> Iterator[str]:
    try:
        yield from splitter.chunks(block)
    except UnicodeEncodeError:  # lone surrogates cannot leave Python: cut where their stand-ins are cut
        start = 0
        for piece in splitter.chunks(_SURROGATES.sub("\ufffd", block)):
            yield block[start : start + len(piece)]
            start += len(piece)
