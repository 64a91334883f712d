"""The agent end to end on real stores, driven by scripted models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memos import Agent, AgentBusy, AgentNotFound, BackendError, Refusal, SettingsError, UsageError
from memos.events import CallFinished, MemoryEdited, Spoken, TurnFinished

Script = Callable[[Sequence[Mapping[str, object]]], str]


def call(name: str, **arguments: object) -> dict[str, object]:
    return {"name": name, "arguments": arguments}


def say(text: str) -> dict[str, object]:
    return {"calls": [call("send_message", message=text)]}


def test_a_turn_runs_calls_in_order_and_yields(script: Script) -> None:
    model = script(
        [
            {
                "text": "noting",
                "calls": [
                    call("core_memory_append", label="human", content="Name: Ada."),
                    call("archival_memory_insert", content="Ada collects trilobites.", request_heartbeat=True),
                ],
            },
            say("Hello Ada."),
        ]
    )
    with Agent.open("ada", model=model) as agent:
        turn = agent.send("I am Ada.")
        assert turn.reply == "Hello Ada."
        assert turn.stopped_by == "yield"
        assert turn.steps == 2
        assert [(run.name, run.status) for run in turn.tool_calls] == [
            ("core_memory_append", "ok"),
            ("archival_memory_insert", "ok"),
            ("send_message", "ok"),
        ]
        assert "Name: Ada." in turn.tool_calls[0].result
        assert agent.core["human"].value == "Name: Ada."
        assert agent.archival.search("trilobites", limit=5).hits[0].text == "Ada collects trilobites."
        assert [message.kind for message in agent.recall.read()] == [
            "user_message",
            "reply",
            "result",
            "result",
            "reply",
            "result",
        ]


def test_failures_come_back_to_the_model(script: Script) -> None:
    model = script(
        [
            {"calls": [call("no_such_thing")]},
            {"calls": [{"name": "core_memory_append", "arguments": '{"label": "human", '}]},
            {"calls": [call("core_memory_append", label="human")]},
            {"calls": [call("core_memory_append", label="nobody", content="x")]},
            {"calls": [call("core_memory_replace", label="persona", old_content="absent", new_content="x")]},
            {"calls": [call("core_memory_append", label="human", content="word " * 5000)]},
            say("done"),
        ]
    )
    with Agent.open("ada", model=model) as agent:
        turn = agent.send("Go.")
    failed = [run for run in turn.tool_calls if run.status == "failed"]
    assert len(failed) == 6
    assert all(run.result.startswith("Failed: ") for run in failed)
    for run, hint in zip(
        failed, ["no function", "JSON object", "content", "the blocks are", "does not occur", "condense"], strict=True
    ):
        assert hint in run.result
    assert turn.reply == "done"


def test_a_users_tool_is_called_and_its_errors_are_told(script: Script) -> None:
    def weather(city: str) -> str:
        """Tell the weather of a city."""
        if city == "nowhere":
            raise Refusal("name a real city")
        if city == "broken":
            raise ValueError("no such file")
        return f"Rain in {city}."

    model = script(
        [
            {"calls": [call("weather", city="nowhere")]},
            {"calls": [call("weather", city="broken")]},
            {"calls": [call("weather", city="Turin", request_heartbeat=True)]},
            say("It rains."),
        ]
    )
    with Agent.open("ada", model=model, tools=[weather]) as agent:
        turn = agent.send("How is the weather?")
    assert [run.result for run in turn.tool_calls[:3]] == [
        "Failed: name a real city",
        "Failed: weather raised ValueError: no such file",
        "Rain in Turin.",
    ]


def test_the_stream_tells_what_the_turn_did(script: Script) -> None:
    model = script(
        [
            {"calls": [call("core_memory_append", label="human", content="Likes tea."), *say("Noted.")["calls"]]}  # type: ignore[misc]
        ]
    )
    with Agent.open("ada", model=model) as agent:
        events = list(agent.stream("I like tea."))
    assert isinstance(events[-1], TurnFinished)
    assert MemoryEdited("human", "Likes tea.") in events
    assert Spoken("Noted.") in events
    assert [event.name for event in events if isinstance(event, CallFinished)] == ["core_memory_append", "send_message"]


def test_steps_and_repeats_are_bounded(script: Script) -> None:
    searching = {"calls": [call("conversation_search", query="x", request_heartbeat=True)]}
    with Agent.open("ada", model=script([searching])) as agent:
        turn = agent.send("Go.")
        assert (turn.stopped_by, turn.steps) == ("repeat", 3)
    varied = [{"calls": [call("conversation_search", query=f"x{i}", request_heartbeat=True)]} for i in range(60)]
    with Agent.open("bea", model=script(varied)) as agent:
        turn = agent.send("Go.")
        assert (turn.stopped_by, turn.steps) == ("steps", 50)


def test_memory_outlives_the_process(script: Script) -> None:
    with Agent.open("ada", model=script([say("Hello.")])) as agent:
        agent.send("I collect trilobites.")
        agent.core["human"].append("Lives in Turin.")
    with Agent.open("ada", model=script([say("Hello again.")])) as agent:
        assert agent.recall.search("trilobites").hits[0].text == "I collect trilobites."
        assert agent.core["human"].value == "Lives in Turin."
        agent.send("And now?")
        alerts = [message for message in agent.recall.read() if message.kind == "system_alert"]
        assert len(alerts) == 1
        assert "Lives in Turin." in alerts[0].text


def test_history_from_elsewhere_is_found_by_its_own_time(script: Script) -> None:
    then = datetime(2023, 5, 7, 12, tzinfo=UTC)
    with Agent.open("ada", model=script([say("ok")])) as agent:
        agent.recall.append("user", "We painted a sunrise.", name="Melanie", created_at=then)
        agent.recall.append("assistant", "Lovely.", created_at=then)
        hit = agent.recall.search("sunrise").hits[0]
        assert (hit.created_at, hit.name) == (then, "Melanie")
        with pytest.raises(UsageError, match="role"):
            agent.recall.append("wizard", "Hm.")


def test_an_idempotency_key_says_a_thing_once(script: Script) -> None:
    with Agent.open("ada", model=script([say("one"), say("two")])) as agent:
        first = agent.send("Hello.", idempotency_key="k1")
        again = agent.send("Hello.", idempotency_key="k1")
        other = agent.send("Hello.", idempotency_key="k2")
        assert (first.reply, again.reply, other.reply) == ("one", "one", "two")
        assert sum(message.kind == "user_message" for message in agent.recall.read()) == 2


def test_a_failing_model_keeps_what_was_said(script: Script) -> None:
    with Agent.open("ada", model=script([{"error": "timeout"}, say("back")])) as agent:
        with pytest.raises(BackendError):
            agent.send("First.")
        assert agent.send("Second.").reply == "back"
        assert [m.text for m in agent.recall.read() if m.kind == "user_message"] == ["First.", "Second."]


def test_native_mode_answers_in_plain_text(script: Script) -> None:
    model = script([{"calls": [call("conversation_search", query="tea")]}, {"text": "Nothing found."}])
    with Agent.open("ada", model=model, loop="native") as agent:
        turn = agent.send("Did I mention tea?")
    assert turn.reply == "Nothing found."
    assert turn.steps == 2


def test_async_is_the_same_code(script: Script) -> None:
    async def talk() -> tuple[str, str]:
        with Agent.open("ada", model=script([say("one"), say("two")])) as agent:
            first = await agent.asend("Hello.")
            events = [event async for event in agent.astream("Hello again.")]
            assert isinstance(events[-1], TurnFinished)
            return first.reply, events[-1].turn.reply

    assert asyncio.run(talk()) == ("one", "two")


def test_heartbeats_can_be_paused(script: Script) -> None:
    model = script([say("Awake."), {"calls": [call("pause_heartbeats", minutes=900)]}])
    with Agent.open("ada", model=model) as agent:
        turn = agent.heartbeat()
        assert turn is not None
        assert turn.reply == "Awake."
        paused = agent.send("Be quiet.")
        assert "360 minutes" in paused.tool_calls[0].result
        assert agent.heartbeat() is None


def test_one_turn_at_a_time_across_agents_of_a_home(script: Script, home: Path) -> None:
    busy: list[str] = []

    def intrude(reason: str) -> str:
        """Try to take a turn of the same agent from elsewhere."""
        with Agent.open("ada", model="extractive", home=home) as other, pytest.raises(AgentBusy) as error:
            other.send(reason)
        busy.append(str(error.value))
        return "tried"

    model = script([{"calls": [call("intrude", reason="Hello.", request_heartbeat=True)]}, say("ok")])
    with Agent.open("ada", model=model, tools=[intrude]) as agent:
        assert agent.send("Go.").reply == "ok"
    assert len(busy) == 1
    assert "process" in busy[0]


def test_opening_what_cannot_be_opened(script: Script) -> None:
    def verbose(first_long_parameter: str, second_long_parameter: str, third_long_parameter: str) -> str:
        """Do something that takes a good many words to describe to anyone who has to call it."""
        return first_long_parameter + second_long_parameter + third_long_parameter

    with pytest.raises(AgentNotFound, match="agents new"):
        Agent.open("nobody", create=False)
    with pytest.raises(SettingsError, match="Unknown model"):
        Agent.open("ada", model="magic")
    with pytest.raises(SettingsError, match="too small"):
        Agent.open("ada", model="extractive", context_tokens=1024, tools=[verbose])
    with Agent.open("ada", model=script([say("ok")])) as agent, pytest.raises(UsageError, match="empty"):
        agent.send("  ")
