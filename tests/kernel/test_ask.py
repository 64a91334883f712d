"""`ask`: an answer from documents, by an agent that leaves nothing behind but the documents."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from memos import BackendError, DocumentError, UsageError
from memos.ask import Answer, ask
from memos.events import CallFinished, EventOut, TurnFinished
from memos.home import Home
from memos.settings import load
from memos.storage.agents import AgentInfo

Script = Callable[[Sequence[Mapping[str, object]]], str]
TEXT = "The lighthouse keeper kept forty-one goats on the northern cliff.\nHis sister lived in the harbour.\n"


@pytest.fixture
def island(tmp_path: Path) -> Path:
    path = tmp_path / "island.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@contextmanager
def opened() -> Generator[Home]:
    home = Home(load())
    try:
        yield home
    finally:
        home.close()


def left() -> tuple[list[AgentInfo], list[AgentInfo], int, list[str]]:
    """Scratch agents, agents, documents, and lock files."""
    with opened() as home:
        locks = sorted(path.name for path in home.configuration.paths.locks.glob("agent-*"))
        return home.agents.list(scratch=True), home.agents.list(), len(home.library.list()), locks


def asked(model: str, path: Path, question: str = "How many goats?") -> Answer:
    return ask(question, [path], load({"model": model}))


def searching(answer: str) -> list[dict[str, object]]:
    search = {"name": "search_document", "arguments": {"query": "goats", "request_heartbeat": True}}
    return [{"calls": [search]}, {"calls": [{"name": "send_message", "arguments": {"message": answer}}]}]


def test_an_answer_is_cited_and_only_the_document_stays(script: Script, island: Path) -> None:
    quote = "kept forty-one goats on the northern cliff"
    answer = asked(script(searching(f"He {quote}.")), island)
    assert answer.answer == f"He {quote}."
    (citation,) = answer.citations
    assert TEXT[citation.char_start : citation.char_end] == citation.quote
    assert citation.quote.startswith(quote)
    assert answer.to_json()["citations"] == [citation.to_json()]
    assert left() == ([], [], 1, [])


def test_the_embedded_model_answers_from_the_document(island: Path) -> None:
    answer = asked("extractive", island, "How many goats did the lighthouse keeper have?")
    assert "forty-one goats" in answer.answer
    assert answer.citations
    assert left() == ([], [], 1, [])


def test_the_scratch_agent_goes_also_when_the_model_fails(script: Script, island: Path) -> None:
    with pytest.raises(BackendError):
        asked(script([{"error": "timeout"}]), island)
    assert left() == ([], [], 1, [])


def test_and_when_the_one_who_watches_fails(script: Script, island: Path) -> None:
    def stumble(_event: EventOut) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask("How many?", [island], load({"model": script(searching("Many."))}), watch=stumble)
    assert left() == ([], [], 1, [])


@pytest.mark.parametrize("name", ["missing.txt", "empty.txt"])
def test_and_when_nothing_can_be_read(script: Script, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DocumentError, match=name):
        asked(script(searching("Many.")), tmp_path / name)
    assert left() == ([], [], 0, [])


def test_a_second_question_loads_nothing_again(script: Script, island: Path) -> None:
    model = script(searching("Many."))
    asked(model, island)
    report = asked(model, island).report
    assert [document.error for document in report.documents] == [None]
    assert left()[2] == 1


def test_what_a_dead_process_left_is_swept(script: Script, island: Path) -> None:
    with opened() as home:
        dead = home.agents.create("ask-dead", scratch=True)
        with home.turn_lock(dead):
            pass
        home.agents.create("ada")
    asked(script(searching("Many.")), island)
    scratch, agents, documents, locks = left()
    assert scratch == []
    assert [info.name for info in agents] == ["ada"]
    assert (documents, locks) == (1, [])


def test_another_question_at_work_is_left_alone(script: Script, island: Path) -> None:
    with opened() as home:
        other = home.agents.create("ask-other", scratch=True)
        with home.turn_lock(other):
            asked(script(searching("Many.")), island)
            assert [info.name for info in home.agents.list(scratch=True)] == ["ask-other"]


def test_it_can_be_watched(script: Script, island: Path) -> None:
    events: list[EventOut] = []
    answer = ask("How many?", [island], load({"model": script(searching("Many."))}), watch=events.append)
    assert [event.name for event in events if isinstance(event, CallFinished)] == ["search_document", "send_message"]
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].turn.reply == answer.answer == "Many."


def test_an_empty_question_is_refused_before_anything_is_stored(home: Path, island: Path) -> None:
    with pytest.raises(UsageError, match="empty"):
        asked("extractive", island, "  ")
    assert not home.exists()
