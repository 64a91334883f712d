"""A text in the user's own editor. Knows nothing of agents."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from memos.errors import MemosError, UsageError


def edit_in_editor(text: str, name: str) -> str:
    """The text as the user leaves it, without its last newline.

    Raises `UsageError` where there is no terminal, `MemosError` when the editor fails.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("there is no terminal to open an editor at; give --text TEXT, or - to read standard input.")
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="memos-") as folder:
        path = Path(folder, f"{name}.md")
        path.write_text(f"{text}\n" if text else "", encoding="utf-8")
        try:
            done = subprocess.run([*shlex.split(command), str(path)], check=False)
            edited = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise MemosError(f"{command}: the editor cannot be used ({error}); set EDITOR.") from None
    if done.returncode != 0:
        raise MemosError(f"{command}: the editor failed (exit code {done.returncode}); nothing was changed.")
    return edited.rstrip("\n")
