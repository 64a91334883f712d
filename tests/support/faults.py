"""Models, summarisers and servers that misbehave, and how a turn must end all the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from memos import Agent, BackendError
from memos.errors import ConnectionFailed
from memos.messages import Message, ToolCall
from memos.ports import Delta, Reply, Request
from memos.tokens import estimate_tokens
from support.model import Answer as Behaviour
from support.model import Model, call, calling, saying
from support.stub_openai import Answer, Json, Raw, StubCall, StubServer, error

TURNS = 25


@dataclass
class Outcome:
    """How it went, in a few words, and what was wrong."""

    told: str
    wrong: list[str] = field(default_factory=list[str])


Fault = Callable[[Path], Outcome]


def said(number: int) -> str:
    return f"Turn {number}: " + f"fossil{number} was found in layer {number % 9} by the river. " * 5


def check_log(agent: Agent, texts: list[str]) -> list[str]:
    """What was said is kept once and in order; each call has one result; the summaries have no gap."""
    log = agent.recall.read()
    kept = [message.text for message in log if message.kind == "user_message"]
    wrong = [] if kept == texts else [f"said {len(texts)} things, kept {len(kept)}"]
    made = [made.id for message in log for made in message.calls]
    answered = [message.call_id for message in log if message.kind == "result"]
    if made != answered:
        wrong.append(f"{len(made)} calls, {len(answered)} results")
    next_id = 1
    for receipt in agent.receipts():
        if receipt.first_id != next_id or not receipt.summary.strip():
            wrong.append(f"receipt {receipt.id} covers {receipt.first_id}-{receipt.last_id}: {receipt.summary[:50]!r}")
        next_id = receipt.last_id + 1
    return wrong


# ---------------------------------------------------------------- summarisers


def summariser(summary: Callable[[Request], Iterator[Delta | Reply]]) -> Fault:
    """A model that speaks well and fails at its summaries."""

    def fault(home: Path) -> Outcome:
        def answer(request: Request) -> Iterator[Delta | Reply]:
            return summary(request) if request.purpose == "summary" else saying("Noted.")

        model = Model(answer, context_tokens=2048, writes_summaries=True)
        with Agent.open("ada", backend=model, home=home) as agent:
            endings = {agent.send(said(number)).stopped_by for number in range(TURNS)}
            receipts = agent.receipts()
            wrong = check_log(agent, [said(number) for number in range(TURNS)])
            asked = sum(request.purpose == "summary" for request in model.requests)
        wrong += [] if endings == {"yield"} else [f"turns ended by {endings}"]
        wrong += [] if {receipt.model for receipt in receipts} == {"extractive"} else ["a bad summary was taken"]
        wrong += [] if asked <= 2 * len(receipts) else [f"{asked} requests for {len(receipts)} summaries"]
        return Outcome(f"{len(receipts)} flushes, each with an extractive summary", wrong)

    return fault


def fails(_request: Request) -> Iterator[Delta | Reply]:
    yield from ()
    raise ConnectionFailed("The summariser is away.")


def breaks_off(_request: Request) -> Iterator[Delta | Reply]:
    yield Delta(text="The user told")
    raise ConnectionFailed("The summariser went away.")


def returns(text: Callable[[Request], str]) -> Behaviour:
    return lambda request: iter([Reply(text(request))])


def everything(request: Request) -> str:
    """All that it was given, and more."""
    return "\n".join(page.message.rendered for page in request.pages) * 2


# ---------------------------------------------------------------- a server with half the window it claims


def half_a_window(names_it: bool) -> Fault:
    """Over HTTP. `names_it`: whether its error says how large the window is."""
    claimed, real = 8192, 4096

    def fault(home: Path) -> Outcome:
        refused = count()
        refusals = 0

        def policy(body: Json) -> Answer | Raw:
            nonlocal refusals
            size = estimate_tokens(json.dumps([body["messages"], body.get("tools")], ensure_ascii=False))
            if size + int(str(body.get("max_tokens", 0))) > real:
                refusals = next(refused) + 1
                named: dict[str, object] = {"type": "exceed_context_size_error", "n_ctx": real} if names_it else {}
                return error(400, "context_length_exceeded", "The prompt is too long.", **named)
            if "tools" not in body or body.get("tool_choice") == "none":
                return Answer("Fossils were found.")
            return Answer(calls=(StubCall("send_message", {"message": "Noted."}),))

        with (
            StubServer(policy) as server,
            Agent.open("ada", model=f"openai:half@{server.base_url}", context_tokens=claimed, home=home) as agent,
        ):
            turns = [agent.send(said(number)) for number in range(3 * TURNS)]
            limit = agent.context().limit_tokens
            wrong = check_log(agent, [said(number) for number in range(3 * TURNS)])
        wrong += [] if {turn.stopped_by for turn in turns} == {"yield"} else ["not every turn ended by itself"]
        wrong += [] if real // 2 < limit <= real else [f"the window is believed to be {limit}"]
        wrong += [] if 1 <= refusals <= 5 else [f"the server refused {refusals} requests"]
        return Outcome(f"{refusals} refused, then {limit} tokens were believed", wrong)

    return fault


# ---------------------------------------------------------------- models without end


def endless(call_made: Callable[[int], ToolCall], ending: str, settings: str = "") -> Fault:
    """A model that makes such a call in every step; the turn must be ended by `ending`, and the next one be well."""

    def fault(home: Path) -> Outcome:
        (home / "settings.toml").write_text(settings, encoding="utf-8")
        numbers, sane = count(), False

        def answer(_request: Request) -> Iterator[Delta | Reply]:
            return saying("Well again.") if sane else calling(call_made(next(numbers)))

        with Agent.open("ada", backend=Model(answer, context_tokens=4096), home=home) as agent:
            turn = agent.send("Go.")
            sane = True
            after = agent.send("And now?")
            wrong = check_log(agent, ["Go.", "And now?"])
            told = [m.text for m in turn.messages if m.kind == "interrupt"]
        wrong += [] if turn.stopped_by == ending else [f"ended by {turn.stopped_by!r}, not {ending!r}"]
        wrong += [] if len(told) == 1 else [f"the model was told of it {len(told)} times"]
        wrong += [] if (after.reply, after.stopped_by) == ("Well again.", "yield") else [f"then: {after.reply!r}"]
        return Outcome(f"ended by {turn.stopped_by} after {turn.steps} steps", wrong)

    return fault


def broken(number: int) -> ToolCall:
    return ToolCall(f"broken{number}", "core_memory_append", '{"label": "human", "content": ' + "[" * number)


def unknown(number: int) -> ToolCall:
    return call(f"fly_to_{number}", where="the moon")


def repeated(_number: int) -> ToolCall:
    return call("conversation_search", query="fossil", request_heartbeat=True)


def hungry(number: int) -> ToolCall:
    return call("conversation_search", query=f"fossil {number}", request_heartbeat=True)


def costly(ending: str, settings: str) -> Fault:
    """As `endless`, with a model that reports what it used."""

    def fault(home: Path) -> Outcome:
        (home / "settings.toml").write_text(settings, encoding="utf-8")
        from memos.messages import Usage

        numbers = count()

        def answer(_request: Request) -> Iterator[Delta | Reply]:
            yield Reply(calls=(hungry(next(numbers)),), usage=Usage(1000, 100), finish_reason="calls")

        with Agent.open("ada", backend=Model(answer), home=home) as agent:
            turn = agent.send("Go.")
            wrong = check_log(agent, ["Go."])
        wrong += [] if (turn.stopped_by, turn.steps) == (ending, 5) else [f"{turn.stopped_by} after {turn.steps} steps"]
        return Outcome(f"ended by {turn.stopped_by} after {turn.steps} steps", wrong)

    return fault


def server_away(home: Path) -> Outcome:
    """The model fails in the middle of a turn: the error is raised, and what was said and done is kept."""
    steps = count()

    def answer(_request: Request) -> Iterator[Delta | Reply]:
        step = next(steps)
        if step == 1:
            raise ConnectionFailed("The server is away.")
        return calling(hungry(1)) if step == 0 else saying("Back.")

    wrong: list[str] = []
    told = ""
    with Agent.open("ada", backend=Model(answer), home=home) as agent:
        try:
            agent.send("Go.")
            wrong.append("nothing was raised")
        except BackendError as failure:
            told = str(failure)
        log: list[Message] = agent.recall.read()
        wrong += [] if [m.kind for m in log] == ["user_message", "reply", "result"] else ["the first step was not kept"]
        wrong += [] if agent.send("And now?").reply == "Back." else ["the next turn did not work"]
        wrong += check_log(agent, ["Go.", "And now?"])
    return Outcome(f"raised {told!r}", wrong)


FAULTS: dict[str, Fault] = {
    "a summariser that errors": summariser(fails),
    "a summariser that breaks off": summariser(breaks_off),
    "a summariser that returns nothing": summariser(returns(lambda _request: " \n")),
    "a summariser that returns more than it was given": summariser(returns(everything)),
    "a server with half the window it claims, which it names": half_a_window(names_it=True),
    "a server with half the window it claims, which it does not name": half_a_window(names_it=False),
    "a model that calls unknown functions": endless(unknown, "steps"),
    "a model that sends broken JSON": endless(broken, "steps"),
    "a model that asks for heartbeats for ever": endless(hungry, "steps", "max_steps = 30\n"),
    "a model that repeats itself": endless(repeated, "repeat"),
    "a model that uses up its tokens": costly("tokens", "max_turn_tokens = 5000\n"),
    "a model that uses up its money": costly("cost", "max_turn_cost = 0.005\nprice_prompt = 1\n"),
    "a server that goes away in the middle of a turn": server_away,
}
