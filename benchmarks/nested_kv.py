"""Nested key-value retrieval of the MemGPT paper: keys whose values are keys, followed through archival memory.

    python benchmarks/nested_kv.py [FOLDER] [--sets 30] [--windows 8192 2048]

Each set holds 140 pairs of UUIDs, one passage each in archival memory. A question names a key whose value may be
another key, and so on: nesting 0 to 5. The model is a rule behind a real HTTP server: it searches for the key it has
until a search shows that the value it holds is no key, so n + 2 searches are what nesting n demands. FOLDER holds
kv-140-keys-30.jsonl and orderings-level-1.jsonl to -6 (by default ../shared/data/nested_kv); where there is none,
chains are made up from seeded UUIDs. Prints a table; exits 1 when an answer is wrong or a call is one too many.
Source: MemGPT, arXiv 2310.08560, section 3.2.2.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.stub_openai import Answer, Json, StubCall, StubServer

from memos import Agent

SHARED = Path(__file__).parents[2] / "shared" / "data" / "nested_kv"
LEVELS = range(1, 7)
PAIRS = 140
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PAIR = re.compile(rf"({_UUID.pattern}) is the key of ({_UUID.pattern})\.")

Pairs = dict[str, str]


@dataclass
class Score:
    """The questions of one window and nesting."""

    asked: int = 0
    right: int = 0
    calls: int = 0
    most_calls: int = 0
    fewest: int = 0
    """What nesting demands."""


def load(folder: Path, sets: int) -> tuple[list[Pairs], dict[int, list[list[int]]]]:
    with (folder / "kv-140-keys-30.jsonl").open(encoding="utf-8") as lines:
        pairs = [dict(json.loads(line)["ordered_kv_records"]) for line in lines][:sets]
    orderings = {
        level: [json.loads(line) for line in (folder / f"orderings-level-{level}.jsonl").read_text().splitlines()]
        for level in LEVELS
    }
    return pairs, orderings


def make_up(sets: int) -> tuple[list[Pairs], dict[int, list[list[int]]]]:
    chance = Random(2310_08560)

    def new() -> str:
        return str(uuid.UUID(int=chance.getrandbits(128), version=4))

    pairs = [{new(): new() for _ in range(PAIRS)} for _ in range(sets)]
    return pairs, {level: [chance.sample(range(PAIRS), level) for _ in range(sets)] for level in LEVELS}


def chained(pairs: Pairs, ordering: Sequence[int]) -> Pairs:
    """The pairs of a chain: each key's value is the next key, the last one's its own."""
    keys = [list(pairs)[index] for index in ordering]
    return {key: keys[i + 1] if i + 1 < len(keys) else pairs[key] for i, key in enumerate(keys)}


def sentence(key: str, value: str) -> str:
    return f"{key} is the key of {value}."


# ---------------------------------------------------------------- the model: a rule over what it is shown


def follow(body: Json) -> Answer:
    """Search for the key in hand; when no pair has it as its key, it is the answer.

    Looks at the last step alone: in a small window the earlier ones may have been paged out.
    """
    messages = body["messages"]
    if not isinstance(messages, list) or "tools" not in body or body.get("tool_choice") == "none":
        return Answer("We talked of keys.")
    asked = max(i for i, message in enumerate(messages) if "What does the key" in str(message.get("content")))
    made = [call["function"] for message in messages[asked:] for call in message.get("tool_calls") or ()]
    if not made:
        return _search(_UUID.findall(messages[asked]["content"])[-1])
    result = next(message["content"] for message in reversed(messages) if message["role"] == "tool")
    arguments = json.loads(made[-1]["arguments"])
    if made[-1]["name"] == "send_message":  # and then memory pressure asked for one more step
        return Answer("I have answered.")
    if made[-1]["name"] == "open_memory":
        return _search(_PAIR.findall(result)[0][1])
    hand = arguments["query"]
    known = dict(_PAIR.findall(result))
    if hand in known:
        return _search(known[hand])
    hits = [json.loads(line) for line in result.splitlines() if line.startswith("{")]
    cut = [hit["id"] for hit in hits if hit.get("cut") and hit["text"].startswith(hand[: len(hit["text"])])]
    if cut:
        return Answer(calls=(StubCall("open_memory", {"id": cut[0], "request_heartbeat": True}),))
    return Answer(calls=(StubCall("send_message", {"message": hand}),))


def _search(key: str) -> Answer:
    return Answer(calls=(StubCall("archival_memory_search", {"query": key, "request_heartbeat": True}),))


# ---------------------------------------------------------------- asking


def ask(agent: Agent, key: str, answer: str, score: Score) -> None:
    turn = agent.send(f"What does the key {key} lead to in the end?")
    calls = sum(run.name != "send_message" for run in turn.tool_calls)
    score.asked += 1
    score.right += turn.reply == answer
    score.calls += calls
    score.most_calls = max(score.most_calls, calls)


def run(folder: Path | None, sets: int, windows: Sequence[int]) -> dict[tuple[int, int], Score]:
    """All questions, by window and nesting."""
    all_pairs, orderings = load(folder, sets) if folder is not None else make_up(sets)
    scores: dict[tuple[int, int], Score] = defaultdict(Score)
    with StubServer(follow) as server, tempfile.TemporaryDirectory() as homes:
        for number, pairs in enumerate(all_pairs):
            for window in sorted(windows):  # the smallest first: it makes the blocks that fit all
                home = Path(homes, str(number))
                with Agent.open("asker", model=f"openai:rule@{server.base_url}", home=home, context_tokens=window) as a:
                    if window == min(windows):
                        for key, value in pairs.items():
                            a.archival.insert(sentence(key, value))
                    for level in LEVELS:
                        score = scores[window, level - 1]
                        score.fewest = level + 1
                        ask_chain(a, pairs, chained(pairs, orderings[level][number]), score)
    return scores


def ask_chain(agent: Agent, pairs: Pairs, chain: Pairs, score: Score) -> None:
    """Put the chain in place of its keys' pairs, ask for its end, and put the pairs back."""
    swap(agent, {key: pairs[key] for key in chain}, chain)
    ask(agent, next(iter(chain)), list(chain.values())[-1], score)
    swap(agent, chain, {key: pairs[key] for key in chain})


def swap(agent: Agent, old: Pairs, new: Pairs) -> None:
    for key, value in old.items():
        text = sentence(key, value)
        if new[key] != value:
            hit = next(hit for hit in agent.archival.search(text, limit=5).hits if hit.text == text)
            agent.archival.delete(hit.id)
            agent.archival.insert(sentence(key, new[key]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SHARED if SHARED.is_dir() else None)
    parser.add_argument("--sets", type=int, default=30)
    parser.add_argument("--windows", type=int, nargs="+", default=[8192, 2048])
    options = parser.parse_args()
    scores = run(options.folder, options.sets, options.windows)
    print("pairs from", options.folder or "a seed", f"load {os.getloadavg()[0]:.1f}")
    print(" window  nesting  right       calls a question  most  demanded")
    failed = False
    for (window, nesting), score in sorted(scores.items()):
        mean = score.calls / score.asked
        print(
            f"{window:7,}  {nesting:7}  {score.right:2} of {score.asked:2}  {mean:21.2f}  {score.most_calls:4}"
            f"  {score.fewest:8}"
        )
        failed |= score.right < score.asked or score.most_calls > score.fewest
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
