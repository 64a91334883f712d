"""Events in, as the log holds them.

Each is stamped once, with its sender and time; the stamp is stored, so a rendering never changes.
Only memos writes stamps: a user's text stands behind its own and cannot pose as an alert.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from memos.events import EventIn, Heartbeat, Login, UserMessage
from memos.messages import Kind, Message

SHOWN_NAME_CHARS = 64
"""A stamp is never spooled, so it must stay short; the whole name stands in the log."""


def to_message(event: EventIn, now: datetime) -> Message:
    """The message that accepting an event appends."""
    stamp = now.strftime("%Y-%m-%d %H:%M")
    match event:
        case UserMessage(text, name):
            return Message("user", "user_message", text, now, header=f"[{stamp} {_shown(name)}] ", name=name)
        case Login(last_login):
            since = f"; the last one was {last_login:%Y-%m-%d %H:%M}" if last_login else ""
            return Message("user", "login", f"The user opened a session{since}.", now, header=f"[{stamp} login] ")
        case Heartbeat(reason):
            return Message("user", "heartbeat", reason, now, header=f"[{stamp} heartbeat] ")
        case _:
            return alert("system_alert", event.text, now)


def alert(kind: Kind, text: str, now: datetime) -> Message:
    """Something the controller tells the model."""
    return Message("user", kind, text, now, header=f"[{now:%Y-%m-%d %H:%M} system alert] ")


def paged_in(messages: Sequence[Message], now: datetime) -> Message:
    """Old messages back in view, verbatim, as one event."""
    first, last = messages[0].id, messages[-1].id
    header = f"[{now:%Y-%m-%d %H:%M} system: messages {first} to {last} were paged in again]\n"
    lines = [
        json.dumps({"id": m.id, "from": m.name or m.role, "text": m.header + m.whole}, ensure_ascii=False)
        for m in messages
    ]
    return Message("user", "paged_in", "\n".join(lines), now, header=header)


def from_elsewhere(role: Literal["user", "assistant"], text: str, name: str | None, at: datetime) -> Message:
    """What was said in another place: part of the log, but no event and no reply of a turn."""
    header = f"[{at:%Y-%m-%d %H:%M} {_shown(name)}] " if role == "user" else ""
    return Message(role, "history", text, at, header=header, name=name)


def _shown(name: str | None) -> str:
    """Who speaks: always "user" first, and nothing that could end the stamp and begin another."""
    return " ".join(["user", *re.sub(r"[\[\]]", " ", name or "").split()])[:SHOWN_NAME_CHARS].rstrip()
