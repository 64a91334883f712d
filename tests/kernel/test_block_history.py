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


def test_settings_of_a_block_are_in_its_history_and_come_back() -> None:
    with Agent.open("ada", backend=Model(in_turn(lambda: saying("ok")))) as ada:
        project = ada.core.create("project", "Trilobites.", limit_tokens=100, description="What we work on.")
        ada.core.configure("project", limit_tokens=40, read_only=True)
        project.set("Ammonites.")
        created, configured, edited = project.history()
        assert (created.limit_tokens, created.description, created.read_only) == (100, "What we work on.", False)
        assert (configured.limit_tokens, configured.description, configured.read_only) == (40, "What we work on.", True)

        assert project.diff(new_version=configured.version).splitlines() == [
            "# limit_tokens: 100 -> 40",
            "# read_only: False -> True",
        ]
        assert not project.diff().startswith("#")
        assert project.diff(created.version, edited.version).splitlines()[-2:] == ["-Trilobites.", "+Ammonites."]

        project.restore(created.version)
        block = ada.core.block("project")
        assert (block.value, block.limit_tokens, block.read_only) == ("Trilobites.", 100, False)
        told = ada.recall.read()[-1].text
        assert "at most 100 tokens" in told
        assert told.endswith("now reads:\nTrilobites.")


def test_a_limit_without_room_is_not_restored() -> None:
    with Agent.open("ada", backend=Model(in_turn(lambda: saying("ok"))), context_tokens=8192) as ada:
        project = ada.core.create("project", limit_tokens=300)
        ada.core.configure("project", limit_tokens=10)
        ada.core.create("other", limit_tokens=300)
        with pytest.raises(UsageError, match="too small"):
            project.restore(project.history()[0].version)
        assert ada.core.block("project").limit_tokens == 10


def test_a_block_is_not_shared_with_an_agent_that_could_not_be_opened_with_it() -> None:
    model = Model(in_turn(lambda: saying("ok")))
    with Agent.open("bea", backend=model, context_tokens=8192) as bea:
        bea.send("Hello.")
    with Agent.open("ada", backend=model, context_tokens=128_000) as ada:
        ada.core.create("team", "Ada leads.", limit_tokens=1500)
        with pytest.raises(UsageError, match=r"'bea' could not be opened .* a window of 8192 has room for 2048"):
            ada.core.share("team", "bea")
        ada.core.configure("team", limit_tokens=400)
        ada.core.share("team", "bea")
        with pytest.raises(UsageError, match="'bea' could not be opened"):
            ada.core.configure("team", limit_tokens=1500)
        assert ada.core.block("team").limit_tokens == 400
        assert [version.limit_tokens for version in ada.core["team"].history()] == [1500, 400, 400]
        ada.core.configure("team", limit_tokens=300, description="Smaller is always possible.")
    with Agent.open("bea", backend=model, context_tokens=8192) as bea:
        assert "team" in list(bea.core)
        assert bea.send("Still there?").reply == "ok"


def test_the_window_an_agent_last_ran_with_decides_what_it_can_take() -> None:
    model = Model(in_turn(lambda: saying("ok")))
    with Agent.open("ada", backend=model, context_tokens=128_000) as ada:
        ada.core.create("team", limit_tokens=1500)
        for window, room in ((4096, 765), (2048, 82)):
            with Agent.open(f"bea {window}", backend=model, context_tokens=window) as bea:
                bea.send("Hello.")
                with pytest.raises(UsageError, match=f"a window of {window} has room for {room}"):
                    ada.core.share("team", bea.name)
        with Agent.open("bea", backend=model, context_tokens=32_000) as bea:
            with pytest.raises(UsageError, match="8192"):
                ada.core.share("team", "bea")
            bea.send("Hello.")
            ada.core.share("team", "bea")
        with Agent.open("bea", backend=model, context_tokens=32_000) as bea:
            assert "team" in list(bea.core)
