"""Token counters for models whose own tokenizer is not at hand.

Exact counting belongs to the backends that have a tokenizer. What is counted here is text alone:
the overhead of a chat template is the budget's business, and no network, file or model is touched.
"""

from __future__ import annotations

import re

SAFETY_PERCENT = 130
"""What an estimate is raised to before it is trusted as an upper bound."""

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


class EstimateCounter:
    """Counts on the safe side for an unknown tokenizer."""

    def count(self, text: str) -> int:
        """The estimate raised by its margin; at most the bytes, of which no byte-level token takes fewer than one."""
        raised = -(-estimate_tokens(text) * SAFETY_PERCENT // 100)
        return min(raised, len(text.encode("utf-8", "surrogatepass")))
