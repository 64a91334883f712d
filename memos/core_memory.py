"""Core memory: labelled blocks with limits, pinned in the prompt and edited only through here.

The two edits a model may make are plain functions over a block; `CoreMemory` is the same for Python
and the command line, whose edits are announced to the model. Knows no prompt and no database.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from memos.errors import Refusal, UsageError
from memos.ports import StateStore
from memos.records import Block, BlockVersion

CountTokens = Callable[[str], int]
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


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

    def set(self, value: str) -> None:
        """Write the block anew, also a read-only one. Raises `UsageError` over the limit."""
        self._edit(lambda block: _within_limit(block, value, self.memory.count_tokens))

    def history(self) -> Sequence[BlockVersion]:
        """Every version, oldest first."""
        return self.memory.history(self.label)

    def diff(self, old_version: int | None = None, new_version: int | None = None) -> str:
        """What changed between two versions, as a unified diff; by default what the newest changed."""
        versions = list(self.history())
        new = _version(versions, new_version) if new_version is not None else versions[-1]
        before = [version for version in versions if version.version < new.version]
        old = _version(versions, old_version) if old_version is not None else before[-1] if before else None
        changed = _changed_settings(old, new) if old else []
        lines = difflib.unified_diff(
            old.value.splitlines() if old else [],
            new.value.splitlines(),
            f"{self.label} (version {old.version})" if old else "(nothing)",
            f"{self.label} (version {new.version}, {new.cause})",
            lineterm="",
        )
        return "\n".join([*changed, *lines])

    def restore(self, version: int) -> None:
        """Make an earlier version the newest, all of it: value, limit, description and read-only flag.

        Raises `UsageError` for one that does not exist, or whose limit has no room any more.
        """
        self.memory.restore(self.label, version)

    def _edit(self, change: Callable[[Block], str]) -> None:
        try:
            self.memory.edit(self.label, change, cause=self.memory.cause, announced=True)
        except Refusal as refusal:
            raise UsageError(f"{self.label}: {refusal}") from None


class CoreMemory:
    """The blocks of one agent: a mapping from label to `BlockHandle`."""

    def __init__(
        self,
        state: StateStore,
        count_tokens: CountTokens,
        announce: Callable[[str], object],
        cause: str = "python",
        check_room: Callable[[int], None] = lambda _more_tokens: None,
    ) -> None:
        """`announce` appends an alert to the agent's log; `cause` is what the history says of edits from here.

        `check_room` raises `UsageError` when blocks that hold so many tokens more would fill the window.
        """
        self._check_room = check_room
        self.count_tokens = count_tokens
        self.cause = cause
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

    def history(self, label: str) -> Sequence[BlockVersion]:
        self.block(label)
        return self._state.block_history(label)

    def create(
        self, label: str, value: str = "", *, limit_tokens: int, description: str = "", read_only: bool = False
    ) -> BlockHandle:
        """Add a block. Raises `UsageError` for a label that is taken or cannot be one, or a value over the limit."""
        if not _LABEL.fullmatch(label):
            raise UsageError(f"{label!r} cannot name a block: a letter, then letters, digits, _ and - (64 at most).")
        if limit_tokens < 1:
            raise UsageError("A block needs a limit of at least one token.")
        block = Block(label, value, limit_tokens, description, read_only)
        try:
            _within_limit(block, value, self.count_tokens)
        except Refusal as refusal:
            raise UsageError(f"{label}: {refusal}") from None
        with self._state.transaction():
            if label in list(self):
                raise UsageError(f"There is a block {label!r} already.")
            self._check_room(limit_tokens)
            self._state.add_block(block, self.cause)
            self._announce(f"Core memory has a new block {label!r}:\n{value}")
        return BlockHandle(self, label)

    def configure(
        self,
        label: str,
        *,
        limit_tokens: int | None = None,
        description: str | None = None,
        read_only: bool | None = None,
    ) -> Block:
        """Change what a block is, not what it says.

        Raises `UsageError` for a limit below its present size, or with which a holder could not be opened any more.
        """
        with self._state.transaction():
            block = self.block(label)
            changed = replace(
                block,
                limit_tokens=block.limit_tokens if limit_tokens is None else limit_tokens,
                description=block.description if description is None else description,
                read_only=block.read_only if read_only is None else read_only,
            )
            if (size := self.count_tokens(block.value)) > changed.limit_tokens:
                raise UsageError(f"Block {label!r} holds {size} tokens; its limit cannot be {changed.limit_tokens}.")
            return self._rewrite(block, changed, self.cause, _described(changed))

    def restore(self, label: str, version: int) -> Block:
        """Make an earlier version of a block the newest; see `BlockHandle.restore`."""
        with self._state.transaction():
            block = self.block(label)
            old = _version(self.history(label), version)
            restored = replace(
                block,
                value=old.value,
                limit_tokens=old.limit_tokens,
                description=old.description,
                read_only=old.read_only,
            )
            try:
                _within_limit(restored, restored.value, self.count_tokens)
            except Refusal as refusal:
                raise UsageError(f"{label}: {refusal}") from None
            text = _reads_now(restored)
            if _settings(restored) != _settings(block):
                text = f"{_described(restored)}\n{text}"
            return self._rewrite(block, restored, f"restore of version {version}", text)

    def _rewrite(self, block: Block, changed: Block, cause: str, text: str) -> Block:
        """Make `block` another one, if all who hold it have the room, and tell them."""
        if changed.limit_tokens > block.limit_tokens:
            self._check_room(changed.limit_tokens - block.limit_tokens)
        rewritten = self._state.rewrite_block(changed, cause)
        self._announce(text)
        self._state.tell_other_holders(block.label, text)
        return rewritten

    def share(self, label: str, agent: str) -> None:
        """Let another agent of the home hold the same block: each sees the other's edits.

        Raises `AgentNotFound`, or `UsageError` when that agent has one of that label or lacks the room for it.
        """
        block = self.block(label)
        with self._state.transaction():
            self._state.share_block(label, agent, f"{self.cause}: shared with {agent}")
            text = f"Block {label!r} of core memory is now held by agent {agent!r} as well. It reads:\n{block.value}"
            self._state.tell_other_holders(label, text)

    def remove(self, label: str) -> None:
        """Take a block away from this agent; other holders keep it."""
        self.block(label)
        with self._state.transaction():
            self._state.remove_block(label, f"{self.cause}: removed")
            self._announce(f"Block {label!r} was removed from core memory.")

    def edit(self, label: str, change: Callable[[Block], str], *, cause: str, announced: bool) -> Block:
        """Read, change and write one block in one transaction; other holders are told of it in the same."""
        with self._state.transaction():
            block = self.block(label)
            edited = self._state.edit_block(label, change(block), cause)
            text = _reads_now(edited)
            if announced:
                self._announce(text)
            self._state.tell_other_holders(label, text)
        return edited


def _settings(block: Block | BlockVersion) -> dict[str, object]:
    """What a block is, not what it says."""
    return {"limit_tokens": block.limit_tokens, "description": block.description, "read_only": block.read_only}


def _changed_settings(old: BlockVersion, new: BlockVersion) -> list[str]:
    after = _settings(new)
    return [f"# {name}: {value!r} -> {after[name]!r}" for name, value in _settings(old).items() if value != after[name]]


def _described(block: Block) -> str:
    return (
        f"Block {block.label!r} now holds at most {block.limit_tokens} tokens"
        f"{', is read-only' if block.read_only else ''} and is for: {block.description or 'anything'}"
    )


def _reads_now(block: Block) -> str:
    return f"Core memory was edited from outside. Block {block.label!r} now reads:\n{block.value}"


def _version(versions: Sequence[BlockVersion], number: int) -> BlockVersion:
    found = next((version for version in versions if version.version == number), None)
    if found is None:
        known = ", ".join(str(version.version) for version in versions[-10:])
        raise UsageError(f"There is no version {number}; the newest are {known}.")
    return found


def _require_writable(block: Block) -> None:
    if block.read_only:
        raise Refusal(f"block {block.label!r} is read-only.")


def _within_limit(block: Block, value: str, count_tokens: CountTokens) -> str:
    size = count_tokens(value)
    if size > block.limit_tokens:
        raise Refusal(
            f"block {block.label!r} holds at most {block.limit_tokens} tokens and this would make {size}; "
            "condense it, or store the detail in archival memory."
        )
    return value


def _nearest_line(text: str, wanted: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    near = difflib.get_close_matches(wanted[:500], lines, n=1, cutoff=0.3)
    return f"; the nearest line is {near[0]!r}" if near else ""
