"""Functions by which the model edits its core memory."""

from __future__ import annotations

from memos.core_memory import appended, replaced
from memos.errors import Refusal
from memos.records import Block
from memos.tooling import ToolContext, effect


@effect("memory")
def core_memory_append(context: ToolContext, label: str, content: str) -> str:
    """Add a line to a block of core memory, the part of your memory that is always in view.

    Args:
        label: The block, for example "human" for what you know of the user.
        content: What to add.
    """
    _require_block(context, label)
    block = context.core.edit(
        label,
        lambda block: appended(block, content, context.core.count_tokens),
        cause="core_memory_append",
        announced=False,
    )
    return _shown(block)


@effect("memory")
def core_memory_replace(context: ToolContext, label: str, old_content: str, new_content: str) -> str:
    """Correct a block of core memory.

    Args:
        label: The block.
        old_content: Text that occurs exactly once in the block.
        new_content: What to put in its place; empty to delete it.
    """
    _require_block(context, label)
    block = context.core.edit(
        label,
        lambda block: replaced(block, old_content, new_content, context.core.count_tokens),
        cause="core_memory_replace",
        announced=False,
    )
    return _shown(block)


def _require_block(context: ToolContext, label: str) -> None:
    labels = list(context.core)
    if label not in labels:
        raise Refusal(f"there is no block {label!r}; the blocks are {', '.join(labels)}.")


def _shown(block: Block) -> str:
    """Core memory is write-back: the prompt's head shows the edit only later, so the result does."""
    return f"Block {block.label!r} now reads:\n{block.value}"
