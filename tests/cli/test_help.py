"""Every command can be found and explained without opening anything."""

from __future__ import annotations

import sys

import pytest
import typer
from support.program import Program

from memos.cli import app as cli

HEAVY = {"pydantic", "sqlalchemy", "rich", "numpy", "lancedb", "openai", "tiktoken", "prompt_toolkit", "memos.build"}


def names_of(program: typer.Typer) -> list[str]:
    return [entry.name or entry.callback.__name__ for entry in program.registered_commands if entry.callback]


COMMANDS = names_of(cli.app)
GROUPS = {
    str(entry.name): names_of(entry.typer_instance) for entry in cli.app.registered_groups if entry.typer_instance
}
GROUPED = [f"{group} {name}" for group, names in GROUPS.items() for name in names]


def test_the_interface_commands_are_there() -> None:
    assert set(COMMANDS) == {"chat", "send", "ask", "ingest", "search", "context", "doctor"}
    assert set(GROUPED) == {
        *(f"log {name}" for name in ("list", "receipts", "show", "undo", "page-in", "requests")),
        *(f"memory {name}" for name in ("list", "show", "edit", "append", "new", "configure", "share", "remove")),
        *(f"memory {name}" for name in ("history", "diff", "restore")),
        *(f"agents {name}" for name in ("list", "show", "new", "rename", "delete")),
        *(f"documents {name}" for name in ("list", "show", "text", "remove")),
        *(f"config {name}" for name in ("show", "path", "set", "trust")),
    }


def test_help_lists_every_command_and_imports_nothing_heavy(memos: Program) -> None:
    memos.variables["PYTHONPROFILEIMPORTTIME"] = "1"

    shown = memos("--help")

    assert shown.code == 0
    for name in [*COMMANDS, *GROUPS]:
        assert f"\n  {name} " in shown.out
    imported = {line.rsplit("|", 1)[-1].strip() for line in shown.err.splitlines() if line.startswith("import time:")}
    assert "typer" in imported
    assert not imported & HEAVY
    assert not memos.home.exists()


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPED])
def test_each_command_explains_itself_with_an_example(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["memos", *command.split(), "--help"])

    assert cli.main() == 0

    out = capsys.readouterr().out
    assert f"Usage: memos {command}" in out
    assert f"Example: memos {command}" in out


def test_version(memos: Program) -> None:
    from importlib.metadata import version

    assert memos("--version").out == f"memos {version('memos-agent')}\n"


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ([], ["chat"]),
        (["--model", "extractive"], ["chat", "--model", "extractive"]),
        (["agents"], ["agents", "list"]),
        (["documents", "--json"], ["documents", "list", "--json"]),
        (["config"], ["config", "show"]),
        (["log", "--last", "5"], ["log", "list", "--last", "5"]),
        (["memory"], ["memory", "list"]),
        (["agents", "show", "ada"], ["agents", "show", "ada"]),
        (["agents", "--help"], ["agents", "--help"]),
        (["--help"], ["--help"]),
        (["send", "agents"], ["send", "agents"]),
    ],
)
def test_what_is_meant_when_no_command_is_named(arguments: list[str], meant: list[str]) -> None:
    assert cli.with_default_command(arguments) == meant
