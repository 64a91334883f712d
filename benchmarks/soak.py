"""An agent that never stops: what the ten-thousandth turn costs beside the first.

    python benchmarks/soak.py [--turns 10000] [--window 4096]

A model of rules in this process speaks, searches, edits core memory and stores passages, and writes its summaries.
Limits: CPU a step, the last turns beside the first, growth of memory after the first tenth, disk beside the text,
and open files. Exits 1 when one is passed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.model import Model, call, calling, saying

from memos import Agent
from memos.ports import Delta, Reply, Request

CPU_MS_A_STEP = 5.0
LAST_TO_FIRST = 1.2
GROWTH_MB = 20.0
DISK_TIMES_TEXT = 3
DISK_MB = 20.0
MB = 1_000_000


@dataclass(frozen=True)
class Stretch:
    """Some turns on end."""

    cpu_s: float
    steps: int

    @property
    def ms_a_step(self) -> float:
        return self.cpu_s * 1000 / self.steps


def answer(model: Model, request: Request) -> Iterator[Delta | Reply]:
    """Speak; every few turns remember, search or note something first."""
    model.requests.clear()
    if request.purpose == "summary":
        return iter([Reply("The user told me of trilobites, their layers and the drawers they lie in.")])
    queue = [page.message for page in request.pages if page.section == "queue"]
    asked = max(i for i, message in enumerate(queue) if message.kind == "user_message")
    if queue[-1].kind == "pressure" or any(message.kind == "reply" for message in queue[asked:]):
        return saying("That is a fine piece; I have put down where it lies.")
    number = int(queue[asked].text.split()[1].rstrip(":"))
    if number % 10 == 3:
        return calling(call("archival_memory_insert", content=queue[asked].text, request_heartbeat=True))
    if number % 7 == 2:
        return calling(
            call("conversation_search", query=" ".join(queue[asked].text.split()[2:5]), request_heartbeat=True)
        )
    if number % 5 == 1:
        edit = {"old_content": f"Last seen: {number - 5}.", "new_content": f"Last seen: {number}."}
        return calling(call("core_memory_replace", label="human", **edit, request_heartbeat=True))
    return saying(f"Specimen {number} is noted. Was it found with others of its kind?")


def words(number: int) -> str:
    """Some thirty words of everyday frequency: a few are in many messages, most in few."""
    chance = Random(number)
    said = " ".join(chance.choices(VOCABULARY, cum_weights=FREQUENCIES, k=24))
    return f"Specimen {number}: {said}; it lies in drawer {number * 7 % 991}."


def make_words(count: int) -> list[str]:
    chance = Random(0)
    syllables = [first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "er", "il")]
    return ["".join(chance.choices(syllables, k=chance.randint(2, 4))) for _ in range(count)]


VOCABULARY = make_words(4000)
FREQUENCIES = list(accumulate(1 / (rank + 30) for rank in range(len(VOCABULARY))))
"""Zipf's law without the function words at its head, which search leaves out."""


def run(agent: Agent, first: int, turns: int) -> Stretch:
    started = time.process_time()
    steps = sum(agent.send(words(number)).steps for number in range(first, first + turns))
    return Stretch(time.process_time() - started, steps)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def disk_mb(folder: Path) -> float:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / MB


def text_mb(agent: Agent) -> float:
    return sum(len((message.header + message.whole).encode()) for message in agent.recall.read()) / MB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10_000)
    parser.add_argument("--window", type=int, default=4096)
    options = parser.parse_args()
    tenth = options.turns // 10
    stretches: list[Stretch] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        model = Model(lambda request: answer(model, request), context_tokens=options.window, writes_summaries=True)
        with Agent.open("ada", backend=model, home=home) as agent:
            agent.core["human"].set("Last seen: -4.")
            run(agent, 1_000_000, 5)  # statements compiled, embedder loaded
            for number in range(10):
                stretches.append(run(agent, number * tenth, tenth))
                if number == 0:
                    memory_mb, files = resident_mb(), open_files()
                print(f"{(number + 1) * tenth:7,} turns {stretches[-1].ms_a_step:6.2f} ms of CPU a step", flush=True)
            growth_mb, more_files = resident_mb() - memory_mb, open_files() - files
            flushes = len(agent.receipts())
            text = text_mb(agent)
        disk = disk_mb(home)
    whole = Stretch(sum(s.cpu_s for s in stretches), sum(s.steps for s in stretches))
    ratio = stretches[-1].ms_a_step / stretches[0].ms_a_step
    rows = [
        ("CPU ms a step", whole.ms_a_step, CPU_MS_A_STEP),
        ("last tenth / first tenth", ratio, LAST_TO_FIRST),
        ("memory grown after the first tenth, MB", growth_mb, GROWTH_MB),
        (f"disk for {text:.1f} MB of text, MB", disk, DISK_TIMES_TEXT * text + DISK_MB),
        ("further open files", more_files, 0),
    ]
    for name, figure, limit in rows:
        print(f"{figure:9.2f} (at most {limit:.2f})  {name}{'' if figure <= limit else '  TOO MUCH'}")
    print(f"{whole.steps:,} steps, {flushes:,} flushes, load {os.getloadavg()[0]:.1f}")
    return 1 if any(figure > limit for _, figure, limit in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
