"""Random steps of agents with a random model, with the controller's nine promises checked at each.

    python benchmarks/invariants.py [--steps 100000] [--seed 0] [--folder /dev/shm]

A step is a request that the model answered, or something done from outside: an edit of core memory, an undone
flush, a reopened home. Every few hundred steps a new home begins, with another window (1,024 to 131,072 tokens),
thresholds, loop mode and tokenizer. The promises stand in tests/support/invariants.py, what is done in
tests/support/world.py. Prints the seed of each home that broke one; exits 1 when any did.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.world import Setting, World

STEPS_A_HOME = 400


def live(seed: int, folder: Path, steps: int, figures: Counter[str]) -> str | None:
    """One home from its first step to its last; what went wrong, if anything did."""
    chance = Random(seed)
    setting = Setting.choose(chance)
    world: World | None = None
    try:
        world = World(folder / "home", setting, chance)
        while world.steps < steps:
            world.act()
        world.look_back()
        world.close()
        wrong = None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
        way = "".join(traceback.format_list(frames[-8:]))
        where = f"seed {seed}, {setting}, step {world.steps if world else 0}"
        wrong = f"{where}:\n{way}{type(error).__name__}: {str(error)[:1000]}"
    if world is not None:
        figures.update({"steps": world.steps, "requests": world.rules.requests, "flushes": world.rules.flushes})
        figures.update({"summaries": world.rules.summaries, "messages": len(world.rules.log)})
        figures.update({f"turns ended by {ending}": times for ending, times in world.endings.items()})
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where the homes are made; the faster its disk, the more steps a minute")
    parser.add_argument("--stop", action="store_true", help="stop at the first violation")
    options = parser.parse_args()
    figures: Counter[str] = Counter()
    violations = 0
    homes = 0
    started = time.monotonic()
    while figures["steps"] < options.steps and not (options.stop and violations):
        left = options.steps - figures["steps"]
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            # Seeds of different runs do not overlap.
            wrong = live(options.seed * 1_000_000 + homes, Path(folder), min(left, STEPS_A_HOME), figures)
        homes += 1
        if wrong:
            violations += 1
            figures["steps"] += 1  # a home that cannot be opened must not be tried for ever
            print(wrong, flush=True)
    minutes = (time.monotonic() - started) / 60
    for name, figure in figures.items():
        print(f"{figure:9,} {name}")
    print(f"{homes:9,} homes, {figures['steps'] / minutes:,.0f} steps a minute, load {os.getloadavg()[0]:.1f}")
    print(f"{violations:9,} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
