"""`memos send`: one thing said, one turn taken, its reply printed."""

from __future__ import annotations

import sys

import typer

from memos.cli import output, shapes
from memos.cli.session import Flags, open_agent
from memos.cli.stream import Speaker, conclude, run_turn
from memos.errors import UsageError
from memos.events import EventOut


def run(text: str, flags: Flags, *, as_json: bool, stream_json: bool) -> None:
    """Send the text (`-`: standard input) and print the reply as it was asked for."""
    if as_json and stream_json:
        raise UsageError("--json and --stream-json exclude each other; choose one.")
    message = read_text(text)
    speaks = not (as_json or stream_json) and sys.stdout.isatty()
    with open_agent(flags) as agent:
        speaker = Speaker(notices=sys.stderr.isatty())

        def watch(event: EventOut) -> None:
            if speaks:
                speaker(event)
            elif stream_json:
                output.emit_json(shapes.event_json(event, agent=agent.name, model=agent.model))

        turn = run_turn(agent, message, watch)
        if as_json:
            output.emit_json(shapes.turn_json(turn, agent=agent.name, model=agent.model))
        elif not speaks and not stream_json and turn.reply:
            output.emit(turn.reply)
    raise typer.Exit(conclude(turn))


def read_text(text: str) -> str:
    """The text meant: the argument, or all of standard input for `-`. Raises `UsageError` for none."""
    if text == "-":
        try:
            text = sys.stdin.read().rstrip("\n")  # the last newline is the shell's, not the speaker's
        except UnicodeDecodeError:
            raise UsageError("standard input is not UTF-8 text.") from None
    if not text.strip():
        raise UsageError("there is nothing to send: the text is empty.")
    return check_text(text)


def check_text(text: str) -> str:
    """Refuse what no store can hold: bytes of the command line that were not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("the text is not UTF-8.") from None
    return text
