"""Token estimates, against counts of the o200k vocabulary."""

from __future__ import annotations

import pytest

from memos.tokens import EstimateCounter, estimate_tokens

COUNTED = [
    ("Ada collects trilobites, and she has done so since 1987.", 16),
    ("def total(items: list[int]) -> int:\n    return sum(items)\n", 15),
    ("吾輩は猫である。名前はまだ無い。", 14),
    ("Все счастливые семьи похожи друг на друга.", 10),
    ('{"name": "send_message", "arguments": {"message": "Hello"}}', 16),
]
"""Texts with their tokens in o200k_base."""


@pytest.mark.parametrize(("text", "true_tokens"), COUNTED)
def test_the_counter_is_never_below_the_truth(text: str, true_tokens: int) -> None:
    assert 0.8 * true_tokens <= estimate_tokens(text) <= 1.8 * true_tokens
    assert EstimateCounter().count(text) >= true_tokens


@pytest.mark.parametrize("text", ["", "a", "!", "!!!!", "日本", "é", "1 2 3 4", "\n\n", "\ud800"])
def test_never_more_than_the_bytes(text: str) -> None:
    assert EstimateCounter().count(text) <= len(text.encode("utf-8", "surrogatepass"))


def test_empty_text_takes_nothing() -> None:
    assert EstimateCounter().count("") == estimate_tokens("") == 0


@pytest.mark.parametrize("text", ["x" * 1000, "7" * 1000, "Ж" * 1000, "日" * 1000, "🦕" * 1000, "!" * 1000, "ा" * 1000])
def test_long_runs_are_not_one_token(text: str) -> None:
    assert estimate_tokens(text) >= 100
