"""The pager: nothing lost, nothing parted, nothing doubled, and never a prompt that does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model import Model, call, calling, in_turn, saying

from memos import Agent, BackendError
from memos.events import Flushed, Pressure, TurnFinished
from memos.messages import Message
from memos.pager import choose_evicted, split_steps, summary_cap_tokens
from memos.ports import Delta, Page, Reply, Request
from memos.records import Receipt

Script = Callable[[Sequence[Mapping[str, object]]], str]
NOW = datetime(2026, 1, 2, tzinfo=UTC)


# ---------------------------------------------------------------- cutting, as plain functions


@st.composite
def queues(draw: st.DrawFn) -> list[Page]:
    """Queues as logs make them: events, replies, their results, and alerts that came in between."""
    pages: list[Page] = []

    def add(message: Message) -> None:
        numbered = replace(message, id=len(pages) + 2)
        pages.append(Page(f"message:{numbered.id}", "queue", numbered, draw(st.integers(1, 400))))

    for _ in range(draw(st.integers(0, 8))):
        if draw(st.booleans()):
            add(Message("user", "user_message", "Hello.", NOW))
            continue
        calls = tuple(call("look") for _ in range(draw(st.integers(0, 3))))
        add(Message("assistant", "reply", "", NOW, calls=calls))
        for made in calls:
            if draw(st.integers(0, 4)) == 0:
                add(Message("user", "system_alert", "Core memory was edited from outside.", NOW))
            add(Message("tool", "result", "OK", NOW, call_id=made.id))
    return pages


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[Page], float, int]:
    """A queue, a fraction, and the event that opened the turn: in the queue, or pinned before it."""
    queue = draw(queues())
    events = [page.message.id for page in queue if page.message.kind == "user_message"]
    return queue, draw(st.floats(0.05, 0.95)), draw(st.sampled_from([1, *events]))


def movable(queue: list[Page], opening_id: int) -> list[list[Page]]:
    """The steps before those that must stay."""
    steps = split_steps(queue)
    heads = [step[0].message for step in steps]
    own = [i for i, head in enumerate(heads) if head.kind == "reply" and head.id > opening_id]
    opening = [i for i, head in enumerate(heads) if head.id == opening_id]
    return steps[: (own or opening or [max(0, len(steps) - 1)])[-1]]


quickly = settings(max_examples=80, deadline=None)


@quickly
@given(queues())
def test_steps_are_the_queue_in_order(queue: list[Page]) -> None:
    steps = split_steps(queue)
    assert [page for step in steps for page in step] == queue
    assert all(steps)


@quickly
@given(queues())
def test_a_reply_and_its_results_are_one_step(queue: list[Page]) -> None:
    for step in split_steps(queue):
        made = {made.id for page in step for made in page.message.calls}
        answered = {page.message.call_id for page in step if page.message.kind == "result"}
        assert made == answered


@quickly
@given(cuts())
def test_the_head_is_evicted_in_whole_steps_and_the_last_step_stays(cut: tuple[list[Page], float, int]) -> None:
    queue, fraction, opening_id = cut
    evicted = choose_evicted(queue, fraction, opening_id)
    boundaries = [[page for step in split_steps(queue)[:n] for page in step] for n in range(len(queue) + 1)]
    assert evicted in boundaries
    assert len(evicted) <= sum(map(len, movable(queue, opening_id)))
    assert len(evicted) < len(queue) or not queue


@quickly
@given(cuts())
def test_at_least_the_fraction_goes_and_at_most_one_step_more(cut: tuple[list[Page], float, int]) -> None:
    queue, fraction, opening_id = cut
    wanted = fraction * sum(page.tokens for page in queue)
    evicted = choose_evicted(queue, fraction, opening_id)
    if len(evicted) < sum(map(len, movable(queue, opening_id))):
        assert sum(page.tokens for page in evicted) >= wanted
    if evicted:
        assert sum(page.tokens for step in split_steps(evicted)[:-1] for page in step) < wanted


@quickly
@given(cuts())
def test_no_result_is_left_without_its_call(cut: tuple[list[Page], float, int]) -> None:
    queue, fraction, opening_id = cut
    rest = queue[len(choose_evicted(queue, fraction, opening_id)) :]
    made = {made.id for page in rest for made in page.message.calls}
    assert all(page.message.call_id in made for page in rest if page.message.kind == "result")


# ---------------------------------------------------------------- in a running agent


def talk(agent: Agent, turns: int, words: int = 25) -> list[Flushed | Pressure]:
    """What the pager did in so many turns."""
    told: list[Flushed | Pressure] = []
    for number in range(turns):
        for event in agent.stream(f"Turn {number}: " + f"fossil{number} " * words):
            if isinstance(event, Flushed | Pressure):
                told.append(event)
    return told


def receipts(agent: Agent) -> list[Receipt]:
    return agent._parts.memory.state.receipts()  # pyright: ignore[reportPrivateUsage]


def texts_of(model: Model) -> list[str]:
    return [page.message.text for page in model.requests[-1].pages]


def test_a_flush_moves_the_window_and_loses_nothing(script: Script) -> None:
    with Agent.open("ada", model=script([{"calls": [send("Noted.")]}]), context_tokens=4096) as agent:
        told = talk(agent, 60)
        log = agent.recall.read()
        kept = receipts(agent)
        window = agent._parts.memory.state.window()  # pyright: ignore[reportPrivateUsage]
        assert agent.recall.search("fossil0").total == 1
    assert len([event for event in told if isinstance(event, Flushed)]) == len(kept) >= 3
    assert [message.id for message in log] == list(range(1, len(log) + 1))
    said = [message.text.split(":")[0] for message in log if message.kind == "user_message"]
    assert said == [f"Turn {number}" for number in range(60)]
    assert (window.first_id, window.receipt_id) == (kept[-1].last_id + 1, kept[-1].id)


def test_receipts_cover_the_evicted_without_gap_or_overlap(script: Script) -> None:
    with Agent.open("ada", model=script([{"calls": [send("Noted.")]}]), context_tokens=4096) as agent:
        told = [event for event in talk(agent, 40) if isinstance(event, Flushed)]
        kept = receipts(agent)
    assert kept[0].first_id == 1
    assert kept[0].replaced_id is None
    for earlier, later in pairwise(kept):
        assert later.first_id == earlier.last_id + 1
        assert later.replaced_id == earlier.id
    assert [(e.receipt_id, e.first_id, e.last_id, e.freed_tokens) for e in told] == [
        (receipt.id, receipt.first_id, receipt.last_id, receipt.freed_tokens) for receipt in kept
    ]
    assert all(receipt.freed_tokens > 0 and receipt.model == "extractive" for receipt in kept)
    assert all("Turn " in receipt.summary for receipt in kept)


def test_no_request_is_above_the_flush_threshold_after_a_flush() -> None:
    model = Model(in_turn(lambda: saying("Noted.")))
    with Agent.open("ada", backend=model, context_tokens=4096) as agent:
        told = talk(agent, 40)
        usage = agent.context()
    assert any(isinstance(event, Flushed) for event in told)
    room = usage.limit_tokens - usage.reserve_tokens
    sizes = [sum(page.tokens for page in request.pages) + usage.functions_tokens for request in model.requests]
    assert 0.7 * room < max(sizes) < 0.9 * room


def test_warnings_come_once_a_period(script: Script) -> None:
    with Agent.open("ada", model=script([{"calls": [send("Noted.")]}]), context_tokens=4096) as agent:
        told = talk(agent, 60)
        alerts = [message for message in agent.recall.read() if message.kind == "pressure"]
    kinds = [type(event).__name__ for event in told]
    assert kinds.count("Flushed") >= 3
    assert kinds == ["Pressure", "Flushed"] * (len(kinds) // 2) + ["Pressure"] * (len(kinds) % 2)
    assert len(alerts) == kinds.count("Pressure")
    for event in told:
        if isinstance(event, Pressure):
            assert 0.7 * event.budget_tokens <= event.used_tokens < 0.9 * event.budget_tokens


def test_the_model_runs_once_more_after_a_warning() -> None:
    model = Model(in_turn(lambda: saying("Noted.")))
    with Agent.open("ada", backend=model, context_tokens=4096) as agent:
        before = 0
        for number in range(60):
            before = len(model.requests)
            events = list(agent.stream(f"Turn {number}: " + "fossil " * 25))
            if any(isinstance(event, Pressure) for event in events):
                break
    assert len(model.requests) == before + 2
    assert "Memory pressure" in texts_of(model)[-1]


def test_a_chain_of_heartbeats_is_warned_before_it_is_flushed() -> None:
    """Pressure comes before a requested heartbeat (the order in which `memos.loop` decides)."""
    steps = [lambda: calling(call("conversation_search", query="x " * 90, request_heartbeat=True))]
    steps += [lambda: calling(call("conversation_search", query="y " * 90, request_heartbeat=True))]
    model = Model(in_turn(*steps * 20, lambda: saying("Done.")))
    with Agent.open("ada", backend=model, context_tokens=4096) as agent:
        told = [event for event in agent.stream("Search.") if isinstance(event, Flushed | Pressure)]
    assert [type(event).__name__ for event in told][:2] == ["Pressure", "Flushed"]


def test_the_opening_event_is_pinned_when_a_long_turn_is_cut() -> None:
    steps = [
        lambda: calling(call("conversation_search", query="a " * 120, request_heartbeat=True)),
        lambda: calling(call("archival_memory_search", query="b " * 120, request_heartbeat=True)),
    ]
    model = Model(in_turn(*steps * 20, lambda: saying("Done.")))
    with Agent.open("ada", backend=model, context_tokens=4096) as agent:
        events = list(agent.stream("Find the KEYSTONE."))
        opening = agent.recall.read(1, 1)[0]
        usage = agent.context()
        assert usage.used_tokens < 0.9 * (usage.limit_tokens - usage.reserve_tokens)
    assert sum(isinstance(event, Flushed) for event in events) >= 1
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].turn.reply.startswith("Done.")
    for request in model.requests:
        shown = [page.message.id for page in request.pages if page.message.kind == "user_message"]
        assert shown == [opening.id]
    last = model.requests[-1].pages
    assert [page.section for page in last[:4]] == ["system", "core", "summary", "queue"]
    assert last[3].message == opening
    assert last[4].message.id > opening.id + 1


def test_the_next_turn_lets_go_of_the_pin() -> None:
    search = [lambda: calling(call("conversation_search", query=f"{'a ' * 120}", request_heartbeat=True))]
    other = [lambda: calling(call("archival_memory_search", query=f"{'b ' * 120}", request_heartbeat=True))]
    model = Model(in_turn(*(search + other) * 20, lambda: saying("Done.")))
    with Agent.open("ada", backend=model, context_tokens=4096) as agent:
        agent.send("Find the KEYSTONE.")
        talk(agent, 40)
        assert agent._parts.memory.state.window().pinned_id is None  # pyright: ignore[reportPrivateUsage]
    assert "Find the KEYSTONE." not in texts_of(model)


# ---------------------------------------------------------------- summaries in a running agent


def send(text: str) -> dict[str, object]:
    return {"name": "send_message", "arguments": {"message": text}}


def test_the_agents_model_writes_the_summary(script: Script) -> None:
    model = script([{"calls": [send("Noted.")]}, {"for": "summary", "text": "I heard of many fossils."}])
    with Agent.open("ada", model=model, context_tokens=4096) as agent:
        talk(agent, 30)
        kept = receipts(agent)
    assert {(receipt.summary, receipt.model) for receipt in kept} == {("I heard of many fossils.", model)}


@pytest.mark.parametrize(
    "summary",
    [{"error": "timeout"}, {"error": "garbage"}, {"text": ""}, {"text": " \n"}, {"text": "more than asked " * 400}],
)
def test_a_summariser_that_fails_costs_nothing(script: Script, summary: dict[str, object]) -> None:
    model = script([{"calls": [send("Noted.")]}, {"for": "summary", **summary}])
    with Agent.open("ada", model=model, context_tokens=4096) as agent:
        talk(agent, 30)
        kept = receipts(agent)
        assert agent.recall.read(kept[-1].first_id, kept[-1].last_id)
    assert kept
    assert all(receipt.model == "extractive" and "Turn" in receipt.summary for receipt in kept)


def test_a_summary_never_takes_more_than_its_cap(script: Script) -> None:
    with Agent.open("ada", model=script([{"calls": [send("Noted.")]}]), context_tokens=4096) as agent:
        talk(agent, 60)
        cap = summary_cap_tokens(agent._parts.context.budget)  # pyright: ignore[reportPrivateUsage]
        count = agent._parts.backend.count_tokens  # pyright: ignore[reportPrivateUsage]
        assert all(0 < count(receipt.summary) <= cap for receipt in receipts(agent))


# ---------------------------------------------------------------- the ends of the scale


def test_an_agent_with_2048_tokens_holds_60_turns(script: Script) -> None:
    with Agent.open("ada", model=script([{"calls": [send("Noted.")]}]), context_tokens=2048) as agent:
        for number in range(60):
            turn = agent.send(f"Turn {number}: fossil{number} was found in layer {number % 9} by the river.")
            assert (turn.reply, turn.stopped_by) == ("\n\n".join(["Noted."] * turn.steps), "yield")
            assert turn.context is not None
            assert turn.context.used_tokens <= 2048 - turn.context.reserve_tokens
        assert sum(message.kind == "user_message" for message in agent.recall.read()) == 60
        assert agent.recall.search("fossil7").total == 1


def test_messages_larger_than_the_window_are_survived() -> None:
    model = Model(in_turn(lambda: saying("Long.")))
    with Agent.open("ada", backend=model, context_tokens=4096) as agent:
        for number in range(12):
            agent.send(f"{number} " + "granite basalt, " * 5_000)
        assert all(len(message.text) > 60_000 for message in agent.recall.read() if message.kind == "user_message")
        usage = agent.context()
    sizes = [sum(page.tokens for page in request.pages) + usage.functions_tokens for request in model.requests]
    assert max(sizes) <= usage.limit_tokens - usage.reserve_tokens


def test_a_window_that_cannot_fit_ends_in_one_clear_error() -> None:
    """A server whose window is much smaller than was believed."""
    from memos.errors import ContextOverflow

    def overflow(_request: Request) -> Iterator[Delta | Reply]:
        yield from ()
        raise ContextOverflow("The prompt is longer than the window.", limit_tokens=700)

    model = Model(overflow)
    with Agent.open("ada", backend=model, context_tokens=8192) as agent:
        with pytest.raises(BackendError) as caught:
            agent.send("Hello.")
        assert "\n" not in str(caught.value)
        assert "context_tokens" in str(caught.value)
        assert agent.recall.read()[0].text == "Hello."
    assert len(model.requests) <= 5


def test_an_overflow_report_is_believed_and_the_turn_goes_on() -> None:
    from memos.errors import ContextOverflow

    answered: list[int] = []

    def answer(request: Request) -> Iterator[Delta | Reply]:
        size = sum(page.tokens for page in request.pages)
        if size > 2_500:
            raise ContextOverflow("Too long.", limit_tokens=4_000)
        answered.append(size)
        return saying("Noted.")

    with Agent.open("ada", backend=Model(answer), context_tokens=16_384) as agent:
        talk(agent, 40)
        assert agent.context().limit_tokens == 4_000
        assert receipts(agent)
    assert len(answered) >= 40


def test_opening_again_shows_the_same_window(script: Script) -> None:
    model = script([{"calls": [send("Noted.")]}])
    with Agent.open("ada", model=model, context_tokens=4096) as agent:
        talk(agent, 30)
        before = agent.context()
    with Agent.open("ada", model=model, context_tokens=4096) as agent:
        after = agent.context()
    assert (after.used_tokens, after.queue_tokens, after.summary_tokens) == (
        before.used_tokens,
        before.queue_tokens,
        before.summary_tokens,
    )
