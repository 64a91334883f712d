"""What an agent stores for itself: once, findable at once, hidden by deletion on its own timeline only."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from memos.errors import UsageError
from memos.hits import DocumentInfo
from memos.storage import schema, search
from memos.storage.archival import CHUNK_CHARS, SqliteArchival
from memos.storage.documents import SqliteDocuments
from memos.storage.recall import SqliteRecall
from memos.storage.scope import Scope
from memos.storage.vectors import VectorIndex


@pytest.fixture
def archival(scope: Scope, index: VectorIndex) -> SqliteArchival:
    return SqliteArchival(scope, index)


def texts(archival: SqliteArchival, query: str, **options: Any) -> list[str]:
    return [hit.text for hit in archival.search(query, limit=20, **options).hits]


def rows(scope: Scope, table: sa.Table) -> int:
    with scope.database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_what_is_stored_is_found(archival: SqliteArchival, clock: Any) -> None:
    (passage,) = archival.insert("  Ada keeps her trilobites in the cellar.\n", tags=["fossils", "home"])
    inserted = clock.now()
    clock.advance(timedelta(days=3))
    page = archival.search("Where is the trilobite?", limit=5)
    (hit,) = page.hits
    assert (page.total, hit.tier, hit.id, hit.text) == (1, "archival", passage.id, passage.text)
    assert (hit.created_at, hit.tags, hit.source, hit.line_start) == (inserted, ("fossils", "home"), None, None)
    assert passage.text == "Ada keeps her trilobites in the cellar."
    assert archival.count() == 1


def test_the_same_content_is_stored_once(archival: SqliteArchival, scope: Scope, clock: Any) -> None:
    (first,) = archival.insert("Rex is a dog.", tags=["pets"])
    clock.advance(timedelta(days=1))
    assert archival.insert("Rex is a dog.") == (first,)
    assert (rows(scope, schema.passages), rows(scope, schema.placements), archival.count()) == (1, 1, 1)
    (tagged,) = archival.insert(" Rex is a dog. ", tags=["dogs"])
    assert (tagged.tags, tagged.created_at) == (("pets", "dogs"), first.created_at)
    assert (rows(scope, schema.passages), rows(scope, schema.index_log), archival.count()) == (1, 1, 1)
    assert texts(archival, "dog") == ["Rex is a dog."]


def test_long_text_is_chunked_at_borders(archival: SqliteArchival) -> None:
    sentences = [f"Sentence number {number} tells of the sea and its fish." for number in range(100)]
    passages = archival.insert("\n\n".join(sentences))
    assert len(passages) > 4
    assert all(len(passage.text) <= CHUNK_CHARS for passage in passages)
    assert " ".join(" ".join(passage.text for passage in passages).split()) == " ".join(sentences)
    assert all(passage.text.endswith(".") for passage in passages)


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_refuses_an_empty_text(archival: SqliteArchival, text: str) -> None:
    with pytest.raises(UsageError):
        archival.insert(text)


def test_lone_surrogates_and_odd_tags_are_stored(archival: SqliteArchival) -> None:
    (passage,) = archival.insert("fish \ud800 bone", tags=["a'b", "ü"])
    assert texts(archival, "fish bone", tags=["ü", "a'b"]) == [passage.text]


def test_deletion_hides_and_insertion_brings_back(archival: SqliteArchival, index: VectorIndex, scope: Scope) -> None:
    (passage,) = archival.insert("Rex is a dog.", tags=["pets"])
    archival.insert("Dogs bark.")
    index.apply_pending()
    assert archival.delete(passage.id)
    assert not archival.delete(passage.id)
    assert not archival.delete("unknown")
    assert (texts(archival, "Rex dog"), archival.count()) == (["Dogs bark."], 1)
    (again,) = archival.insert("Rex is a dog.")
    assert (again.id, again.tags) == (passage.id, ())
    assert texts(archival, "Rex")[0] == "Rex is a dog."
    assert rows(scope, schema.passages) == 2


def test_hidden_passages_do_not_crowd_out_visible_ones(
    archival: SqliteArchival, index: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "VECTOR_CANDIDATES", 2)
    for number in range(12):
        (passage,) = archival.insert(f"puppy number {number}")
        archival.delete(passage.id)
    archival.insert("A young hound.")
    index.apply_pending()
    assert texts(archival, "puppy") == ["A young hound."]


def test_tags_must_all_be_there(archival: SqliteArchival) -> None:
    archival.insert("red fish", tags=["red", "sea"])
    archival.insert("blue fish", tags=["blue", "sea"])
    assert set(texts(archival, "fish", tags=["sea"])) == {"red fish", "blue fish"}
    assert texts(archival, "fish", tags=["sea", "red"]) == ["red fish"]
    assert archival.search("fish", limit=5, tags=["land"]).total == 0


def test_a_fork_sees_the_past_and_goes_its_own_way(
    archival: SqliteArchival, scope: Scope, index: VectorIndex, fork: Callable[[Scope, int], Scope]
) -> None:
    recall = SqliteRecall(scope)
    from memos.messages import Message

    recall.append(Message("user", "user_message", "hi", scope.clock.now()))
    (old,) = archival.insert("old fish")
    recall.append(Message("user", "user_message", "ho", scope.clock.now()))
    archival.insert("later fish")
    branch = SqliteArchival(fork(scope, 1), index)
    assert (texts(branch, "fish"), branch.count()) == (["old fish"], 1)
    branch.delete(old.id)
    branch.insert("later fish")
    branch.insert("branch fish")
    assert set(texts(branch, "fish")) == {"later fish", "branch fish"}
    assert set(texts(archival, "fish")) == {"old fish", "later fish"}


def test_pages_are_stable_and_know_the_total(archival: SqliteArchival, index: VectorIndex) -> None:
    for number in range(130):
        archival.insert(f"Note {number}: {'apples ' * (number % 7)}and pears, kept in the {number % 11}th barrel.")
        if number == 100:
            index.apply_pending()
    pages = [archival.search("apples pears", limit=20, offset=offset) for offset in range(0, 160, 20)]
    assert {page.total for page in pages} == {130}
    ids = [hit.id for page in pages for hit in page.hits]
    assert len(ids) == len(set(ids)) == 130
    scores = [hit.score for page in pages for hit in page.hits]
    assert scores == sorted(scores, reverse=True)


def test_what_shares_no_word_is_found_by_nearness_and_nonsense_is_not(archival: SqliteArchival) -> None:
    archival.insert("The puppy chewed my shoe.")
    archival.insert("Quarterly tax returns are due.")
    assert texts(archival, "dogs") == ["The puppy chewed my shoe."]
    assert archival.search("xyzzy plugh", limit=5).total == 0
    assert archival.search("", limit=5).total == 0


def test_searches_documents_too_and_one_source_alone(
    archival: SqliteArchival, scope: Scope, index: VectorIndex, load: Callable[..., DocumentInfo]
) -> None:
    archival.insert("Trilobites are mine.")
    load("/books/fossils.txt", ["Trilobites are extinct.\n"])
    load("/books/other.txt", ["Trilobites are arthropods.\n"])
    assert texts(archival, "trilobites") == ["Trilobites are mine."]
    SqliteDocuments(scope, index).attach("/books/fossils.txt")
    found = {hit.text: hit for hit in archival.search("trilobites", limit=5).hits}
    assert set(found) == {"Trilobites are mine.", "Trilobites are extinct.\n"}
    hit = found["Trilobites are extinct.\n"]
    assert (hit.tier, hit.source, hit.line_start, hit.line_end) == ("documents", "/books/fossils.txt", 1, 2)
    assert texts(archival, "trilobites", source="fossils.txt") == ["Trilobites are extinct.\n"]
    assert archival.search("trilobites", limit=5, source="other.txt").total == 0


def test_agents_do_not_see_each_other(
    archival: SqliteArchival, index: VectorIndex, new_agent: Callable[[str], Scope]
) -> None:
    archival.insert("Ada's secret fish.")
    other = SqliteArchival(new_agent("bob"), index)
    assert other.search("secret fish", limit=5).total == 0
    (mine,) = archival.insert("shared words")
    (theirs,) = other.insert("shared words")
    assert mine.id != theirs.id
    assert not other.delete(mine.id)


def test_threads_storing_the_same_text_store_it_once(archival: SqliteArchival) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = {passages[0].id for passages in pool.map(archival.insert, ["one fish"] * 12)}
    assert len(ids) == archival.count() == 1


@pytest.mark.parametrize("missing", ["words", "vectors"])
def test_fusion_holds_when_a_leg_is_empty(missing: str) -> None:
    words = {} if missing == "words" else {1: 3.0, 2: 1.0}
    vectors = {} if missing == "vectors" else {1: 0.9, 2: 0.4}
    scores = search.fuse([1, 2], words, vectors)
    assert scores[1] > scores[2]


def test_fusion_ignores_a_leg_that_tells_nothing_apart() -> None:
    assert search.fuse([1, 2], {1: 2.0, 2: 2.0}, {1: 0.25, 2: 0.5}) == {1: -1.0, 2: 1.0}
    assert search.fuse([], {}, {}) == {}


def test_fusion_weighs_both_legs() -> None:
    scores = search.fuse([1, 2, 3], {1: 5.0, 2: 4.5}, {2: 0.8, 3: 0.3})
    assert max(scores, key=scores.__getitem__) == 2
