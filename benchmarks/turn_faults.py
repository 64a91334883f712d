"""What goes wrong in a turn: kill -9 in the middle of it, summarisers, servers and models that misbehave.

    python benchmarks/turn_faults.py [--kills 500] [--seed 0]

Kills: a process talks to an agent with a small window, so that it often flushes, and dies at a seeded random moment.
After each, what was accepted must be in the log exactly once, each call have at most one result, each effect exist
as often as its result says, and the receipts cover what has left the window; the next process carries the turn on.
The other failures must each end in a kept log and a turn that says why it ended. Exits 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.faults import FAULTS
from support.model import Model, calling, saying

from memos import Agent
from memos.messages import Message, ToolCall
from memos.ports import Delta, Reply, Request

WINDOW = 2048
LONGEST_S = 0.25


def words(number: int) -> str:
    return f"Event {number}: " + f"a trilobite of layer {number % 9} was found by the river. " * 4


# ---------------------------------------------------------------- the process that is killed


def answer(request: Request, mark: Callable[[str], None], chance: Random) -> Iterator[Delta | Reply]:
    """What follows from the log alone, so that a turn carried on by another process goes the same way."""
    mark("flush" if request.purpose == "summary" else "infer")
    time.sleep(chance.uniform(0, 0.004))
    if request.purpose == "summary":
        mark("committing the flush")
        yield Reply("Trilobites were found by the river.")
        return
    queue = [page.message for page in request.pages if page.section == "queue"]
    asked = max(i for i, message in enumerate(queue) if message.kind == "user_message")
    replies = sum(message.kind == "reply" for message in queue[asked:])
    name = queue[asked].text.split(":")[0]
    yield Delta(thoughts="Hm.")
    if replies == 0 and queue[asked + 1 :] == []:
        yield from calling(
            made(chance, "archival_memory_insert", content=f"{name} happened."),
            made(chance, "ring", bell=name),
            made(chance, "core_memory_append", label="human", content=f"{name}."),
            made(chance, "send_message", message=f"Heard of {name}."),
        )
    else:
        yield from calling(made(chance, "send_message", message=f"Done with {name}."))


def made(chance: Random, name: str, **arguments: str) -> ToolCall:
    """A call whose id no other process gives."""
    return ToolCall(f"call_{chance.getrandbits(60):x}", name, json.dumps(arguments))


def talk(home: Path, number: int, seed: int, report: int) -> None:
    """Say one thing after the other, for ever; each acknowledgement goes to the pipe."""
    chance = Random(seed)

    def mark(what: str) -> None:
        os.write(report, f"{what}\n".encode())

    def ring(bell: str) -> str:
        """Ring a bell."""
        with (home / "bells.txt").open("a", encoding="utf-8") as bells:
            bells.write(f"{bell}\n")
        return "It rang."

    model = Model(lambda request: answer(request, mark, chance), context_tokens=WINDOW, writes_summaries=True)
    mark("open")
    with Agent.open("ada", backend=model, home=home, tools=[ring]) as agent:
        while True:
            accepted = False
            if number % 20 == 0:
                agent.core["human"].set("")
            for _event in agent.stream(words(number), idempotency_key=f"event {number}"):
                if not accepted and kept(agent, number):  # a turn that is carried on comes first
                    mark(f"accepted {number}")
                    accepted = True
                mark("act")
            mark(f"ended {number}")
            number += 1


def kept(agent: Agent, number: int) -> bool:
    return any(message.text == words(number) for message in agent.recall.read(max(1, agent.recall.count() - 60)))


def fork(work: Callable[[int], None], kill_after_s: float | None = None) -> list[str]:
    """Do it in a process of its own, which may be killed. Returns the lines it wrote to its pipe.

    This process itself opens no home, so that what it hands on is as fresh as a started program.
    """
    receive, report = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        try:
            work(report)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - the parent must hear of it
            os.write(report, f"died of {type(error).__name__}: {error}".replace("\n", " ").encode())
        os._exit(1)
    os.close(report)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(receive, encoding="utf-8") as lines:
        heard = lines.read().splitlines()
    os.waitpid(child, 0)
    return heard


# ---------------------------------------------------------------- what was kept


def count_kept(home: Path, report: int) -> None:
    with Agent.open("ada", backend=Model(lambda _request: saying("")), home=home, context_tokens=WINDOW) as agent:
        os.write(report, f"{agent.recall.count():,} messages\n{len(agent.receipts())} flushes\n".encode())


def inspect(home: Path, accepted: int, ended: int, report: int) -> None:
    """Report what is wrong with the home, read through the stores with no turn taken."""
    with Agent.open("ada", backend=Model(lambda _request: saying("")), home=home, context_tokens=WINDOW) as agent:
        log = agent.recall.read()
        said = Counter(message.text for message in log if message.kind == "user_message")
        wrong = [f"message {m.id} at place {place}" for place, m in enumerate(log, 1) if m.id != place][:1]
        wrong += [f"event {n} kept {said[words(n)]} times" for n in range(1, accepted + 1) if said[words(n)] != 1]
        wrong += [f"{text[:20]!r} is kept {times} times" for text, times in said.items() if times > 1]
        wrong += check_calls(log, ended)
        wrong += check_effects(agent, log, home)
        next_id = 1
        for receipt in agent.receipts():
            if receipt.first_id != next_id:
                wrong.append(f"receipt {receipt.id} begins at {receipt.first_id}, not {next_id}")
            next_id = receipt.last_id + 1
        queue = [page.message.id for page in agent._parts.context.compile().pages if page.section == "queue"]
        if next_id not in (*queue, len(log) + 1):
            wrong.append(f"message {next_id} is neither in the queue nor under a receipt")
    os.write(report, "".join(f"{problem}\n" for problem in wrong[:20]).encode())


def check_calls(log: list[Message], ended: int) -> list[str]:
    results = Counter(message.call_id for message in log if message.kind == "result")
    wrong = [f"call {call_id} has {times} results" for call_id, times in results.items() if times > 1]
    done = next((m.id for m in log if m.text == words(ended + 1)), len(log) + 1)  # a turn that ended has all results
    asked = [made for message in log if message.id < done for made in message.calls]
    if ended:
        wrong += [f"call {made.id} has no result" for made in asked if not results[made.id]]
    return wrong


def check_effects(agent: Agent, log: list[Message], home: Path) -> list[str]:
    """Each effect as often as its result says: memory and result commit together, a bell never rings twice."""
    answered = Counter(message.name for message in log if message.kind == "result" and message.status == "ok")
    edits = sum(version.cause == "core_memory_append" for version in agent.core["human"].history())
    wrong: list[str] = []
    if edits != answered["core_memory_append"]:
        wrong.append(f"{edits} edits, {answered['core_memory_append']} results of edits")
    if agent.archival.count() != answered["archival_memory_insert"]:
        wrong.append(f"{agent.archival.count()} passages, {answered['archival_memory_insert']} results of inserts")
    bells = Counter((home / "bells.txt").read_text().split("\n")[:-1]) if (home / "bells.txt").exists() else Counter()
    wrong += [f"{bell} rang {times} times" for bell, times in bells.items() if times > 1]
    if answered["ring"] > len(bells):
        wrong.append(f"{len(bells)} bells rang, {answered['ring']} results say so")
    return wrong


def kills(count: int, seed: int) -> list[str]:
    chance, moments, wrong = Random(seed), Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        home, number, accepted, ended = Path(folder), 1, 0, 0
        for attempt in range(count):
            whims, delay_s = chance.getrandbits(32), chance.uniform(0.01, LONGEST_S)
            heard = fork(partial(talk, home, number, whims), delay_s)
            moments[re.sub(r" \d+$", "", heard[-1]) if heard else "start"] += 1
            accepted = max([accepted, *(int(line.split()[1]) for line in heard if line.startswith("accepted"))])
            ended = max([ended, *(int(line.split()[1]) for line in heard if line.startswith("ended"))])
            problems = [line for line in heard if line.startswith("died")]
            if accepted:
                problems += fork(partial(inspect, home, accepted, ended))
            wrong += [f"kill {attempt}, event {accepted}: {problem}" for problem in problems]
            if wrong:
                break
            number = ended + 1  # with its key again: what was accepted must not be said twice
        print(f"{count} kills while: " + ", ".join(f"{what} {times}" for what, times in moments.most_common()))
        print(f"{ended} turns ended; kept: {', '.join(fork(partial(count_kept, home)))}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-kills", action="store_true", help="leave out the other failures")
    options = parser.parse_args()
    wrong = kills(options.kills, options.seed) if options.kills else []
    for name, fault in [] if options.only_kills else FAULTS.items():
        with tempfile.TemporaryDirectory() as folder:
            outcome = fault(Path(folder))
        print(f"{name}: {outcome.told}")
        wrong += [f"{name}: {problem}" for problem in outcome.wrong]
    print(f"load {os.getloadavg()[0]:.1f}")
    print("\n".join(wrong) or "nothing lost, nothing doubled, and every failure said what it was")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
