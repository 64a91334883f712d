"""What a model is told: system prompts, first core memory, the summariser's task, as Markdown files."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from memos.messages import LoopMode

COMPACT_BELOW_TOKENS = 8192
"""Windows smaller than this get compact prompts and functions."""


@cache
def load(name: str) -> str:
    """The text of one prompt file, by its name without `.md`."""
    return files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8").strip()


def system_prompt(loop: LoopMode, *, compact: bool, task: str | None = None) -> str:
    """The system prompt for a loop mode; the compact one leaves the functions to their names.

    `task` names a further prompt file, for an agent that is there for one thing.
    """
    system = load(f"{loop}_compact" if compact else loop)
    return system if task is None else f"{system}\n\n{load(task)}"
