"""A sample of the benchmark that kills memos at random moments: nothing acknowledged is lost or doubled."""

import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.parametrize("seed", [1, 2])
def test_a_kill_at_any_moment_loses_and_doubles_nothing(seed: int, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(KILLS), "--count", "3", "--seed", str(seed)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 kills: nothing lost" in result.stdout
