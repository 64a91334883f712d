"""`memos send`: what it prints, what it exits with, what the next process still knows."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest
from support.program import Program

from memos.agent import Agent
from memos.cli.stream import conclude, run_turn
from memos.events import EventOut, StoppedBy, Turn

Script = Callable[[list[dict[str, object]]], str]

CONTEXT_FIELDS = {
    *("limit_tokens", "reserve_tokens", "used_tokens", "system_tokens", "functions_tokens", "core_tokens"),
    *("summary_tokens", "queue_tokens", "prefix_tokens"),
}


def says(text: str) -> dict[str, object]:
    return {"calls": [{"name": "send_message", "arguments": {"message": text}}]}


def appends(content: str) -> dict[str, object]:
    arguments = {"label": "human", "content": content, "request_heartbeat": True}
    return {"calls": [{"name": "core_memory_append", "arguments": arguments}]}


def test_what_was_said_is_remembered_by_the_next_process(memos: Program) -> None:
    first = memos("send", "My name is Ada and I collect trilobites.")
    second = memos("send", "What do I collect?")

    assert (first.code, second.code) == (0, 0)
    assert "trilobites" in second.out
    assert second.err == ""


def test_json_has_every_field(memos: Program, script: Script) -> None:
    insert = {"name": "archival_memory_insert", "arguments": {"content": "Ada: trilobites", "request_heartbeat": True}}
    model = script([{"calls": [insert]}, says("Noted."), says("Anything else?")])

    shown = memos("send", "I collect trilobites.", "--model", model, "--json")

    assert shown.code == 0, shown.err
    fields = shown.json
    assert list(fields) == ["agent", "model", "reply", "steps", "stopped_by", "tool_calls", "usage", "context"]
    assert (fields["agent"], fields["model"]) == ("default", model)
    assert (fields["reply"], fields["steps"], fields["stopped_by"]) == ("Noted.", 2, "yield")
    runs = fields["tool_calls"]
    assert [run["name"] for run in runs] == ["archival_memory_insert", "send_message"]
    assert set(runs[0]) == {"name", "arguments", "status", "result"}
    assert runs[0]["arguments"]["content"] == "Ada: trilobites"
    assert runs[0]["status"] == "ok"
    assert set(fields["usage"]) == {"prompt_tokens", "completion_tokens", "cached_tokens"}
    assert set(fields["context"]) == CONTEXT_FIELDS


def test_arguments_that_are_no_json_are_shown_as_they_were(memos: Program, script: Script) -> None:
    broken: dict[str, object] = {"calls": [{"name": "archival_memory_search", "arguments": '{"query": [[['}]}

    fields = memos("send", "hi", "--model", script([broken, says("Sorry.")]), "--json").json

    runs = fields["tool_calls"]
    assert (runs[0]["arguments"], runs[0]["status"]) == ('{"query": [[[', "failed")
    assert fields["reply"] == "Sorry."


def test_text_comes_from_standard_input(memos: Program, script: Script) -> None:
    model = script([says("naïve 👋")])

    shown = memos("send", "-", "--model", model, stdin="café\nau lait\n", PYTHONIOENCODING="latin-1", LC_ALL="C")

    assert (shown.code, shown.out) == (0, "naïve 👋\n")
    with Agent.open(create=False) as agent:
        assert "café\nau lait" in agent.recall.read()[0].text


def test_each_event_is_a_line_of_json(memos: Program, script: Script) -> None:
    shown = memos("send", "hi", "--model", script([says("Hello.")]), "--stream-json")

    events = shown.json_lines
    names = [event["event"] for event in events]
    assert names[-1] == "turn_finished"
    assert names.index("call_started") < names.index("call_finished") < names.index("spoken")
    assert {"event": "spoken", "text": "Hello."} in events
    assert events[-1]["turn"]["reply"] == "Hello."


def test_a_provider_that_fails_gives_4_and_the_json_all_the_same(memos: Program, script: Script) -> None:
    shown = memos("send", "hi", "--model", script([{"error": "timeout"}]), "--json")

    assert shown.code == 4
    assert shown.err.startswith("memos: ")
    assert shown.err.count("\n") == 1
    assert (shown.json["stopped_by"], shown.json["reply"]) == ("error", "")


def test_a_turn_that_was_broken_off_is_no_success(memos: Program, script: Script) -> None:
    model = script([appends(str(number)) for number in range(9)])

    shown = memos("send", "hi", "--model", model, MEMOS_MAX_STEPS="3")

    assert (shown.code, shown.out) == (1, "")
    assert "max_steps" in shown.err


@pytest.mark.parametrize(
    ("setting", "stopped_by", "said"),
    [
        ({"MEMOS_MAX_TURN_TOKENS": "100"}, "tokens", "max_turn_tokens"),
        ({"MEMOS_MAX_TURN_COST": "0.001", "MEMOS_PRICE_PROMPT": "9"}, "cost", "max_turn_cost"),
        ({}, "repeat", "same call three times"),
    ],
)
def test_what_broke_a_turn_off_is_said_beside_the_json(
    memos: Program, script: Script, setting: dict[str, str], stopped_by: str, said: str
) -> None:
    search = {"name": "archival_memory_search", "arguments": {"query": "x", "request_heartbeat": True}}

    shown = memos("send", "hi", "--json", "--model", script([{"calls": [search]}]), **setting)

    assert (shown.code, shown.json["stopped_by"]) == (1, stopped_by)
    assert shown.err.count("\n") == 1
    assert said in shown.err


def test_a_reader_that_goes_away_ends_it_quietly(memos: Program, script: Script) -> None:
    text = "a long reply " * 20_000
    command = memos.command("send", "hi", "--model", script([says(text)]), "--context-tokens", "1000000")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=memos.environment(), cwd=memos.folder
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_ctrl_c_ends_the_turn_and_keeps_what_was_said(script: Script) -> None:
    before = signal.getsignal(signal.SIGINT)

    def press_ctrl_c(_event: EventOut) -> None:
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            os.kill(os.getpid(), signal.SIGINT)

    more = {"name": "archival_memory_search", "arguments": {"query": "x", "request_heartbeat": True}}
    with Agent.open(model=script([{"calls": [more]}, says("Never said.")])) as agent:
        turn = run_turn(agent, "hi", press_ctrl_c)

        assert (turn.stopped_by, turn.reply) == ("interrupt", "")
        assert agent.recall.read()[0].text == "hi"
    assert signal.getsignal(signal.SIGINT) is before


def test_exit_codes_of_turns(capsys: pytest.CaptureFixture[str]) -> None:
    assert conclude(Turn("Hello.", "yield", 1)) == 0
    assert capsys.readouterr().err == ""
    assert conclude(Turn("", "interrupt", 1)) == 130
    assert conclude(Turn("", "error", 1, error="no\nanswer")) == 4
    assert capsys.readouterr().err.endswith("memos: no answer\n")
    broken_off: tuple[StoppedBy, ...] = ("steps", "repeat", "tokens", "cost")
    for stopped_by in broken_off:
        assert conclude(Turn("", stopped_by, 7)) == 1
    assert capsys.readouterr().err.count("memos: the turn was ended") == 4
