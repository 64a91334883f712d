"""What reaches site-packages: every package and data file, nothing else, and an import that costs little."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import memos

ROOT = Path(__file__).parents[2]
FOLDERS = ("memos", "tools", "storage", "prompts", "cli")
DATA_SUFFIXES = (".py", ".md", ".npy", ".json", ".typed")
EXPENSIVE = (
    *("alembic", "lancedb", "numpy", "openai", "prompt_toolkit", "pyarrow", "pydantic", "pypdfium2"),
    *("rich", "sqlalchemy", "tiktoken", "tokenizers", "typer"),
)


def files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from files(path)
        elif path.is_file() and (path.suffix in DATA_SUFFIXES or path.name == "NOTICE" or folder.name == "ranks"):
            yield path


def installed_name(name: str) -> str:
    return name if name.startswith("memos/") else f"memos/{name}"


TREE = {path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in files(ROOT / folder)}


def test_every_package_of_the_tree_is_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {installed_name(name).rpartition("/")[0] for name in TREE if name.endswith(".py")}
    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(name.replace("/", ".") for name in packages)


def test_wheel_and_sdist_hold_the_program_and_nothing_else(tmp_path: Path) -> None:
    tree = tmp_path / "tree"  # a copy, since setuptools writes into the tree that it builds
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tree / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(tree)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:  # built from the sdist
        names = set(wheel.namelist())
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert b"memos = memos.cli.app:main" in wheel.read(entry_points)
    assert {name for name in names if ".dist-info/" not in name} == {installed_name(name) for name in TREE}
    assert {"LICENSE", "NOTICE"} <= {name.rpartition("/")[2] for name in names if ".dist-info/licenses/" in name}

    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        members = {name.partition("/")[2] for name in sdist.getnames()}
    assert TREE | {"pyproject.toml", "README.md", "LICENSE", "NOTICE"} <= members


def test_public_names_are_sorted_and_there() -> None:
    assert list(memos.__all__) == sorted(memos.__all__)
    module = importlib.import_module("memos")
    for name in memos.__all__:
        assert getattr(module, name) is not None
    assert "Agent" in memos.__all__


@pytest.mark.parametrize("statement", ["import memos", "import memos.errors, memos.ports, memos.hits"])
def test_importing_memos_imports_nothing_heavy(statement: str) -> None:
    assert not loaded(f"{statement}; import sys; print([*sys.modules])") & set(EXPENSIVE)


def test_help_imports_neither_a_store_nor_a_model() -> None:
    program = (
        "import sys, memos.cli.app\n"
        "sys.argv = ['memos', '--help']\n"
        "try:\n    memos.cli.app.main()\nexcept SystemExit:\n    pass\n"
        "print([*sys.modules])"
    )
    assert not loaded(program) & (set(EXPENSIVE) - {"typer", "rich", "pydantic"})


def loaded(program: str) -> set[str]:
    """The modules that a fresh interpreter has loaded when the program has printed their names last."""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names: list[str] = ast.literal_eval(result.stdout.splitlines()[-1])
    return set(names)


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DATA_ONLY = {"tzdata"}


def distribution_names(requirements: list[str]) -> list[str]:
    return [name[0].lower() for line in requirements if (name := re.match(r"[\w-]+", line))]


@pytest.mark.parametrize("name", distribution_names(PROJECT["dependencies"]))
def test_a_dependency_is_used(name: str) -> None:
    imported = re.compile(rf"^\s*(?:from|import) {name.replace('-', '_')}\b", re.MULTILINE)
    modules = (ROOT / path for path in TREE if path.endswith(".py"))
    assert name in DATA_ONLY or any(imported.search(path.read_text(encoding="utf-8")) for path in modules)


@pytest.mark.parametrize("name", distribution_names(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]))
def test_a_dependency_has_its_reason_and_its_pin(name: str) -> None:
    reasons = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert re.search(rf"^\|[^|]*\b{name}\b[^|]*\| \w", reasons, re.MULTILINE)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    assert re.search(rf"^{name.replace('_', '-')}==", pins, re.MULTILINE)
