"""The agents of a home: names, and a deletion that leaves nothing behind and touches no one else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from memos.errors import AgentNotFound, UsageError
from memos.hits import DocumentInfo
from memos.messages import Message
from memos.ports import Clock
from memos.records import Block
from memos.storage import schema
from memos.storage.agents import AgentRegistry
from memos.storage.archival import SqliteArchival
from memos.storage.database import Database
from memos.storage.documents import SqliteDocuments
from memos.storage.recall import SqliteRecall
from memos.storage.scope import Scope
from memos.storage.state import SqliteState
from memos.storage.vectors import VectorIndex

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def agents(database: Database, clock: Clock) -> AgentRegistry:
    return AgentRegistry(database, clock)


@pytest.mark.parametrize("name", ["ada", "Ada 2", "ada.lovelace@work", "a-b_c", "étude", "x" * 64, "7"])
def test_what_can_be_a_name(agents: AgentRegistry, name: str) -> None:
    assert agents.create(name).name == name
    assert agents.find(name).name == name


@pytest.mark.parametrize(
    "name", ["", " ada", ".", "../etc", "a/b", "a\nb", "ada\n", "x" * 65, "-x", "a\0b", "\N{SNAIL}"]
)
def test_what_cannot_be_a_name(agents: AgentRegistry, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name an agent"):
        agents.create(name)
    assert agents.list() == []


def test_a_name_is_taken_once(agents: AgentRegistry) -> None:
    agents.create("ada")
    with pytest.raises(UsageError, match="'ada' already"):
        agents.create("ada")
    agents.create("bea")
    with pytest.raises(UsageError, match="'ada' already"):
        agents.rename("bea", "ada")
    assert [info.name for info in agents.list()] == ["ada", "bea"]


def test_a_renamed_agent_is_the_same(agents: AgentRegistry) -> None:
    before = agents.create("ada")
    agents.rename("ada", "bea")
    assert (agents.find("bea").id, agents.find("bea").timeline_id) == (before.id, before.timeline_id)
    assert agents.get("ada") is None
    with pytest.raises(AgentNotFound, match="memos agents new ada"):
        agents.find("ada")
    with pytest.raises(AgentNotFound):
        agents.rename("ada", "carla")
    with pytest.raises(UsageError, match="cannot name"):
        agents.rename("bea", "a/b")


def test_scratch_agents_are_listed_apart(agents: AgentRegistry) -> None:
    agents.create("ada", timezone="Europe/Rome")
    agents.create("ask-1", scratch=True)
    assert [(info.name, info.timezone) for info in agents.list()] == [("ada", "Europe/Rome")]
    assert [info.name for info in agents.list(scratch=True)] == ["ask-1"]


def fill(database: Database, index: VectorIndex, clock: Clock, agents: AgentRegistry, name: str, source: str) -> Scope:
    info = agents.create(name)
    scope = Scope(database, info.id, info.timeline_id, clock)
    recall, state = SqliteRecall(scope), SqliteState(scope)
    recall.append(Message("user", "user_message", f"{name} likes trilobites.", NOW, name=name))
    recall.append(Message("assistant", "reply", "Trilobites are fine.", NOW))
    SqliteArchival(scope, index).insert(f"{name} keeps trilobites.", tags=["hobby"])
    state.add_block(Block("human", name, 50), "test")
    state.add_receipt(first_id=1, last_id=1, summary="x", replaced_id=None, freed_tokens=1, model="m")
    state.open_turn(1, "key")
    state.start_effect(2, "c1")
    state.pause_heartbeats(NOW)
    SqliteDocuments(scope, index).attach(source)
    return scope


def rows(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in schema.metadata.sorted_tables
        }


def owners_of(database: Database, table: str, word: str) -> set[int]:
    """Rows of a full-text table that hold a word, whoever owns them."""
    with database.read() as connection:
        found = connection.exec_driver_sql(f"SELECT rowid FROM {table} WHERE {table} MATCH ?", (f"words:{word}",))
        return set(found.scalars())


def test_deleting_erases_everything_of_the_agent_and_nothing_else(
    database: Database,
    index: VectorIndex,
    clock: Clock,
    agents: AgentRegistry,
    load: Callable[..., DocumentInfo],
) -> None:
    load("/books/cave.txt", ["A cave of trilobites.\n"])
    bea = fill(database, index, clock, agents, "bea", "/books/cave.txt")
    before = rows(database)
    words = {table: owners_of(database, table, "trilobit") for table in schema.FULL_TEXT_TABLES}
    assert all(words.values())
    ada = fill(database, index, clock, agents, "ada", "/books/cave.txt")
    assert all(owners_of(database, table, "trilobit") > words[table] for table in schema.FULL_TEXT_TABLES)
    with database.read() as connection:
        seqs = connection.scalars(
            sa.select(schema.passages.c.seq).where(schema.passages.c.agent_id == ada.agent_id)
        ).all()

    agents.delete("ada")

    after = rows(database)
    logged = after.pop("index_log") - before.pop("index_log")
    assert after == before
    assert {table: owners_of(database, table, "trilobit") for table in schema.FULL_TEXT_TABLES} == words
    with database.read() as connection:
        log = connection.execute(sa.select(schema.index_log).order_by(schema.index_log.c.seq.desc()).limit(logged))
        entries = {(row.operation, row.item, row.item_id) for row in log}
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    assert {("remove", "passage", seq) for seq in seqs} <= entries
    assert agents.get("ada") is None
    kept = SqliteArchival(bea, index).search("trilobites", limit=9)
    assert {hit.text for hit in kept.hits} == {"bea keeps trilobites.", "A cave of trilobites.\n"}
    assert SqliteRecall(bea).search("trilobites", limit=9).total == 2


def test_a_new_agent_of_an_old_name_remembers_nothing(
    database: Database, index: VectorIndex, clock: Clock, agents: AgentRegistry, load: Callable[..., DocumentInfo]
) -> None:
    load("/books/cave.txt", ["A cave.\n"])
    old = fill(database, index, clock, agents, "ada", "/books/cave.txt")
    index.apply_pending()
    agents.delete("ada")
    info = agents.create("ada")
    assert info.id > old.agent_id
    scope = Scope(database, info.id, info.timeline_id, clock)
    assert SqliteRecall(scope).search("trilobites", limit=9).total == 0
    assert SqliteArchival(scope, index).search("trilobites", limit=9).total == 0
    assert (info.messages, info.passages, info.documents) == (0, 0, 0)


def test_a_listing_counts_what_an_agent_holds(
    database: Database, index: VectorIndex, clock: Clock, agents: AgentRegistry, load: Callable[..., DocumentInfo]
) -> None:
    load("/books/cave.txt", ["A cave.\n"])
    fill(database, index, clock, agents, "ada", "/books/cave.txt")
    info = agents.find("ada")
    assert (info.messages, info.passages, info.documents) == (2, 1, 1)


def test_deleting_what_is_not_there_is_refused(agents: AgentRegistry) -> None:
    with pytest.raises(AgentNotFound):
        agents.delete("nobody")
