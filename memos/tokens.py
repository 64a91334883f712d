"""Token counters: an estimate on the safe side, and the exact count where the tokenizer is known.

What is counted here is text alone: the overhead of a chat template is the budget's business. Nothing
is ever fetched: the ranks of OpenAI's vocabulary ship with memos.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

SAFETY_PERCENT = 130
"""What an estimate is raised to before it is trusted as an upper bound."""

_RANKS_VARIABLE = "TIKTOKEN_CACHE_DIR"

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_ASTRAL = re.compile(r"[\U00010000-\U0001ffff]")
_PIECE = re.compile(
    r"[A-Z]{1,3}(?![a-z])"  # capitals in a row: byte pairs merge few of them
    r"|[A-Za-z\u00c0-\u024f][a-z\u00df-\u024f]{0,8}"  # a word of everyday length, or a part of a long one
    r"|\d{1,3}"
    r"|[\u0370-\u1fff]{1,3}"  # other alphabets with their vowel signs: vocabularies know shorter pieces of them
    r"|[^\w\s]{1,2}|_+|\n+|[ \t]{2,}"
    r"|\w"
)
"""Roughly what byte-pair vocabularies make one token of; a single space joins the word after it."""


def estimate_tokens(text: str) -> int:
    """Tokens of `text` by a rule of thumb: near the truth for prose and code, never a bound."""
    if text.isascii():
        return len(_PIECE.findall(text))
    rest, cjk_count = _CJK.subn(" ", text)
    rest, astral_count = _ASTRAL.subn(" ", rest)  # an emoji takes two tokens, a rare letter up to four
    return len(_PIECE.findall(rest)) + -(-cjk_count * 3 // 4) + 2 * astral_count


def head_within(text: str, limit_tokens: int, count_tokens: Callable[[str], int]) -> int:
    """How many characters of `text` may stand so that they count at most `limit_tokens`: near the most, never more."""
    shown = len(text)
    while shown > 0 and (size := count_tokens(text[:shown])) > limit_tokens:
        shown = min(shown - 1, shown * limit_tokens // size)
    return shown


class EstimateCounter:
    """Counts on the safe side for an unknown tokenizer."""

    def count(self, text: str) -> int:
        """The estimate raised by its margin; at most the bytes, of which no byte-level token takes fewer than one."""
        raised = -(-estimate_tokens(text) * SAFETY_PERCENT // 100)
        return min(raised, len(text.encode("utf-8", "surrogatepass")))


class O200kCounter:
    """Counts as GPT-4o and later models do. Loading takes a second and 140 MB, so only who needs it asks."""

    def __init__(self) -> None:
        self._encoding = _o200k()

    def count(self, text: str) -> int:
        """Tokens of `text`; what looks like a control token is counted as the plain text it is."""
        return len(self._encoding.encode(text, disallowed_special=()))


@cache
def _o200k() -> tiktoken.Encoding:
    """The vocabulary from the ranks that ship with memos. tiktoken finds them by its own name for the file."""
    import tiktoken

    with as_file(files("memos.backends").joinpath("ranks")) as folder:
        before = os.environ.get(_RANKS_VARIABLE)
        os.environ[_RANKS_VARIABLE] = str(folder)
        try:
            return tiktoken.get_encoding("o200k_base")
        finally:
            if before is None:
                del os.environ[_RANKS_VARIABLE]
            else:
                os.environ[_RANKS_VARIABLE] = before
