"""The lock on an agent's turns: one holder, named to the others, let go by death."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from memos.errors import AgentBusy, StorageError
from memos.storage.locks import TurnLock

HOLD = """
import sys
from pathlib import Path
from memos.storage.locks import TurnLock

with TurnLock(Path(sys.argv[1]), "agent-1", "ada").held():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path) -> Generator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with (
            pytest.raises(AgentBusy, match=rf"Agent 'ada' is busy: process {process.pid} "),
            TurnLock(tmp_path, "agent-1", "ada").held(),
        ):
            pass
        with TurnLock(tmp_path, "agent-2", "bea").held():
            pass


def test_death_lets_go(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
        with TurnLock(tmp_path, "agent-1", "ada").held():
            pass


def test_an_error_lets_go(tmp_path: Path) -> None:
    lock = TurnLock(tmp_path, "agent-1", "ada")
    with pytest.raises(KeyboardInterrupt), lock.held():
        raise KeyboardInterrupt
    with lock.held():
        pass


def test_a_holder_that_left_no_name_is_another_process(tmp_path: Path) -> None:
    for name in ("", "{", "[]", '{"pid": 1}'):
        with holder(tmp_path):
            (tmp_path / "agent-1.json").write_text(name, encoding="utf-8")
            with (
                pytest.raises(AgentBusy, match="another process is taking a turn"),
                TurnLock(tmp_path, "agent-1", "ada").held(),
            ):
                pass


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match="cannot be locked"),
        TurnLock(tmp_path / "file" / "locks", "agent-1", "ada").held(),
    ):
        pass


def test_no_argument_of_the_command_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, told in (
        (["/bin/memos", "send", "sk-SECRET"], "memos send"),
        (["/opt/ada/prog.py", "sk-SECRET"], "prog.py"),
        (["memos", "--model", "x"], "memos"),
        (["prog.py"], "prog.py"),
    ):
        monkeypatch.setattr(sys, "argv", arguments)
        with TurnLock(tmp_path / "locks", "agent-1", "ada").held():
            signed = json.loads((tmp_path / "locks" / "agent-1.json").read_text(encoding="utf-8"))
        assert signed == {"pid": os.getpid(), "command": told}


def test_locks_are_private(tmp_path: Path) -> None:
    with TurnLock(tmp_path / "locks", "agent-1", "ada").held():
        modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "locks").iterdir()}
    assert ((tmp_path / "locks").stat().st_mode & 0o777, modes) == (0o700, {0o600})
