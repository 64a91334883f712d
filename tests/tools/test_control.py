"""Reaching the user, and pausing heartbeats."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest


def test_a_message_is_sent_unless_it_is_empty(use: Any) -> None:
    assert use.ok("send_message", message="Hello.") == "OK"
    for nothing in ("", " \n"):
        assert "empty" in use.failed("send_message", message=nothing)


@pytest.mark.parametrize(("asked", "granted"), [(1, 1), (360, 360), (361, 360), (100_000_000, 360)])
def test_a_pause_lasts_360_minutes_at_most(use: Any, asked: int, granted: int) -> None:
    assert f"{granted} minutes" in use.ok("pause_heartbeats", minutes=asked)
    assert use.context.state.heartbeats_paused_until() == use.clock.now() + timedelta(minutes=granted)


@pytest.mark.parametrize("minutes", [0, -5])
def test_no_pause_is_refused(use: Any, minutes: int) -> None:
    assert "at least 1" in use.failed("pause_heartbeats", minutes=minutes)
    assert use.context.state.heartbeats_paused_until() is None


def test_a_pause_has_an_end(use: Any) -> None:
    use.ok("pause_heartbeats", minutes=10)
    use.clock.moment += timedelta(minutes=11)
    assert use.context.state.heartbeats_paused_until() < use.clock.now()
