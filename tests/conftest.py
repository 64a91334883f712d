"""Every test runs in a clean environment: its own home, no keys, no settings, no network but loopback."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

LOOPBACK = ("127.", "::1", "localhost")


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        address = str(arguments[1]).removeprefix("('")
        if not address.startswith((*LOOPBACK, "/")):  # a path is a local socket
            raise RuntimeError(f"a test reached for the network: {address}")


sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own `MEMOS_HOME`; the working directory is an empty folder beside it."""
    for name in list(os.environ):
        if name.startswith(("MEMOS_", "OPENAI_", "XDG_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("MEMOS_HOME", str(folder))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(work)
    return folder


@pytest.fixture
def script(tmp_path: Path) -> Callable[[Sequence[Mapping[str, object]]], str]:
    """Write a scripted model; returns its specification."""

    def write(replies: Sequence[Mapping[str, object]]) -> str:
        path = tmp_path / f"script-{len(list(tmp_path.glob('script-*')))}.json"
        path.write_text(json.dumps(replies), encoding="utf-8")
        return f"scripted:{path}"

    return write
