"""The composition root: the only module that knows every concrete class.

`Home` opens the stores of one home; `assemble` puts an agent together from them and a model. Nothing
heavy is imported before it is chosen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from memos import prompts, tools
from memos.accept import alert
from memos.clock import SystemClock
from memos.context import MESSAGE_OVERHEAD_TOKENS, SPOOL_FRACTION, Budget, MainContext, choose_budget
from memos.controller import Controller
from memos.core_memory import CoreMemory
from memos.errors import AgentBusy, AgentNotFound, SettingsError, UsageError
from memos.learned import LearnedWindows
from memos.limits import Limits, Prices
from memos.pager import Pager, Thresholds, summary_cap_tokens
from memos.ports import Backend, Clock, Embedder
from memos.records import Block
from memos.settings import DEFAULT_CONTEXT_TOKENS, MODEL_KINDS, Configuration, Settings
from memos.storage.agents import AgentInfo, AgentRegistry
from memos.storage.archival import SqliteArchival
from memos.storage.database import Database
from memos.storage.documents import SqliteDocuments
from memos.storage.library import SqliteLibrary
from memos.storage.locks import TurnLock
from memos.storage.recall import SqliteRecall
from memos.storage.scope import Scope
from memos.storage.state import SqliteState
from memos.storage.vectors import VectorIndex
from memos.tooling import Toolbox, ToolContext

if TYPE_CHECKING:
    from memos.storage.embedder import StaticEmbedder

OPENAI_KEY = "OPENAI_API_KEY"
APPLY_AT_CLOSE = 512
"""Passages the index may lag behind when a home is closed: as many cost a search a tenth of a second."""
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
class Memory:
    """The stores of one agent."""

    info: AgentInfo
    clock: Clock
    recall: SqliteRecall
    archival: SqliteArchival
    documents: SqliteDocuments
    state: SqliteState


class Home:
    """One home, opened: its agents, its documents, and the memory of each agent."""

    def __init__(self, configuration: Configuration, *, embedder: Embedder | None = None) -> None:
        """Raises `StorageError`."""
        self.configuration = configuration
        self.settings: Settings = configuration.settings
        paths = configuration.paths
        self.clock = SystemClock(self.settings.timezone)
        self.database = Database(paths.database)
        self._embedder = embedder
        self.index = VectorIndex(self.database, paths.index, paths.locks / "index.lock", self.embedder)
        self.agents = AgentRegistry(self.database, self.clock)
        self.learned = LearnedWindows(paths.cache)
        self.library = SqliteLibrary(self.database, self.clock, self.index)

    def embedder(self) -> Embedder:
        return self._embedder if self._embedder is not None else _static_embedder()

    def memory(self, agent: str) -> Memory:
        """The stores of an agent, without the lock on its turns. Raises `AgentNotFound`."""
        info = self.agents.find(agent)
        clock = SystemClock(info.timezone or self.settings.timezone)
        scope = Scope(self.database, info.id, info.timeline_id, clock)
        archival, documents = SqliteArchival(scope, self.index), SqliteDocuments(scope, self.index)
        return Memory(info, clock, SqliteRecall(scope), archival, documents, SqliteState(scope))

    def turn_lock(self, info: AgentInfo, *, wait: bool = True) -> AbstractContextManager[None]:
        """Held while a turn is taken. Raises `AgentBusy` when another process has it (for too long)."""
        return self._lock(info.name if info.scratch else f"agent-{info.id}", info.name, wait=wait)

    def delete_agent(self, name: str) -> None:
        """Erase an agent, unless it is taking a turn. Raises `AgentNotFound`, `AgentBusy`."""
        info = self.agents.find(name)
        with self.turn_lock(info, wait=False):
            self.agents.delete(name)
        self._remove_lock(info.name if info.scratch else f"agent-{info.id}")

    @contextmanager
    def scratch_agent(self) -> Generator[Memory, None, None]:
        """An agent for one job, gone afterwards, also when its process dies: the next one sweeps it away."""
        for info in self.agents.list(scratch=True):
            with suppress(AgentBusy, AgentNotFound):
                self.delete_agent(info.name)
        name = f"scratch-{uuid4().hex[:12]}"
        with self._lock(name, name, wait=False):  # before it exists, so that no other process sweeps it
            self.agents.create(name, timezone=self.settings.timezone, scratch=True)
            try:
                yield self.memory(name)
            finally:
                self.agents.delete(name)
        self._remove_lock(name)

    def _lock(self, key: str, name: str, *, wait: bool) -> AbstractContextManager[None]:
        wait_s = self.settings.busy_wait_s if wait else 0
        return TurnLock(self.configuration.paths.locks, key, name, wait_s=wait_s).held()

    def _remove_lock(self, key: str) -> None:
        for ending in ("lock", "json"):
            (self.configuration.paths.locks / f"{key}.{ending}").unlink(missing_ok=True)

    def budget(self, backend: Backend) -> Budget:
        """The window to use: the least of the settings, the model's own, and what its server has told."""
        claims = (self.settings.context_tokens, backend.context_tokens)
        claimed = min((claim for claim in claims if claim is not None), default=DEFAULT_CONTEXT_TOKENS)
        learned = self.learned.get(backend.spec)
        limit = claimed if learned is None else min(claimed, learned)
        return choose_budget(limit, self.settings.output_reserve_tokens)

    def close(self) -> None:
        """Apply what the index lags behind, if that is much, and let go of the files."""
        self.index.apply_pending(at_least=APPLY_AT_CLOSE)
        self.database.close()


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
    budget = home.budget(backend)

    toolbox, context = _outfit(settings, memory, backend, budget, functions, task)

    def check_room(more_tokens: int) -> None:
        problem = _lack_of_room(context, memory, max(0, more_tokens))
        if problem is not None:
            raise UsageError(problem)

    core = core_memory(memory, backend.count_tokens, check_room=check_room)
    tool_context = ToolContext(
        core=core,
        recall=memory.recall,
        archival=memory.archival,
        documents=memory.documents,
        state=memory.state,
        clock=memory.clock,
        page_size=max(1, min(settings.search_page_size, context.budget.spool_tokens // HIT_TOKENS)),
        result_limit_tokens=context.budget.spool_tokens - MESSAGE_OVERHEAD_TOKENS,
        count_tokens=backend.count_tokens,
    )
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
        tool_context=tool_context,
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


def _outfit(
    settings: Settings,
    memory: Memory,
    backend: Backend,
    budget: Budget,
    functions: Sequence[Callable[..., object]],
    task: str | None,
) -> tuple[Toolbox, MainContext]:
    """Functions and main context; compact ones for a small window, or where the full ones take too much of it."""

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


@cache
def _static_embedder() -> StaticEmbedder:
    from memos.storage.embedder import StaticEmbedder

    return StaticEmbedder()
