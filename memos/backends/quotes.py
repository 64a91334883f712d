"""Quotes: the sentences of found texts that answer a question best, word for word.

A quote is always a contiguous slice of the text it comes from. Scores are word overlap weighted by
rarity among what was found, with mild priors; nothing here writes a word of its own but the
citation. Knows nothing of stores, requests or loops.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from memos.backends import sentences
from memos.backends.sentences import Span

MAX_QUOTES = 3
WINDOW_CHARS = 300
"""A sentence from a document is quoted with its neighbours up to this length."""
ALONE_CHARS = 60
FLOOR = 0.55
"""A sentence with less of the question's weight than this answers nothing."""
DOCUMENT_FLOOR = 0.25
"""A document's passage was ranked by a search already, and its wording differs from the asker's."""
NEIGHBOUR_SHARE = 0.5
"""How much a word in the sentence before or after counts; half of that for the rest of the text."""
EQUAL_SCORE = 0.1
"""Facts this close to the best one answer about equally well: the newest comes first."""
RELATIVE_FLOOR = 0.72
"""A further quote must come this close to the best one."""
DOCUMENT_RELATIVE_FLOOR = 0.5
NAME_SHARE = 1.5
DOCUMENT_NAME_SHARE = 0.5
"""What a name weighs beside other words: a document goes on with pronouns once it has named its subject."""
ANSWER_TYPE_SHARE = 0.4
"""What a word weighs that says what kind of answer is wanted, or is an adverb; the answer need not hold it."""
VERB_SHARE = 0.7
"""What the verb weighs beside the things that are asked about."""
MIN_NEW_WORDS = 2
"""A heading or a bare mention adds less than this to the question's own words."""
EXPECTED_BONUS = 0.1
DENSITY_BONUS = 0.2
"""Of two sentences that hold the same of the question, the shorter says it more plainly."""

_ANSWER_TYPES = set(sentences.content_words("name call kind type sort thing person place time day date year number"))
_ASKS_NUMBER = re.compile(
    r"\b(?:when|how\s+(?:many|much|old|long|far|often|tall|big)|what\s+(?:time|year|day|date))\b", re.I
)
_ASKS_NAME = re.compile(r"\b(?:who|whom|whose|where|which)\b", re.I)
_TYPE = re.compile(r"\b(?:wh(?:ich|at)(?:['’]s)?|how)\s+(?!(?:many|much)\b)([^\W_]+)|\b([^\W_]+ly)\b", re.I)
_VERB = re.compile(
    r"\b(?:do|does|did|have|has|had|can|could|will|would|should|am|is|was|were|are)\s+(?:I|you|we|he|she|they|it)\s+"
    r"(?:(?:still|ever|\w+ly)\s+)?([^\W_]+)",
    re.I,
)
_POLAR = re.compile(r"\W*(?:do|does|did|have|has|had|can|could|will|would|should|am|is|was|were|are)\b", re.I)
_INTRODUCES = re.compile(r"\bI(?:\s+am|['’]m)\s+[A-Z]|\b[Mm]y\s+name\b|\bcall\s+me\b")
LANGUAGE_SHARE = 0.6
"""Letters among all signs that are no space: prose has about 0.95, a drawing or a table of figures far less."""
_FENCE_MARK = re.compile(r"```|~~~")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*\n.*?(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_NUMBER = re.compile(
    r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|hundred|thousand"
    r"|dozen|january|february|march|april|june|july|august|september|october|november|december"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|today|yesterday|tomorrow)\b",
    re.I,
)

Tier = Literal["core", "recall", "archival", "documents"]


@dataclass(frozen=True, slots=True)
class Text:
    """A stored text with its origin."""

    text: str
    tier: Tier
    speaker: str = ""
    """Who said it; a block's label for core memory, a path for documents."""
    time: str = ""
    line: int | None = None
    page: int | None = None
    rank: int = 0
    """Its place in the search that found it, from 0."""
    order: int = 0
    """Which of two of the same time is newer."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A verbatim slice of a stored text, with its citation."""

    text: str
    citation: str
    score: float
    source: Text
    start: int
    """Where in the source it begins."""

    def __str__(self) -> str:
        return f'"{self.text}" — {self.citation}'

    def repeats(self, other: Quote) -> bool:
        """Whether one of the two says nothing beyond the other, or they overlap."""
        if self.source is other.source:
            return self.start < other.start + len(other.text) and other.start < self.start + len(self.text)
        one, two = " ".join(self.text.casefold().split()), " ".join(other.text.casefold().split())
        return one in two or two in one


@dataclass(frozen=True, slots=True)
class _Candidate:
    source: Text
    spans: tuple[Span, ...]
    index: int
    score: float


def best_quotes(question: str, texts: Sequence[Text]) -> list[Quote]:
    """Up to three quotes that clear the floor, best first; none is a question asked before."""
    split = [(text, _prose(text)) for text in texts]
    found = (text.text[s.start : s.end] for text, spans in split for s in spans)
    scorer = _Scorer(question, (sentence for sentence in found if not sentences.is_question(sentence)))
    candidates = [candidate for text, spans in split for candidate in scorer.candidates(text, spans)]
    if scorer.is_personal and any(candidate.source.tier != "documents" for candidate in candidates):
        candidates = [candidate for candidate in candidates if candidate.source.tier != "documents"]
    chosen: list[Quote] = []
    for candidate in _ranked(candidates):
        share = DOCUMENT_RELATIVE_FLOOR if candidate.source.tier == "documents" else RELATIVE_FLOOR
        if len(chosen) == MAX_QUOTES or (chosen and candidate.score < share * chosen[0].score):
            break
        quote = _quote(candidate)
        if not any(quote.repeats(other) for other in chosen):
            chosen.append(quote)
    return chosen


def _prose(source: Text) -> tuple[Span, ...]:
    """The sentences of a text; of a document those that are language: no fenced code, no drawing, no figures."""
    spans = sentences.split(source.text)
    if source.tier != "documents":
        return tuple(spans)
    fences = [match.span() for match in _FENCE.finditer(source.text)]
    spans = [span for span in spans if not any(start < span.end and span.start < end for start, end in fences)]
    return tuple(span for span in spans if _is_language(source.text[span.start : span.end]))


def _is_language(text: str) -> bool:
    """Whether letters make up most of it."""
    signs = [character for character in text if not character.isspace()]
    return sum(map(str.isalpha, signs)) >= LANGUAGE_SHARE * len(signs)


def _ranked(candidates: list[_Candidate]) -> list[_Candidate]:
    """Best first; of facts that answer about equally well the newest, those without a time last."""
    candidates.sort(key=lambda candidate: (-candidate.score, candidate.source.rank, candidate.index))
    best = candidates[0].score if candidates else 0.0
    equal = [c for c in candidates if c.source.tier != "documents" and c.score >= best - EQUAL_SCORE]
    equal.sort(key=lambda candidate: (candidate.source.time, candidate.source.order), reverse=True)
    return equal + [candidate for candidate in candidates if candidate not in equal]


class _Scorer:
    """How well a sentence answers one question, among all the sentences found."""

    def __init__(self, question: str, found: Iterable[str]) -> None:
        matter = sentences.matter(question)
        self.words = {word for word in sentences.content_words(matter) if len(word) > 1 or not word.isascii()}
        self.is_personal = sentences.is_personal(question)
        self.is_of_self = re.search(r"\bI\b", matter, re.I) is not None
        self.is_polar = _POLAR.match(matter) is not None
        self.run = _run(question)
        self.expects_number = _ASKS_NUMBER.search(question) is not None
        self.expects_name = _ASKS_NAME.search(question) is not None
        counts: Counter[str] = Counter()
        total = 0
        for text in found:
            counts.update(self.words & set(sentences.content_words(text)))
            total += 1
        self.names = sentences.names(matter)
        self.types = self.words & (_ANSWER_TYPES | _stems(_TYPE, matter)) - self.names
        verbs = _stems(_VERB, matter)
        self.rarity = {
            # What occurs nowhere tells nothing apart: it weighs no more than what occurs once.
            word: math.sqrt(math.log(1 + (total + 1) / (max(1, counts[word]) + 0.5)))
            * (ANSWER_TYPE_SHARE if word in self.types else VERB_SHARE if word in verbs else 1)
            for word in self.words
        }

    def weights(self, source: Text) -> dict[str, float]:
        """What each of the question's words counts in a text; they add up to 1."""
        share = DOCUMENT_NAME_SHARE if source.tier == "documents" else NAME_SHARE
        weights = {word: weight * (share if word in self.names else 1) for word, weight in self.rarity.items()}
        total = sum(weights.values())
        return {word: weight / total for word, weight in weights.items()}

    def candidates(self, source: Text, spans: tuple[Span, ...]) -> list[_Candidate]:
        texts = [source.text[span.start : span.end] for span in spans]
        words = [set(sentences.content_words(text)) for text in texts]
        said_by = set(sentences.content_words(source.speaker)) if source.tier == "recall" else set[str]()
        everywhere = _union(words)
        weights = self.weights(source)
        floor = FLOOR if source.tier != "documents" or self.is_personal else DOCUMENT_FLOOR
        found: list[_Candidate] = []
        for index, text in enumerate(texts):
            if source.tier != "documents" and sentences.is_question(text):
                continue
            near = _union(words[max(0, index - 1) : index + 2])
            coverage = _coverage(weights, words[index] | said_by, near, everywhere)
            if coverage >= floor and self.is_answer(source, text, words[index]):
                found.append(_Candidate(source, spans, index, coverage + self.prior(source, text, words[index])))
        return found

    def is_answer(self, source: Text, text: str, words: set[str]) -> bool:
        """Whether a sentence speaks of what was asked, not only to or of somebody named, and adds something to it."""
        if self.is_personal and not self.words - self.types:
            if source.tier == "documents":
                return False
            return _INTRODUCES.search(text) is not None if self.words else sentences.is_about_speaker(text)
        asked = self.words - self.types - (set[str]() if source.tier == "documents" else self.names)
        says_new = bool(words - self.words) or (self.is_polar and source.tier != "documents")
        return bool(words & (asked or self.words)) and says_new and not (self.run and self.run in _run(text))

    def prior(self, source: Text, text: str, words: set[str]) -> float:
        """What speaks for a sentence beside its words."""
        score = DENSITY_BONUS * len(words & self.words) / max(1, len(words))
        if self.expects_number and _NUMBER.search(text):
            score += EXPECTED_BONUS
        if self.expects_name and sentences.names(text) - self.words:
            score += EXPECTED_BONUS
        if not self.words and _INTRODUCES.search(text):
            score += EXPECTED_BONUS
        if self.is_personal:
            score += 0.15 if source.tier != "documents" and sentences.is_about_speaker(text) else -0.15
        if self.is_of_self and re.search(r"\bI\b", text, re.I):
            score += 0.15
        if "?" in text or text.isupper():
            score -= 0.25
        if source.tier == "documents":
            score += 0.1 / (1 + source.rank) - 0.002 * source.rank
            score -= 0.15 * (len(words - self.words) < MIN_NEW_WORDS) + 0.25 * (not sentences.is_whole(text))
        return score


def _stems(pattern: re.Pattern[str], text: str) -> set[str]:
    found = {group for match in pattern.finditer(text) for group in match.groups() if group}
    return {stem for word in found for stem in sentences.content_words(word)}


def _run(text: str) -> str:
    """All its words in order, to be found in another text's."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def _coverage(weights: dict[str, float], own: set[str], near: set[str], everywhere: set[str]) -> float:
    """The share of a question's weight that a sentence and its surroundings hold; 1 of a question without words."""
    held = 0.0 if weights else 1.0
    for word, weight in weights.items():
        share = 1.0 if word in own else NEIGHBOUR_SHARE if word in near else 0.0
        held += weight * (share or (NEIGHBOUR_SHARE / 2 if word in everywhere else 0.0))
    return held


def _quote(candidate: _Candidate) -> Quote:
    source, spans = candidate.source, candidate.spans
    first, last = _window(source, spans, candidate.index)
    start, end = spans[first].start, spans[last].end
    return Quote(source.text[start:end], _citation(source, start), candidate.score, source, start)


def _window(source: Text, spans: tuple[Span, ...], index: int) -> tuple[int, int]:
    """The first and last of at most three sentences around one, within `WINDOW_CHARS`.

    In a conversation those that go on about the same; in a document whole ones of its paragraph,
    unless that is too short to stand alone: a line of a dialogue.
    """
    first = last = index
    texts = [source.text[span.start : span.end] for span in spans]
    is_short = len(texts[index]) < ALONE_CHARS
    for near in (index - 1, index + 1) if is_short else (index + 1, index - 1):
        if not 0 <= near < len(spans):
            continue
        wider = min(first, near), max(last, near)
        if source.tier == "documents":
            joins = sentences.is_whole(texts[near]) and (is_short or spans[near].paragraph == spans[index].paragraph)
            joins = joins and _FENCE_MARK.search(source.text, spans[wider[0]].start, spans[wider[1]].end) is None
        else:
            joins = sentences.goes_on(texts[max(near, index)])
        if joins and spans[wider[1]].end - spans[wider[0]].start <= WINDOW_CHARS:
            first, last = wider
    return first, last


def _citation(source: Text, start: int) -> str:
    if source.tier == "core":
        return f"core memory, {source.speaker}"
    if source.tier == "recall":
        return ", ".join(part for part in (source.speaker, source.time) if part)
    name = re.split(r"[/\\]", source.speaker)[-1] if source.tier == "documents" else "archival memory"
    if source.page is not None:
        return f"{name}, page {source.page}"
    if source.line is not None:
        return f"{name}, line {source.line + source.text.count(chr(10), 0, start)}"
    return ", ".join(part for part in (name, source.time) if part)


def _union(sets: list[set[str]]) -> set[str]:
    return {word for one in sets for word in one}
