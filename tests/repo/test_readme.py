"""README.md tells the truth: its Python runs and prints what it says, its commands are the ones that CI runs."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from memos.cli.app import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS: list[tuple[str, str]] = FENCE.findall(README)


def clean_environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEMOS_", "OPENAI_"))}
    return kept | {"MEMOS_HOME": str(home), "NO_COLOR": "1"}


def test_the_python_example_prints_what_it_says(tmp_path: Path) -> None:
    pairs = [
        (text, expected)
        for (language, text), (kind, expected) in itertools.pairwise(BLOCKS)
        if (language, kind) == ("python", "text")
    ]
    assert pairs, "README.md needs a ```python block and right after it a ```text block with its output"
    for number, (program, expected) in enumerate(pairs):
        result = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=clean_environment(tmp_path / f"home{number}"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.strip() == expected.strip()


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = re.findall(r"^python3 -m venv .*pytest.*$", README, re.MULTILINE)
    assert "-c constraints.txt" in command
    assert "-n auto" in command
    shown = subprocess.run(
        [str(ROOT / ".ci" / "run"), "--show"], capture_output=True, text=True, check=True, env=os.environ
    ).stdout.strip()
    names = re.match(r'"(.+?)" -m venv "(.+?)"', shown)
    assert names
    python, venv = names.groups()
    assert shown.replace(f'"{venv}"', ".venv").replace(f'"{python}"', "python3") == command
    assert not Path(venv).is_relative_to(ROOT)


def test_the_main_job_command_stands_beside_it() -> None:
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert any("bin/memos" in command for command in commands)


def test_the_tree_names_every_module() -> None:
    trees = [text for language, text in BLOCKS if not language and "pyproject.toml" in text]
    assert len(trees) == 1, "README.md needs one fenced block with the tree"
    folders = ("memos", "tools", "storage", "prompts", "cli")
    modules = {path.name for folder in folders for path in (ROOT / folder).rglob("*.py")} - {"__init__.py"}
    assert not {name for name in modules if not re.search(rf"(?<![\w.]){re.escape(name)}", trees[0])}


def command_names(program: typer.Typer) -> list[str]:
    return [entry.name or entry.callback.__name__ for entry in program.registered_commands if entry.callback]


GROUPS = {str(entry.name): entry.typer_instance for entry in app.registered_groups if entry.typer_instance}
COMMANDS = command_names(app) + [f"{group} {name}" for group in GROUPS for name in command_names(GROUPS[group])]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    """`memos agents [list|show]` documents `memos agents list` and `memos agents show`."""
    first, *rest = command.split()
    pattern = rf"\bmemos \[?{first}\b" + "".join(rf"[^\n]*\b{name}\b" for name in rest)
    assert re.search(pattern, README), f"README.md does not mention `memos {command}`"


def test_there_are_commands_to_document() -> None:
    assert {"chat", "send", "ask", "ingest", "search", "doctor", "agents list", "documents text"} <= {*COMMANDS}
