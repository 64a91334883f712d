"""A turn is found by its key, whatever characters the key has."""

from __future__ import annotations

import pytest

from memos.storage.scope import Scope
from memos.storage.state import SqliteState


@pytest.mark.parametrize("key", ["key", "naïve 😀", "broken \ud800 key"])
def test_a_turn_is_found_by_the_key_it_was_opened_with(scope: Scope, key: str) -> None:
    state = SqliteState(scope)
    assert state.turn_by_key(key) is None
    state.open_turn(1, key)
    found = state.turn_by_key(key)
    assert found is not None
    assert found.opening_id == 1
    assert state.last_turn() == found


def test_an_empty_key_is_a_key_and_none_is_not(scope: Scope) -> None:
    state = SqliteState(scope)
    state.open_turn(1, None)
    assert state.turn_by_key("") is None
    state.open_turn(2, "")
    found = state.turn_by_key("")
    assert found is not None
    assert found.opening_id == 2
