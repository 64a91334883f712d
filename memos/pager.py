"""The pager: watches the window's pressure, and evicts before a request could overflow.

A flush moves the window forward over the log, so nothing is copied and nothing can be lost: what is
evicted stays in recall, the summary takes its place, and a receipt says what it covers. The policy
that writes summaries stands in `memos.summaries`.
Source: MemGPT, arXiv 2310.08560, §2.2 (queue manager); thresholds in memgpt terms: warn, flush, evict.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from memos.context import Budget, MainContext, Prompt
from memos.errors import BackendError, UsageError
from memos.events import Flushed
from memos.messages import LoopMode, Usage
from memos.ports import Backend, Clock, Page, RecallStore, StateStore
from memos.records import Receipt, Window
from memos.summaries import SummaryJob, summarise_apart, summarise_by_extraction, summarise_in_place

SUMMARY_FRACTION = 0.07
"""The summary's cap, as a share of the budget …"""
SUMMARY_MAX_TOKENS = 500
"""… and in tokens."""


def summary_cap_tokens(budget: Budget) -> int:
    """The most a summary may take of the prompt."""
    return min(SUMMARY_MAX_TOKENS, int(budget.available_tokens * SUMMARY_FRACTION))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Shares of window minus reserve (warn, flush) and of the queue (evict)."""

    warn: float = 0.7
    flush: float = 0.9
    evict: float = 0.5


class Pager:
    """Keeps one agent's main context within its budget."""

    def __init__(
        self,
        *,
        context: MainContext,
        backend: Backend,
        recall: RecallStore,
        state: StateStore,
        clock: Clock,
        thresholds: Thresholds,
        summary_prompt: str,
        loop: LoopMode,
    ) -> None:
        self._context = context
        self._backend = backend
        self._recall = recall
        self._state = state
        self._clock = clock
        self._thresholds = thresholds
        self._summary_prompt = summary_prompt
        self._loop: LoopMode = loop

    def needs_warning(self, prompt: Prompt) -> bool:
        """Once per period: the share is passed and no warning stands in the queue since the last flush."""
        if prompt.usage.used_tokens < self._warn_tokens():
            return False
        if self._context.sharpen():
            return self.needs_warning(self._context.compile())
        if prompt.usage.used_tokens >= self._thresholds.flush * self._context.budget.available_tokens:
            return False  # a flush comes first; a warning would only take room
        receipt_id = self._context.window.receipt_id
        since = self._state.receipt(receipt_id).at_message_id if receipt_id is not None else 0
        return not any(page.message.kind == "pressure" and page.message.id > since for page in self._context.queue)

    def _warn_tokens(self) -> int:
        return int(self._thresholds.warn * self._context.budget.available_tokens)

    def fit(self, opening_id: int, stop: Callable[[], bool] = lambda: False) -> Generator[Flushed, None, Prompt]:
        """The prompt to send now, after as many flushes as it takes; each is told as it happens.

        `stop` is asked while a model writes a summary; True makes the summary extractive.
        Raises `BackendError` when even the smallest prompt would not fit.
        """
        while True:
            prompt = self._context.compile()
            budget = self._context.budget.available_tokens
            if prompt.usage.used_tokens < self._thresholds.flush * budget:
                return prompt
            if self._context.sharpen():
                continue
            receipt = self.flush(opening_id, stop)
            if receipt is None and prompt.usage.used_tokens <= budget:
                return prompt
            if receipt is None:  # the last step alone is too much: better a summary of it than no answer
                receipt = self.flush(opening_id, stop, last_step=True)
            if receipt is None:
                raise BackendError(
                    f"The prompt takes {prompt.usage.used_tokens} tokens and the window leaves {budget}: "
                    "use a larger context_tokens, a smaller output_reserve_tokens, or fewer tools."
                )
            yield receipt

    def flush(
        self, opening_id: int, stop: Callable[[], bool] = lambda: False, *, last_step: bool = False
    ) -> Flushed | None:
        """Evict the oldest part of the queue and summarise it; None when there is nothing to gain.

        With `last_step` even the running turn's last step goes, when it is finished; its event stays.
        """
        prompt = self._context.compile()
        queue = self._context.queue
        evicted = choose_evicted(queue, self._thresholds.evict, opening_id)
        if last_step:
            evicted = queue if queue and queue[-1].message.id > opening_id else []
        if not evicted:
            return None
        before = self._context.window
        first_id, last_id = evicted[0].message.id, evicted[-1].message.id
        freed = sum(page.tokens for page in evicted)
        old = self._state.receipt(before.receipt_id).summary if before.receipt_id is not None else ""
        # A summary larger than half of what it replaces would gain too little to be worth its loss of detail.
        cap = min(summary_cap_tokens(self._context.budget), (freed + prompt.usage.summary_tokens) // 2)
        job = SummaryJob(old, self._recall.read(first_id, last_id), cap, self._clock.now(), self._loop, stop)
        summary, model, usage = self._summarise(job, prompt)
        with self._state.transaction():
            receipt = self._state.add_receipt(
                first_id=first_id,
                last_id=last_id,
                summary=summary,
                replaced_id=before.receipt_id,
                freed_tokens=freed,
                model=model,
            )
            pinned = opening_id if opening_id <= last_id else None
            self._state.move_window(Window(last_id + 1, pinned, receipt.id, self._context.newest_core()), "flush")
        self._context.reload()
        return Flushed(receipt.id, first_id, last_id, freed, usage)

    def undo(self) -> Receipt:
        """Take the newest flush back: its messages return to the queue, its summary gives way to the one before.

        Raises `UsageError` when there is none, or when the result would reach the flush threshold.
        """
        before = self._context.window
        if before.receipt_id is None:
            raise UsageError("There is no flush to undo.")
        receipt = self._state.receipt(before.receipt_id)
        pinned = before.pinned_id if before.pinned_id is not None and before.pinned_id < receipt.first_id else None
        restored = Window(receipt.first_id, pinned, receipt.replaced_id, self._context.newest_core())
        used = self._context.measure(restored)
        room = int(self._thresholds.flush * self._context.budget.available_tokens)
        if used >= room:
            raise UsageError(
                f"Undoing flush {receipt.id} lacks {used - room + 1} tokens of room; page in a part of it instead: "
                f"messages {receipt.first_id} to {receipt.last_id}."
            )
        self._state.move_window(restored, f"undo of flush {receipt.id}")
        self._context.reload()
        return receipt

    def _summarise(self, job: SummaryJob, prompt: Prompt) -> tuple[str, str, Usage]:
        """The summary, who wrote it, and what it took."""
        usage = Usage()
        if self._backend.writes_summaries:
            summary = summarise_in_place(self._backend, job, prompt.pages, prompt.tools, self._room_after(prompt))
            usage += summary.usage
            if summary.text is None and not job.stop():
                room = self._context.budget.available_tokens
                summary = summarise_apart(self._backend, job, self._summary_prompt, room)
                usage += summary.usage
            if summary.text is not None:
                return summary.text, self._backend.spec, usage
        return summarise_by_extraction(job, self._backend.count_tokens), "extractive", usage

    def _room_after(self, prompt: Prompt) -> int:
        return self._context.budget.available_tokens - prompt.usage.used_tokens


def choose_evicted(queue: list[Page], fraction: float, opening_id: int) -> list[Page]:
    """The oldest pages that make up at least `fraction` of the queue, cut only between steps.

    What stays: the last step of the turn that message `opening_id` opened, and all after it; before
    its first step, the opening event.
    """
    steps = split_steps(queue)
    wanted = fraction * sum(page.tokens for page in queue)
    evicted: list[Page] = []
    taken = 0
    for step in steps[: _last_step(steps, opening_id)]:
        if taken >= wanted:
            break
        evicted += step
        taken += sum(page.tokens for page in step)
    return evicted


def split_steps(queue: list[Page]) -> list[list[Page]]:
    """Group so that a reply and its results are never parted, whatever came between them."""
    steps: list[list[Page]] = []
    step_of_call: dict[str, int] = {}
    for page in queue:
        message = page.message
        owner = step_of_call.get(message.call_id or "")
        if message.kind == "result" and owner is not None:
            steps[owner:] = [[page for step in steps[owner:] for page in step] + [page]]
            continue
        steps.append([page])
        step_of_call.update((call.id, len(steps) - 1) for call in message.calls)
    return steps


def _last_step(steps: list[list[Page]], opening_id: int) -> int:
    """The index of the first step that must stay."""
    for index in range(len(steps) - 1, -1, -1):
        first = steps[index][0].message
        if first.id == opening_id or (first.kind == "reply" and first.id > opening_id):
            return index
        if first.id < opening_id:
            return index + 1
    return 0 if not steps else len(steps) - 1
