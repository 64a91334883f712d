"""Main context: the prompt as a list of pages, and the budget they must fit.

Order: system, core memory, summary, pinned event, queue. Everything before the queue changes only
at a flush or a resume, so between two flushes each prompt is a byte-exact extension of the last.
This module renders and adds up; what leaves the queue is `memos.pager`'s business.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from memos.errors import SettingsError
from memos.events import ContextUsage
from memos.messages import CORE_EDITS, Message, ToolSchema
from memos.ports import Backend, Clock, Page, RecallStore, StateStore
from memos.records import Block, PastStep, Window
from memos.tokens import estimate_tokens, head_within

MESSAGE_OVERHEAD_TOKENS = 8
"""Added to each page for what a chat template wraps around a message. ChatML takes 5 at most, with the role."""

SPOOL_FRACTION = 0.25
"""The most of the budget that one message may take; of a larger one the head is shown. It stays whole in recall."""

MIN_RESULT_TOKENS = 64
"""What one result is shown with at least, however many share the room: its head and how to read on."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The window, what is kept free in it for the completion, and what one message may take."""

    limit_tokens: int
    reserve_tokens: int
    spool_tokens: int
    """A message larger than this is shown by its head; the results of one reply share it."""

    @property
    def available_tokens(self) -> int:
        return self.limit_tokens - self.reserve_tokens

    @property
    def most_calls(self) -> int:
        """How many calls of one reply can be answered within the room for their results."""
        return max(1, self.spool_tokens // MIN_RESULT_TOKENS)


def choose_budget(limit_tokens: int, reserve_tokens: int | None) -> Budget:
    """The reserve defaults to a tenth of the window, 4,096 at most.

    Raises `SettingsError` when the reserve leaves no room for a prompt.
    """
    reserve = reserve_tokens if reserve_tokens is not None else min(4096, limit_tokens // 10)
    if reserve > limit_tokens // 2:
        raise SettingsError(
            f"output_reserve_tokens ({reserve}) takes more than half of the window ({limit_tokens}): lower it."
        )
    return Budget(limit_tokens, reserve, int((limit_tokens - reserve) * SPOOL_FRACTION))


@dataclass(frozen=True, slots=True)
class Prompt:
    """A compiled main context."""

    pages: tuple[Page, ...]
    tools: tuple[ToolSchema, ...]
    functions_tokens: int
    usage: ContextUsage
    head_id: int
    """The newest message it was compiled from; 0 when the log was empty."""


class MainContext:
    """Compiles the prompt of one agent from window, blocks, receipts and log."""

    def __init__(
        self,
        *,
        system_prompt: str,
        tools: tuple[ToolSchema, ...],
        budget: Budget,
        backend: Backend,
        recall: RecallStore,
        state: StateStore,
        clock: Clock,
    ) -> None:
        self.budget = budget
        self.tools = tools
        self.lock = threading.RLock()
        """Held while pages are read or counted anew: the gauge may ask from another thread."""
        self._backend = backend
        self._count = backend.count_tokens
        self._system_prompt = system_prompt
        self._recall = recall
        self._state = state
        self._clock = clock
        self._window = Window()
        self._queue: list[Page] = []
        self._head: list[Page] = []
        self._last_keys: tuple[str, ...] = ()
        self._sharing: dict[str, int] = {}  # call id → calls of its reply
        self._measure_fixed()
        self.reload()

    def estimate_fixed(self) -> tuple[int, int]:
        """System prompt and functions by the plain estimate."""
        return estimate_tokens(self._system_prompt), sum(estimate_tokens(_schema_text(tool)) for tool in self.tools)

    @property
    def window(self) -> Window:
        return self._window

    @property
    def queue(self) -> list[Page]:
        """Pages of the log from the window's first id on, as far as `refresh` has read."""
        return self._queue

    def reload(self) -> None:
        """Read the window anew: at the start of a turn (another process may have moved it) and after a flush."""
        with self.lock:
            window = self._state.window()
            if window.first_id < self._window.first_id or not self._queue:
                self._queue = []
            self._window = window
            self._queue = [page for page in self._queue if page.message.id >= window.first_id]
            shown = {call.id for page in self._queue for call in page.message.calls}
            self._sharing = {call_id: count for call_id, count in self._sharing.items() if call_id in shown}
            self._head = self._compile_head(window)

    def shrink(self, limit_tokens: int) -> None:
        """Believe in a smaller window from now on."""
        share = self.budget.reserve_tokens / self.budget.limit_tokens
        smaller = choose_budget(limit_tokens, int(share * limit_tokens))
        self.budget = replace(smaller, spool_tokens=min(smaller.spool_tokens, self.budget.spool_tokens))
        self._recount()

    def limit_messages(self, spool_tokens: int) -> None:
        """Let no message take more than this from now on."""
        if spool_tokens != self.budget.spool_tokens:
            self.budget = replace(self.budget, spool_tokens=spool_tokens)
            self._recount()

    def sharpen(self) -> bool:
        """Count exactly from now on; False when that was done before."""
        if self._count == self._backend.count_exactly:
            return False
        self._count = self._backend.count_exactly
        self._measure_fixed()
        self._recount()
        return True

    def refresh_core(self) -> None:
        """Render the newest blocks in the prefix: right where the prefix changes anyway."""
        newest = self.newest_core()
        if newest != self._window.core_version:
            self._state.move_window(replace(self._window, core_version=newest), "core memory rendered anew")
            self.reload()

    def newest_core(self) -> int:
        """The newest version of core memory."""
        return self._state.core_version()

    def compile_past(self, window: Window, head_id: int) -> tuple[Page, ...]:
        """The pages of a prompt as they were with that window when the log ended at `head_id`."""
        queue = self._recall.read(window.first_id, head_id)
        return (*self._compile_head(window), *(self.message_page(message) for message in queue))

    def measure(self, window: Window) -> int:
        """Tokens the prompt would take with another window."""
        pages = self.compile_past(window, self._recall.last_id())
        return sum(page.tokens for page in pages) + self.functions_tokens

    def refresh(self) -> None:
        """Append what the log has gained."""
        with self.lock:
            first = self._queue[-1].message.id + 1 if self._queue else self._window.first_id
            self._queue += [self.message_page(message) for message in self._recall.read(first)]

    def extend(self, messages: Sequence[Message]) -> None:
        """Append what the running turn has added itself; where others wrote in between, read the log."""
        with self.lock:
            last = self._queue[-1].message.id if self._queue else self._window.first_id - 1
            new = [message for message in messages if message.id > last]
            if [message.id for message in new] == list(range(last + 1, last + 1 + len(new))):
                self._queue += [self.message_page(message) for message in new]
            else:
                self.refresh()

    def compile(self, *, refresh: bool = True) -> Prompt:
        """The whole prompt as it would be sent now; without `refresh`, of what is known here of the log."""
        with self.lock:
            if refresh:
                self.refresh()
            pages = (*self._head, *self._queue)
            head_id = self._queue[-1].message.id if self._queue else self._window.first_id - 1
            return Prompt(pages, self.tools, self.functions_tokens, self._usage(pages), head_id)

    def sent(self, prompt: Prompt) -> None:
        """Remember what the backend has seen, to tell which prefix stays."""
        self._last_keys = tuple(page.key for page in prompt.pages)

    def recall_sent(self, step: PastStep | None) -> None:
        """Take the last step's request for what the backend has seen, if this process has sent nothing yet."""
        if self._last_keys or step is None:
            return
        if (step.record.system, step.record.tools) == (self._system_prompt, self.tools):
            self._last_keys = tuple(page.key for page in self.compile_past(step.window, step.record.head_id))

    def message_page(self, message: Message) -> Page:
        """A message of the log as a page; an oversized one shows its head and how to read on."""
        self._sharing.update((call.id, len(message.calls)) for call in message.calls)
        # An edit must be seen whole; a block's own limit bounds it.
        sharing = 1 if message.name in CORE_EDITS else self._sharing.get(message.call_id or "", 1)
        limit = max(MIN_RESULT_TOKENS, self.budget.spool_tokens // sharing)
        # Always by the same counter: a message must not change its rendering when counts get sharper.
        if self._backend.count_tokens(_text_of(message)) + MESSAGE_OVERHEAD_TOKENS <= limit:
            return self._page(f"message:{message.id}", "queue", message)
        return self._page(f"message:{message.id}:head", "queue", self._head_of(message, limit))

    # ------------------------------------------------------------ parts

    def _measure_fixed(self) -> None:
        system = self._controller_message("system", self._system_prompt)
        self._system = self._page("system", "system", system)
        self.functions_tokens = sum(self._count(_schema_text(tool)) for tool in self.tools)

    def _recount(self) -> None:
        with self.lock:
            self._head, self._queue = [], []
            self.reload()

    def _compile_head(self, window: Window) -> list[Page]:
        head = [self._system, self._kept(f"core:{window.core_version}", lambda: self._core_page(window.core_version))]
        if window.receipt_id is not None:
            receipt_id = window.receipt_id
            head.append(self._kept(f"summary:{receipt_id}", lambda: self._receipt_page(receipt_id)))
        if window.pinned_id is not None:
            head += [self.message_page(message) for message in self._recall.read(window.pinned_id, window.pinned_id)]
        return head

    def _kept(self, key: str, make: Callable[[], Page]) -> Page:
        """A page of the present head, if it holds it; pages never change under their key."""
        return next((page for page in self._head if page.key == key), None) or make()

    def _core_page(self, version: int) -> Page:
        text = render_core(self._state.blocks(as_of=version))
        return self._page(f"core:{version}", "core", self._controller_message("system", text))

    def _receipt_page(self, receipt_id: int) -> Page:
        receipt = self._state.receipt(receipt_id)
        header = f"[Summary of what went before, up to message {receipt.last_id}; recall holds the words themselves.]\n"
        return self._page(
            f"summary:{receipt_id}", "summary", self._controller_message("user", header + receipt.summary)
        )

    def _controller_message(self, role: str, text: str) -> Message:
        return Message("user" if role == "user" else "system", "system_alert", text, self._clock.now())

    def _page(self, key: str, section: str, message: Message) -> Page:
        text = _text_of(message)
        tokens = self._count(text) + MESSAGE_OVERHEAD_TOKENS * (1 + len(message.calls))
        if section == "system":
            key = f"{key}:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:12]}"
            return Page(key, "system", message, tokens)
        if section == "core":
            return Page(key, "core", message, tokens)
        return Page(key, "summary" if section == "summary" else "queue", message, tokens)

    def _head_of(self, message: Message, limit_tokens: int) -> Message:
        """What is shown of a message that is too large: its head, its size, the call that pages on."""
        if message.calls or message.thoughts:
            return _shorten_reply(message, limit_tokens)
        text = message.text
        room = (
            limit_tokens - MESSAGE_OVERHEAD_TOKENS - self._backend.count_tokens(message.header + _cut_note(message, 0))
        )
        shown = head_within(text, max(0, room), self._backend.count_tokens)
        note = _cut_note(message, shown)
        return replace(message, text=text[:shown] + note)

    def _usage(self, pages: tuple[Page, ...]) -> ContextUsage:
        sizes = {"system": 0, "core": 0, "summary": 0, "queue": 0}
        for page in pages:
            sizes[page.section] += page.tokens
        prefix = 0
        for page, key in zip(pages, self._last_keys, strict=False):
            if page.key != key:
                break
            prefix += page.tokens
        return ContextUsage(
            limit_tokens=self.budget.limit_tokens,
            reserve_tokens=self.budget.reserve_tokens,
            used_tokens=sum(sizes.values()) + self.functions_tokens,
            system_tokens=sizes["system"],
            functions_tokens=self.functions_tokens,
            core_tokens=sizes["core"],
            summary_tokens=sizes["summary"],
            queue_tokens=sizes["queue"],
            prefix_tokens=prefix + self.functions_tokens if prefix else 0,
        )


def render_core(blocks: tuple[Block, ...]) -> str:
    """The core memory section of the prompt."""
    parts = ["Core memory. Edits shown later in the conversation override what stands here."]
    for block in blocks:
        about = f" description={json.dumps(block.description, ensure_ascii=False)}" if block.description else ""
        locked = " read_only" if block.read_only else ""
        value = block.value.replace(f"</{block.label}", f"<\\/{block.label}")  # a value cannot end its own block
        body = f"{value}\n" if value else ""
        parts.append(f"<{block.label} limit_tokens={block.limit_tokens}{about}{locked}>\n{body}</{block.label}>")
    return "\n".join(parts)


def _cut_note(message: Message, shown: int) -> str:
    return (
        f"\n[Cut here: {len(message.text)} characters in all. "
        f"Read on with open_memory(id={message.id}, start_char={shown}).]"
    )


def _text_of(message: Message) -> str:
    """All that a message adds to the prompt, for counting."""
    return message.rendered + message.thoughts + "".join(call.name + call.arguments for call in message.calls)


def _schema_text(tool: ToolSchema) -> str:
    return json.dumps([tool.name, tool.description, tool.parameters], ensure_ascii=False, separators=(",", ":"))


def _shorten_reply(message: Message, room_tokens: int) -> Message:
    """A reply must stay well formed: long thoughts go, long arguments become a pointer to the whole."""
    room_chars = room_tokens  # at least one token a character, whatever the tokenizer
    note = json.dumps({"cut": f"read it whole with open_memory(id={message.id})"})
    calls = tuple(
        call if len(call.arguments) <= room_chars // (2 * len(message.calls)) else replace(call, arguments=note)
        for call in message.calls
    )
    text = message.text if len(message.text) <= room_chars // 4 else message.text[: room_chars // 4] + " […]"
    return replace(message, text=text, thoughts=message.thoughts[: room_chars // 4], calls=calls)
