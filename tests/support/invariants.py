"""The nine promises of the controller, checked on every request and after every action.

1 a request never exceeds window minus reserve    2 recall is what was accepted, byte for byte
3 what was evicted is found again                 4 eviction at its threshold, by its fraction
5 calls and results stay together                 6 core memory changes only by edits, and they are seen
7 an oversized message neither loops nor vanishes 8 receipts cover what was evicted
9 between two flushes each request extends the last
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from memos import Agent
from memos.backends.rendering import render_messages
from memos.context import Budget, MainContext
from memos.events import Flushed
from memos.home import Memory
from memos.messages import Message
from memos.ports import Page, Request
from memos.records import Receipt, Window
from memos.storage.recall import SqliteRecall
from memos.storage.state import SqliteState

TEMPLATE_TOKENS = 5
"""What ChatML wraps around a message, its role included."""
MOST_REQUESTS = 400
"""More in one turn of a few steps is a loop."""
_NOW_READS = re.compile(r"Block '([^']+)' now reads:\n(.*)", re.DOTALL)
_HAS_NEW = re.compile(r"Core memory has a new block '([^']+)':\n(.*)", re.DOTALL)


class Violation(AssertionError):
    """A promise was broken."""


def require(truth: bool, rule: int, said: str) -> None:
    if not truth:
        raise Violation(f"invariant {rule}: {said}")


@dataclass
class Rules:
    """Watches one agent. `core` is what its blocks hold by the edits made so far."""

    count: Callable[[str], int]
    flush_fraction: float
    evict_fraction: float
    agent: Agent = field(init=False)
    core: dict[str, str] = field(default_factory=dict[str, str])
    log: list[Message] = field(default_factory=list[Message])
    requests: int = 0
    summaries: int = 0
    flushes: int = 0
    renews: bool = True
    """Whether the prefix may change with the next request: after opening, an undo, an overflow."""

    def __post_init__(self) -> None:
        self.window = Window()
        self._last: tuple[Page, ...] = ()
        self._last_budget: Budget | None = None
        self._in_turn = 0

    def watch(self, agent: Agent) -> None:
        """From here on it is this one: opened for the first time, or again."""
        self.agent = agent
        self.renews = True
        self.window = self._state.window()
        self._check_core()

    # ------------------------------------------------------------ each request

    def asked(self, request: Request) -> None:
        self._in_turn += 1
        require(self._in_turn < MOST_REQUESTS, 7, f"{self._in_turn} requests in one turn")
        self._check_size(request)
        if request.purpose == "summary":
            self.summaries += 1
            return
        self.requests += 1
        self._check_queue(request.pages)
        self._check_edits_seen(request.pages)
        self._check_extension(request)

    def _check_size(self, request: Request) -> None:
        functions = ([tool.name, tool.description, tool.parameters] for tool in request.tools)
        used = sum(self.count(json.dumps(about, ensure_ascii=False)) for about in functions)
        for message in render_messages(request):
            used += TEMPLATE_TOKENS + self.count(str(message.get("content") or ""))
            calls = message.get("tool_calls", [])
            if isinstance(calls, list):
                for made in calls:  # pyright: ignore[reportUnknownVariableType]
                    function = made["function"]  # pyright: ignore[reportUnknownVariableType]
                    used += TEMPLATE_TOKENS + self.count(function["name"]) + self.count(function["arguments"])  # pyright: ignore[reportUnknownArgumentType]
        room = self.budget.available_tokens
        require(used <= room, 1, f"a {request.purpose} request takes {used} tokens of {room}")
        if request.purpose == "turn":
            require(request.max_output_tokens == self.budget.reserve_tokens, 1, "the reserve is not the server's cap")

    def _check_queue(self, pages: Sequence[Page]) -> None:
        window = self._state.window()
        queue = [page.message for page in pages if page.section == "queue"]
        opened = self._state.last_turn()
        if opened is not None:
            require(any(m.id == opened.opening_id for m in queue), 5, "the opening event is not in the prompt")
        if queue and queue[0].id == window.pinned_id:
            queue = queue[1:]
        ids = [message.id for message in queue]
        head = self._recall.last_id()
        require(ids == list(range(window.first_id, head + 1)), 5, f"the queue is {ids}, not {window.first_id}..{head}")
        waiting: set[str] = set()
        for message in queue:
            if message.kind == "result":
                require(message.call_id in waiting, 5, f"message {message.id} is a result without its call")
                waiting.discard(message.call_id or "")
            waiting.update(call.id for call in message.calls)
        require(not waiting, 5, f"calls without results: {sorted(waiting)}")

    def _check_edits_seen(self, pages: Sequence[Page]) -> None:
        """What the prompt tells of each block, later words over earlier ones, is what it holds."""
        rendered = next(page.message.text for page in pages if page.section == "core")
        told: dict[str, str] = {}
        for message in (page.message for page in pages if page.section == "queue"):
            if message.kind == "system_alert" or (message.kind == "result" and message.status == "ok"):
                found = _NOW_READS.search(message.text) or _HAS_NEW.match(message.text)
                if found is not None and (message.kind != "result" or str(message.name).startswith("core_memory_")):
                    told[found[1]] = found[2]
        for block in self._state.blocks():
            label, value = block.label, block.value
            if label in told:
                require(told[label] == value, 6, f"block {label!r} is shown as {told[label]!r}, not {value!r}")
                continue
            kept = value.replace(f"</{label}", f"<\\/{label}")  # as rendered, a value cannot end its own block
            body = f"{kept}\n" if kept else ""
            seen = re.search(rf"^<{label} limit_tokens=[^\n]*>\n{re.escape(body)}</{label}>$", rendered, re.MULTILINE)
            require(seen is not None, 6, f"the model cannot know that block {label!r} reads {value!r}")

    def _check_extension(self, request: Request) -> None:
        window = self._state.window()
        moved = (window.first_id, window.receipt_id) != (self.window.first_id, self.window.receipt_id)
        shrunk, self._last_budget = self.budget != self._last_budget, self.budget
        if not moved and not shrunk and not self.renews:
            require(window == self.window, 9, f"the prefix was made anew without a flush: {self.window} to {window}")
            before, now = [_bytes(page) for page in self._last], [_bytes(page) for page in request.pages]
            for old, new in zip(before, now, strict=False):
                require(old == new, 9, f"no extension of the request before: {old[:300]} became {new[:300]}")
            require(len(now) >= len(before), 9, "the request is shorter than the one before")
        self.window, self._last, self.renews = window, request.pages, False

    # ------------------------------------------------------------ each flush

    def flushed(self, event: Flushed, before: Window, opening_id: int) -> None:
        """Called as the event arrives: nothing has been appended since."""
        self.flushes += 1
        receipt = self._state.receipt(event.receipt_id)
        head = receipt.at_message_id
        pages = self._context.compile_past(before, head)
        queue = [p for p in pages if p.section == "queue" and p.message.id >= before.first_id and p.key != "pinned"]
        used = sum(page.tokens for page in pages) + self._context.functions_tokens
        least = self.flush_fraction * self.budget.available_tokens
        require(used >= least, 4, f"flushed at {used} tokens, below {least:.0f}")
        require((receipt.first_id, receipt.replaced_id) == (before.first_id, before.receipt_id), 8, f"gap at {receipt}")
        evicted = [page for page in queue if page.message.id <= receipt.last_id]
        steps = _steps([page.message for page in queue])
        cut = next((i for i, step in enumerate(steps) if step[0].id == receipt.last_id + 1), len(steps))
        require(sum(map(len, steps[:cut])) == len(evicted), 5, f"receipt {receipt.id} cuts inside a step")
        wanted, taken = self.evict_fraction * sum(p.tokens for p in queue), sum(p.tokens for p in evicted)
        if len(evicted) == len(queue) and _must_stay(steps, opening_id) == 0:  # the last step alone was too much
            require(used > self.budget.available_tokens, 4, f"the last step was evicted at {used} tokens")
            wanted = taken
        if taken < wanted:
            require(cut >= _must_stay(steps, opening_id), 4, f"evicted {taken} tokens of {wanted:.0f}")
        newest = {message.id for message in steps[cut - 1]}
        without = sum(p.tokens for p in evicted if p.message.id not in newest)
        require(without < max(wanted, 1), 4, f"evicted {taken} tokens, {wanted:.0f} were wanted: a step too many")
        self._check_findable(self._recall.read(receipt.first_id, receipt.last_id))

    def _check_findable(self, evicted: Sequence[Message]) -> None:
        for message in evicted:
            require(self._recall.read(message.id, message.id) == [message], 3, f"message {message.id} is gone")
            spoken = message.spoken
            if not spoken:
                continue
            day = self._recall.between(message.created_at, message.created_at + timedelta(seconds=1), limit=10_000)
            require(str(message.id) in {hit.id for hit in day.hits}, 3, f"message {message.id} not found by its date")
            words = re.findall(r"[^\W_]+", spoken)
            if words:
                own = next((word for word in words if re.fullmatch(r"w\d+x", word)), " ".join(words[:30]))
                hits = self._recall.search(own, limit=10_000).hits
                found = str(message.id) in {hit.id for hit in hits}
                require(found, 3, f"message {message.id} not found by {own[:80]!r}")

    # ------------------------------------------------------------ after each action

    def settle(self) -> list[Message]:
        """Check the state at rest; returns what the log has gained."""
        self._in_turn = 0
        gained = self._recall.read(len(self.log) + 1)
        ids = [message.id for message in gained]
        require(ids == list(range(len(self.log) + 1, len(self.log) + 1 + len(ids))), 2, f"ids {ids} are not in order")
        self.log += gained
        self._check_core()
        self._check_receipts(self.agent.receipts())
        return gained

    def check_log(self) -> None:
        """The whole log is what it was when each message was first read."""
        require(self._recall.read(1) == self.log, 2, "an old message has changed")
        self._check_findable([m for m in self.log if m.id < self._state.window().first_id][-200:])

    def _check_core(self) -> None:
        now = {block.label: block.value for block in self._state.blocks()}
        require(now == self.core or not self.core, 6, f"core memory is {now}, by its edits {self.core}")
        self.core = now

    def _check_receipts(self, receipts: Sequence[Receipt]) -> None:
        next_id = 1
        for receipt in receipts:
            ordered = receipt.first_id == next_id <= receipt.last_id
            require(ordered, 8, f"receipt {receipt.id} covers {receipt.first_id}-{receipt.last_id} after {next_id - 1}")
            next_id = receipt.last_id + 1
        first_id = self._state.window().first_id
        require(first_id == next_id, 8, f"the queue begins at {first_id}, the receipts end before {next_id}")

    # ------------------------------------------------------------ parts

    @property
    def budget(self) -> Budget:
        return self._context.budget

    @property
    def _context(self) -> MainContext:
        return self.agent._parts.context  # pyright: ignore[reportPrivateUsage]

    @property
    def _memory(self) -> Memory:
        return self.agent._parts.memory  # pyright: ignore[reportPrivateUsage]

    @property
    def _state(self) -> SqliteState:
        return self._memory.state

    @property
    def _recall(self) -> SqliteRecall:
        return self._memory.recall


def _bytes(page: Page) -> str:
    """Everything of a page that could reach a model."""
    m = page.message
    return repr((page.key, m.role, m.rendered, m.thoughts, m.calls, m.call_id, m.name))


def _steps(queue: Sequence[Message]) -> list[list[Message]]:
    """The queue cut wherever no call waits for its result."""
    steps: list[list[Message]] = []
    waiting: set[str] = set()
    for message in queue:
        if waiting:
            steps[-1].append(message)
        else:
            steps.append([message])
        waiting.update(call.id for call in message.calls)
        waiting.discard(message.call_id or "")
    return steps


def _must_stay(steps: Sequence[Sequence[Message]], opening_id: int) -> int:
    """The first step that no flush may take: the last one of the running turn, or its opening event."""
    own = [i for i, step in enumerate(steps) if step[0].kind == "reply" and step[0].id > opening_id]
    opening = [i for i, step in enumerate(steps) if step[0].id == opening_id]
    return (own or opening or [0])[-1]
