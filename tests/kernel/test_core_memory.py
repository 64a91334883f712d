"""Blocks: what an edit does, how it is refused, and that the model hears of edits from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from memos import Agent, Refusal, UsageError
from memos.core_memory import CoreMemory, appended, replaced
from memos.home import Memory
from memos.records import Block

Script = Callable[[Sequence[Mapping[str, object]]], str]


def words(text: str) -> int:
    return len(text.split())


def block(value: str = "", *, limit_tokens: int = 10, read_only: bool = False) -> Block:
    return Block("human", value, limit_tokens, read_only=read_only)


def test_appending_adds_a_line() -> None:
    assert appended(block(), "Name: Ada.", words) == "Name: Ada."
    assert appended(block("Name: Ada."), "\nLikes tea.\n", words) == "Name: Ada.\nLikes tea."


@pytest.mark.parametrize("content", ["", "  ", "\n\t\n"])
def test_appending_nothing_is_refused(content: str) -> None:
    with pytest.raises(Refusal, match="content is empty"):
        appended(block(), content, words)


def test_over_the_limit_is_refused_with_both_figures_and_advice() -> None:
    full = block("one two three", limit_tokens=4)
    assert appended(full, "four", words) == "one two three\nfour"
    with pytest.raises(Refusal) as caught:
        appended(full, "four five six", words)
    assert "'human' holds at most 4 tokens and this would make 6" in str(caught.value)
    assert "condense" in str(caught.value)
    assert "archival memory" in str(caught.value)
    with pytest.raises(Refusal, match="at most 4 tokens and this would make 5"):
        replaced(full, "three", "3 3 3", words)


def test_a_block_above_its_limit_can_still_shrink() -> None:
    assert replaced(block("one two three", limit_tokens=2), "two three", "2", words) == "one 2"


def test_replacing_needs_exactly_one_match() -> None:
    held = block("Likes tea.\nLikes milk.")
    assert replaced(held, "tea", "coffee", words) == "Likes coffee.\nLikes milk."
    with pytest.raises(Refusal, match=r"'Likes' occurs 2 times in block 'human'; give more"):
        replaced(held, "Likes", "Hates", words)
    with pytest.raises(Refusal, match=r"'Likes teas' does not occur .*; the nearest line is 'Likes tea\.'"):
        replaced(held, "Likes teas", "x", words)
    with pytest.raises(Refusal, match=r"does not occur in block 'human'\.$"):
        replaced(block(), "anything", "x", words)
    with pytest.raises(Refusal, match="core_memory_append"):
        replaced(held, "", "x", words)


def test_replacing_is_literal() -> None:
    assert replaced(block("a.c and \\1"), "a.c", "\\1", words) == "\\1 and \\1"


def test_an_empty_replacement_deletes_the_line() -> None:
    assert replaced(block("Likes tea.\nLikes milk."), "Likes tea.", "", words) == "Likes milk."
    assert replaced(block("Likes tea."), "Likes tea.", "", words) == ""


def test_a_read_only_block_is_left_alone() -> None:
    locked = block("x", read_only=True)
    with pytest.raises(Refusal, match="'human' is read-only"):
        appended(locked, "y", words)
    with pytest.raises(Refusal, match="'human' is read-only"):
        replaced(locked, "x", "y", words)


def test_an_edit_from_outside_appends_one_alert_with_the_new_block(script: Script) -> None:
    with Agent.open("ada", model=script([{"text": "hm"}])) as agent:
        agent.core["human"].append("Name: Ada.")
        agent.core["human"].replace("Ada", "Bea")
        alerts = agent.recall.read()
        assert [message.kind for message in alerts] == ["system_alert", "system_alert"]
        assert "'human' now reads:\nName: Bea." in alerts[1].text


def test_an_edit_and_its_alert_are_one_transaction(memory: Memory) -> None:
    def dies(_text: str) -> None:
        raise KeyboardInterrupt

    memory.state.add_block(block("Name: Ada."), "test")
    core = CoreMemory(memory.state, words, dies)
    with pytest.raises(KeyboardInterrupt):
        core["human"].append("Likes tea.")
    assert core["human"].value == "Name: Ada."
    assert memory.recall.count() == 0


def test_a_refused_edit_from_outside_tells_the_model_nothing(script: Script) -> None:
    with Agent.open("ada", model=script([{"text": "hm"}])) as agent:
        with pytest.raises(UsageError, match=r"human: .*does not occur"):
            agent.core["human"].replace("absent", "x")
        with pytest.raises(UsageError, match="at most"):
            agent.core["human"].append("word " * 5_000)
        with pytest.raises(UsageError, match="no block 'nobody'; the blocks are persona, human"):
            agent.core["nobody"]
        assert (agent.core["human"].value, agent.recall.count()) == ("", 0)


def test_it_is_a_mapping_of_labels_in_order(script: Script) -> None:
    with Agent.open("ada", model=script([{"text": "hm"}])) as agent:
        assert (list(agent.core), len(agent.core)) == (["persona", "human"], 2)
