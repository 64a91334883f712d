"""The log keeps what it is given, in order, and finds what was said."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from memos.errors import AgentNotFound, UsageError
from memos.messages import Message, ToolCall
from memos.storage import schema
from memos.storage.recall import SqliteRecall
from memos.storage.scope import Scope

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))


def said(text: str, at: datetime = NOON, name: str | None = None) -> Message:
    return Message("user", "user_message", text, at, name=name)


@pytest.fixture
def recall(scope: Scope) -> SqliteRecall:
    return SqliteRecall(scope)


def test_a_message_comes_back_as_it_went_in(recall: SqliteRecall) -> None:
    message = Message(
        role="assistant",
        kind="reply",
        text="héllo\x00 \r\n\t 😀",
        created_at=NOON.replace(microsecond=123457),
        header="[12:00] ",
        name="Ada",
        thoughts="hm",
        calls=(ToolCall("c1", "send_message", '{"message": "\\ud800 broken'), ToolCall("c2", "x", "")),
        call_id="c0",
        status="partial",
    )
    stored = recall.append(message)
    (read,) = recall.read(1)
    assert read == stored
    assert (read.id, read.created_at.utcoffset()) == (1, timedelta(hours=5, minutes=30))
    assert read.text == message.text
    assert read.calls == message.calls


def test_ids_count_up_per_agent(recall: SqliteRecall, new_agent: Callable[[str], Scope]) -> None:
    other = SqliteRecall(new_agent("bob"))
    assert [recall.append(said(text)).id for text in "abc"] == [1, 2, 3]
    assert other.append(said("mine")).id == 1
    assert (recall.last_id(), recall.count(), other.last_id(), other.count()) == (3, 3, 1, 1)


def test_an_empty_log(recall: SqliteRecall) -> None:
    assert (recall.last_id(), recall.count(), recall.read(1)) == (0, 0, [])
    assert recall.search("anything", limit=5).total == 0


def test_read_takes_a_range(recall: SqliteRecall) -> None:
    for text in "abcde":
        recall.append(said(text))
    assert [message.text for message in recall.read(2, 4)] == ["b", "c", "d"]
    assert [message.text for message in recall.read(3, limit=2)] == ["c", "d"]
    assert recall.read(6) == []


def test_what_is_rolled_back_was_never_said(recall: SqliteRecall, scope: Scope) -> None:
    with contextlib.suppress(KeyError), scope.database.write():
        recall.append(said("lost trilobite"))
        assert recall.search("trilobite", limit=5).total == 1
        raise KeyError
    assert recall.search("trilobite", limit=5).total == 0
    assert recall.append(said("kept")).id == 1


def test_threads_get_ids_of_their_own(recall: SqliteRecall) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = [stored.id for stored in pool.map(recall.append, [said(f"n{number}") for number in range(40)])]
    assert sorted(ids) == list(range(1, 41))
    assert recall.search("n7", limit=5).total == 1


def test_refuses_a_time_without_a_zone_and_an_agent_that_is_gone(recall: SqliteRecall, scope: Scope) -> None:
    with pytest.raises(UsageError, match="time zone"):
        recall.append(said("x", datetime(2024, 1, 1)))  # noqa: DTZ001
    with scope.database.write() as connection:
        connection.execute(sa.delete(schema.agents))
    with pytest.raises(AgentNotFound):
        recall.append(said("x"))


def test_lone_surrogates_do_not_stop_a_message(recall: SqliteRecall) -> None:
    assert recall.append(said("a\ud800b", name="\udfff")).text == "a\ufffdb"
    assert recall.read(1)[0].text == "a\ufffdb"


def test_search_covers_what_was_spoken_and_nothing_else(recall: SqliteRecall) -> None:
    call = ToolCall("1", "send_message", '{"message": "You collect trilobites."}')
    recall.append(said("I collect trilobites", name="Ada"))
    recall.append(Message("assistant", "reply", "", NOON, thoughts="trilobites?", calls=(call,)))
    recall.append(Message("tool", "result", "trilobites", NOON, name="archival_memory_search"))
    recall.append(Message("user", "system_alert", "trilobites", NOON))
    page = recall.search("trilobite", limit=5)
    assert page.total == 2
    assert {(hit.tier, hit.id, hit.text, hit.role, hit.name) for hit in page.hits} == {
        ("recall", "1", "I collect trilobites", "user", "Ada"),
        ("recall", "2", "You collect trilobites.", "assistant", None),
    }
    assert page.hits[0].created_at == NOON
    assert recall.search("Ada", limit=5).hits[0].id == "1"


def test_search_pages_are_stable_and_know_the_total(recall: SqliteRecall) -> None:
    for number in range(23):
        recall.append(said(f"apple pie number {number}"))
    recall.append(said("apple apple"))
    pages = [recall.search("apple", limit=5, offset=offset) for offset in range(0, 30, 5)]
    assert {page.total for page in pages} == {24}
    ids = [hit.id for page in pages for hit in page.hits]
    assert ids[0] == "24"
    assert ids[1:] == [str(number) for number in range(23, 0, -1)]  # equal scores: the newest first
    scores = [hit.score for page in pages for hit in page.hits]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0


def test_search_and_between_take_a_period(recall: SqliteRecall) -> None:
    for day in range(1, 6):
        recall.append(said(f"walk {day}", datetime(2024, 5, day, tzinfo=UTC)))
    recall.append(Message("assistant", "reply", "", datetime(2024, 5, 3, tzinfo=UTC), thoughts="silent"))
    start, end = datetime(2024, 5, 2, tzinfo=UTC), datetime(2024, 5, 4, tzinfo=UTC)
    assert {hit.text for hit in recall.search("walk", limit=9, start=start, end=end).hits} == {"walk 2", "walk 3"}
    page = recall.between(start, datetime(2024, 5, 9, tzinfo=UTC), limit=2, offset=1)
    assert (page.total, [hit.text for hit in page.hits]) == (4, ["walk 3", "walk 4"])


def test_between_lists_what_was_spoken_by_time_and_then_by_place(recall: SqliteRecall) -> None:
    noon, later = datetime(2024, 5, 1, 12, tzinfo=UTC), datetime(2024, 5, 1, 13, tzinfo=UTC)
    aloud = ToolCall("c1", "send_message", '{"message": "aloud"}')
    unreadable = ToolCall("c2", "send_message", '{"message": 7}')
    for message in (
        said("later", later),
        said("first", noon),
        Message("assistant", "reply", "", noon, calls=(aloud,)),
        Message("assistant", "reply", "", noon, thoughts="silent", calls=(unreadable,)),
        Message("tool", "result", "a result", noon, name="send_message"),
        Message("user", "system_alert", "an alert", noon),
        said("", noon),
        said("second", noon),
    ):
        recall.append(message)
    whole = recall.between(noon, later + timedelta(hours=1), limit=10)
    assert (whole.total, [hit.text for hit in whole.hits]) == (4, ["first", "aloud", "second", "later"])
    for offset in range(6):
        page = recall.between(noon, later + timedelta(hours=1), limit=2, offset=offset)
        assert (page.total, page.offset) == (4, offset)
        assert page.hits == whole.hits[offset : offset + 2]
    assert recall.between(noon, later, limit=10).total == 3


def test_a_fork_lists_its_own_days_only(
    recall: SqliteRecall, scope: Scope, fork: Callable[[Scope, int], Scope]
) -> None:
    for text in ("shared", "old"):
        recall.append(said(text))
    branch = SqliteRecall(fork(scope, 1))
    branch.append(said("new"))
    for log, texts in ((recall, ["shared", "old"]), (branch, ["shared", "new"])):
        page = log.between(NOON, NOON + timedelta(hours=1), limit=5)
        assert (page.total, [hit.text for hit in page.hits]) == (2, texts)
        assert log.between(NOON, NOON + timedelta(hours=1), limit=1, offset=1).hits == page.hits[1:]


def test_listing_a_period_reads_a_page_and_counts_by_the_index(recall: SqliteRecall, scope: Scope) -> None:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    recall.append(said("one"))
    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        recall.between(NOON, NOON + timedelta(hours=1), limit=1)
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)

    plans: list[str] = []
    with scope.database.read() as connection:
        for statement in asked:
            if "FROM messages" in statement:
                slots = (NOON.timestamp(),) * statement.count("?")
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", slots)
                plans.append("; ".join(row.detail for row in rows))
    count, page = plans
    assert "COVERING INDEX ix_messages_agent_id_spoken_created_at" in count
    assert "(agent_id=? AND spoken=? AND created_at>? AND created_at<?)" in page
    assert "TEMP B-TREE" not in page


def test_an_agent_finds_only_its_own_words(recall: SqliteRecall, new_agent: Callable[[str], Scope]) -> None:
    recall.append(said("secret"))
    other = SqliteRecall(new_agent("bob"))
    assert other.search("secret", limit=5).total == 0
    assert other.read(1) == []


def test_a_fork_shares_the_past_only(recall: SqliteRecall, scope: Scope, fork: Callable[[Scope, int], Scope]) -> None:
    for text in ("shared fish", "old fish"):
        recall.append(said(text))
    branch = SqliteRecall(fork(scope, 1))
    branch.append(said("new fish"))
    assert [message.text for message in branch.read(1)] == ["shared fish", "new fish"]
    assert {hit.text for hit in branch.search("fish", limit=5).hits} == {"shared fish", "new fish"}
    assert branch.search("fish", limit=1).total == 2
    assert (branch.last_id(), branch.count()) == (3, 2)
    assert {hit.text for hit in recall.search("fish", limit=5).hits} == {"shared fish", "old fish"}
