"""The tools of one agent on real stores, called as a model calls them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memos import tools
from memos.core_memory import CoreMemory
from memos.home import Home, Memory
from memos.messages import ToolCall
from memos.records import Block
from memos.settings import load
from memos.storage.archival import SqliteArchival
from memos.storage.documents import SqliteDocuments
from memos.storage.recall import SqliteRecall
from memos.storage.scope import Scope
from memos.storage.state import SqliteState
from memos.tokens import estimate_tokens
from memos.tooling import Outcome, Toolbox, ToolContext


@dataclass
class HandClock:
    """Stands still until it is moved."""

    moment: datetime = datetime(2026, 3, 10, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def at(self, moment: datetime) -> datetime:
        return moment.replace(tzinfo=self.moment.tzinfo)


@dataclass
class Caller:
    """Runs one call after the other."""

    home: Home
    memory: Memory
    clock: HandClock
    context: ToolContext
    announced: list[str] = field(default_factory=list[str])

    def __call__(self, name: str, /, **arguments: object) -> Outcome:
        box = Toolbox.of([*tools.BASE_TOOLS, *tools.DOCUMENT_TOOLS])
        return box.run(ToolCall("c", name, json.dumps(arguments)), self.context)

    def ok(self, name: str, /, **arguments: object) -> str:
        outcome = self(name, **arguments)
        assert outcome.ok, outcome.text
        return outcome.text

    def failed(self, name: str, /, **arguments: object) -> str:
        outcome = self(name, **arguments)
        assert not outcome.ok
        return outcome.text


@pytest.fixture
def use() -> Iterator[Caller]:
    home = Home(load())
    info = home.agents.create("ada")
    clock = HandClock()
    scope = Scope(home.database, info.id, info.timeline_id, clock)
    state = SqliteState(scope)
    state.add_block(Block("persona", "I am brief.", 20, read_only=True), "test")
    state.add_block(Block("human", "", 20), "test")
    announced: list[str] = []
    context = ToolContext(
        core=CoreMemory(state, estimate_tokens, announced.append),
        recall=SqliteRecall(scope),
        archival=SqliteArchival(scope, home.index),
        documents=SqliteDocuments(scope, home.index),
        state=state,
        clock=clock,
        page_size=5,
        result_limit_tokens=600,
        count_tokens=estimate_tokens,
    )
    yield Caller(home, home.memory("ada"), clock, context, announced)
    home.close()


@pytest.fixture
def ingest(use: Caller, tmp_path: Path) -> Callable[[str, str], str]:
    """Load a text and let the agent read it; returns its source."""
    from memos.documents.ingest import ingest

    def load_text(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        ingest([path], use.home.library, on_document=lambda document: use.memory.documents.attach(document.source))
        return str(path)

    return load_text
