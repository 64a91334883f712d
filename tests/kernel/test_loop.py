"""What follows what in a turn, told from its messages alone."""

from __future__ import annotations

from datetime import UTC, datetime

from memos.loop import Act, is_repeating, next_action
from memos.messages import Message, ToolCall

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EVENT = Message("user", "user_message", "Hello", NOW, id=1)


def reply(*calls: ToolCall, text: str = "") -> Message:
    return Message("assistant", "reply", text, NOW, calls=calls)


def result(call: ToolCall, status: str = "ok") -> Message:
    return Message("tool", "result", "OK", NOW, call_id=call.id, status="ok" if status == "ok" else "failed")


PLAIN = ToolCall("a", "look", "{}")
BEATING = ToolCall("b", "look", '{"request_heartbeat": true}')


def test_an_event_without_a_reply_is_answered() -> None:
    assert next_action([EVENT], "heartbeat") == "infer"


def test_calls_without_results_are_run_in_order() -> None:
    both = reply(PLAIN, BEATING)
    assert next_action([EVENT, both], "heartbeat") == Act(both, (PLAIN, BEATING))
    assert next_action([EVENT, both, result(PLAIN)], "heartbeat") == Act(both, (BEATING,))


def test_the_model_yields_unless_it_asks_to_go_on() -> None:
    assert next_action([EVENT, reply(PLAIN), result(PLAIN)], "heartbeat") == "yield"
    assert next_action([EVENT, reply(BEATING), result(BEATING)], "heartbeat") == "infer"
    assert next_action([EVENT, reply()], "heartbeat") == "yield"


def test_failures_and_pressure_wake_the_model() -> None:
    assert next_action([EVENT, reply(PLAIN), result(PLAIN, "failed")], "heartbeat") == "infer"
    pressure = Message("user", "pressure", "full", NOW)
    assert next_action([EVENT, reply(PLAIN), result(PLAIN), pressure], "heartbeat") == "infer"
    outside = Message("user", "system_alert", "edited", NOW)
    assert next_action([EVENT, reply(PLAIN), result(PLAIN), outside], "heartbeat") == "yield"


def test_native_mode_goes_on_while_tools_are_called() -> None:
    assert next_action([EVENT, reply(PLAIN), result(PLAIN)], "native") == "infer"
    assert next_action([EVENT, reply(PLAIN), result(PLAIN), reply(text="Done.")], "native") == "yield"


def test_three_equal_calls_in_a_row_are_a_repeat() -> None:
    other = ToolCall("c", "look", '{"x": 1}')
    assert not is_repeating([EVENT, reply(PLAIN), reply(PLAIN)])
    assert is_repeating([EVENT, reply(PLAIN), reply(PLAIN, PLAIN)])
    assert not is_repeating([EVENT, reply(PLAIN), reply(other), reply(PLAIN), reply(PLAIN)])
