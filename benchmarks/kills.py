"""Kill -9 at seeded random moments of `memos send` and `memos ingest`, then look at what was kept.

    python benchmarks/kills.py [--count 200] [--seed 0]

Acknowledged means: `send` printed its report, or with --stream-json its first event; `ingest` printed its
report. Each acknowledged message and document must be in the home exactly once and whole, one that was not
acknowledged at most once, and the command after the kill must work. The tables are read directly, so that the
program does not vouch for itself. Exits 1 when anything is lost, doubled or stuck.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

PARAGRAPHS = 60


class Run(NamedTuple):
    """A command that ran until it ended or was killed."""

    exit_code: int
    stdout: str
    seconds: float


class Home:
    """A home, the commands run in it, and its tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def run(self, *arguments: str, kill_after_s: float | None = None) -> Run:
        """Run memos; its output goes through a file, so that what it printed before the kill is kept."""
        started = time.perf_counter()
        with tempfile.TemporaryFile(dir=self.folder.parent) as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "memos", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"MEMOS_HOME": str(self.folder), "MEMOS_MODEL": "extractive"},
            )
            try:
                process.wait(kill_after_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            output.seek(0)
            return Run(process.returncode, output.read().decode(), time.perf_counter() - started)

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        path = self.folder / "memos.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as connection:
            try:
                return connection.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):  # killed before the schema was committed
                    return []
                raise

    def messages(self, text: str) -> int:
        return len(self.query("SELECT 1 FROM messages WHERE kind = 'user_message' AND text = ?", text))

    def documents(self, text: str) -> int:
        """How many whole documents hold exactly this text, put together from their passages."""
        found = 0
        for (document_id,) in self.query("SELECT id FROM documents WHERE whole"):
            passages = self.query("SELECT text FROM passages WHERE document_id = ? ORDER BY ordinal", document_id)
            found += "".join(str(passage) for (passage,) in passages) == text
        return found


class Send:
    """`memos send`, with a thing to remember that no other message holds."""

    name = "send"
    kept_after_next: int | None = None  # as often as before it

    def __init__(self, number: int, home: Home, *, streamed: bool) -> None:
        self.text = f"Please remember that specimen {number} lies in drawer {number * 31}."
        self.home = home
        self.arguments = ("send", self.text, "--stream-json" if streamed else "--json")

    def acknowledged(self, run: Run) -> bool:
        return any(parses(line) for line in run.stdout.splitlines()) or parses(run.stdout)

    def times_kept(self) -> int:
        return self.home.messages(self.text)

    def next_works(self) -> bool:
        """The next message of the same agent is taken, and leaves no turn open."""
        run = self.home.run("send", "What lies in which drawer?", "--json")
        return run.exit_code == 0 and not self.home.query("SELECT * FROM turns WHERE stopped_by IS NULL")


class Ingest:
    """`memos ingest` of a file whose text no other file holds."""

    name = "ingest"
    kept_after_next: int | None = 1  # the next command is the same one again

    def __init__(self, number: int, home: Home) -> None:
        lines = (
            f"Specimen {number} of case {line}: a trilobite, found on day {line * 7 + number} of the dig.\n\n"
            for line in range(PARAGRAPHS)
        )
        self.text = "".join(lines)
        self.home = home
        self.path = home.folder.parent / f"case{number}.txt"
        self.path.write_text(self.text, encoding="utf-8")
        self.arguments = ("ingest", str(self.path), "--json")

    def acknowledged(self, run: Run) -> bool:
        return parses(run.stdout)

    def times_kept(self) -> int:
        return self.home.documents(self.text)

    def next_works(self) -> bool:
        """The same command again completes the document and stores nothing twice."""
        run = self.home.run(*self.arguments)
        found = self.home.run("search", self.path.stem, "--in", "documents", "--json")
        return run.exit_code == 0 and found.exit_code == 0 and parses(found.stdout)


Work = Send | Ingest


def parses(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def usual_seconds(folder: Path) -> dict[str, float]:
    """How long each command takes in a home of its own when it is left alone."""
    home = Home(folder)
    works: list[Work] = [Send(0, home, streamed=False), Ingest(0, home)]
    runs = {work.name: [home.run(*work.arguments) for _ in range(2)] for work in works}
    if any(run.exit_code for pair in runs.values() for run in pair):
        raise SystemExit(f"the commands do not work even when they are left alone: {runs}")
    return {name: max(run.seconds for run in pair) for name, pair in runs.items()}


def kill_one(work: Work, kill_after_s: float) -> tuple[str, list[str]]:
    """Kill the command at that moment. Returns when it was (for the report) and what went wrong."""
    run = work.home.run(*work.arguments, kill_after_s=kill_after_s)
    acknowledged, kept = work.acknowledged(run), work.times_kept()
    moment = "after it was acknowledged" if acknowledged else "after its commit" if kept else "before its commit"
    problems: list[str] = []
    if kept > 1 or (acknowledged and kept == 0):
        problems.append(f"acknowledged: {acknowledged}, kept {kept} times")
    if run.exit_code > 0:
        problems.append(f"failed by itself with exit code {run.exit_code}")
    if not work.next_works():
        problems.append("the next command failed")
    now = work.times_kept()
    if now != (work.kept_after_next if work.kept_after_next is not None else kept):
        problems.append(f"kept {kept} times at first, {now} times after the next command")
    name = f"{work.name} not killed in time" if run.exit_code == 0 else f"{work.name} killed {moment}"
    return name, [f"{' '.join(work.arguments)}, {kill_after_s:.3f} s: {problem}" for problem in problems]


def faults(home: Home) -> list[str]:
    """What is wrong with the home as a whole."""
    checks = {
        "damaged": "SELECT * FROM pragma_integrity_check WHERE integrity_check != 'ok'",
        "rows without their owner": "SELECT * FROM pragma_foreign_key_check",
        "gaps in the log": "SELECT agent_id FROM messages GROUP BY agent_id HAVING max(id) != count(*)",
        "calls with two results": (
            "SELECT call_id FROM messages WHERE kind = 'result' GROUP BY agent_id, call_id HAVING count(*) > 1"
        ),
        "memories stored twice": (
            "SELECT text FROM passages WHERE agent_id IS NOT NULL GROUP BY agent_id, text HAVING count(*) > 1"
        ),
    }
    return [f"{name}: {rows[:3]}" for name, query in checks.items() if (rows := home.query(query))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    moments: Counter[str] = Counter()
    problems: list[str] = []
    kept: list[Work] = []
    with tempfile.TemporaryDirectory() as folder:
        usual = usual_seconds(Path(folder, "trial"))
        home = Home(Path(folder, "home"))
        for number in range(1, options.count + 1):
            work: Work = Ingest(number, home) if number % 2 else Send(number, home, streamed=chance.random() < 0.5)
            # Half of the kills anywhere, half in the later part, where the writing is done.
            share = chance.uniform(0.0, 1.1) if chance.random() < 0.5 else chance.uniform(0.5, 1.1)
            moment, wrong = kill_one(work, share * usual[work.name])
            moments[moment] += 1
            problems += wrong
            if work.times_kept():
                kept.append(work)
        problems += [f"{' '.join(work.arguments)}: gone or doubled later" for work in kept if work.times_kept() != 1]
        problems += faults(home)
    for moment, times in sorted(moments.items()):
        print(f"{times:5} {moment}")
    print("\n".join(problems) or f"{options.count} kills: nothing lost, nothing doubled, every next command worked")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
