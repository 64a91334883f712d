"""A fact told in the first message of a long conversation comes back into a small window when it is asked for.

    python benchmarks/needle.py [--messages 10000] [--window 2048] [--seed 0]

Everything is said in real turns on real stores, among sentences of the same kind and words. The model is a rule: it
searches the conversation for the words of a question and answers with the first hit that is no question. The
question is asked once more after the home was opened anew. Exits 1 when the fact does not reach the prompt, or was
in the prompt all along (then nothing was shown).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.model import Model, call, calling, saying

from memos import Agent
from memos.ports import Delta, Reply, Request

THINGS = ("key", "map", "letter", "coin", "lens", "ring", "tooth", "seal")
COLOURS = ("red", "green", "grey", "white", "black", "brown", "yellow")
PLACES = ("under the stairs", "in the clock", "behind the stove", "in the blue jar", "at my sister's", "in the attic")
FACT = "I hid the silver astrolabe in the hollow oak at Brenzone, 17 steps from the chapel."
PAGES = 3
"""How far the model looks. Asked again, the question itself is what its words find first."""
QUESTION = "Where did I hide the silver astrolabe?"


def answer(request: Request) -> Iterator[Delta | Reply]:
    """Search when asked something, tell what was found, else take note."""
    queue = [page.message for page in request.pages if page.section == "queue"]
    asked = max(i for i, message in enumerate(queue) if message.kind == "user_message")
    if not queue[asked].text.endswith("?"):
        return saying("Noted.")
    results = [message.text for message in queue[asked:] if message.kind == "result" and message.name != "send_message"]
    hits = [json.loads(line) for result in results[-1:] for line in result.splitlines() if line.startswith("{")]
    told = [hit["text"] for hit in hits if hit.get("from") != "assistant" and not hit["text"].endswith("?")]
    if told:
        return saying(told[0])
    if len(results) == PAGES:
        return saying("I do not know.")
    return calling(call("conversation_search", query=queue[asked].text, page=len(results) + 1, request_heartbeat=True))


def talk(agent: Agent, messages: int, chance: Random) -> None:
    """The fact first, then other things hidden in other places."""
    agent.send(FACT)
    while agent.recall.count() < messages:
        hidden = f"the {chance.choice(COLOURS)} {chance.choice(THINGS)} {chance.choice(PLACES)}"
        agent.send(
            f"I hid {hidden}, {chance.randrange(2, 90)} steps from the {chance.choice(('gate', 'well', 'barn'))}."
        )


def ask(agent: Agent, model: Model) -> list[str]:
    """What is wrong with the way the fact came back."""
    model.requests.clear()
    turn = agent.send(QUESTION)
    shown = [any(knows(page.message.text) for page in request.pages) for request in model.requests]
    problems: list[str] = []
    if shown[0]:
        problems.append("the fact was in the prompt before it was searched for")
    if not shown[-1]:
        problems.append("the fact did not reach the prompt")
    if turn.reply != FACT:
        problems.append(f"the answer was {turn.reply!r}")
    print(f"answered after {len(turn.tool_calls) - 1} searches")
    return problems


def knows(text: str) -> bool:
    return re.search(r"hollow oak|Brenzone", text) is not None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--window", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.process_time()
    with tempfile.TemporaryDirectory() as home:
        model = Model(lambda request: forgetful(model, request), context_tokens=options.window)
        with Agent.open("ada", backend=model, home=home) as agent:
            talk(agent, options.messages, Random(options.seed))
            messages, flushes = agent.recall.count(), len(agent.receipts())
            problems = ask(agent, model)
        with Agent.open("ada", backend=model, home=home) as agent:
            for number in range(30):  # what was said of it now must leave the window first
                agent.send(f"Number {number} was counted by the river, and then once more by the others on the hill.")
            problems += [f"opened again: {problem}" for problem in ask(agent, model)]
    print(f"{messages:,} messages, window {options.window:,}, {flushes:,} flushes")
    print(f"{time.process_time() - started:.0f} s of CPU, load {os.getloadavg()[0]:.1f}")
    print("\n".join(problems) or "the fact of message 1 came back both times")
    return 1 if problems else 0


def forgetful(model: Model, request: Request) -> Iterator[Delta | Reply]:
    """Ten thousand requests need not be remembered."""
    del model.requests[:-5]
    return answer(request)


if __name__ == "__main__":
    sys.exit(main())
