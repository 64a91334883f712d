"""Citations: which stored text an answer quotes, proved character by character.

An answer's words are compared with the passages that its turn was shown. Only what stands there
verbatim becomes a citation, with its true offsets; nothing is taken on the model's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher

from memos.events import ToolRun
from memos.hits import TextSpan, parse_page
from memos.ports import DocumentStore

MIN_QUOTE_CHARS = 16
"""Letters and digits; fewer may agree by chance: a name, a common phrase."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A verbatim quote with its place in the extracted text (ends exclusive)."""

    source: str
    quote: str
    page: int | None
    line_start: int
    line_end: int
    char_start: int
    char_end: int

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def find_citations(answer: str, runs: Iterable[ToolRun], documents: DocumentStore) -> list[Citation]:
    """The quotes of `answer` in the order it makes them."""
    found = [
        _Match(at, start, end, span)
        for span in shown_spans(runs, documents)
        for at, start, end in _matches(answer, span.text)
    ]
    found.sort(key=lambda match: match.start - match.end)
    kept: list[tuple[int, Citation]] = []
    claimed: list[tuple[int, int]] = []  # parts of the answer that a longer quote has proved
    for match in found:
        at, until = match.at, match.at + match.end - match.start
        citation = _cite(match.span, match.start, match.end)
        if citation is None or any(at < other_end and other_at < until for other_at, other_end in claimed):
            continue
        claimed.append((at, until))
        if not any(_overlap(citation, other) for _, other in kept):
            kept.append((at, citation))
    return [citation for _, citation in sorted(kept, key=lambda item: item[0])]


@dataclass(frozen=True, slots=True)
class _Match:
    """A part of the answer that stands verbatim in a span."""

    at: int
    start: int
    end: int
    span: TextSpan


def shown_spans(runs: Iterable[ToolRun], documents: DocumentStore) -> list[TextSpan]:
    """The pieces of documents that results showed the model, each once, as they are stored."""
    spans: dict[tuple[str, int], TextSpan] = {}
    for run in runs:
        for shown in parse_page(run.result) if run.status == "ok" else ():
            for span in _stored(shown, documents):
                spans.setdefault((span.source, span.char_start), span)
    return list(spans.values())


def _matches(answer: str, text: str) -> Iterator[tuple[int, int, int]]:
    """Where the answer repeats the text: its position, and start and end in the text.

    Longest first, then in what is left of the answer on either side; quotes may come in any order.
    """
    waiting = [(0, len(answer))]
    matcher = SequenceMatcher(None, answer, text, autojunk=False)
    while waiting:
        lo, hi = waiting.pop()
        if hi - lo < MIN_QUOTE_CHARS:
            continue
        match = matcher.find_longest_match(lo, hi)
        if match.size >= MIN_QUOTE_CHARS:
            yield match.a, match.b, match.b + match.size
            waiting += [(lo, match.a), (match.a + match.size, hi)]


def _stored(shown: dict[str, object], documents: DocumentStore) -> Sequence[TextSpan]:
    passage_id, source, line, text = (shown.get(key) for key in ("id", "source", "line", "text"))
    if not isinstance(source, str) or not isinstance(text, str):
        return ()
    if isinstance(passage_id, str):
        passage = documents.passage(passage_id)
        return () if passage is None else (passage,)
    info = documents.find(source)
    if info is None or not isinstance(line, int):
        return ()
    return documents.passages(info, line, text.count("\n") + 1)


def _cite(span: TextSpan, start: int, end: int) -> Citation | None:
    """The whole words of the part [start:end) of a span; None when they are too few to prove anything."""
    text = span.text
    if start > 0 and text[start - 1].isalnum():
        while start < end and text[start].isalnum():
            start += 1
    if end < len(text) and text[end].isalnum():
        while end > start and text[end - 1].isalnum():
            end -= 1
    quote = text[start:end]
    start += len(quote) - len(quote.lstrip())
    quote = quote.strip()
    if sum(character.isalnum() for character in quote) < MIN_QUOTE_CHARS:
        return None
    line = span.line_start + span.text.count("\n", 0, start)
    return Citation(
        source=span.source,
        quote=quote,
        page=span.page,
        line_start=line,
        line_end=line + quote.count("\n") + 1,
        char_start=span.char_start + start,
        char_end=span.char_start + start + len(quote),
    )


def _overlap(one: Citation, other: Citation) -> bool:
    return one.source == other.source and one.char_start < other.char_end and other.char_start < one.char_end
