"""The controller: turns events into steps, steps into transactions, until the agent yields.

    accept   append the event; committed means accepted
    page     flush before a request could overflow
    infer    no transaction is open while the model runs; then append its reply, calls as written
    act      each call in order; a memory tool's effect and its result commit together

Knows ports, not stores; prints nothing. After a crash the next turn first carries on the last one:
`memos.loop` tells from the log what was still to be done, so there is no other recovery code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from memos import loop as looping
from memos.accept import alert, to_message
from memos.context import MainContext, Prompt
from memos.errors import BackendError, ContextOverflow, StorageError, UsageError
from memos.events import (
    CallFinished,
    CallStarted,
    ContextUsage,
    EventIn,
    EventOut,
    MemoryEdited,
    Pressure,
    Spoken,
    StepFinished,
    StoppedBy,
    Turn,
    TurnFinished,
)
from memos.limits import Limits
from memos.listener import Listener
from memos.messages import Kind, LoopMode, Message, ToolCall, Usage, sent_text, storable
from memos.pager import Pager
from memos.ports import Backend, Clock, RecallStore, Reply, Request, StateStore
from memos.records import OpenTurn, StepRecord
from memos.tooling import Outcome, Toolbox, ToolContext
from memos.turns import fold

MAX_OVERFLOWS = 4
"""How often a turn may hear from the server that its window is smaller than believed."""

_INTERRUPTED = "it was started, and memos stopped before the result was known. Check what it did before repeating it."


@dataclass(slots=True)
class _Progress:
    """A running turn: its messages so far, and what its steps used."""

    opening_id: int
    messages: list[Message]
    usage: Usage
    overflows: int = 0


class Controller:
    """Runs the turns of one agent."""

    def __init__(
        self,
        *,
        backend: Backend,
        context: MainContext,
        pager: Pager,
        toolbox: Toolbox,
        tool_context: ToolContext,
        recall: RecallStore,
        state: StateStore,
        clock: Clock,
        loop: LoopMode,
        limits: Limits,
        cache_life: timedelta,
        learn: Callable[[int], None],
    ) -> None:
        """`learn` keeps the window that a server turned out to have."""
        self._backend = backend
        self._context = context
        self._pager = pager
        self._toolbox = toolbox
        self._tool_context = tool_context
        self._recall = recall
        self._state = state
        self._clock = clock
        self._loop: LoopMode = loop
        self._limits = limits
        self._cache_life = cache_life
        self._learn = learn
        self._interrupted = threading.Event()
        self._listener = Listener(backend, loop, self._interrupted)
        self._last_turn_at: datetime | None = None

    def interrupt(self) -> None:
        """End the running turn at the next safe point; a partial reply is kept and marked."""
        self._interrupted.set()

    @property
    def waiting_for_model(self) -> bool:
        """Whether the turn now only waits: then a KeyboardInterrupt is safe, after `interrupt`."""
        return self._listener.waiting

    def note(self, event: EventIn) -> Message:
        """Append an event without taking a step."""
        return self._recall.append(to_message(event, self._clock.now()))

    def turn(self, event: EventIn, idempotency_key: str | None = None) -> Iterator[EventOut]:
        """Accept the event and run steps until the agent yields.

        A turn that a crash cut off is carried on first, with a `TurnFinished` of its own. The last
        event is always the `TurnFinished` of this turn; after one that was stopped by an error the
        error is raised.
        """
        self._interrupted.clear()
        self._context.reload()
        if self._cache_is_cold():
            self._context.refresh_core()
        known = self._state.turn_by_key(idempotency_key) if idempotency_key is not None else None
        self._require_same(known, event)
        last = self._state.last_turn()
        if last is not None and last.stopped_by is None:
            asked = known is not None and known.opening_id == last.opening_id
            try:
                yield from self._run(last.opening_id)
            except BackendError:
                if asked:
                    raise
                # It ended by its error, and its event stays in view; what is said now must still be accepted.
            if asked:
                return
            self._interrupted.clear()  # it stopped the old turn; what is said now is another matter
        if known is not None and known.stopped_by == "error" and known == last:
            self._state.reopen_turn(known.opening_id)  # a caller who retries wants an answer
            yield from self._run(known.opening_id)
            return
        if known is not None and known.stopped_by == "error":
            raise BackendError("That turn failed and others have followed it; say it again with a new key.")
        if known is not None:
            yield TurnFinished(self._retold(known))
            return
        with self._state.transaction():
            opening = self._recall.append(to_message(event, self._clock.now()))
            self._state.open_turn(opening.id, idempotency_key)
        yield from self._run(opening.id)

    def _require_same(self, known: OpenTurn | None, event: EventIn) -> None:
        """A key stands for one event; raises `UsageError` for another one, which would go unheard."""
        if known is None:
            return
        said = self._recall.read(known.opening_id, known.opening_id)
        if said and said[0].text != storable(to_message(event, self._clock.now()).text):
            raise UsageError(
                f"The idempotency key {known.idempotency_key!r} was used for another text; take a new one."
            )

    def _cache_is_cold(self) -> bool:
        """Whether no model holds our prefix any more, so that rendering core memory anew costs nothing."""
        now, before = self._clock.now(), self._last_turn_at
        self._last_turn_at = now
        return before is None or now - before > self._cache_life

    # ------------------------------------------------------------ the loop

    def _run(self, opening_id: int) -> Iterator[EventOut]:
        messages = self._recall.read(opening_id)
        running = _Progress(opening_id, messages, self._used(opening_id, messages[-1].id))
        error: BackendError | None = None
        try:
            stopped_by = yield from self._steps(running)
        except BackendError as failure:
            error, stopped_by = failure, "error"
        except StorageError:
            raise  # the turn stays open, to be carried on when the store works again
        except Exception:
            self._state.end_turn(opening_id, "error")  # or every later turn would run into it first
            raise
        self._state.end_turn(opening_id, stopped_by)
        yield TurnFinished(
            fold(
                running.messages,
                stopped_by=stopped_by,
                usage=running.usage,
                context=self._usage(running),
                error=str(error) if error else None,
            )
        )
        if error is not None:
            raise error

    def _steps(self, running: _Progress) -> Generator[EventOut, None, StoppedBy]:
        while True:
            action = looping.next_action(running.messages, self._loop)
            if isinstance(action, looping.Act):
                yield from self._act(running, action)  # also when interrupted: no call stays without a result
            if self._interrupted.is_set():
                self._append(running, self._alert("interrupt", "The user interrupted you."))
                return "interrupt"
            if isinstance(action, looping.Act):
                if looping.is_repeating(running.messages):
                    self._append(running, self._alert("interrupt", "The turn was ended: the same call three times."))
                    return "repeat"
                continue
            warned = yield from self._warn(running)
            if action == "yield" and not warned:
                return "yield"
            breaker = self._limits.passed(looping.count_steps(running.messages), running.usage)
            if breaker is not None:
                self._append(running, self._alert("interrupt", f"The turn was ended by its limit of {breaker}."))
                return breaker
            yield from self._infer(running)

    def _warn(self, running: _Progress) -> Generator[EventOut, None, bool]:
        """Tell the model of memory pressure, once a period, so that it can save what matters."""
        self._context.extend(running.messages)
        prompt = self._context.compile(refresh=False)
        if not self._pager.needs_warning(prompt):
            return False
        used, budget = prompt.usage.used_tokens, self._context.budget.available_tokens
        text = (
            f"Memory pressure: {used} of {budget} tokens are used. The oldest messages will soon be paged out "
            "and summarised; store what must stay at hand in core or archival memory now."
        )
        self._append(running, self._alert("pressure", text))
        yield Pressure(used, budget)
        return True

    # ------------------------------------------------------------ infer

    def _infer(self, running: _Progress) -> Iterator[EventOut]:
        prompt = yield from self._fit(running)
        if self._interrupted.is_set():
            return  # nothing was asked, so there is nothing to record
        try:
            reply, spoken = yield from self._listener.hear(self._request(prompt))
        except ContextOverflow as overflow:
            running.overflows += 1
            if running.overflows > MAX_OVERFLOWS:
                raise
            self._learn_limit(overflow, prompt)
            return
        self._context.sent(prompt)
        message = self._reply_message(reply, spoken)
        with self._state.transaction():
            stored = self._append(running, message)
            self._state.record_step(stored.id, self._step_record(prompt, reply.usage))
        running.usage += reply.usage
        if message.text and message.status == "ok":
            yield Spoken(message.text)
        yield StepFinished(reply.usage, self._usage(running))

    def _fit(self, running: _Progress) -> Generator[EventOut, None, Prompt]:
        """The prompt to send; what summaries took counts as the turn's."""
        flushes = self._pager.fit(running.opening_id, self._interrupted.is_set)
        while True:
            try:
                flushed = next(flushes)
            except StopIteration as end:
                prompt: Prompt = end.value
                return prompt
            running.usage += flushed.usage
            yield flushed

    def _reply_message(self, reply: Reply, spoken: str | None) -> Message:
        """A reply as the log holds it. `spoken` is what was said aloud of one that an interrupt cut short."""
        heartbeat = self._loop == "heartbeat"
        inner = [reply.thoughts, reply.text] if heartbeat else [reply.thoughts]
        said = spoken or "" if heartbeat else reply.text
        return Message(
            "assistant",
            "reply",
            said,
            self._clock.now(),
            thoughts="\n\n".join(part for part in inner if part),
            calls=self._with_own_ids(reply.calls),
            status="ok" if spoken is None else "partial",
        )

    def _with_own_ids(self, calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
        """The calls, each with an id that no other in view has: results are told apart by it."""
        taken = {call.id for page in self._context.queue for call in page.message.calls}
        unique: list[ToolCall] = []
        for call in calls:
            own = call if call.id and call.id not in taken else replace(call, id=f"call_{uuid4().hex[:16]}")
            taken.add(own.id)
            unique.append(own)
        return tuple(unique)

    def _step_record(self, prompt: Prompt, usage: Usage) -> StepRecord:
        return StepRecord(
            model=self._backend.spec,
            loop=self._loop,
            system=prompt.pages[0].message.text,
            tools=prompt.tools,
            head_id=prompt.head_id,
            limit_tokens=prompt.usage.limit_tokens,
            reserve_tokens=prompt.usage.reserve_tokens,
            spool_tokens=self._context.budget.spool_tokens,
            usage=usage,
            cost_micros=self._limits.prices.cost_micros(usage),
        )

    def _request(self, prompt: Prompt) -> Request:
        return Request(prompt.pages, prompt.tools, self._context.budget.reserve_tokens, self._loop)

    def _learn_limit(self, overflow: ContextOverflow, prompt: Prompt) -> None:
        """The server's window is smaller than believed: believe the server, and flush to fit."""
        believed = overflow.limit_tokens or int(prompt.usage.used_tokens * 0.75)
        smaller = min(believed, int(self._context.budget.limit_tokens * 0.9))
        self._context.shrink(smaller)
        self._learn(smaller)

    # ------------------------------------------------------------ act

    def _act(self, running: _Progress, action: looping.Act) -> Iterator[EventOut]:
        for call in action.calls:
            if self._interrupted.is_set():
                self._append(
                    running, self._result(call, Outcome(ok=False, text="interrupted by the user before it ran."))
                )
                continue
            yield CallStarted(call.id, call.name, call.arguments)
            writes = self._toolbox.effect(call) == "memory"
            before = {block.label: block.version for block in self._state.blocks()} if writes else {}
            result = self._run_call(running, action.reply, call)
            yield CallFinished(call.id, call.name, call.arguments, result.status, result.text)
            if result.status == "ok" and (said := sent_text(call)):
                yield Spoken(said)
            for block in self._state.blocks() if writes else ():
                if block.version != before.get(block.label):
                    yield MemoryEdited(block.label, block.value)

    def _run_call(self, running: _Progress, reply: Message, call: ToolCall) -> Message:
        if reply.calls.index(call) >= self._context.budget.most_calls:
            return self._append(
                running, self._result(call, Outcome(ok=False, text="too many calls at once; repeat it."))
            )
        effect = self._toolbox.effect(call)
        if effect == "memory":
            with self._state.transaction():
                outcome = self._toolbox.run(call, self._tool_context)
                return self._append(running, self._result(call, outcome))
        if effect == "external":
            if self._state.effect_started(reply.id, call.id):
                lost = self._result(call, Outcome(ok=False, text=_INTERRUPTED))
                return self._append(running, replace(lost, status="interrupted"))
            self._state.start_effect(reply.id, call.id)
        outcome = self._toolbox.run(call, self._tool_context)
        return self._append(running, self._result(call, outcome))

    # ------------------------------------------------------------ messages

    def _usage(self, running: _Progress) -> ContextUsage:
        self._context.extend(running.messages)
        return self._context.compile(refresh=False).usage

    def _append(self, running: _Progress, message: Message) -> Message:
        stored = self._recall.append(message)
        running.messages.append(stored)
        return stored

    def _result(self, call: ToolCall, outcome: Outcome) -> Message:
        return Message(
            "tool",
            "result",
            outcome.rendered,
            self._clock.now(),
            name=call.name,
            call_id=call.id,
            status="ok" if outcome.ok else "failed",
        )

    def _alert(self, kind: Kind, text: str) -> Message:
        return alert(kind, text, self._clock.now())

    def _retold(self, known: OpenTurn) -> Turn:
        """A finished turn told again from the log."""
        messages = self._recall.read(known.opening_id, known.last_id)
        context = self._context.compile().usage
        usage = self._used(known.opening_id, messages[-1].id)
        return fold(messages, stopped_by=known.stopped_by or "error", usage=usage, context=context, error=None)

    def _used(self, first_id: int, last_id: int) -> Usage:
        """What the steps of a part of the log took."""
        steps = self._state.past_steps(first_id, last_id) if last_id > first_id else ()
        return sum((step.record.usage for step in steps), Usage())
