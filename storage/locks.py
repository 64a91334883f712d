"""The lock that guards an agent's turns: an operating-system file lock, released by death."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from memos.errors import AgentBusy, StorageError

COMMANDS = frozenset({"agents", "ask", "chat", "log", "memory", "send"})
"""Those of the command line that may hold a lock, as others are told."""


class TurnLock:
    """Held while a process takes an agent's turn."""

    def __init__(self, folder: Path, key: str, agent_name: str, *, wait_s: float = 0) -> None:
        self._path = folder / f"{key}.lock"
        self._holder = folder / f"{key}.json"
        self._name = agent_name
        self._wait_s = wait_s

    @contextmanager
    def held(self) -> Generator[None, None, None]:
        """Raises `AgentBusy`, naming the holder, when another process keeps it for longer than the wait."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = FileLock(self._path, timeout=self._wait_s, mode=0o600, thread_local=False)
            lock.acquire()
        except Timeout:
            raise AgentBusy(
                f"Agent {self._name!r} is busy: {self._who()} is taking a turn. Try again after it."
            ) from None
        except OSError as error:
            raise StorageError(
                f"{self._path}: cannot be locked ({error.strerror}); check the home's permissions."
            ) from None
        try:
            self._sign()
            yield
        finally:
            lock.release()

    def _sign(self) -> None:
        # No more of the command line: what stands there may be a secret.
        command = " ".join([Path(sys.argv[0]).name, *(word for word in sys.argv[1:2] if word in COMMANDS)])
        holder = json.dumps({"pid": os.getpid(), "command": command[:60]})
        try:
            self._holder.touch(mode=0o600)
            if self._holder.read_text(encoding="utf-8") != holder:
                self._holder.write_text(holder, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{self._holder}: cannot be written ({error.strerror}).") from None

    def _who(self) -> str:
        try:
            holder: dict[str, object] = json.loads(self._holder.read_text(encoding="utf-8"))
            return f"process {holder['pid']} ({holder['command']})"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
