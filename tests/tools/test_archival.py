"""Passages kept and found again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from memos.hits import parse_page


def search(use: Any, **arguments: object) -> list[dict[str, object]]:
    return parse_page(use.ok("archival_memory_search", **arguments))


def test_what_is_stored_is_found_with_its_time_and_tags(use: Any) -> None:
    stored = use.ok("archival_memory_insert", content="Ada collects trilobites.", tags=["hobby"])
    use.clock.moment += timedelta(days=3)
    (hit,) = search(use, query="trilobites")
    assert str(hit["id"]) in stored
    assert (hit["text"], hit["tags"], hit["time"]) == ("Ada collects trilobites.", ["hobby"], "2026-03-10 12:00")


def test_the_same_content_is_stored_once(use: Any) -> None:
    first = use.ok("archival_memory_insert", content="Ada collects trilobites.")
    assert use.ok("archival_memory_insert", content="Ada collects trilobites.") == first
    assert use.context.archival.count() == 1


def test_pages_show_the_true_total(use: Any) -> None:
    for number in range(7):
        use.ok("archival_memory_insert", content=f"Fossil {number} of seven.")
    assert use.ok("archival_memory_search", query="fossil").startswith("Results 1-5 of 7 (page 1 of 2).")
    assert use.ok("archival_memory_search", query="fossil", page=2).startswith("Results 6-7 of 7 (page 2 of 2).")
    both = search(use, query="fossil") + search(use, query="fossil", page=2)
    assert len({hit["id"] for hit in both}) == 7
    assert "count from 1" in use.failed("archival_memory_search", query="fossil", page=-1)


def test_tags_and_source_confine_the_search(use: Any, ingest: Callable[[str, str], str]) -> None:
    source = ingest("cave.txt", "The fossil lay in the cave.\n")
    use.ok("archival_memory_insert", content="A fossil for Ada.", tags=["gift", "ada"])
    use.ok("archival_memory_insert", content="A fossil for Bea.", tags=["gift"])
    assert {hit["tier"] for hit in search(use, query="fossil")} == {"archival", "documents"}
    assert [hit["text"] for hit in search(use, query="fossil", tags=["gift", "ada"])] == ["A fossil for Ada."]
    (hit,) = search(use, query="fossil", source="cave.txt")
    assert (hit["source"], hit["line"]) == (source, 1)
    assert "time" not in hit


def test_nothing_is_not_stored(use: Any) -> None:
    assert "empty" in use.failed("archival_memory_insert", content=" \n")
    assert use.context.archival.count() == 0


def test_a_long_text_is_kept_in_pieces_that_are_all_found(use: Any) -> None:
    text = "\n\n".join(f"Layer {number} holds specimen{number}. " + "Slate and mud. " * 20 for number in range(12))
    use.context = replace(use.context, result_limit_tokens=4_000)
    stored = use.ok("archival_memory_insert", content=text)
    assert stored.count(",") + 1 == use.context.archival.count() > 1
    for number in range(12):
        assert any(f"specimen{number}." in str(hit["text"]) for hit in search(use, query=f"specimen{number}"))
