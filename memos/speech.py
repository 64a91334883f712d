"""The words of a send_message call, heard while its arguments are still being written.

Reads raw JSON as it arrives and gives out the value of `message`; what cannot be read yet waits. The
whole call is parsed again when it is complete, so a mistake here costs nothing but a late screen.
"""

from __future__ import annotations

import re

from memos.messages import SEND_MESSAGE
from memos.ports import Delta

_OPENING = re.compile(r'"message"\s*:\s*"')
_SIMPLE = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class SpeechStream:
    """What one reply says aloud, piece by piece."""

    def __init__(self) -> None:
        self._calls: dict[int, _Value] = {}

    def hear(self, delta: Delta) -> str:
        """The further text that a delta lets be read; "" for any that says nothing to the user."""
        if delta.call_index is None:
            return ""
        if delta.call_name is not None:
            self._calls[delta.call_index] = _Value(spoken=delta.call_name == SEND_MESSAGE)
        value = self._calls.get(delta.call_index)
        return value.read(delta.arguments) if value is not None and delta.arguments else ""


class _Value:
    """The string value of `message` in one call's arguments."""

    def __init__(self, *, spoken: bool) -> None:
        self._pending = ""
        self._open = False
        self._over = not spoken

    def read(self, piece: str) -> str:
        if self._over:
            return ""
        self._pending += piece
        if not self._open:
            found = _OPENING.search(self._pending)
            if found is None:
                return ""
            self._open = True
            self._pending = self._pending[found.end() :]
        return self._decode()

    def _decode(self) -> str:
        """All that is complete: up to the closing quote, an unfinished escape, or half a surrogate pair."""
        out: list[str] = []
        at, text = 0, self._pending
        while at < len(text):
            if text[at] == '"':
                self._over = True
                break
            if text[at] != "\\":
                end = min(index for index in (text.find('"', at), text.find("\\", at), len(text)) if index >= 0)
                out.append(text[at:end])
                at = end
                continue
            character, length = _escape(text[at : at + 12])
            if length == 0:
                break
            out.append(character)
            at += length
        self._pending = text[at:]
        return "".join(out)


def _escape(text: str) -> tuple[str, int]:
    """The character of the escape that `text` begins with, and its length; length 0 while it is incomplete."""
    if len(text) < 2:
        return "", 0
    if text[1] != "u":
        return _SIMPLE.get(text[1], text[1]), 2
    code = _code(text[2:6])
    if code is None:
        return ("", 0) if len(text) < 6 else ("\ufffd", 6)
    if not 0xD800 <= code < 0xDC00:
        return chr(code) if not 0xDC00 <= code < 0xE000 else "\ufffd", 6
    if len(text) < 12 and text[6:8] in ("", "\\", "\\u"):
        return "", 0
    low = _code(text[8:12]) if text[6:8] == "\\u" else None
    if low is None or not 0xDC00 <= low < 0xE000:
        return ("", 0) if text[6:8] == "\\u" and len(text) < 12 else ("\ufffd", 6)
    return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)), 12


def _code(digits: str) -> int | None:
    return int(digits, 16) if re.fullmatch(r"[0-9A-Fa-f]{4}", digits) else None
