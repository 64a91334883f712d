"""The agents of a home: names, and a deletion that leaves nothing behind and touches no one else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from memos.clock import SystemClock
from memos.errors import AgentNotFound, UsageError
from memos.hits import DocumentInfo
from memos.messages import Message
from memos.ports import Clock
from memos.records import Block
from memos.storage import schema
from memos.storage.agents import AgentInfo, AgentRegistry
from memos.storage.archival import SqliteArchival
from memos.storage.database import Database
from memos.storage.documents import SqliteDocuments
from memos.storage.recall import SqliteRecall
from memos.storage.scope import Scope
from memos.storage.state import SqliteState
from memos.storage.vectors import VectorIndex

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FIRST = [Block("persona", "I am.", 50), Block("human", "", 50)]


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


def test_the_file_keeps_no_word_of_a_deleted_agent(
    database: Database, index: VectorIndex, clock: Clock, agents: AgentRegistry
) -> None:
    def told() -> int:
        database.empty_log()
        return database.path.read_bytes().lower().count(b"xylophone")

    for name in ("ada", "bea"):
        info = agents.create(name)
        scope = Scope(database, info.id, info.timeline_id, clock)
        for number in range(40):  # some of it merged, some not
            SqliteRecall(scope).append(Message("user", "user_message", f"{name} plays {number} a xylophone", NOW))
            SqliteArchival(scope, index).insert(f"{name} owns {number} xylophone")
        SqliteState(scope).add_block(Block("human", "xylophone", 50), "test")
    agents.delete("ada")
    assert told() > 0
    assert SqliteRecall(scope).search("xylophone", limit=9).total == 40
    agents.delete("bea")
    assert told() == 0


def test_a_store_of_a_deleted_agent_says_so(
    database: Database, index: VectorIndex, clock: Clock, agents: AgentRegistry, load: Callable[..., DocumentInfo]
) -> None:
    load("/books/cave.txt", ["A cave.\n"])
    info = agents.create("ada")
    scope = Scope(database, info.id, info.timeline_id, clock)
    agents.delete("ada")
    for write in (
        lambda: SqliteArchival(scope, index).insert("A ghost."),
        lambda: SqliteDocuments(scope, index).attach("/books/cave.txt"),
        lambda: SqliteState(scope).add_block(Block("human", "A ghost.", 50), "test"),
        lambda: SqliteRecall(scope).append(Message("user", "user_message", "A ghost.", NOW)),
    ):
        with pytest.raises(AgentNotFound, match="has been deleted"):
            write()


def test_a_first_opening_makes_the_agent_with_its_blocks(agents: AgentRegistry, database: Database) -> None:
    def blocks(info: AgentInfo) -> list[tuple[str, str]]:
        state = SqliteState(Scope(database, info.id, info.timeline_id, SystemClock()))
        return [(block.label, block.value) for block in state.blocks()]

    first = agents.find_or_create("ada", timezone="Europe/Rome", first_blocks=FIRST)
    assert (first.timezone, blocks(first)) == ("Europe/Rome", [("persona", "I am."), ("human", "")])
    state = SqliteState(Scope(database, first.id, first.timeline_id, SystemClock()))
    assert state.block_history("persona")[0].cause == "created"
    for label in ("persona", "human"):
        state.remove_block(label, "test")
    assert agents.find_or_create("ada", first_blocks=FIRST).id == first.id
    assert blocks(first) == []
    bare = agents.create("bea")
    assert agents.find_or_create("bea", first_blocks=FIRST).id == bare.id
    assert blocks(bare) == [("persona", "I am."), ("human", "")]
    with pytest.raises(UsageError, match="cannot name"):
        agents.find_or_create("a/b")


def test_a_first_opening_that_fails_makes_nothing(agents: AgentRegistry) -> None:
    with pytest.raises(UsageError, match="'human' already"):
        agents.find_or_create("ada", first_blocks=[*FIRST, FIRST[1]])
    assert agents.list() == []


OPEN_FIRST = """
import sys
from pathlib import Path
from memos.clock import SystemClock
from memos.records import Block
from memos.storage.agents import AgentRegistry
from memos.storage.database import Database

sys.stdin.readline()
database = Database(Path(sys.argv[1]))
blocks = [Block("persona", "I am.", 50), Block("human", "", 50)]
print(AgentRegistry(database, SystemClock()).find_or_create("ada", first_blocks=blocks).id)
database.close()
"""


def test_eight_processes_open_one_new_agent_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "memos.db"
    command = [sys.executable, "-c", OPEN_FIRST, str(path)]
    openers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("go\n")
        opener.stdin.flush()
    assert [opener.communicate(timeout=60)[0] for opener in openers] == ["1\n"] * 8
    database = Database(path)
    agents = AgentRegistry(database, SystemClock())
    info = agents.find("ada")
    state = SqliteState(Scope(database, info.id, info.timeline_id, SystemClock()))
    assert [info.name for info in agents.list()] == ["ada"]
    assert [block.label for block in state.blocks()] == ["persona", "human"]
    assert all(len(state.block_history(block.label)) == 1 for block in state.blocks())
    database.close()


def test_a_label_is_held_once(agents: AgentRegistry, database: Database, clock: Clock) -> None:
    states = {
        name: SqliteState(Scope(database, info.id, info.timeline_id, clock))
        for name in ("ada", "bea")
        for info in [agents.create(name)]
    }
    states["ada"].add_block(Block("team", "Ada's.", 50), "test")
    with pytest.raises(UsageError, match="a block 'team' already"):
        states["ada"].add_block(Block("team", "Another.", 50), "test")
    states["bea"].add_block(Block("team", "Bea's.", 50), "test")
    with pytest.raises(UsageError, match="'bea' has a block 'team' already"):
        states["ada"].share_block("team", "bea", "test")
    states["bea"].remove_block("team", "test")
    states["ada"].share_block("team", "bea", "test")
    assert [block.value for block in states["bea"].blocks()] == ["Ada's."]
    states["ada"].remove_block("team", "test")
    states["ada"].add_block(Block("team", "New.", 50), "test")
    assert [block.value for block in states["ada"].blocks()] == ["New."]


def test_deleting_what_is_not_there_is_refused(agents: AgentRegistry) -> None:
    with pytest.raises(AgentNotFound):
        agents.delete("nobody")
