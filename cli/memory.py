"""`memos memory`: the blocks of core memory, their history, and edits from outside.

The agent is told of every edit made here. Looking and plain edits need no model; what may take
more of the window is checked by the rule that opening the agent applies, and undone when it fails.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from memos.cli import output, shapes
from memos.cli.editor import edit_in_editor
from memos.cli.send import check_text
from memos.cli.session import Flags, open_memory, require_openable
from memos.errors import SettingsError, UsageError
from memos.records import Block, BlockVersion
from memos.tokens import estimate_tokens

if TYPE_CHECKING:
    from memos.core_memory import CoreMemory
    from memos.home import Home, Memory

DEFAULT_SHARE = 20
"""A new block may hold one part in this many of the window, as the first blocks do."""


def list_all(flags: Flags, *, as_json: bool) -> None:
    """Print every block with its size."""
    with open_memory(flags) as (home, memory):
        found = [(block, _shared_with(home, memory, block)) for block in memory.state.blocks()]
    if as_json:
        output.emit_json({"blocks": [_block_json(block, shared_with) for block, shared_with in found]})
        return
    if not found:
        output.note("There are no blocks yet; the first are written when the agent is first spoken to.")
        return
    header = ("block", "tokens", "version", "flags", "shared with", "description")
    output.emit_table(header, [_row(block, shared_with) for block, shared_with in found])


def show(label: str, flags: Flags, *, version: int | None, as_json: bool) -> None:
    """Print what a block says, or said in an earlier version."""
    with open_memory(flags) as (home, memory):
        core = _core(memory)
        block = core.block(label)
        shared_with = _shared_with(home, memory, block)
        versions = {known.version: known for known in core.history(label)}
    if version is not None and version not in versions:
        raise UsageError(f"Block {label!r} has no version {version}; `memos memory history {label}` lists them.")
    if as_json and version is not None:
        output.emit_json({"label": label, **shapes.version_json(versions[version])})
    elif as_json:
        output.emit_json(_block_json(block, shared_with))
    else:
        output.emit(versions[version].value if version is not None else block.value)


def edit(label: str, flags: Flags, *, text: str | None, source: str | None) -> None:
    """Write a block anew: from the option, from standard input, or in the user's editor."""
    if source not in (None, "-") or (source is not None and text is not None):
        raise UsageError("give the block's words with --text TEXT, or - to read standard input.")
    given = _read(text if text is not None else source)
    with _open_core(flags) as core:
        before = core.block(label)
        if given is None:
            given = edit_in_editor(before.value, f"memos-{label}")
        if given == before.value:
            output.note("Nothing was changed.")
            return
        if core.block(label).version != before.version:
            output.emit(given)
            raise UsageError(f"block {label!r} was edited meanwhile and is left as it is; your words stand on stdout.")
        core[label].set(given)
    output.note(f"Block {label} holds {_count(given)} of {before.limit_tokens} tokens; the agent will be told.")


def append(label: str, text: str, flags: Flags) -> None:
    """Add a line to a block."""
    line = _read(text) or ""
    with _open_core(flags) as core:
        core[label].append(line)
        block = core.block(label)
    output.note(f"Block {label} holds {_count(block.value)} of {block.limit_tokens} tokens; the agent will be told.")


def new(
    label: str, flags: Flags, *, text: str | None, limit_tokens: int | None, description: str, read_only: bool
) -> None:
    """Add a block, if the agent can still be opened with it."""
    value = _read(text) or ""
    with open_memory(flags) as (home, memory), _checked(home, memory.info.name):
        limit = limit_tokens or _window_tokens(home) // DEFAULT_SHARE
        _core(memory).create(label, value, limit_tokens=limit, description=check_text(description), read_only=read_only)
    output.note(f"Block {label} may hold {limit} tokens.")


def configure(
    label: str, flags: Flags, *, limit_tokens: int | None, description: str | None, read_only: bool | None
) -> None:
    """Change a block's limit, description or read-only flag."""
    if limit_tokens is None and description is None and read_only is None:
        raise UsageError("there is nothing to change; name --limit-tokens, --description, --read-only or --writable.")
    with open_memory(flags) as (home, memory):
        core = _core(memory)
        held_by = [memory.info.name, *_shared_with(home, memory, core.block(label))]
        with _checked(home, *held_by if limit_tokens is not None else ()):
            about = check_text(description) if description is not None else None
            block = core.configure(label, limit_tokens=limit_tokens, description=about, read_only=read_only)
    output.note(f"Block {label}: at most {block.limit_tokens} tokens{', read-only' if block.read_only else ''}.")


def history(label: str, flags: Flags, *, as_json: bool) -> None:
    """Print every version of a block, oldest first."""
    with open_memory(flags) as (_, memory):
        versions = _core(memory).history(label)
    if as_json:
        output.emit_json({"label": label, "versions": [shapes.version_json(version) for version in versions]})
        return
    rows = [
        (
            str(version.version),
            version.created_at.astimezone().strftime("%Y-%m-%d %H:%M"),
            version.agent or "(deleted)",
            version.cause,
            str(version.at_message_id),
            *_state(version),
            version.description,
        )
        for version in versions
    ]
    header = ("version", "when", "agent", "cause", "after message", "tokens", "flags", "description")
    output.emit_table(header, rows)


def diff(label: str, flags: Flags, *, old: int | None, new: int | None) -> None:
    """Print what changed between two versions as a unified diff."""
    with open_memory(flags) as (_, memory):
        changes = _core(memory)[label].diff(old, new)
    if changes:
        output.emit(changes)
    else:
        output.note("Nothing changed.")


def restore(label: str, version: int, flags: Flags) -> None:
    """Make an earlier version of a block the newest, if its holders can still be opened with its limit."""
    with open_memory(flags) as (home, memory):
        core = _core(memory)
        block = core.block(label)
        raised = any(old.version == version and old.limit_tokens > block.limit_tokens for old in core.history(label))
        with _checked(home, *[memory.info.name, *_shared_with(home, memory, block)] if raised else ()):
            core[label].restore(version)
    output.note(f"Block {label} is as in version {version} again; the agent will be told.")


def share(label: str, other: str, flags: Flags) -> None:
    """Let another agent of the home hold the block too, if it can still be opened with it."""
    with open_memory(flags) as (home, memory), _checked(home, memory.info.name, other):
        _core(memory).share(label, other)
    output.note(f"Block {label} is now held by {other} too.")


def remove(label: str, flags: Flags, *, yes: bool) -> None:
    """Take a block away, after asking."""
    with open_memory(flags) as (home, memory):
        core = _core(memory)
        shared_with = _shared_with(home, memory, core.block(label))
        if not yes and not _confirmed(label, memory.info.name, shared_with):
            output.note("Nothing was removed.")
            return
        core.remove(label)
    output.note(f"Removed block {label} from agent {memory.info.name}.")


@contextmanager
def _open_core(flags: Flags) -> Generator[CoreMemory, None, None]:
    """Core memory for an edit. An agent that was never opened first gets the blocks it starts with."""
    with open_memory(flags) as (home, memory):
        if not memory.state.blocks():
            require_openable(home, memory.info.name)
        yield _core(memory)


@contextmanager
def _checked(home: Home, *agents: str) -> Generator[None, None, None]:
    """A change after which these agents can still be opened; else it is undone and a `SettingsError` raised."""
    with home.database.write():
        require_openable(home, *agents)
        yield
        try:
            require_openable(home, *agents)
        except SettingsError as error:
            raise SettingsError(f"nothing was changed, since the agent could not be opened after it. {error}") from None


def _core(memory: Memory) -> CoreMemory:
    from memos.build import core_memory

    return core_memory(memory, _count, cause="command line")


def _count(text: str) -> int:
    # An estimate, since the model's own tokenizer may need a key, a file or a server, and an edit must not. A
    # block's limit only shares out the window; before each request the prompt is counted by the model's own.
    return estimate_tokens(text)


def _window_tokens(home: Home) -> int:
    from memos.settings import DEFAULT_CONTEXT_TOKENS

    return home.settings.context_tokens or DEFAULT_CONTEXT_TOKENS


def _read(text: str | None) -> str | None:
    """The words meant: the option's, or all of standard input for `-`; None for none."""
    if text == "-":
        try:
            text = sys.stdin.read().rstrip("\n")  # the last newline is the shell's, not the block's
        except UnicodeDecodeError:
            raise UsageError("standard input is not UTF-8 text.") from None
    return check_text(text) if text is not None else None


def _shared_with(home: Home, memory: Memory, block: Block) -> list[str]:
    """The other agents that hold this very block: versions are numbered over all blocks of a home."""
    others = [info.name for info in home.agents.list() if info.id != memory.info.id]
    return [name for name in others if any(b.version == block.version for b in home.memory(name).state.blocks())]


def _confirmed(label: str, agent: str, shared_with: list[str]) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("removing a block asks first, and there is no terminal to ask at; add --yes.")
    import typer

    rest = f"; {', '.join(shared_with)} will keep it" if shared_with else " with its history, for good"
    return typer.confirm(f"Remove block {label} from agent {agent}{rest}?", err=True)


def _row(block: Block, shared_with: list[str]) -> tuple[str, ...]:
    size, flags = _state(block)
    return (block.label, size, str(block.version), flags, ", ".join(shared_with) or "-", block.description)


def _state(block: Block | BlockVersion) -> tuple[str, str]:
    """Its size with its limit, and its flags."""
    return f"{_count(block.value)}/{block.limit_tokens}", "read-only" if block.read_only else "-"


def _block_json(block: Block, shared_with: list[str]) -> dict[str, object]:
    return shapes.block_json(block, tokens=_count(block.value), shared_with=shared_with)
