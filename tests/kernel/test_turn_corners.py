"""Corners of a turn that are easily got wrong: what is kept, counted and told when things go another way."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model import Model, call, calling, in_turn, saying

from memos import Agent, BackendError, UsageError
from memos.errors import ContextOverflow
from memos.events import Flushed, TextDelta, TurnFinished
from memos.messages import ToolCall, Usage
from memos.ports import Delta, Reply, Request
from memos.tooling import ToolContext, tool_from_function


def test_what_was_said_before_an_interrupt_is_kept_as_said() -> None:
    def answer(_request: Request) -> Iterator[Delta | Reply]:
        yield Delta(call_index=0, call_name="send_message")
        yield Delta(call_index=0, arguments='{"message": "Dear Ada, the secret is ')
        yield Delta(call_index=0, arguments='42."}')
        yield Reply(calls=(ToolCall("c", "send_message", '{"message": "Dear Ada, the secret is 42."}'),))

    with Agent.open("ada", backend=Model(answer)) as agent:
        events = agent.stream("Tell me.")
        for event in events:
            if isinstance(event, TextDelta):
                agent.interrupt()
        partial = agent.recall.read()[1]
        assert (partial.status, partial.text) == ("partial", "Dear Ada, the secret is ")
        assert agent.recall.search("secret").total == 1


def test_a_result_that_cannot_be_written_is_a_failed_one() -> None:
    def power(a: int, b: int) -> int:
        """Raise a to b."""
        return a**b

    model = Model(in_turn(lambda: calling(call("power", a=10, b=5000)), lambda: saying("Too large.")))
    with Agent.open("ada", backend=model, tools=[power]) as agent:
        turn = agent.send("Compute.")
    assert turn.reply == "Too large."
    assert turn.tool_calls[0].status == "failed"


def test_a_window_too_small_for_document_functions_still_reads_documents(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("The quartz lay in the third drawer.", encoding="utf-8")
    with Agent.open("ada", context_tokens=1024) as agent:
        agent.ingest(path)
        assert agent.archival.search("quartz", limit=1).hits[0].source == str(path)
    with Agent.open("ada", context_tokens=1024) as agent:
        assert agent.send("Hello.").stopped_by == "yield"


def test_a_second_ingest_leaves_the_prompt_as_it_was(tmp_path: Path) -> None:
    model = Model(in_turn(lambda: saying("ok")))
    with Agent.open("ada", backend=model) as agent:
        (tmp_path / "a.txt").write_text("First.", encoding="utf-8")
        agent.ingest(tmp_path / "a.txt")
        agent.send("One.")
        agent.core["human"].append("Likes tea.")
        (tmp_path / "b.txt").write_text("Second.", encoding="utf-8")
        agent.ingest(tmp_path / "b.txt")
        agent.send("Two.")
    before, after = (request.pages for request in model.requests[-2:])
    assert after[: len(before)] == before


def test_a_search_finds_what_the_running_turn_has_said() -> None:
    search = call("conversation_search", query="zebra code", request_heartbeat=True)
    model = Model(
        in_turn(
            lambda: calling(call("send_message", message="The zebra code is 4711."), call("list_nothing")),
            lambda: calling(search),
            lambda: saying("Found."),
        )
    )
    with Agent.open("ada", backend=model) as agent:
        turn = agent.send("What is the zebra code?")
        found = next(run.result for run in turn.tool_calls if run.name == "conversation_search")
    assert found.startswith("Results 1-1 of 1")
    assert "4711" in found


def test_summaries_and_carried_on_steps_count_as_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: Request) -> Iterator[Delta | Reply]:
        if request.purpose == "summary":
            return iter([Reply(text="Short.", usage=Usage(900, 10))])
        return iter([Reply(calls=(call("send_message", message="ok " * 60),), usage=Usage(100, 10))])

    with Agent.open("ada", backend=Model(answer, writes_summaries=True), context_tokens=2048) as agent:
        while True:
            events = list(agent.stream("fossil " * 60))
            flushes = [event for event in events if isinstance(event, Flushed)]
            if flushes:
                break
        last = events[-1]
        assert isinstance(last, TurnFinished)
        assert last.turn.usage.prompt_tokens == 100 + 900 * len(flushes)
    monkeypatch.setenv("MEMOS_MAX_TURN_TOKENS", "250")
    with Agent.open("ada", backend=Model(answer), context_tokens=2048) as agent:
        first = agent.send("Hello.", idempotency_key="k")
        again = agent.send("Hello.", idempotency_key="k")
        assert first.usage == again.usage
        assert first.usage.prompt_tokens == 100 * first.steps


def test_a_failed_turn_that_others_followed_is_not_told_as_done() -> None:
    def fails(_request: Request) -> Iterator[Delta | Reply]:
        raise BackendError("down")

    with Agent.open("ada", backend=Model(in_turn(lambda: fails(None), lambda: saying("ok")))) as agent:  # type: ignore[arg-type] # pyright: ignore
        with pytest.raises(BackendError):
            agent.send("Important.", idempotency_key="k")
        assert agent.send("Other.").reply == "ok"
        with pytest.raises(BackendError, match="new key"):
            agent.send("Important.", idempotency_key="k")
        with pytest.raises(UsageError, match="another text"):
            agent.send("Something else.", idempotency_key="k")


def test_a_failed_last_turn_is_tried_again_by_its_key() -> None:
    def fails() -> Iterator[Delta | Reply]:
        raise BackendError("down")

    with Agent.open("ada", backend=Model(in_turn(fails, lambda: saying("ok")))) as agent:
        with pytest.raises(BackendError):
            agent.send("Important.", idempotency_key="k")
        assert agent.send("Important.", idempotency_key="k").reply == "ok"
        assert sum(message.kind == "user_message" for message in agent.recall.read()) == 1


def test_a_cancelled_stream_lets_go() -> None:
    started = threading.Event()

    def slow(_request: Request) -> Iterator[Delta | Reply]:
        started.set()
        for _ in range(100):
            time.sleep(0.02)
            yield Delta(thoughts="Hm. ")
        yield from saying("Late.")

    async def talk(agent: Agent) -> None:
        async for _ in agent.astream("Hello."):
            pass

    with Agent.open("ada", backend=Model(slow)) as agent:
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(talk(agent), 0.4))
        assert started.is_set()
        assert [message.kind for message in agent.recall.read()][:2] == ["user_message", "reply"]


def test_the_context_parameter_may_stand_anywhere() -> None:
    def look(query: str, context: ToolContext) -> str:
        """Look."""
        return f"{query} {context.page_size}"

    model = Model(in_turn(lambda: calling(call("look", query="x")), lambda: saying("ok")))
    with Agent.open("ada", backend=model, tools=[look]) as agent:
        assert agent.send("Go.").tool_calls[0].result == "x 5"


def test_parameters_that_could_never_be_given_are_refused() -> None:
    def positional(query: str, /) -> str:
        """Look."""
        return query

    def greedy(request_heartbeat: bool) -> str:
        """Look."""
        return str(request_heartbeat)

    for function in (positional, greedy):
        with pytest.raises(UsageError, match="cannot be positional-only"):
            tool_from_function(function)


def test_a_long_name_does_not_fill_the_window() -> None:
    model = Model(in_turn(lambda: saying("ok")))
    with Agent.open("ada", backend=model, context_tokens=2048) as agent:
        assert agent.send("Hi.", name="Ada Lovelace " * 1000).reply == "ok"
        assert len(model.requests[-1].pages[-1].message.header) < 100


def test_a_found_document_passage_can_be_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("The quartz lay in the third drawer.", encoding="utf-8")
    opened: list[str] = []

    def answer(request: Request) -> Iterator[Delta | Reply]:
        last = request.pages[-1].message
        if last.kind == "user_message":
            return calling(call("archival_memory_search", query="quartz", request_heartbeat=True))
        if last.name == "archival_memory_search":
            found = json.loads(last.text.splitlines()[1])
            return calling(call("open_memory", id=found["id"], request_heartbeat=True))
        opened.append(last.text)
        return saying("Read.")

    with Agent.open("ada", backend=Model(answer)) as agent:
        agent.ingest(path)
        agent.send("Where is the quartz?")
    assert "third drawer" in opened[0]


def test_what_a_server_told_of_its_window_is_known_to_the_next_process() -> None:
    def answer(request: Request) -> Iterator[Delta | Reply]:
        if sum(page.tokens for page in request.pages) > 6_000:
            raise ContextOverflow("too long", 8_000)
        yield from saying("ok")

    model = Model(answer)
    with Agent.open("ada", backend=model, context_tokens=16_384) as agent:
        while agent.context().limit_tokens == 16_384:
            agent.send("fossil " * 100)
        assert agent.context().limit_tokens == 8_000
    with Agent.open("ada", backend=model, context_tokens=16_384) as agent:
        assert agent.context().limit_tokens == 8_000
    with Agent.open("ada", backend=Model(answer, spec="test:other"), context_tokens=16_384) as agent:
        assert agent.context().limit_tokens == 16_384
