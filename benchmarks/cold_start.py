"""What starting costs: CPU seconds (user + system of the child) and peak memory of whole processes.

    python benchmarks/cold_start.py [--runs 10]

Prints medians against their limits, in the same run as the floor (an interpreter that does nothing),
and which heavy libraries a short `memos send` imported: none may be. Exits 1 when a limit is passed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

SCRIPT = [{"calls": [{"name": "send_message", "arguments": {"message": "Hello."}}]}]
NOT_IN_A_SEND = {"lancedb", "openai", "tiktoken"}
PEAK_LIMIT_MB = 100


class Cost(NamedTuple):
    """One process: its CPU time and its peak resident memory."""

    cpu_s: float
    peak_mb: float


class Case(NamedTuple):
    """A command line to measure, and the CPU seconds it may take."""

    name: str
    arguments: list[str]
    limit_s: float | None


def measure(arguments: list[str], home: Path) -> Cost:
    """Run a process to its end; `wait4` accounts for that one child alone."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"MEMOS_HOME": str(home)},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{arguments} exited with {process.returncode}")
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * bytes_per_unit / 1e6)


def imported(arguments: list[str], home: Path) -> set[str]:
    """The top-level names of all modules that a process imports, as the interpreter itself reports them."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"MEMOS_HOME": str(home)},
    )
    lines = [line for line in result.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    runs: int = parser.parse_args().runs
    passed = True
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.json")
        script.write_text(json.dumps(SCRIPT), encoding="utf-8")
        send = ["-m", "memos", "send", "Hello?", "--model", f"scripted:{script}"]
        cases = [
            Case("floor: python -c pass", ["-c", "pass"], None),
            Case("import memos", ["-c", "import memos"], 0.15),
            Case("memos --help", ["-m", "memos", "--help"], 0.25),
            Case("memos send, scripted model, empty home", send, 1.0),
        ]
        print(f"{'CPU seconds, median of ' + str(runs):42}{'s':>7}{'limit':>8}{'peak MB':>9}")
        for case in cases:
            costs = [measure(case.arguments, Path(folder, f"{case.name}{run}")) for run in range(runs)]
            cpu_s = statistics.median(cost.cpu_s for cost in costs)
            peak_mb = statistics.median(cost.peak_mb for cost in costs)
            limit = "" if case.limit_s is None else f"{case.limit_s:.2f}"
            print(f"{case.name:42}{cpu_s:7.3f}{limit:>8}{peak_mb:9.1f}")
            passed = passed and (case.limit_s is None or cpu_s <= case.limit_s)
        wrong = imported(send, Path(folder, "imports")) & NOT_IN_A_SEND
        print(f"limit of the peak in memos send: {PEAK_LIMIT_MB} MB")
        print(f"imported by memos send, of {', '.join(sorted(NOT_IN_A_SEND))}: {', '.join(sorted(wrong)) or 'none'}")
    passed = passed and peak_mb <= PEAK_LIMIT_MB and not wrong
    print("within the limits" if passed else "OVER THE LIMITS")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
