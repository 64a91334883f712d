"""Where words go: results to stdout, everything else to stderr.

Knows nothing of agents. Results are UTF-8 whatever the locale says; a reader that has gone away
ends the command quietly.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence

import typer

from memos.errors import MemosError

EXIT_PIPE_CLOSED = 141
"""128 + SIGPIPE: what a shell reports of any program whose reader has gone away."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def prepare_streams() -> None:
    """UTF-8 and plain newlines on all three streams.

    What UTF-8 cannot hold (half a surrogate pair) is written as the escape that JSON has for it.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for the process's life
    for stream, errors in ((sys.stdout, "backslashreplace"), (sys.stderr, "backslashreplace"), (sys.stdin, "strict")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors, newline="\n" if stream is not sys.stdin else None)


def emit(text: str, *, end: str = "\n") -> None:
    """Write a result to stdout at once."""
    if sys.stdout.isatty():
        # A model or a document may hold escape sequences; a terminal would obey them.
        text = _CONTROL.sub("\ufffd", text)
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        raise typer.Exit(EXIT_PIPE_CLOSED) from None
    except OSError as error:
        _silence_stdout()
        raise MemosError(f"standard output cannot be written ({error.strerror}).") from None


def emit_json(value: Mapping[str, object]) -> None:
    """Write one JSON object on one line."""
    emit(json.dumps(value, ensure_ascii=False))


def emit_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns, with no rule and no colour, so that other programs can read them."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        emit("  ".join(cells).rstrip())


def note(text: str) -> None:
    """Say something that is no result: progress, notices, questions. Goes to stderr."""
    try:
        sys.stderr.write(_CONTROL.sub("\ufffd", text) + "\n")
        sys.stderr.flush()
    except OSError:
        return


def note_error(text: str) -> None:
    """An error as one line, whatever the text holds."""
    note("memos: " + " ".join(text.split()))


def _silence_stdout() -> None:
    # The interpreter flushes stdout once more when it ends, and would complain.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
