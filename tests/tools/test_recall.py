"""Finding what was said: true totals, whole days where the agent lives, long messages page by page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from memos.accept import to_message
from memos.events import Login, UserMessage
from memos.hits import parse_page
from memos.messages import Message, ToolCall
from memos.tokens import estimate_tokens

ROME = ZoneInfo("Europe/Rome")


def hear(use: Any, text: str, at: datetime | None = None) -> Message:
    stored: Message = use.context.recall.append(to_message(UserMessage(text), at or use.clock.now()))
    return stored


def test_pages_show_the_true_total(use: Any) -> None:
    for number in range(12):
        hear(use, f"Fossil number {number}.")
    first = use.ok("conversation_search", query="fossil")
    last = use.ok("conversation_search", query="fossil", page=3)
    assert first.startswith("Results 1-5 of 12 (page 1 of 3).")
    assert last.startswith("Results 11-12 of 12 (page 3 of 3).")
    pages = [parse_page(use.ok("conversation_search", query="fossil", page=page)) for page in (1, 2, 3)]
    assert len({hit["id"] for page in pages for hit in page}) == 12
    assert use.ok("conversation_search", query="fossil", page=4) == "No results on page 4; 12 in all."
    assert use.ok("conversation_search", query="meteorite") == "No results."
    assert "count from 1" in use.failed("conversation_search", query="fossil", page=0)


def test_the_agents_own_words_are_found_and_tool_chatter_is_not(use: Any) -> None:
    sent = ToolCall("c1", "send_message", '{"message": "I adore trilobites."}')
    other = ToolCall("c2", "archival_memory_insert", '{"content": "trilobites"}')
    recall = use.context.recall
    recall.append(Message("assistant", "reply", "", use.clock.now(), thoughts="trilobites", calls=(sent, other)))
    recall.append(Message("tool", "result", "trilobites", use.clock.now(), name="look", call_id="c2"))
    recall.append(Message("user", "system_alert", "trilobites", use.clock.now()))
    recall.append(to_message(Login(), use.clock.now()))
    hits = parse_page(use.ok("conversation_search", query="trilobites"))
    assert [(hit["text"], hit["from"], hit["time"]) for hit in hits] == [
        ("I adore trilobites.", "assistant", "2026-03-10 12:00")
    ]


def test_both_days_are_included_where_the_agent_lives(use: Any) -> None:
    use.clock.moment = datetime(2026, 3, 10, 12, tzinfo=ROME)
    for stamp in ("2026-03-08T23:59:59", "2026-03-09T00:00:00", "2026-03-10T23:59:59", "2026-03-11T00:00:00"):
        hear(use, f"Said at {stamp}.", datetime.fromisoformat(stamp).replace(tzinfo=ROME).astimezone(UTC))
    listed = parse_page(use.ok("conversation_search_date", start_date="2026-03-09", end_date="2026-03-10"))
    assert [hit["text"] for hit in listed] == ["Said at 2026-03-09T00:00:00.", "Said at 2026-03-10T23:59:59."]
    found = parse_page(use.ok("conversation_search", query="said", start="2026-03-09", end="2026-03-10"))
    assert {hit["id"] for hit in found} == {hit["id"] for hit in listed}
    one = use.ok("conversation_search_date", start_date="2026-03-09", end_date="2026-03-09")
    assert one.startswith("Results 1-1 of 1 ")


def test_a_day_of_the_clock_change_is_whole(use: Any) -> None:
    use.clock.moment = datetime(2026, 3, 30, 12, tzinfo=ROME)
    hear(use, "Just before midnight.", datetime(2026, 3, 29, 23, 30, tzinfo=ROME))
    hear(use, "Just after midnight.", datetime(2026, 3, 30, 0, 30, tzinfo=ROME))
    shown = parse_page(use.ok("conversation_search_date", start_date="2026-03-29", end_date="2026-03-29"))
    assert [hit["text"] for hit in shown] == ["Just before midnight."]


@pytest.mark.parametrize("date", ["yesterday", "2026-13-01", "", "10.3.2026"])
def test_what_is_no_date_is_refused(use: Any, date: str) -> None:
    assert "YYYY-MM-DD" in use.failed("conversation_search_date", start_date=date, end_date="2026-03-10")


@pytest.mark.parametrize("end", ["9999-12-31", "0001-01-01"])
def test_dates_at_the_edge_of_the_calendar_do_not_crash(use: Any, end: str) -> None:
    outcome = use("conversation_search", query="fossil", end=end)
    assert "OverflowError" not in outcome.text
    assert "raised" not in outcome.text


def test_swapped_days_are_refused(use: Any) -> None:
    assert "swap" in use.failed("conversation_search_date", start_date="2026-03-10", end_date="2026-03-09")


def test_a_long_hit_is_marked_as_cut_and_read_whole(use: Any) -> None:
    text = "fossil " * 2_000
    stored = hear(use, text)
    (hit,) = parse_page(use.ok("conversation_search", query="fossil"))
    assert hit["cut"] is True
    assert text.startswith(str(hit["text"]))
    assert hit["id"] == str(stored.id)


def test_a_page_of_long_hits_stays_within_the_results_budget(use: Any) -> None:
    for number in range(9):
        hear(use, f"fossil {number} " * 500)
    assert estimate_tokens(use.ok("conversation_search", query="fossil")) <= use.context.result_limit_tokens


def test_open_memory_reads_all_of_it_in_order(use: Any) -> None:
    text = "".join(f"{number}\n" for number in range(3_000))
    stored = hear(use, text)
    read, start = "", 0
    while True:
        shown = use.ok("open_memory", id=stored.id, start_char=start)
        assert estimate_tokens(shown) <= use.context.result_limit_tokens
        header, _, body = shown.partition("\n")
        read += body
        assert header.startswith(f"Message {stored.id}, characters {start}-{len(read)} of {len(text)}.")
        more = re.search(r"start_char=(\d+)", header)
        if more is None:
            break
        start = int(more[1])
        assert start == len(read)
    assert read == text


def test_open_memory_refuses_what_is_not_there(use: Any) -> None:
    stored = hear(use, "Hello.")
    assert "no message or passage '99'" in use.failed("open_memory", id=99)
    assert "6 characters" in use.failed("open_memory", id=stored.id, start_char=7)
    assert "6 characters" in use.failed("open_memory", id=stored.id, start_char=-1)
    assert use.ok("open_memory", id=stored.id).endswith("\nHello.")


def test_time_is_that_of_the_saying_not_of_the_search(use: Any) -> None:
    hear(use, "A fossil.")
    use.clock.moment += timedelta(days=400)
    (hit,) = parse_page(use.ok("conversation_search", query="fossil"))
    assert hit["time"] == "2026-03-10 12:00"
