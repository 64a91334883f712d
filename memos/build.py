"""Putting an agent together, from the stores of a home and a model.

With `memos.home`, the composition root: the only modules that know concrete classes. Nothing heavy is
imported before it is chosen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from memos import prompts, tools
from memos.accept import alert
from memos.context import MESSAGE_OVERHEAD_TOKENS, SPOOL_FRACTION, Budget, MainContext
from memos.controller import Controller
from memos.core_memory import CoreMemory
from memos.errors import SettingsError, UsageError
from memos.home import Home, Memory
from memos.limits import Limits, Prices
from memos.pager import Pager, Thresholds, summary_cap_tokens
from memos.ports import Backend
from memos.records import Block
from memos.settings import MODEL_KINDS, Settings
from memos.tooling import Toolbox, ToolContext

OPENAI_KEY = "OPENAI_API_KEY"
HIT_TOKENS = 120
"""Room that a hit of a search should have; in a small window a page holds fewer than elsewhere."""
MIN_SPOOL_TOKENS = 96
"""A message must be allowed this much, or its head and the call that reads on would not fit."""
BLOCK_FRACTION = 0.05
"""A block's limit, as a share of the window."""
FIXED_FRACTION = 0.5
"""The most that the parts which never leave the window may take together …"""
SMALL_FIXED_FRACTION = 0.7
"""… and below `SMALL_WINDOW_TOKENS`."""
SMALL_WINDOW_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Parts:
    """An agent, put together."""

    memory: Memory
    backend: Backend
    context: MainContext
    controller: Controller
    pager: Pager
    core: CoreMemory


def wake(home: Home, name: str, backend: Backend, *, create: bool = True) -> Memory:
    """The stores of an agent that is to run; a new one is made with its first blocks, all at once.

    Raises `AgentNotFound` when it does not exist and is not to be created.
    """
    info = home.agents.get(name) if create else home.agents.find(name)
    if info is None or not home.memory(name).state.blocks():
        blocks = _first_blocks(home, backend)
        home.agents.find_or_create(name, timezone=home.settings.timezone, first_blocks=blocks)
    return home.memory(name)


def assemble(
    home: Home,
    memory: Memory,
    backend: Backend,
    functions: Sequence[Callable[..., object]],
    *,
    task: str | None = None,
) -> Parts:
    """Put an agent together; `task` names the prompt of an agent that is there for one thing.

    Raises `SettingsError` when its fixed parts leave too little of the window.
    """
    settings = home.settings
    toolbox, context = _outfit(home, memory, backend, functions, task)

    def check_room(more_tokens: int) -> None:
        problem = _lack_of_room(context, memory, max(0, more_tokens))
        if problem is not None:
            raise UsageError(problem)

    core = core_memory(memory, backend.count_tokens, check_room=check_room)
    pager = Pager(
        context=context,
        backend=backend,
        recall=memory.recall,
        state=memory.state,
        clock=memory.clock,
        thresholds=Thresholds(settings.warn_fraction, settings.flush_fraction, settings.evict_fraction),
        summary_prompt=prompts.load("summary"),
        loop=settings.loop,
    )
    controller = Controller(
        backend=backend,
        context=context,
        pager=pager,
        toolbox=toolbox,
        tool_context=_tool_context(settings, memory, context, core),
        recall=memory.recall,
        state=memory.state,
        clock=memory.clock,
        loop=settings.loop,
        limits=_limits(settings),
        cache_life=timedelta(minutes=settings.cache_minutes),
        learn=lambda tokens: home.learned.put(backend.spec, tokens),
    )
    return Parts(memory, backend, context, controller, pager, core)


def core_memory(
    memory: Memory,
    count_tokens: Callable[[str], int],
    cause: str = "python",
    check_room: Callable[[int], None] = lambda _more_tokens: None,
) -> CoreMemory:
    """An agent's core memory, for edits that did not come from its model."""

    def announce(text: str) -> None:
        memory.recall.append(alert("system_alert", text, memory.clock.now()))

    return CoreMemory(memory.state, count_tokens, announce, cause, check_room)


def make_backend(settings: Settings) -> Backend:
    """The model that a specification names. Raises `SettingsError`."""
    kind, _, rest = settings.model.partition(":")
    if settings.model == "extractive":
        from memos.backends.extractive import ExtractiveBackend

        return ExtractiveBackend()
    if kind == "scripted" and rest:
        from memos.backends.scripted import ScriptedBackend

        return ScriptedBackend(Path(rest).expanduser())
    if kind == "openai" and rest:
        return _openai(rest, settings)
    if kind == "gguf" and rest:
        raise SettingsError("gguf: models in process are not served yet; run llama-server and use openai:NAME@URL.")
    raise SettingsError(f"Unknown model {settings.model!r}: {MODEL_KINDS}.")


def _openai(rest: str, settings: Settings) -> Backend:
    from memos.backends.openai_api import OpenAIBackend

    name, _, base_url = rest.partition("@")
    if not name or (base_url and not base_url.startswith(("http://", "https://"))):
        raise SettingsError(f"openai:{rest}: write openai:NAME or openai:NAME@http://HOST:PORT/v1.")
    return OpenAIBackend(
        name,
        base_url or None,
        os.environ.get(OPENAI_KEY) or None,
        timeout_s=settings.timeout_s,
        max_retries=settings.max_retries,
    )


def _limits(settings: Settings) -> Limits:
    cached = settings.price_prompt if settings.price_cached is None else settings.price_cached
    prices = Prices(settings.price_prompt, cached, settings.price_completion)
    return Limits(settings.max_steps, settings.max_turn_tokens, settings.max_turn_cost, prices)


def _first_blocks(home: Home, backend: Backend) -> tuple[Block, ...]:
    """What a new agent starts with: who it is, and what it knows of its user."""
    settings, paths = home.settings, home.configuration.paths
    limit = int(home.budget(backend).limit_tokens * BLOCK_FRACTION)
    persona = _first_text(paths.personas, settings.persona, prompts.load("persona"), limit, backend)
    human = _first_text(paths.humans, settings.human, "", limit, backend)
    return (
        Block("persona", persona, limit, "Who you are."),
        Block("human", human, limit, "What you know of the user."),
    )


def _first_text(folder: Path, name: str, default: str, limit_tokens: int, backend: Backend) -> str:
    """What a new block says: the user's file of that name, else the default."""
    if Path(name).name != name:
        raise SettingsError(f"{name!r} cannot be the name of a file in {folder}: use a plain name, without .md.")
    path = folder / f"{name}.md"
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        if name == "default" and isinstance(error, FileNotFoundError):
            return default
        raise SettingsError(f"{path}: cannot be read ({error}); write it, or choose another.") from None
    if (size := backend.count_tokens(text)) > limit_tokens:
        raise SettingsError(f"{path}: takes {size} tokens and its block holds {limit_tokens}; shorten it.")
    return text


def _tool_context(settings: Settings, memory: Memory, context: MainContext, core: CoreMemory) -> ToolContext:
    spool_tokens = context.budget.spool_tokens
    return ToolContext(
        core=core,
        recall=memory.recall,
        archival=memory.archival,
        documents=memory.documents,
        state=memory.state,
        clock=memory.clock,
        page_size=max(1, min(settings.search_page_size, spool_tokens // HIT_TOKENS)),
        result_limit_tokens=spool_tokens - MESSAGE_OVERHEAD_TOKENS,
        count_tokens=core.count_tokens,
    )


def _outfit(
    home: Home, memory: Memory, backend: Backend, functions: Sequence[Callable[..., object]], task: str | None
) -> tuple[Toolbox, MainContext]:
    """Functions and main context, in the window to believe in."""
    believed, claimed = home.budget(backend), home.budget(backend, learned=False)
    try:
        return _fitting_outfit(home.settings, memory, backend, believed, functions, task)
    except SettingsError:
        if claimed == believed:
            raise
        # Blocks made for a larger window; the server may refuse again, but the agent must open.
        return _fitting_outfit(home.settings, memory, backend, claimed, functions, task)


def _fitting_outfit(
    settings: Settings,
    memory: Memory,
    backend: Backend,
    budget: Budget,
    functions: Sequence[Callable[..., object]],
    task: str | None,
) -> tuple[Toolbox, MainContext]:
    """Full functions and prompt, or compact ones for a small window, or where the full ones take too much of it."""

    def dress(*, compact: bool, documents: bool) -> tuple[Toolbox, MainContext]:
        toolbox = Toolbox.of([*_base_tools(compact, documents), *functions])
        told = [tool.__name__ for tool in tools.COMPACT_TOOLS]
        context = MainContext(
            system_prompt=prompts.system_prompt(settings.loop, compact=compact, task=task),
            tools=toolbox.schemas(settings.loop, compact=compact, told=told),
            budget=budget,
            backend=backend,
            recall=memory.recall,
            state=memory.state,
            clock=memory.clock,
        )
        return toolbox, context

    reads = bool(memory.documents.list())
    small = budget.limit_tokens < prompts.COMPACT_BELOW_TOKENS
    toolbox, context = dress(compact=small, documents=reads)
    if not small and _lack_of_room(context, memory) is not None:
        toolbox, context = dress(compact=True, documents=reads)
    if reads and _lack_of_room(context, memory) is not None:
        toolbox, context = dress(compact=True, documents=False)  # archival_memory_search reads documents as well
    problem = _lack_of_room(context, memory)
    if problem is not None:
        raise SettingsError(problem)
    context.limit_messages(_spool_tokens(context, memory))
    return toolbox, context


def _base_tools(compact: bool, documents: bool) -> tuple[Callable[..., object], ...]:
    base = tools.COMPACT_TOOLS if compact else tools.BASE_TOOLS
    if not documents:
        return base
    return (*base, *(tools.COMPACT_DOCUMENT_TOOLS if compact else tools.DOCUMENT_TOOLS))


def _lack_of_room(context: MainContext, memory: Memory, more_tokens: int = 0) -> str | None:
    """What is wrong when the parts that never leave the window take too much of it.

    By the plain estimate, whatever the model's own counter: one that errs on the safe side must not
    make a window unusable. By that counter there must be room for an event, a reply and its results.
    """
    budget = context.budget
    limit = budget.limit_tokens
    blocks = sum(block.limit_tokens for block in memory.state.blocks()) + more_tokens
    summary = summary_cap_tokens(budget)
    system, functions = context.estimate_fixed()
    fixed = system + functions + blocks + summary + budget.reserve_tokens
    share = SMALL_FIXED_FRACTION if limit < SMALL_WINDOW_TOKENS else FIXED_FRACTION
    if fixed <= share * limit and _spool_tokens(context, memory, more_tokens) >= MIN_SPOOL_TOKENS:
        return None
    return (
        f"Window of {limit} tokens is too small: system prompt {system}, functions {functions}, core memory up to "
        f"{blocks}, summary up to {summary} and output reserve {budget.reserve_tokens} leave too little of it. "
        "Raise context_tokens, or use fewer tools or smaller blocks."
    )


def _spool_tokens(context: MainContext, memory: Memory, more_tokens: int = 0) -> int:
    """What one message may take, so that an opening event, a reply and its results always fit together."""
    budget = context.budget
    usage = context.compile().usage
    blocks = sum(block.limit_tokens for block in memory.state.blocks()) + more_tokens
    fixed = usage.system_tokens + usage.functions_tokens + blocks + summary_cap_tokens(budget)
    return min(int(budget.available_tokens * SPOOL_FRACTION), (budget.available_tokens - fixed) // 3)
