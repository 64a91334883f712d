"""Core memory: labelled blocks with limits, pinned in the prompt and edited only through here.

The two edits a model may make are plain functions over a block; `CoreMemory` is the same for Python
and the command line, whose edits are announced to the model. Knows no prompt and no database.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from memos.errors import Refusal, UsageError
from memos.ports import StateStore
from memos.records import Block

CountTokens = Callable[[str], int]


def appended(block: Block, content: str, count_tokens: CountTokens) -> str:
    """The block's value with `content` as a further line.

    Raises `Refusal` over the limit, naming limit and size.
    """
    _require_writable(block)
    content = content.strip("\n")
    if not content.strip():
        raise Refusal("there is nothing to append: content is empty.")
    return _within_limit(block, f"{block.value}\n{content}" if block.value else content, count_tokens)


def replaced(block: Block, old: str, new: str, count_tokens: CountTokens) -> str:
    """The block's value with `old`, which must occur exactly once, replaced; an empty `new` deletes it.

    Raises `Refusal` when it does not occur (naming the nearest line), or more than once.
    """
    _require_writable(block)
    if not old:
        raise Refusal("old_content is empty; use core_memory_append to add a line.")
    found = block.value.count(old)
    if found == 0:
        raise Refusal(f"{old!r} does not occur in block {block.label!r}{_nearest_line(block.value, old)}.")
    if found > 1:
        raise Refusal(f"{old!r} occurs {found} times in block {block.label!r}; give more of the text around it.")
    value = block.value.replace(old, new)
    if not new:
        value = "\n".join(line for line in value.split("\n") if line.strip())
    return _within_limit(block, value, count_tokens)


@dataclass(frozen=True, slots=True)
class BlockHandle:
    """One block, read and edited from Python."""

    memory: CoreMemory
    label: str

    @property
    def value(self) -> str:
        return self.memory.block(self.label).value

    def append(self, content: str) -> None:
        """Add a line. Raises `UsageError` over the limit."""
        self._edit(lambda block: appended(block, content, self.memory.count_tokens))

    def replace(self, old: str, new: str) -> None:
        """Replace the one occurrence of `old`. Raises `UsageError` when there is none, or more."""
        self._edit(lambda block: replaced(block, old, new, self.memory.count_tokens))

    def _edit(self, change: Callable[[Block], str]) -> None:
        try:
            self.memory.edit(self.label, change, cause="python", announced=True)
        except Refusal as refusal:
            raise UsageError(f"Block {self.label!r}: {refusal}") from None


class CoreMemory:
    """The blocks of one agent: a mapping from label to `BlockHandle`."""

    def __init__(self, state: StateStore, count_tokens: CountTokens, announce: Callable[[Block], None]) -> None:
        """`announce` tells the model of an edit it did not make itself, in the edit's own transaction."""
        self.count_tokens = count_tokens
        self._state = state
        self._announce = announce

    def __getitem__(self, label: str) -> BlockHandle:
        self.block(label)
        return BlockHandle(self, label)

    def __iter__(self) -> Iterator[str]:
        return iter([block.label for block in self._state.blocks()])

    def __len__(self) -> int:
        return len(self._state.blocks())

    def block(self, label: str) -> Block:
        """Raises `UsageError` when there is none of that label."""
        blocks = {block.label: block for block in self._state.blocks()}
        if label not in blocks:
            raise UsageError(f"There is no block {label!r}; the blocks are {', '.join(blocks)}.")
        return blocks[label]

    def edit(self, label: str, change: Callable[[Block], str], *, cause: str, announced: bool) -> Block:
        """Read, change and write one block in one transaction."""
        with self._state.transaction():
            block = self.block(label)
            edited = self._state.edit_block(label, change(block), cause)
            if announced:
                self._announce(edited)
        return edited


def _require_writable(block: Block) -> None:
    if block.read_only:
        raise Refusal(f"block {block.label!r} is read-only.")


def _within_limit(block: Block, value: str, count_tokens: CountTokens) -> str:
    size = count_tokens(value)
    if size > block.limit_tokens:
        raise Refusal(
            f"block {block.label!r} holds at most {block.limit_tokens} tokens and this would make {size}; "
            "condense the block with core_memory_replace, or store the detail with archival_memory_insert."
        )
    return value


def _nearest_line(text: str, wanted: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    near = difflib.get_close_matches(wanted[:500], lines, n=1, cutoff=0.3)
    return f"; the nearest line is {near[0]!r}" if near else ""
