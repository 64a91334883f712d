"""The controller's nine promises under whatever hypothesis can think of, on a real home.

What is promised stands in support/invariants.py, what can be done in support/world.py; benchmarks/invariants.py
takes the same steps a hundred thousand times.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from hypothesis.stateful import run_state_machine_as_test as run  # pyright: ignore[reportUnknownVariableType]
from support.invariants import Violation
from support.world import WINDOWS, Setting, World

seeds = st.integers(0, 2**32)


class Controller(RuleBasedStateMachine):
    """One agent with a random model; each rule checks the promises before it returns."""

    world: World | None = None

    @initialize(
        window=st.sampled_from(WINDOWS),
        loop=st.sampled_from(["heartbeat", "native"]),
        bytewise=st.booleans(),
        thresholds=st.sampled_from([(0.7, 0.9), (0.6, 0.8), (0.7, 1.0), (0.9, 0.9)]),
        evict=st.floats(0.1, 0.95),
        max_steps=st.sampled_from([4, 12]),
        seed=seeds,
    )
    def begin(
        self,
        window: int,
        loop: str,
        bytewise: bool,
        thresholds: tuple[float, float],
        evict: float,
        max_steps: int,
        seed: int,
    ) -> None:
        mode = "native" if loop == "native" else "heartbeat"
        setting = Setting(window, mode, bytewise and window >= 16_384, *thresholds, evict, max_steps)
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder / "home", setting, Random(seed))

    def teardown(self) -> None:
        if self.world is not None:
            self.world.close()
            shutil.rmtree(self.folder)

    @rule(seed=seeds)
    def send(self, seed: int) -> None:
        self.with_whims(seed).send()

    @rule(seed=seeds)
    def send_more(self, seed: int) -> None:
        world = self.with_whims(seed)
        for _ in range(5):
            world.send()

    @rule(seed=seeds)
    def beat(self, seed: int) -> None:
        self.with_whims(seed).beat()

    @rule(seed=seeds)
    def edit_core(self, seed: int) -> None:
        self.with_whims(seed).edit_core()

    @rule(seed=seeds)
    def edit_from_elsewhere(self, seed: int) -> None:
        self.with_whims(seed).edit_from_elsewhere()

    @rule(seed=seeds)
    def page_in(self, seed: int) -> None:
        self.with_whims(seed).page_in()

    @rule()
    def undo_flush(self) -> None:
        self.with_whims(0).undo_flush()

    @rule(seed=seeds)
    def insert(self, seed: int) -> None:
        self.with_whims(seed).insert()

    @rule(seed=seeds)
    def add_history(self, seed: int) -> None:
        self.with_whims(seed).add_history()

    @rule()
    def reopen(self) -> None:
        self.with_whims(0).reopen()

    @rule()
    def replay(self) -> None:
        self.with_whims(0).replay()

    @rule()
    def look_back(self) -> None:
        self.with_whims(0).look_back()

    def with_whims(self, seed: int) -> World:
        assert self.world is not None
        self.world.chance.seed(seed)
        return self.world


def test_whatever_happens_every_promise_is_kept() -> None:
    # Most of what happens follows from the seeds, which cannot be shrunk: trying would only take minutes.
    phases = (Phase.explicit, Phase.generate)
    small = settings(max_examples=8, stateful_step_count=25, deadline=None, phases=phases)
    run(Controller, settings=small)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_seeded_life_keeps_every_promise(seed: int, tmp_path: Path) -> None:
    """As the benchmark, in small; and it was no idle life."""
    chance = Random(seed)
    world = World(tmp_path / "life", Setting(2048, "heartbeat", False, 0.7, 0.9, 0.5, 12), chance)
    while world.steps < 150:
        world.act()
    world.look_back()
    world.close()
    assert world.rules.flushes > 5
    assert world.rules.requests > 50


# ---------------------------------------------------------------- the rules can fail


def test_the_rules_see_a_message_that_vanishes(tmp_path: Path) -> None:
    world = World(tmp_path / "life", Setting(2048, "heartbeat", False, 0.7, 0.9, 0.5, 12), Random(0))
    world.send()
    world.rules.log.append(world.rules.log[-1])
    with pytest.raises(Violation, match="invariant 2"):
        world.send()
    world.agent.close()


def test_the_rules_see_an_edit_that_nobody_made(tmp_path: Path) -> None:
    world = World(tmp_path / "life", Setting(2048, "heartbeat", False, 0.7, 0.9, 0.5, 12), Random(0))
    world.agent.core["human"].set("Ada digs.")
    with pytest.raises(Violation, match="invariant 6"):
        world.send()
    world.agent.close()


def test_the_rules_see_a_prompt_that_is_too_long(tmp_path: Path) -> None:
    world = World(tmp_path / "life", Setting(2048, "heartbeat", False, 0.7, 0.9, 0.5, 12), Random(0))
    world.rules.count = lambda text: 2 * len(text)
    with pytest.raises(Violation, match="invariant 1"):
        world.send()
    world.agent.close()
