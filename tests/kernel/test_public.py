"""The public names: sorted, each importable, and free of weight."""

from __future__ import annotations

import subprocess
import sys

import pytest

import memos
from memos import errors

HEAVY = ("pydantic", "sqlalchemy", "numpy", "lancedb", "openai", "tiktoken", "tokenizers", "rich", "typer")


def test_the_public_names_are_sorted() -> None:
    assert memos.__all__ == sorted(memos.__all__)
    assert len(set(memos.__all__)) == len(memos.__all__)


@pytest.mark.parametrize("name", memos.__all__)
def test_each_public_name_can_be_imported(name: str) -> None:
    value = getattr(memos, name)
    assert value is not None
    assert name == "__version__" or value.__name__ == name


def test_other_names_are_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        memos.Nonsense  # noqa: B018  # pyright: ignore


def loaded_by(program: str) -> set[str]:
    code = f"import sys; {program}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_importing_memos_loads_nothing_heavy() -> None:
    assert loaded_by("import memos") & set(HEAVY) == set()


def test_errors_and_values_load_nothing_heavy() -> None:
    assert loaded_by("from memos import Hit, MemosError, Message, Turn") & set(HEAVY) == set()


def test_an_agent_loads_no_model_library_before_it_is_chosen() -> None:
    assert loaded_by("from memos import Agent") & {"openai", "lancedb", "tiktoken", "rich", "typer"} == set()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.MemosError, 1),
        (errors.DocumentError, 1),
        (errors.UsageError, 2),
        (errors.SettingsError, 3),
        (errors.AgentNotFound, 3),
        (errors.AgentBusy, 3),
        (errors.BackendError, 4),
        (errors.ContextOverflow, 4),
        (errors.StorageError, 5),
    ],
)
def test_each_family_of_errors_has_its_exit_code(error: type[errors.MemosError], code: int) -> None:
    assert error.exit_code == code
    assert issubclass(error, errors.MemosError)


def test_a_refusal_is_for_the_model_alone() -> None:
    assert not issubclass(errors.Refusal, errors.MemosError)
