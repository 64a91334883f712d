"""`memos chat`: from a pipe, and at a terminal."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from support.program import TIMEOUT_S, Program

Script = Callable[[list[dict[str, object]]], str]


def says(text: str) -> dict[str, object]:
    return {"calls": [{"name": "send_message", "arguments": {"message": text}}]}


def test_the_first_screen_says_what_answers(memos: Program) -> None:
    started = memos(stdin="")

    assert (started.code, started.out) == (0, "")
    assert "agent default" in started.err
    assert "model extractive" in started.err
    assert "--model openai:NAME" in started.err


def test_a_conversation_from_a_pipe(memos: Program, script: Script) -> None:
    model = script([says("First."), says("Second."), says("Never.")])

    talked = memos("chat", "--model", model, stdin="hi\n\n/help\n/nonsense\nand /this\n/exit\nunheard\n")

    assert (talked.code, talked.out) == (0, "First.\nSecond.\n")
    assert "/exit" in talked.err
    assert "no command /nonsense" in talked.err
    assert "extractive" not in talked.err
    assert memos("search", "unheard", "--json").json["total"] == 0


def test_plain_text_is_streamed_as_it_is(memos: Program, script: Script) -> None:
    model = script([{"text": "Plain [bold]words[/bold]."}])

    talked = memos("chat", "--model", model, "--loop", "native", stdin="hi\n")

    assert talked.out == "Plain [bold]words[/bold].\n"


def test_an_error_ends_the_turn_and_not_the_conversation(memos: Program, script: Script) -> None:
    talked = memos("chat", "--model", script([{"error": "garbage"}, says("Back.")]), stdin="one\ntwo\n")

    assert talked.code == 4
    assert talked.out.endswith("Back.\n")
    assert talked.err.count("memos: ") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_conversation_at_a_terminal(memos: Program, script: Script) -> None:
    import pty

    master, slave = pty.openpty()
    command = memos.command("chat", "--model", script([says("Hello \x1b[31mAda.")]))
    environment = memos.environment() | {"TERM": "dumb", "PROMPT_TOOLKIT_NO_CPR": "1"}
    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=memos.folder
    ) as process:
        os.close(slave)
        try:
            wait_for_prompt(master)
            os.write(master, b"half a line\x03")
            os.write(master, b"my secret\r")
            screen = read_until(master, "Ada.")
            wait_for_prompt(master)
            os.write(master, b"\x04")
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()
    os.close(master)

    assert "agent default" in screen
    assert "Hello \ufffd[31mAda." in screen
    history = memos.home / "chat_history"
    assert "my secret" in history.read_text(encoding="utf-8")
    assert "half a line" not in history.read_text(encoding="utf-8")
    assert history.stat().st_mode & 0o777 == 0o600


def wait_for_prompt(descriptor: int) -> None:
    """Until the line editor reads the keys; before, Ctrl-C and Ctrl-D would go to the terminal itself."""
    import termios

    until = time.monotonic() + TIMEOUT_S
    while termios.tcgetattr(descriptor)[3] & termios.ICANON:
        if time.monotonic() > until:
            raise AssertionError(f"no prompt in {TIMEOUT_S} s")
        time.sleep(0.02)


def read_until(descriptor: int, wanted: str) -> str:
    """What appears on the terminal up to the wanted text."""
    seen, until = b"", time.monotonic() + TIMEOUT_S
    while wanted.encode() not in seen:
        ready, _, _ = select.select([descriptor], [], [], max(0, until - time.monotonic()))
        if not ready:
            raise AssertionError(f"{wanted!r} did not appear in {TIMEOUT_S} s: {seen!r}")
        seen += os.read(descriptor, 4096)
    return seen.decode(errors="replace")
