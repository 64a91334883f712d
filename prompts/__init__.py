"""What a model is told: system prompts, first core memory, the summariser's task, as Markdown files."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from memos.ports import LoopMode

COMPACT_BELOW_TOKENS = 4096
"""Windows smaller than this get the compact system prompt."""


@cache
def load(name: str) -> str:
    """The text of one prompt file, by its name without `.md`."""
    return files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8").strip()


def system_prompt(loop: LoopMode, limit_tokens: int) -> str:
    """The system prompt for a loop mode and a window."""
    return load(f"{loop}_compact" if limit_tokens < COMPACT_BELOW_TOKENS else loop)
