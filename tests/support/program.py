"""The real program in a process of its own, as a user starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT_S = 120


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object that is all of stdout."""
        value: dict[str, Any] = json.loads(self.out)
        return value

    @property
    def json_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Program:
    """`memos` in one folder and one home."""

    folder: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict[str, str])
    """Set in the environment of every command."""

    def __call__(self, *arguments: str, stdin: str | bytes = "", **variables: str) -> Result:
        done = subprocess.run(
            self.command(*arguments),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            cwd=self.folder,
            env=self.environment() | variables,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "memos", *arguments]

    def environment(self) -> dict[str, str]:
        """Nothing of the tester's own settings but what Python needs to start."""
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "VIRTUAL_ENV", "TZ") if name in os.environ}
        return {**kept, "HOME": str(self.folder), "MEMOS_HOME": str(self.home), **self.variables}
