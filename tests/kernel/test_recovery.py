"""A crash at any stage of a turn: the next turn carries it on, and nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import cast

import pytest
from support.model import Answer, Model, call, calling, in_turn, saying

from memos import Agent, BackendError
from memos.errors import ConnectionFailed
from memos.events import EventOut, TurnFinished
from memos.messages import Message
from memos.ports import Delta, Reply, Request
from memos.tooling import ToolContext, effect


def dies(_request: Request) -> Iterator[Delta | Reply]:
    yield from ()
    raise KeyboardInterrupt


def dies_midway(_request: Request) -> Iterator[Delta | Reply]:
    yield Delta(text="I thi")
    raise KeyboardInterrupt


def kinds(agent: Agent) -> list[str]:
    return [message.kind for message in agent.recall.read()]


def words(agent: Agent) -> list[str]:
    return [message.text for message in agent.recall.read() if message.kind == "user_message"]


@pytest.mark.parametrize("answer", [dies, dies_midway])
def test_a_crash_while_the_model_runs_leaves_the_event_and_it_is_answered_next(answer: Answer) -> None:
    with Agent.open("ada", backend=Model(answer)) as agent, pytest.raises(KeyboardInterrupt):
        agent.send("First.")
    with Agent.open("ada", backend=Model(in_turn(lambda: saying("One."), lambda: saying("Two.")))) as agent:
        assert kinds(agent) == ["user_message"]
        finished = [event for event in agent.stream("Second.") if isinstance(event, TurnFinished)]
        assert [event.turn.reply for event in finished] == ["One.", "Two."]
        assert kinds(agent) == ["user_message", "reply", "result"] * 2
        assert words(agent) == ["First.", "Second."]


def test_opening_alone_carries_nothing_on() -> None:
    with Agent.open("ada", backend=Model(dies)) as agent, pytest.raises(KeyboardInterrupt):
        agent.send("First.")
    model = Model(in_turn(lambda: saying("One.")))
    with Agent.open("ada", backend=model) as agent:
        agent.context()
        agent.login()
    assert model.requests == []


def test_the_same_key_after_a_crash_says_it_once() -> None:
    with Agent.open("ada", backend=Model(dies)) as agent, pytest.raises(KeyboardInterrupt):
        agent.send("First.", idempotency_key="k")
    with Agent.open("ada", backend=Model(in_turn(lambda: saying("One.")))) as agent:
        assert agent.send("First.", idempotency_key="k").reply == "One."
        assert agent.send("First.", idempotency_key="k").reply == "One."
        assert kinds(agent) == ["user_message", "reply", "result"]


def test_what_was_said_is_kept_when_carrying_on_fails() -> None:
    def unreachable(_request: Request) -> Iterator[Delta | Reply]:
        yield from ()
        raise ConnectionFailed("The server is away.")

    with Agent.open("ada", backend=Model(dies)) as agent, pytest.raises(KeyboardInterrupt):
        agent.send("First.")
    with Agent.open("ada", backend=Model(unreachable)) as agent:
        with pytest.raises(BackendError):
            agent.send("Second.")
        assert words(agent) == ["First.", "Second."]


def test_an_external_tool_found_unfinished_is_reported_and_never_run_again() -> None:
    ran: list[str] = []

    def launch(rocket: str) -> str:
        """Launch a rocket."""
        ran.append(rocket)
        raise SystemExit

    model = Model(in_turn(lambda: calling(call("launch", rocket="Ada"), call("launch", rocket="Bea"))))
    with Agent.open("ada", backend=model, tools=[launch]) as agent, pytest.raises(SystemExit):
        agent.send("Go.")
    assert ran == ["Ada"]

    def launch_well(rocket: str) -> str:
        """Launch a rocket."""
        ran.append(rocket)
        return "Up."

    launch_well.__name__ = "launch"
    model = Model(in_turn(lambda: saying("One may be up."), lambda: saying("Yes.")))
    with Agent.open("ada", backend=model, tools=[launch_well]) as agent:
        agent.send("And?")
        results = [message for message in agent.recall.read() if message.kind == "result"][:2]
    assert ran == ["Ada", "Bea"]
    assert [(message.status, message.text) for message in results][1] == ("ok", "Up.")
    assert results[0].status == "interrupted"
    assert "started" in results[0].text
    assert any(page.message.status == "interrupted" for page in model.requests[0].pages)


def test_a_memory_tools_effect_and_its_result_commit_together() -> None:
    crash = True

    @effect("memory")
    def note(context: ToolContext, text: str) -> str:
        """Note a thing everywhere."""
        context.archival.insert(text)
        context.state.edit_block("human", text, "note")
        if crash:
            raise SystemExit
        return "Noted."

    model = Model(in_turn(lambda: calling(call("note", text="Ada digs."), call("send_message", message="Done."))))
    with Agent.open("ada", backend=model, tools=[note]) as agent, pytest.raises(SystemExit):
        agent.send("Note it.")
    crash = False
    with Agent.open("ada", backend=Model(in_turn(lambda: saying("Next."))), tools=[note]) as agent:
        assert (agent.archival.count(), agent.core["human"].value) == (0, "")
        assert kinds(agent) == ["user_message", "reply"]
        turns = [event.turn for event in agent.stream("And?") if isinstance(event, TurnFinished)]
        assert [run.result for run in turns[0].tool_calls] == ["Noted.", "OK"]
        assert [turn.reply for turn in turns] == ["Done.", "Next."]
        assert (agent.archival.count(), agent.core["human"].value) == (1, "Ada digs.")


def test_a_memory_tool_that_raises_leaves_no_half_effect() -> None:
    @effect("memory")
    def note(context: ToolContext, text: str) -> str:
        """Note a thing, then stumble."""
        context.archival.insert(text)
        raise ValueError(text)

    model = Model(in_turn(lambda: calling(call("note", text="Ada digs.")), lambda: saying("It failed.")))
    with Agent.open("ada", backend=model, tools=[note]) as agent:
        turn = agent.send("Note it.")
        assert turn.tool_calls[0].result == "Failed: note raised ValueError: Ada digs."
        assert agent.archival.count() == 0


def test_a_crash_in_the_summariser_leaves_the_window_where_it_was() -> None:
    def answer(request: Request) -> Iterator[Delta | Reply]:
        return dies(request) if request.purpose == "summary" else saying("Noted.")

    with Agent.open("ada", backend=Model(answer, writes_summaries=True), context_tokens=4096) as agent:
        with pytest.raises(KeyboardInterrupt):
            for number in range(100):
                agent.send(f"{number} " + "fossil " * 40)
        assert "summary" not in [page.section for page in agent._parts.context.compile().pages]  # pyright: ignore
        last = words(agent)[-1]
    with Agent.open("ada", backend=Model(in_turn(lambda: saying("Noted."))), context_tokens=4096) as agent:
        agent.send("Again.")
        assert words(agent)[-2:] == [last, "Again."]
        assert len(words(agent)) == len(set(words(agent)))
        assert agent.context().summary_tokens > 0


# ---------------------------------------------------------------- abandoned after any event


def working(ran: list[str]) -> tuple[Model, Callable[[str], str]]:
    """A model whose answer depends on the log alone, and an external tool it calls."""

    def ring(bell: str) -> str:
        """Ring a bell."""
        ran.append(bell)
        return f"{bell} rang."

    def answer(request: Request) -> Iterator[Delta | Reply]:
        queue = [page.message for page in request.pages if page.section == "queue"]
        asked = max(i for i, message in enumerate(queue) if message.kind == "user_message")
        after = [message.kind for message in queue[asked:]]
        if "reply" not in after:
            note = call("core_memory_append", label="human", content=f"Heard: {queue[asked].text}")
            store = call("archival_memory_insert", content=queue[asked].text, request_heartbeat=True)
            return calling(note, call("ring", bell=queue[asked].text), store)
        if after.count("reply") == 1:
            return calling(call("conversation_search", query="bell", request_heartbeat=True))
        return saying(f"Answer to {queue[asked].text}")

    def thinking(request: Request) -> Iterator[Delta | Reply]:
        yield Delta(thoughts="Hm.")
        yield from answer(request)

    return Model(thinking), ring


def abandon(events: Iterator[EventOut], after: int) -> None:
    """Read that many events and go away, as a killed process does."""
    for _ in range(after):
        next(events, None)
    cast("Generator[EventOut]", events).close()


@pytest.mark.parametrize("after", range(1, 18))
def test_a_turn_abandoned_after_any_event_is_carried_on(after: int) -> None:
    ran: list[str] = []
    model, ring = working(ran)
    with Agent.open("ada", backend=model, tools=[ring]) as agent:
        abandon(agent.stream("alpha"), after)
    model, ring = working(ran)
    with Agent.open("ada", backend=model, tools=[ring]) as agent:
        assert agent.send("omega").reply == "Answer to omega"
        log = agent.recall.read()
        human = agent.core["human"].value
        stored = agent.archival.count()
    assert [message.text for message in log if message.kind == "user_message"] == ["alpha", "omega"]
    assert human == "Heard: alpha\nHeard: omega"
    assert stored == 2
    assert ran == ["alpha", "omega"]
    assert_each_call_has_one_result(log)
    assert [message.spoken for message in log if message.kind == "reply" and message.spoken] == [
        "Answer to alpha",
        "Answer to omega",
    ]


def assert_each_call_has_one_result(log: list[Message]) -> None:
    made = [made.id for message in log for made in message.calls]
    answered = [message.call_id for message in log if message.kind == "result"]
    assert answered == made
