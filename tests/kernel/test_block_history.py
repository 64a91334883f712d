"""Blocks of core memory have a history, may be shared, and tell every holder of a change."""

from __future__ import annotations

import pytest
from support.model import Model, call, calling, in_turn, saying

from memos import Agent, AgentNotFound, UsageError


def test_every_change_is_a_version_with_its_cause() -> None:
    edit = call("core_memory_append", label="human", content="Likes tea.")
    model = Model(in_turn(lambda: calling(edit, call("send_message", message="Noted."))))
    with Agent.open("ada", backend=model) as agent:
        agent.core["human"].append("Name: Ada.")
        agent.send("I like tea.")
        agent.core["human"].set("Name: Ada Lovelace.")
        human = agent.core["human"]
        assert [(version.value, version.cause, version.agent) for version in human.history()] == [
            ("", "created", "ada"),
            ("Name: Ada.", "python", "ada"),
            ("Name: Ada.\nLikes tea.", "core_memory_append", "ada"),
            ("Name: Ada Lovelace.", "python", "ada"),
        ]
        assert human.diff().splitlines()[-3:] == ["-Name: Ada.", "-Likes tea.", "+Name: Ada Lovelace."]
        human.restore(human.history()[2].version)
        assert human.value == "Name: Ada.\nLikes tea."
        with pytest.raises(UsageError, match="no version 999"):
            human.restore(999)


def test_blocks_are_created_configured_and_removed() -> None:
    model = Model(in_turn(lambda: saying("ok")))
    with Agent.open("ada", backend=model) as agent:
        agent.core.create("project", "Trilobites.", limit_tokens=30, description="What we work on.")
        agent.send("Hello.")
        assert "<project limit_tokens=30" in model.requests[-1].pages[1].message.text
        with pytest.raises(UsageError, match="already"):
            agent.core.create("project", limit_tokens=10)
        with pytest.raises(UsageError, match="cannot name a block"):
            agent.core.create("my project", limit_tokens=10)
        with pytest.raises(UsageError, match="at most 5 tokens"):
            agent.core.create("long", "word " * 50, limit_tokens=5)
        with pytest.raises(UsageError, match="its limit cannot be 1"):
            agent.core.configure("project", limit_tokens=1)
        agent.core.configure("project", read_only=True)
        with pytest.raises(UsageError, match="read-only"):
            agent.core["project"].append("More.")
        agent.core.remove("project")
        assert list(agent.core) == ["persona", "human"]
        told = [message.text for message in agent.recall.read() if message.kind == "system_alert"]
        assert ["'project'" in text for text in told] == [True] * 3
    with Agent.open("ada", backend=model) as agent:
        agent.send("Hello.")
        assert "project" not in model.requests[-1].pages[1].message.text
        past = agent.requests(2)[0].request
        assert "<project limit_tokens=30" in past.pages[1].message.text


def test_a_shared_block_is_one_block_and_both_agents_hear_of_edits() -> None:
    model = Model(in_turn(lambda: saying("ok")))
    with Agent.open("bea", backend=model) as bea, Agent.open("ada", backend=model) as ada:
        ada.core.create("team", "Ada leads.", limit_tokens=40)
        with pytest.raises(AgentNotFound):
            ada.core.share("team", "nobody")
        ada.core.share("team", "bea")
        with pytest.raises(UsageError, match="already"):
            ada.core.share("team", "bea")
        bea.core["team"].append("Bea draws.")
        assert ada.core["team"].value == "Ada leads.\nBea draws."
        alerts = [message.text for message in ada.recall.read() if message.kind == "system_alert"]
        assert "Bea draws." in alerts[-1]
        bea.core.remove("team")
        assert "team" in list(ada.core)
        assert "team" not in list(bea.core)
