"""A home, an agent with a random model in it, and everything that may be done to it from outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from memos import Agent, BackendError, SettingsError, UsageError
from memos.errors import AgentBusy
from memos.events import CallFinished, EventOut, Flushed, Heartbeat, TurnFinished
from memos.messages import LoopMode, Message, storable
from memos.records import Window
from support.invariants import Rules, Violation, require
from support.model import Model, in_turn, saying
from support.random_model import Crash, RandomModel, any_text, byte_count, exact_count

WINDOWS = (1024, 1024, 1200, 1536, 2048, 2048, 3000, 4096, 4096, 8192, 16_384, 32_768, 131_072)
ENDINGS = ("yield", "steps", "repeat", "tokens", "cost", "interrupt", "error")


@dataclass(frozen=True)
class Setting:
    """One of the worlds there can be."""

    window: int
    loop: LoopMode
    bytewise: bool
    warn: float
    flush: float
    evict: float
    max_steps: int

    @classmethod
    def choose(cls, chance: Random) -> Setting:
        window = chance.choice(WINDOWS)
        flush = chance.choice((0.9, 0.9, 0.8, 1.0, 0.99))
        return cls(
            window=window,
            loop=chance.choice(("heartbeat", "native")),
            bytewise=window >= 16_384 and chance.random() < 0.5,
            warn=min(flush, chance.choice((0.7, 0.7, 0.6, 0.95))),
            flush=flush,
            evict=chance.choice((0.5, 0.5, 0.2, 0.8, 0.95)),
            max_steps=chance.choice((4, 12, 50)),
        )

    @property
    def file(self) -> str:
        return (
            f"warn_fraction = {self.warn}\nflush_fraction = {self.flush}\nevict_fraction = {self.evict}\n"
            f"max_steps = {self.max_steps}\n"
        )


class World:
    """Actions, each of which checks the promises before it returns."""

    def __init__(self, home: Path, setting: Setting, chance: Random) -> None:
        self.home, self.setting, self.chance = home, setting, chance
        home.mkdir(parents=True, exist_ok=True)
        (home / "settings.toml").write_text(setting.file, encoding="utf-8")
        count = byte_count if setting.bytewise else exact_count
        self.rules = Rules(count, setting.flush, setting.evict)
        self.model = RandomModel(chance, setting.window, count, self.rules.asked, self._interrupt)
        self.model.margin_percent = 100 if setting.window < 1536 else 130
        self.endings: Counter[str] = Counter()
        self.steps = 0
        self._expected: list[tuple[str, str]] = []
        self.other: Agent | None = None
        self._open()

    # ------------------------------------------------------------ inside

    def send(self) -> None:
        """Mostly a few words; at times more than the window."""
        most = self.setting.window // 20 if self.chance.random() < 0.9 else self.setting.window * 3
        text = any_text(self.chance, min(most, 150_000))
        if not text.strip():
            text = "."
        self._expected.append(("user_message", text))
        self._turn(self.agent.stream(text, name=self.chance.choice((None, None, "Ada] [x", "李"))))

    def beat(self) -> None:
        self._expected.append(("heartbeat", "Wake up."))
        self._turn(self.agent._turn(Heartbeat("Wake up."), None))  # pyright: ignore[reportPrivateUsage]

    def login(self) -> None:
        self.agent.login()
        self._settle()

    # ------------------------------------------------------------ outside

    def edit_core(self) -> None:
        label = self.chance.choice(list(self.agent.core))
        handle, value = self.agent.core[label], any_text(self.chance, 20)
        deed = self.chance.randrange(4)
        with suppress(UsageError):
            if deed == 0:
                handle.append(value)
            elif deed == 1:
                handle.restore(self.chance.choice(handle.history()).version)
            elif deed == 2 and handle.value:
                handle.replace(handle.value[:5], value)
            else:
                handle.set(value)
        self._edited(self.agent, label)

    def edit_from_elsewhere(self) -> None:
        """Another agent of the home holds one of the blocks and writes in it."""
        if self.other is None:
            try:
                limit = min(self.setting.window // 50, 500)  # so that the other agent's window has room for it too
                self.agent.core.create("shared", "Nothing yet.", limit_tokens=limit, description="Ours.")
            except UsageError:  # a small window has no room for a further block
                return
            self.other = Agent.open("bea", backend=Model(in_turn(lambda: saying("Yes."))), home=self.home)
            self.agent.core.share("shared", "bea")
            self.rules.core["shared"] = "Nothing yet."
        with suppress(UsageError):
            self.other.core["shared"].set(any_text(self.chance, 10))
        self._edited(self.other, "shared")

    def page_in(self) -> None:
        head = self.agent.recall.count()
        if head:
            first = self.chance.randint(1, head)
            with suppress(UsageError):
                self.agent.page_in(first, min(head, first + self.chance.choice((0, 1, 20))))
        self._settle()

    def undo_flush(self) -> None:
        with suppress(UsageError):
            self.agent.undo_flush()
            self.rules.renews = True
        self._settle()

    def insert(self) -> None:
        text = any_text(self.chance, 200)
        if text.strip():
            self.agent.archival.insert(text)
        self._settle()

    def add_history(self) -> None:
        text = any_text(self.chance, 50) or "."
        role = self.chance.choice(("user", "assistant"))
        stored = self.agent.recall.append(role, text)
        require(stored.text == storable(text) and stored == self._settle()[-1], 2, f"history {text!r} became {stored}")

    def reopen(self) -> None:
        self.agent.close()
        self.model.context_tokens = self.setting.window
        self._open()
        self._settle()

    def replay(self) -> None:
        """The last request, made again from the log, is the one that was sent."""
        if self.agent._parts.memory.state.last_turn() is not None:  # pyright: ignore[reportPrivateUsage]
            self.agent.requests()
        self._settle()

    def look_back(self) -> None:
        self.rules.check_log()

    def close(self) -> None:
        self.agent.close()
        if self.other is not None:
            self.other.close()

    def act(self) -> None:
        """One thing at random; mostly a turn."""
        self.steps += 1
        whim = self.chance.random()
        if whim < 0.6:
            self.send()
            return
        others = (self.edit_core, self.edit_core, self.edit_from_elsewhere, self.page_in, self.undo_flush)
        self.chance.choice((*others, self.insert, self.add_history, self.reopen, self.beat, self.login, self.replay))()

    # ------------------------------------------------------------ parts

    def _open(self) -> None:
        def fetch(size: int) -> str:
            """Fetch something."""
            if self.chance.random() < 0.03:
                raise Crash
            if self.chance.random() < 0.1:
                raise ValueError(any_text(self.chance, 50))
            return any_text(self.chance, size)

        for tools in ([fetch], []):
            try:
                self.agent = Agent.open("ada", backend=self.model, home=self.home, loop=self.setting.loop, tools=tools)
                break
            except SettingsError:  # a small window has no room for a further function
                if not tools:
                    raise
        self._is_new = True
        self.rules.watch(self.agent)

    def _turn(self, events: Iterator[EventOut]) -> None:
        parts = self.agent._parts  # pyright: ignore[reportPrivateUsage]
        before = parts.memory.state.window()
        if self._is_new:  # the first turn after opening renders core memory anew
            before, self._is_new = replace(before, core_version=parts.context.newest_core()), False
        asked, ended = self.rules.requests, self.endings.total()
        last = parts.memory.state.last_turn()
        carries_on = last is not None and last.stopped_by is None
        try:
            for event in events:
                before = self._heard(event, before)
        except BackendError as error:
            self.endings["raised"] += 1
            self.endings["did not fit"] += "The prompt takes" in str(error)
        except Crash:
            if carries_on and self.endings.total() == ended:  # the new event was never reached, nor acknowledged
                self._expected.clear()
            self.endings["crash"] += 1
            self.rules.renews = True
        except AgentBusy as error:
            raise Violation("the lock of a dead turn was kept") from error
        self.steps += self.rules.requests - asked
        self._settle()

    def _heard(self, event: EventOut, before: Window) -> Window:
        state = self.agent._parts.memory.state  # pyright: ignore[reportPrivateUsage]
        if isinstance(event, Flushed):
            opened = state.last_turn()
            self.rules.flushed(event, before, opened.opening_id if opened is not None else 0)
            pinned = opened.opening_id if opened is not None and opened.opening_id <= event.last_id else None
            newest = self.agent._parts.context.newest_core()  # pyright: ignore[reportPrivateUsage]
            return Window(event.last_id + 1, pinned, event.receipt_id, newest)
        if isinstance(event, CallFinished) and event.status == "ok" and event.name.startswith("core_memory_"):
            label, _, value = event.result.removeprefix("Block '").partition("' now reads:\n")
            self.rules.core[label] = value
        if isinstance(event, TurnFinished):
            self.endings[event.turn.stopped_by] += 1
            require(event.turn.stopped_by in ENDINGS, 7, f"a turn ended by {event.turn.stopped_by!r}")
        return before

    def _edited(self, agent: Agent, label: str) -> None:
        self.rules.core[label] = agent.core[label].value
        self._settle()

    def _settle(self) -> list[Message]:
        """What the log has gained is what was accepted, byte for byte and in order."""
        gained = self.rules.settle()
        heard = [(m.kind, m.text) for m in gained if m.kind in ("user_message", "heartbeat")]
        wanted = [(kind, storable(text)) for kind, text in self._expected]
        require(heard == wanted, 2, f"accepted {wanted}, kept {heard}")
        said = [self._kept(m) for m in gained if m.kind == "reply"]
        meant = [self._meant(reply.text, reply.thoughts, reply.calls) for reply in self.model.said]
        require(said == meant, 2, f"said {meant}, kept {said}")
        self._expected.clear()
        self.model.said.clear()
        return gained

    def _interrupt(self) -> None:
        """Whichever agent is open now."""
        self.agent.interrupt()

    def _kept(self, message: Message) -> tuple[str, str, object]:
        return message.text, message.thoughts, message.calls

    def _meant(self, text: str, thoughts: str, calls: object) -> tuple[str, str, object]:
        if self.setting.loop == "heartbeat":
            return "", storable(text or thoughts), calls
        return storable(text), storable(thoughts), calls
