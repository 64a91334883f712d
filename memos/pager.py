"""The pager: watches the window's pressure, and evicts before a request could overflow.

A flush moves the window forward over the log, so nothing is copied and nothing can be lost: what is
evicted stays in recall, the summary takes its place, and a receipt says what it covers. The policy
that writes summaries stands in `memos.summaries`.
Source: MemGPT, arXiv 2310.08560, §2.2 (queue manager); thresholds in memgpt terms: warn, flush, evict.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from memos.context import Budget, MainContext, Prompt
from memos.errors import BackendError
from memos.events import Flushed
from memos.messages import Message
from memos.ports import Backend, Clock, Page, RecallStore, StateStore, Window
from memos.summaries import summarise_by_extraction, summarise_with_model

SUMMARY_FRACTION = 0.1
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
    ) -> None:
        self._context = context
        self._backend = backend
        self._recall = recall
        self._state = state
        self._clock = clock
        self._thresholds = thresholds
        self._summary_prompt = summary_prompt

    def needs_warning(self, prompt: Prompt) -> bool:
        """Once per period: the share is passed and no warning stands in the queue since the last flush."""
        budget = self._context.budget.available_tokens
        if prompt.usage.used_tokens < self._thresholds.warn * budget:
            return False
        receipt_id = self._context.window.receipt_id
        since = self._state.receipt(receipt_id).at_message_id if receipt_id is not None else 0
        return not any(page.message.kind == "pressure" and page.message.id > since for page in self._context.queue)

    def fit(self, opening_id: int) -> tuple[Prompt, list[Flushed]]:
        """The prompt to send now, after as many flushes as it takes.

        Raises `BackendError` when even the smallest prompt would not fit.
        """
        flushed: list[Flushed] = []
        while True:
            prompt = self._context.compile()
            budget = self._context.budget.available_tokens
            if prompt.usage.used_tokens < self._thresholds.flush * budget:
                return prompt, flushed
            receipt = self.flush(opening_id)
            if receipt is None:
                if prompt.usage.used_tokens <= budget:
                    return prompt, flushed
                raise BackendError(
                    f"The prompt takes {prompt.usage.used_tokens} tokens and the window leaves {budget}: "
                    "use a larger context_tokens, a smaller output_reserve_tokens, or fewer tools."
                )
            flushed.append(receipt)

    def flush(self, opening_id: int) -> Flushed | None:
        """Evict the oldest part of the queue and summarise it; None when there is nothing to gain."""
        queue = self._context.queue
        evicted = choose_evicted(queue, self._thresholds.evict)
        if not evicted:
            return None
        before = self._context.window
        old = self._state.receipt(before.receipt_id).summary if before.receipt_id is not None else ""
        messages = [page.message for page in evicted]
        summary, model = self._summarise(old, self._whole(messages))
        last_id = messages[-1].id
        pinned = opening_id if opening_id <= last_id else None
        freed = sum(page.tokens for page in evicted)
        with self._state.transaction():
            receipt = self._state.add_receipt(
                first_id=messages[0].id,
                last_id=last_id,
                summary=summary,
                replaced_id=before.receipt_id,
                freed_tokens=freed,
                model=model,
            )
            newest = max((block.version for block in self._state.blocks()), default=0)
            self._state.move_window(Window(last_id + 1, pinned, receipt.id, newest), "flush")
        self._context.reload()
        return Flushed(receipt.id, receipt.first_id, receipt.last_id, freed)

    def _whole(self, messages: list[Message]) -> list[Message]:
        """The messages as the log holds them: a page may show only a head."""
        return self._recall.read(messages[0].id, messages[-1].id)

    def _summarise(self, old: str, messages: list[Message]) -> tuple[str, str]:
        budget = self._context.budget.available_tokens
        cap = summary_cap_tokens(self._context.budget)
        if self._backend.writes_summaries:
            text = summarise_with_model(
                self._backend,
                prompt=self._summary_prompt,
                old_summary=old,
                messages=messages,
                room_tokens=budget,
                cap_tokens=cap,
                now=self._now(),
            )
            if text is not None:
                return text, self._backend.spec
        count = self._backend.count_tokens
        return summarise_by_extraction(old, messages, cap_tokens=cap, count_tokens=count), "extractive"

    def _now(self) -> datetime:
        return self._clock.now()


def choose_evicted(queue: list[Page], fraction: float) -> list[Page]:
    """The oldest pages that make up at least `fraction` of the queue, cut only between steps.

    A reply and the results of its calls are one step; the last step stays.
    """
    steps = split_steps(queue)
    wanted = fraction * sum(page.tokens for page in queue)
    evicted: list[Page] = []
    taken = 0
    for step in steps[:-1]:
        if taken >= wanted:
            break
        evicted += step
        taken += sum(page.tokens for page in step)
    return evicted


def split_steps(queue: list[Page]) -> list[list[Page]]:
    """Group so that a reply and its results are never parted; any other message stands alone."""
    steps: list[list[Page]] = []
    for page in queue:
        if page.message.kind == "result" and steps:
            steps[-1].append(page)
        else:
            steps.append([page])
    return steps
