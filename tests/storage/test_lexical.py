"""Any text can be indexed, any string can be asked, and what was written is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memos.messages import storable
from memos.storage.lexical import MAX_QUERY_WORDS, index_words, match_query

Find = Callable[..., list[str]]

NAUGHTY = [
    "", " ", '"', '""', "'", "'; DROP TABLE messages; --", "AND", "OR", "NOT", "NEAR", "NEAR(a b, 2)", "a AND", "OR b",
    "a-b", "-a", "+a", "col:x", "words:x", "owner:a2", "{owner words}: x", "*", "a*", "^a", "a + b", "(", ")", "((a)",
    "\\", "%", "_", "___", "\x00", "a\x00b", "\ud800", "a\udfffb", "😀", "\u200d", "\u0300", "\u202e", "ﷺ", "²", "ß",
    "İ", "私", "ネコが好き", "กรุงเทพ", "مرحبا بالعالم", "हिन्दी", "부산", "Ω≈ç√", "x" * 100_000, "猫" * 10_000,
    " ".join(f"w{i}" for i in range(10_000)), "the of and", "\n\t", "<script>", "${jndi}", "\ufeff", "1/0", "٣", "①",
]  # fmt: skip


@pytest.fixture(scope="module")
def find() -> Iterator[Find]:
    """Ask the one text given, or all."""
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE VIRTUAL TABLE t USING fts5(owner, words, content='', tokenize='porter unicode61 remove_diacritics 2')"
    )

    def run(query: str, *texts: str, owner: str = "a1") -> list[str]:
        connection.execute("INSERT INTO t(t) VALUES ('delete-all')")
        for number, text in enumerate(texts):
            connection.execute("INSERT INTO t(rowid, owner, words) VALUES (?, 'a1', ?)", (number, index_words(text)))
        match = match_query(query, [owner])
        if match is None:
            return []
        return [
            texts[row[0]] for row in connection.execute("SELECT rowid FROM t WHERE t MATCH ? ORDER BY rank", (match,))
        ]

    yield run
    connection.close()


@pytest.mark.parametrize("query", NAUGHTY, ids=lambda query: ascii(query[:12]))
def test_any_string_is_a_safe_question_and_a_safe_text(find: Find, query: str) -> None:
    find(query, "harmless", query)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=60))
def test_random_text_is_safe(find: Find, text: str) -> None:
    find(text, text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("trilobite", "I collect trilobites."),
        ("LIVES", "he lived there"),
        ("cafe", "a Café at noon"),
        ("parse_json", "call parse_json(text)"),
        ("json", "call parse_json(text)"),
        ("HTTPServer", "class HTTPServer:"),
        ("httpserver", "class HTTPServer:"),
        ("server", "class HTTPServer:"),
        ("HTTPServer", "an http thing"),
        ("ネコ", "私はネコが好きです"),
        ("猫", "黒い猫"),
        ("猫", "猫が好き"),
        ("ｶﾞｷﾞ", "ガギグ"),
        ("東京", "I live in東京now"),
        ("now", "I live in東京now"),
        ("กรุงเทพ", "ไปกรุงเทพมหานคร"),
        ("서울", "부산에서 서울까지"),
        ("हिन्दी", "वह हिन्दी बोलता है"),
        ("بالعالم", "مرحبا بالعالم"),
        ("don't", "I don't know"),
        ("who am I", "who am I"),
    ],
)
def test_finds(find: Find, query: str, text: str) -> None:
    assert find(query, "nothing of the kind", text) == [text]


def test_a_run_of_an_unspaced_script_is_not_one_word() -> None:
    assert "ネコが" not in index_words("ネコが好き")
    assert index_words("ネコ犬").split() == ["ネコ", "コ犬", "犬"]


def test_stop_words_count_only_alone() -> None:
    assert match_query("where is the dog", ["a1"]) == 'owner : (a1) AND words : ("dog")'
    assert match_query("who is it", ["a1"]) == 'owner : (a1) AND words : ("who" OR "is" OR "it")'


def test_the_number_of_words_is_capped() -> None:
    match = match_query(" ".join(f"w{i}" for i in range(1000)), ["a1"])
    assert match is not None
    assert match.count('"w') == MAX_QUERY_WORDS


def test_only_the_owners_rows_are_found(find: Find) -> None:
    assert find("dog", "dog", owner="a12") == []
    assert match_query("dog", []) is None
    assert match_query("dog", ["a12", "d7"]) == 'owner : (a12 OR d7) AND words : ("dog")'


def test_the_better_fit_comes_first(find: Find) -> None:
    texts = ("a red house", "a red ball in a red box", "green")
    assert find("red ball", *texts) == [texts[1], texts[0]]


def test_lone_surrogates_are_replaced_one_for_one() -> None:
    assert storable("a\ud800b") == "a\ufffdb"
    assert storable("😀") == "😀"
