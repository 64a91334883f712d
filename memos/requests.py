"""The exact requests of past steps, made again from the log.

Nothing is kept twice for this: a step notes its window, the head of the log, and its system prompt and
functions; messages never change, and their stamps are stored. So what was sent can be sent again.
"""

from __future__ import annotations

from dataclasses import dataclass

from memos.context import Budget, MainContext
from memos.errors import BackendError, UsageError
from memos.ports import Backend, Clock, RecallStore, Reply, Request, StateStore
from memos.records import PastStep


@dataclass(frozen=True, slots=True)
class PastRequest:
    """A request as it was sent, and the message that answered it."""

    message_id: int
    model: str
    request: Request


class RequestLog:
    """The past requests of one agent."""

    def __init__(self, *, backend: Backend, recall: RecallStore, state: StateStore, clock: Clock) -> None:
        """`backend` counts tokens, which decide how much of an oversized message was shown."""
        self._backend = backend
        self._recall = recall
        self._state = state
        self._clock = clock

    def of_turn(self, opening_id: int | None = None) -> list[PastRequest]:
        """The requests of the turn that message opened, in order; of the last turn when none is named.

        Raises `UsageError` when there is no such turn.
        """
        turn = self._state.last_turn() if opening_id is None else self._state.turn(opening_id)
        if turn is None:
            which = "no turn yet" if opening_id is None else f"no turn that message {opening_id} opened"
            raise UsageError(f"There is {which}; `memos log` shows what was said.")
        last_id = turn.last_id if turn.last_id is not None else self._recall.last_id()
        return [self._rebuilt(step) for step in self._state.past_steps(turn.opening_id, last_id)]

    def replay(self, message_id: int) -> Reply:
        """Send the request that message `message_id` answered once more; nothing is stored.

        Raises `UsageError` for a message that answered none, `BackendError` when the model fails.
        """
        steps = self._state.past_steps(message_id, message_id)
        if not steps:
            raise UsageError(f"Message {message_id} is no reply of the model.")
        for piece in self._backend.complete(self._rebuilt(steps[0]).request):
            if isinstance(piece, Reply):
                return piece
        raise BackendError(f"{self._backend.spec} ended its stream without a reply.")

    def _rebuilt(self, step: PastStep) -> PastRequest:
        record = step.record
        context = MainContext(
            system_prompt=record.system,
            tools=record.tools,
            budget=Budget(record.limit_tokens, record.reserve_tokens, record.spool_tokens),
            backend=self._backend,
            recall=self._recall,
            state=self._state,
            clock=self._clock,
        )
        pages = context.compile_past(step.window, record.head_id)
        return PastRequest(
            step.message_id, record.model, Request(pages, record.tools, record.reserve_tokens, record.loop)
        )
