"""Window, blocks, receipts, turns, effects: appended, never overwritten, and read as of any point."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from memos.errors import StorageError, UsageError
from memos.messages import Message
from memos.records import Block, Window
from memos.storage import schema
from memos.storage.recall import SqliteRecall
from memos.storage.scope import Scope
from memos.storage.state import SqliteState

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def state(scope: Scope) -> SqliteState:
    return SqliteState(scope)


def say(scope: Scope, count: int) -> None:
    for number in range(count):
        SqliteRecall(scope).append(Message("user", "user_message", f"{number}", NOW))


def count(scope: Scope, table: sa.Table) -> int:
    with scope.database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def receipt(state: SqliteState, first: int, last: int, summary: str = "So far.") -> int:
    made = state.add_receipt(
        first_id=first, last_id=last, summary=summary, replaced_id=None, freed_tokens=10, model="extractive"
    )
    return made.id


def test_a_new_agent_sees_its_log_from_the_start(state: SqliteState) -> None:
    assert state.window() == Window()
    assert (state.blocks(), state.receipts(), state.last_turn()) == ((), [], None)


def test_the_newest_window_counts_and_the_earlier_ones_stay(scope: Scope, state: SqliteState) -> None:
    made = receipt(state, 1, 4)
    for window in (Window(2), Window(5, 4, made, 3), Window(7, None, made, 3)):
        state.move_window(window, "test")
        assert state.window() == window
        assert SqliteState(scope).window() == window
    assert count(scope, schema.windows) == 3


def test_blocks_keep_their_order_and_every_version(state: SqliteState) -> None:
    persona = state.add_block(Block("persona", "I am brief.", 50, "Who you are.", read_only=True), "test")
    human = state.add_block(Block("human", "", 60), "test")
    edited = state.edit_block("human", "Name: Ada.", "test")
    state.edit_block("human", "Name: Bea.", "test")
    assert persona.version < human.version < edited.version
    assert [(block.label, block.value) for block in state.blocks()] == [
        ("persona", "I am brief."),
        ("human", "Name: Bea."),
    ]
    assert [block.value for block in state.blocks(as_of=edited.version)] == ["I am brief.", "Name: Ada."]
    assert [block.value for block in state.blocks(as_of=human.version)] == ["I am brief.", ""]
    assert [block.label for block in state.blocks(as_of=persona.version)] == ["persona"]
    assert state.blocks()[0] == persona


def test_a_block_that_does_not_exist_cannot_be_edited(state: SqliteState) -> None:
    with pytest.raises(UsageError, match="no block 'nobody'"):
        state.edit_block("nobody", "x", "test")


def test_blocks_are_the_agents_own(state: SqliteState, new_agent: Callable[[str], Scope]) -> None:
    other = SqliteState(new_agent("bea"))
    state.add_block(Block("human", "Ada", 50), "test")
    other.add_block(Block("human", "Bea", 50), "test")
    other.edit_block("human", "Beatrice", "test")
    assert [block.value for block in state.blocks()] == ["Ada"]
    with pytest.raises(UsageError, match="no receipt"):
        other.receipt(receipt(state, 1, 2))
    assert other.receipts() == []


def test_receipts_are_listed_in_order_with_the_head_of_the_log(scope: Scope, state: SqliteState) -> None:
    say(scope, 5)
    first = receipt(state, 1, 2)
    say(scope, 2)
    second = receipt(state, 3, 4, "Later.")
    assert [(r.id, r.first_id, r.last_id, r.summary, r.at_message_id) for r in state.receipts()] == [
        (first, 1, 2, "So far.", 5),
        (second, 3, 4, "Later.", 7),
    ]
    assert state.receipt(second).summary == "Later."


def test_the_receipts_that_stand_are_those_that_the_window_leads_to(state: SqliteState) -> None:
    assert state.standing_receipts() == []
    first = receipt(state, 1, 2)
    undone = receipt(state, 3, 4)
    state.move_window(Window(3, None, first, 0), "undo")
    assert [r.id for r in state.standing_receipts()] == [first]
    last = state.add_receipt(
        first_id=3, last_id=6, summary="All.", replaced_id=first, freed_tokens=10, model="extractive"
    )
    state.move_window(Window(7, None, last.id, 0), "flush")
    assert [r.id for r in state.standing_receipts()] == [first, last.id]
    assert [r.id for r in state.receipts()] == [first, undone, last.id]


def test_another_timeline_sees_what_it_shares(
    scope: Scope, state: SqliteState, fork: Callable[[Scope, int], Scope]
) -> None:
    say(scope, 4)
    early = receipt(state, 1, 2)
    state.move_window(Window(3, None, early, 0), "early")
    branch = SqliteState(fork(scope, 4))
    say(scope, 4)
    late = receipt(state, 3, 6)
    state.move_window(Window(7, None, late, 0), "late")
    assert [r.id for r in branch.receipts()] == [early]
    assert branch.window() == Window(3, None, early, 0)
    assert state.window().first_id == 7


def test_a_turn_is_open_until_it_ends(scope: Scope, state: SqliteState) -> None:
    say(scope, 1)
    state.open_turn(1, "key")
    opened = state.last_turn()
    assert opened is not None
    assert (opened.opening_id, opened.idempotency_key, opened.stopped_by) == (1, "key", None)
    say(scope, 2)
    state.end_turn(1, "yield")
    ended = state.turn_by_key("key")
    assert ended is not None
    assert (ended.stopped_by, ended.last_id) == ("yield", 3)
    assert state.turn_by_key("other") is None
    state.open_turn(3, None)
    last = state.last_turn()
    assert last is not None
    assert last.opening_id == 3


def test_a_key_opens_one_turn_only(state: SqliteState) -> None:
    state.open_turn(1, "key")
    with pytest.raises((StorageError, IntegrityError)):
        state.open_turn(2, "key")
    state.open_turn(2, None)
    state.open_turn(3, None)


def test_an_effect_is_known_once_it_was_started(state: SqliteState, new_agent: Callable[[str], Scope]) -> None:
    assert not state.effect_started(2, "c1")
    state.start_effect(2, "c1")
    assert state.effect_started(2, "c1")
    assert not state.effect_started(2, "c2")
    assert not state.effect_started(3, "c1")
    assert not SqliteState(new_agent("bea")).effect_started(2, "c1")


def test_heartbeats_are_paused_to_the_microsecond(state: SqliteState) -> None:
    assert state.heartbeats_paused_until() is None
    until = NOW + timedelta(minutes=5, microseconds=7)
    state.pause_heartbeats(until)
    assert state.heartbeats_paused_until() == until


def test_a_transaction_spans_every_store_and_fails_as_a_whole(scope: Scope, state: SqliteState) -> None:
    state.add_block(Block("human", "", 50), "test")

    def fail() -> None:
        with state.transaction():
            say(scope, 2)
            state.edit_block("human", "Ada", "test")
            state.move_window(Window(2), "test")
            receipt(state, 1, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (SqliteRecall(scope).count(), state.window(), state.receipts()) == (0, Window(), [])
    assert state.blocks()[0].value == ""
    say(scope, 1)
    assert SqliteRecall(scope).last_id() == 1
