"""What servers have told of their windows by refusing a prompt, kept for a while in the cache.

A claim of ours that proved too large should not be tried again by the next process. Nothing is lost
when the file is: the server refuses once more.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TypeGuard, cast

KEPT_S = 24 * 3600
"""A server may be started anew with a larger window, so what it told is believed for a day."""


class LearnedWindows:
    """Context windows in tokens, by model specification."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "windows.json"

    def get(self, model: str) -> int | None:
        """The window this model was last found to have; None when nothing is known, or no longer."""
        entry = self._read().get(model)
        if entry is None or time.time() - entry["at"] > KEPT_S:
            return None
        return int(entry["tokens"])

    def put(self, model: str, tokens: int) -> None:
        """Remember it, if the cache can be written."""
        known = self._read() | {model: {"tokens": float(tokens), "at": time.time()}}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = self._path.with_suffix(".tmp")
            temporary.write_text(json.dumps(known), encoding="utf-8")
            temporary.replace(self._path)
        except OSError:
            return

    def _read(self) -> dict[str, dict[str, float]]:
        try:
            known: object = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(known, dict):
            return {}
        entries = cast("dict[str, object]", known)
        return {model: entry for model, entry in entries.items() if _is_entry(entry)}


def _is_entry(entry: object) -> TypeGuard[dict[str, float]]:
    if not isinstance(entry, dict):
        return False
    fields = cast("dict[str, object]", entry)
    return all(isinstance(fields.get(name), float) for name in ("tokens", "at"))
