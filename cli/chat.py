"""`memos chat`: a conversation at the terminal, or line by line from a pipe.

The prompt keeps its history in the home, in a file only its owner can read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from memos.cli import output
from memos.cli.heartbeats import Heartbeats, beat
from memos.cli.send import check_text
from memos.cli.session import Flags, load, open_agent
from memos.cli.stream import Speaker, conclude, run_turn, stopping_on_ctrl_c
from memos.errors import MemosError, StorageError, UsageError

if TYPE_CHECKING:
    from memos.agent import Agent

HISTORY_FILE = "chat_history"

HELP = """\
/help       this list
/heartbeat  let the agent speak now
/exit       leave (so does Ctrl-D)
Ctrl-C      while an answer is being written: stop it; at the prompt: clear the line
At a terminal the agent also wakes by itself every `heartbeat_minutes` (a setting) while nobody writes.
Everything else is said to the agent. What you say stays in its memory between sessions."""

EXTRACTIVE = """\
No language model is in use: "extractive" keeps what you tell it and quotes it.
With a model: memos --model openai:NAME, or openai:NAME@URL for your own server
(OPENAI_API_KEY is for OpenAI alone). For good: memos config set model SPEC."""

WAKE_REASON = "The user lets you speak now."

_WOKEN = "\0 a heartbeat is due"
"""What the prompt returns when it makes way; compared by identity, so nobody can type it."""

ReadLine = Callable[[], str | None]


def run(flags: Flags) -> None:
    """Talk until the end of input or /exit."""
    configuration = load(flags)
    history = configuration.paths.home / HISTORY_FILE
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    minutes = configuration.settings.heartbeat_minutes if interactive else None
    with open_agent(flags) as agent:
        _greet(agent)
        agent.login()
        read_line = _prompt(history, Heartbeats(minutes), partial(beat, agent)) if interactive else _plain_lines()
        code = _converse(agent, read_line)
    raise typer.Exit(0 if interactive else code)


def _converse(agent: Agent, read_line: ReadLine) -> int:
    """Turn after turn; returns the exit code of the last one that failed, else 0."""
    code = 0
    while (line := read_line()) is not None:
        text = line.strip()
        if text in {"/exit", "/quit"}:
            break
        if text == "/help":
            output.note(HELP)
        elif text == "/heartbeat":
            code = _take_turn(partial(_wake, agent)) or code
        elif text.startswith("/") and text[1:].isalpha():
            output.note(f"There is no command {text}; /help lists them.")
        elif text:
            code = _take_turn(partial(_answer, agent, text)) or code
    return code


def _take_turn(turn: Callable[[], int]) -> int:
    """The turn's exit code. An error ends the turn, not the conversation."""
    try:
        return turn()
    except MemosError as error:
        output.note_error(str(error))
        return error.exit_code


def _answer(agent: Agent, text: str) -> int:
    return conclude(run_turn(agent, check_text(text), Speaker(notices=sys.stderr.isatty())))


def _wake(agent: Agent) -> int:
    """A turn without a new message."""
    with stopping_on_ctrl_c(agent):
        turn = agent.heartbeat(WAKE_REASON)
    if turn is None:
        output.note("The agent has paused its heartbeats; say something to it instead.")
        return 0
    if turn.reply:
        output.emit(turn.reply)
    return conclude(turn)


def _greet(agent: Agent) -> None:
    output.note(f"memos · agent {agent.name} · model {agent.model} · /help, /exit")
    if agent.model == "extractive":
        output.note(EXTRACTIVE)


def _plain_lines() -> ReadLine:
    """Lines of standard input; where that is a terminal, with a prompt on stderr."""

    def read() -> str | None:
        if sys.stdin.isatty():
            sys.stderr.write("> ")
            sys.stderr.flush()
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError:
            raise UsageError("standard input is not UTF-8 text.") from None
        return line or None

    return read


def _prompt(history: Path, heartbeats: Heartbeats, wake: Callable[[], None]) -> ReadLine:
    """A line editor with history. Ctrl-C clears the line, Ctrl-D on an empty one leaves.

    When a heartbeat is due the prompt makes way for `wake` and comes back with what was typed.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory

    _make_private(history)
    session: PromptSession[str] = PromptSession(history=FileHistory(str(history)))

    def typed(_buffer: object) -> None:
        heartbeats.put_off()

    async def make_way() -> None:
        if await heartbeats.due() and session.app.is_running and not session.app.is_done:
            session.app.erase_when_done = True
            session.app.exit(result=_WOKEN)

    def watch() -> None:
        session.app.create_background_task(make_way())

    session.default_buffer.on_text_changed += typed

    def read() -> str | None:
        text = ""
        while True:
            heartbeats.put_off()
            session.app.erase_when_done = False
            try:
                line = session.prompt("> ", default=text, pre_run=watch)
            except KeyboardInterrupt:
                text = ""
                continue
            except EOFError:
                return None
            if line is not _WOKEN:
                return line
            text = session.default_buffer.text
            wake()

    return read


def _make_private(path: Path) -> None:
    """The file exists and only its owner may read it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror}); set MEMOS_HOME.") from None
