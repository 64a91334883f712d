"""The tree keeps its measure: short files and functions, nothing left open, no path of anyone's machine."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import memos

ROOT = Path(__file__).parents[2]
CODE = ("memos", "tools", "storage", "prompts", "cli", "tests", "benchmarks")
TOP_LEVEL = (
    *(".ci/run", ".gitignore", "pyproject.toml", "constraints.txt"),
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "NOTICE"),
)
TEXT_SUFFIXES = (".py", ".md", ".toml", ".txt", ".mako")
FILE_LINES = 400
FUNCTION_LINES = 60
LINKED = ("tools", "storage", "prompts", "cli")


def files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name == "__pycache__" or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from files(path)
        elif path.suffix in TEXT_SUFFIXES:
            yield path


TEXTS = {
    str(path.relative_to(ROOT)): path
    for path in [*(ROOT / name for name in TOP_LEVEL), *(p for name in CODE for p in files(ROOT / name))]
}
MODULES = [name for name in TEXTS if name.endswith(".py")]


@pytest.mark.parametrize("name", MODULES)
def test_files_and_functions_are_short(name: str) -> None:
    text = TEXTS[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= FILE_LINES, "split it by noun"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_left_open(name: str) -> None:
    text = TEXTS[name].read_text(encoding="utf-8")
    left = re.findall(r"(?:#|<!--|//)\s*(?:TODO|FIXME|XXX|HACK)\b.*", text)
    assert not left


@pytest.mark.parametrize("name", TEXTS)
def test_no_path_of_a_machine(name: str) -> None:
    text = TEXTS[name].read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w./~-])/(?:work|root|home|Users)/\S*", text)


@pytest.mark.parametrize("name", LINKED)
def test_the_kernel_folder_links_to_the_others(name: str) -> None:
    link = ROOT / "memos" / name
    assert link.readlink() == Path("..", name)
    assert (link / "__init__.py").is_file()


def test_one_version_everywhere() -> None:
    project = tomllib.loads(TEXTS["pyproject.toml"].read_text(encoding="utf-8"))
    assert memos.__version__ == project["project"]["version"]
    changes = TEXTS["CHANGELOG.md"].read_text(encoding="utf-8")
    assert re.search(rf"^## (Unreleased|\[?{re.escape(memos.__version__)}\b)", changes, re.MULTILINE)
