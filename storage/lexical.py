"""What full-text search reads: the words of a text, and the words of a question.

SQLite's tokenizer splits at everything but letters and digits, folds case and accents, and stems
English. It cannot split scripts that write no spaces, nor `camelCase`; both are prepared here, the
same way for what is stored and what is asked. This module opens no database.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence

from memos.messages import storable

MAX_QUERY_WORDS = 64
"""More than any question needs; each costs a look-up."""
MAX_WORD_CHARS = 256

# Han, kana, bopomofo, Hangul (spaced, but its particles cling), Thai, Lao, Burmese, Khmer.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u3100-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
# Signs that sit inside words but are no letters to `re`: accents, points, vowel signs of Indic scripts.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0963"
    "\u0966-\u0dff\u0f18-\u0f19\u0f35-\u0f39\u0f71-\u0f84\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_UNSPACED_RUN = re.compile(f"[{_UNSPACED}]+")
_WORD = re.compile(rf"(?P<run>[{_UNSPACED}]+)|[^\W{_UNSPACED}][\w{_MARKS}]*?(?=[{_UNSPACED}]|[^\w{_MARKS}]|\Z)")
# Newer emoji and the like, which SQLite's older Unicode tables take for letters.
_FOREIGN_SIGN = re.compile(rf"[^\w\x00-\x7f{_MARKS}]")
_CAMEL = re.compile(r"\b[A-Za-z0-9_]*(?:[a-z][A-Z]|[A-Z]{2}[a-z]{2})[A-Za-z0-9_]*")
_CAMEL_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z0-9]+")

# Function words of English; the single letters are what an apostrophe leaves behind.
_STOP_WORDS = """
    a about above after again against all also am an and any are aren as at be because been before being below
    between both but by can cannot could couldn d did didn do does doesn doing don down during each few for from
    further had hadn has hasn have haven having he her here hers herself him himself his how i if in into is isn it
    its itself just ll m me mightn more most mustn my myself needn no nor not now o of off on once only or other our
    ours ourselves out over own re s same shan she should shouldn so some such t than that the their theirs them
    themselves then there these they this those through to too under until up ve very was wasn we were weren what
    when where which while who whom why will with won would wouldn y you your yours yourself yourselves
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def index_words(text: str) -> str:
    """The text as the full-text index takes it.

    Unspaced scripts stand as pairs of characters, each run closed by its last character, so that any
    single one begins some word; parts of camelCase are added at the end.
    """
    parts = [part for match in _CAMEL.finditer(text) for part in _CAMEL_PART.findall(match.group())]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", storable(text))
        text = _FOREIGN_SIGN.sub(" ", text)
        text = _UNSPACED_RUN.sub(lambda match: f" {' '.join(_pairs(match.group(), closed=True))} ", text)
    return f"{text}\n{' '.join(parts)}" if parts else text


def match_query(text: str, owners: Sequence[str]) -> str | None:
    """An FTS5 expression for any of the text's words in rows of any of these owners; None if there is nothing to find.

    Stop words count only where there is nothing else.
    """
    if not owners:
        return None
    words: dict[str, str] = {}
    stops: dict[str, str] = {}
    for word, term in _terms(text):
        (stops if word in STOP_WORDS else words).setdefault(word, term)
        if len(words) >= MAX_QUERY_WORDS:
            break
    terms = list((words or stops).values())[:MAX_QUERY_WORDS]
    if not terms:
        return None
    return f"owner : ({' OR '.join(owners)}) AND words : ({' OR '.join(terms)})"


def _terms(text: str) -> Iterator[tuple[str, str]]:
    """Each searchable word and the FTS5 term that finds it."""
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text)):
        if match["run"]:
            yield from ((pair, f'"{pair}"' + " *" * (len(pair) == 1)) for pair in _pairs(match["run"], closed=False))
            continue
        word = match.group()
        if len(word) > MAX_WORD_CHARS:  # stored whole, so its head finds it as a prefix only
            yield word.lower(), f'"{word[:MAX_WORD_CHARS]}" *'
            continue
        whole = [word] if any(map(str.isalnum, word)) else []
        parts = re.findall(r"[^_]+", word) if "_" in word else []
        if _CAMEL.fullmatch(word):
            parts += _CAMEL_PART.findall(word)
        for part in dict.fromkeys(whole + parts):
            yield part.lower(), f'"{part}"'


def _pairs(run: str, *, closed: bool) -> Iterator[str]:
    """Overlapping pairs of a run's letters; marks are left out, since the tokenizer would split at them."""
    letters = [char for char in run if char.isalnum()]
    yield from (first + second for first, second in itertools.pairwise(letters))
    if letters and (closed or len(letters) == 1):
        yield letters[-1]
