"""The real program: in a process of its own, as a user starts it, or in this one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_S = 60


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


class ProgramInside(Program):
    """The same in this process: no start-up to wait for, and what leaks is a warning, so an error."""

    def __init__(
        self, folder: Path, home: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
    ) -> None:
        super().__init__(folder, home)
        self._patch = patch
        self._capture = capture

    def __call__(self, *arguments: str, stdin: str | bytes = "", **variables: str) -> Result:
        from memos.cli.app import main

        given = stdin.encode() if isinstance(stdin, str) else stdin
        with self._patch.context() as patch:
            patch.setattr(sys, "argv", ["memos", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
            for name, value in {"MEMOS_HOME": str(self.home), **self.variables, **variables}.items():
                patch.setenv(name, value)
            code = main()
        shown = self._capture.readouterr()
        return Result(code, shown.out, shown.err)
