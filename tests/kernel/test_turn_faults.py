"""Failures in the middle of a turn: small seeded samples of what benchmarks/turn_faults.py does at length."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.faults import FAULTS

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "turn_faults.py"


@pytest.mark.parametrize("name", FAULTS)
def test_a_failure_ends_in_a_kept_log_and_a_clear_end(name: str, tmp_path: Path) -> None:
    home = tmp_path / "faulty"
    home.mkdir()
    assert FAULTS[name](home).wrong == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_kill_in_the_middle_of_a_turn_loses_and_doubles_nothing(seed: int, tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARK), "--kills", "6", "--seed", str(seed), "--only-kills"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "nothing lost, nothing doubled" in result.stdout
