"""What was paged out: receipts that stand, undone flushes, old messages paged in, requests made again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from support.model import Model, call, saying

from memos import Agent, UsageError
from memos.events import Flushed
from memos.messages import Usage
from memos.ports import Delta, Reply, Request


def words(number: int) -> str:
    return f"Turn {number} tells of " + " ".join(f"fossil{number}x{i}" for i in range(40)) + "."


def fill(agent: Agent, turns: int) -> list[Flushed]:
    flushed: list[Flushed] = []
    for number in range(turns):
        flushed += [event for event in agent.stream(words(number)) if isinstance(event, Flushed)]
    return flushed


def plain(_request: Request) -> Iterator[Delta | Reply]:
    return saying("Noted.")


def test_receipts_stand_in_a_chain_without_gap() -> None:
    with Agent.open("ada", backend=Model(plain), context_tokens=4096) as agent:
        flushed = fill(agent, 60)
        receipts = agent.receipts()
        assert [receipt.id for receipt in receipts] == [event.receipt_id for event in flushed]
        assert len(receipts) > 2
        covered = [(receipt.first_id, receipt.last_id) for receipt in receipts]
        assert covered[0][0] == 1
        for (_, last), (first, _) in itertools.pairwise(covered):
            assert first == last + 1


def test_the_newest_flush_is_undone_where_there_is_room() -> None:
    with Agent.open("ada", backend=Model(plain), context_tokens=2048) as agent:
        with pytest.raises(UsageError, match="no flush"):
            agent.undo_flush()
        while not agent.receipts():
            fill(agent, 1)
        with pytest.raises(UsageError, match=r"lacks \d+ tokens of room; page in a part"):
            agent.undo_flush()
        before = agent.receipts()
    with Agent.open("ada", backend=Model(plain), context_tokens=16_384) as agent:
        undone = agent.undo_flush()
        assert undone == before[-1]
        assert agent.receipts() == before[:-1]
        model = Model(plain)
    with Agent.open("ada", backend=model, context_tokens=16_384) as agent:
        agent.send("And now?")
        shown = [page.message.id for page in model.requests[-1].pages if page.section == "queue"]
        assert shown == list(range(1, shown[-1] + 1))


def test_old_messages_are_paged_in_verbatim_at_the_tail() -> None:
    model = Model(plain)
    with Agent.open("ada", backend=model, context_tokens=4096) as agent:
        fill(agent, 40)
        assert agent.receipts()
        paged = agent.page_in(1, 3)
        agent.send("What did I say first?")
        tail = [page.message for page in model.requests[-1].pages][-2:]
        assert tail[0].id == paged.id
        assert tail[0].kind == "paged_in"
        assert words(0) in tail[0].text
        with pytest.raises(UsageError, match="no messages"):
            agent.page_in(9_999)


def test_past_requests_are_made_again_byte_for_byte() -> None:
    model = Model(plain, writes_summaries=True)
    with Agent.open("ada", backend=model, context_tokens=4096) as agent:
        for number in range(40):
            if number % 7 == 3:
                agent.core["human"].append(f"Fact {number}.")
            agent.send(words(number))
        openings = [message.id for message in agent.recall.read() if message.kind == "user_message"]
    asked = [request for request in model.requests if request.purpose == "turn"]
    with Agent.open("ada", backend=Model(plain), context_tokens=8192) as agent:
        again = [past for opening in openings for past in agent.requests(opening)]
        assert len(again) == len(asked)
        for past, request in zip(again, asked, strict=True):
            assert [page.key for page in past.request.pages] == [page.key for page in request.pages]
            assert [page.message.rendered for page in past.request.pages] == [
                page.message.rendered for page in request.pages
            ]
            assert past.request.tools == request.tools
            assert past.request.max_output_tokens == request.max_output_tokens
        with pytest.raises(UsageError, match="no turn that message 99999 opened"):
            agent.requests(99_999)
        assert agent.replay(again[0].message_id).calls[0].name == "send_message"
        with pytest.raises(UsageError, match="no reply"):
            agent.replay(openings[0])


def test_a_summary_is_asked_for_at_the_end_of_the_present_prompt() -> None:
    def answer(request: Request) -> Iterator[Delta | Reply]:
        if request.purpose == "summary":
            return iter([Reply(text="I heard of fossils.")])
        return saying("Noted.")

    model = Model(answer, writes_summaries=True)
    with Agent.open("ada", backend=model, context_tokens=8192) as agent:
        flushed: list[Flushed] = []
        while not flushed:
            flushed = fill(agent, 1)
        summaries = [request for request in model.requests if request.purpose == "summary"]
        assert len(summaries) == 1
        turn_before = next(r for r in model.requests[model.requests.index(summaries[0]) - 1 :: -1])
        assert summaries[0].pages[: len(turn_before.pages)] == turn_before.pages
        receipt = agent.receipts()[0]
        assert (receipt.summary, receipt.model) == ("I heard of fossils.", "test:model")


def test_limits_end_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:

    def busy(_request: Request) -> Iterator[Delta | Reply]:
        found = call("conversation_search", query=f"x{len(model.requests)}", request_heartbeat=True)
        yield Reply(calls=(found,), usage=Usage(1000, 100, 400))

    model = Model(busy)
    monkeypatch.setenv("MEMOS_MAX_TURN_TOKENS", "3000")
    with Agent.open("ada", backend=model) as agent:
        turn = agent.send("Go.")
        assert (turn.stopped_by, turn.steps) == ("tokens", 3)
    monkeypatch.delenv("MEMOS_MAX_TURN_TOKENS")
    monkeypatch.setenv("MEMOS_MAX_TURN_COST", "0.01")
    monkeypatch.setenv("MEMOS_PRICE_PROMPT", "2.5")
    monkeypatch.setenv("MEMOS_PRICE_CACHED", "1.25")
    monkeypatch.setenv("MEMOS_PRICE_COMPLETION", "10")
    with Agent.open("ada", backend=model) as agent:
        turn = agent.send("Go.")
        assert (turn.stopped_by, turn.steps) == ("cost", 4)  # 600 fresh, 400 cached, 100 written: 0.003 a step
        assert agent.recall.read()[-1].text == "The turn was ended by its limit of cost."
