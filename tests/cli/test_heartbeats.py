"""An agent that speaks without being spoken to: on a timer at a terminal, and when it is told to."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest
from support.program import TIMEOUT_S, Program

from memos.agent import Agent
from memos.cli.heartbeats import beat
from memos.cli.session import Flags, open_memory

Script = Callable[[list[dict[str, object]]], str]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


def says(text: str) -> dict[str, object]:
    return {"calls": [{"name": "send_message", "arguments": {"message": text}}]}


class Terminal:
    """A chat at a pseudo-terminal, and all it has shown so far."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self.screen = ""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def wait_for(self, wanted: str, seconds: float = TIMEOUT_S) -> None:
        if not self.shows(wanted, seconds):
            raise AssertionError(f"{wanted!r} did not appear in {seconds} s: {self.screen!r}")

    def shows(self, wanted: str, seconds: float) -> bool:
        """Whether it appears within that time."""
        until = time.monotonic() + seconds
        while wanted not in self.screen:
            ready, _, _ = select.select([self._descriptor], [], [], max(0, until - time.monotonic()))
            if not ready:
                return False
            try:
                self.screen += os.read(self._descriptor, 4096).decode(errors="replace")
            except OSError:  # how Linux says that nobody writes any more
                return False
        return True

    def wait_for_prompt(self) -> None:
        """Until the line editor reads the keys; before, Ctrl-D would go to the terminal itself."""
        import termios

        until = time.monotonic() + TIMEOUT_S
        while termios.tcgetattr(self._descriptor)[3] & termios.ICANON:
            if time.monotonic() > until:
                raise AssertionError(f"no prompt in {TIMEOUT_S} s: {self.screen!r}")
            time.sleep(0.02)

    def leave(self) -> int:
        """Clear the line and end the input, again and again: keys are lost while a heartbeat is being printed."""
        until = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < until:
            self.type("\x15\x04")
            pause = time.monotonic() + 0.5
            while self.process.poll() is None and time.monotonic() < pause:
                self.shows("\0", 0.05)  # what is shown must be read, or the program waits
                time.sleep(0.01)
        return self.process.wait(1)


@contextmanager
def chat(memos: Program, *options: str, **variables: str) -> Generator[Terminal, None, None]:
    import pty

    master, slave = pty.openpty()
    environment = memos.environment() | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"} | variables
    with subprocess.Popen(
        memos.command("chat", *options), stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=memos.folder
    ) as process:
        os.close(slave)
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            os.close(master)


def kinds(memos: Program) -> list[str]:
    return [message["kind"] for message in memos("log", "--last", "100", "--json").json["messages"]]


def test_an_agent_wakes_by_itself_and_the_user_is_still_heard(memos: Program, script: Script) -> None:
    model = script([says("Are you there?"), says("Still waiting."), says("Good to hear you.")])

    with chat(memos, "--model", model, MEMOS_HEARTBEAT_MINUTES="0.02") as terminal:
        terminal.wait_for("Are you there?")
        terminal.wait_for("Still waiting.")
        terminal.type("yes\r")
        terminal.wait_for("Good to hear you.")
        terminal.wait_for_prompt()
        assert terminal.leave() == 0

    assert "memos: " not in terminal.screen
    found = kinds(memos)
    assert found.count("heartbeat") >= 2
    assert found.count("user_message") == 1
    assert "interrupt" not in found


def test_nobody_is_woken_without_the_setting(memos: Program, script: Script) -> None:
    with chat(memos, "--model", script([says("Unasked.")])) as terminal:
        terminal.wait_for_prompt()
        assert not terminal.shows("Unasked.", 1.5)
        assert terminal.leave() == 0

    assert "heartbeat" not in kinds(memos)


def test_a_line_being_typed_puts_the_heartbeat_off(memos: Program, script: Script) -> None:
    with chat(memos, "--model", script([says("Spoken.")]), MEMOS_HEARTBEAT_MINUTES="0.03") as terminal:
        terminal.wait_for_prompt()
        for _ in range(8):  # 3.2 s of typing, with never 1.8 s between two keys
            terminal.type("x")
            assert not terminal.shows("Spoken.", 0.4)
        terminal.wait_for("Spoken.")
        assert terminal.leave() == 0


def test_an_error_of_a_heartbeat_is_one_line_and_the_chat_goes_on(memos: Program, script: Script) -> None:
    model = script([{"error": "garbage"}, says("Recovered.")])

    with chat(memos, "--model", model, MEMOS_HEARTBEAT_MINUTES="0.02") as terminal:
        terminal.wait_for("· heartbeat: The script says")
        terminal.wait_for("Recovered.")
        assert terminal.leave() == 0

    assert terminal.screen.count("· heartbeat:") == 1


def test_a_pause_that_the_agent_asked_for_is_kept(memos: Program, script: Script) -> None:
    pause = {"name": "pause_heartbeats", "arguments": {"minutes": 60}}
    message = {"name": "send_message", "arguments": {"message": "I will be quiet."}}
    model = script([{"calls": [pause, message]}, says("Not quiet.")])

    with chat(memos, "--model", model, MEMOS_HEARTBEAT_MINUTES="0.02") as terminal:
        terminal.wait_for("I will be quiet.")
        assert not terminal.shows("Not quiet.", 2.5)
        assert terminal.leave() == 0


def test_a_busy_agent_is_one_notice(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMOS_BUSY_WAIT_S", "0.1")
    with Agent.open() as agent, open_memory(Flags()) as (home, memory), home.turn_lock(memory.info):
        beat(agent)
        assert agent.recall.count() == 0
    assert capsys.readouterr().err.startswith("· heartbeat: Agent 'default' is busy")


def test_what_was_typed_is_still_there_after_a_heartbeat(memos: Program, script: Script) -> None:
    model = script([says("Spoken."), says("I heard you.")])

    with chat(memos, "--model", model, MEMOS_HEARTBEAT_MINUTES="0.02") as terminal:
        terminal.wait_for_prompt()
        terminal.type("half a ")
        terminal.wait_for("Spoken.")
        terminal.wait_for_prompt()
        terminal.type("line\r")
        terminal.wait_for("I heard you.")
        terminal.wait_for_prompt()
        assert terminal.leave() == 0

    said = memos("log", "--last", "100", "--json").json["messages"]
    assert [message["text"] for message in said if message["kind"] == "user_message"] == ["half a line"]


def test_an_agent_is_let_speak_from_a_pipe(memos: Program, script: Script) -> None:
    model = script([says("Let me tell you something."), {"error": "timeout"}])

    talked = memos("chat", "--model", model, stdin="/help\n/heartbeat\n/heartbeat\n")

    assert talked.out == "Let me tell you something.\n"
    assert "/heartbeat" in talked.err
    assert (talked.code, talked.err.count("memos: ")) == (4, 1)
    assert kinds(memos)[:2] == ["login", "heartbeat"]


def test_a_paused_agent_is_not_let_speak(memos: Program, script: Script) -> None:
    pause: dict[str, object] = {"calls": [{"name": "pause_heartbeats", "arguments": {"minutes": 60}}]}

    talked = memos("chat", "--model", script([pause, says("Never.")]), stdin="hi\n/heartbeat\n")

    assert (talked.code, talked.out) == (0, "")
    assert "paused its heartbeats" in talked.err
