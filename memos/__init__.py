"""memos: an operating system for a language model's memory.

    from memos import Agent

    with Agent.open("ada") as agent:
        print(agent.send("My name is Ada.").reply)

The names below load on first use, so that importing memos costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memos.agent import Agent
    from memos.errors import (
        AgentBusy,
        AgentNotFound,
        BackendError,
        DocumentError,
        MemosError,
        Refusal,
        SettingsError,
        StorageError,
        UsageError,
    )
    from memos.events import Turn
    from memos.hits import Hit, HitPage, Passage
    from memos.messages import Message

__version__ = "0.1.0"

_HOMES = {
    "Agent": "agent",
    "AgentBusy": "errors",
    "AgentNotFound": "errors",
    "BackendError": "errors",
    "DocumentError": "errors",
    "Hit": "hits",
    "HitPage": "hits",
    "MemosError": "errors",
    "Message": "messages",
    "Passage": "hits",
    "Refusal": "errors",
    "SettingsError": "errors",
    "StorageError": "errors",
    "Turn": "events",
    "UsageError": "errors",
}

__all__ = [
    "Agent",
    "AgentBusy",
    "AgentNotFound",
    "BackendError",
    "DocumentError",
    "Hit",
    "HitPage",
    "MemosError",
    "Message",
    "Passage",
    "Refusal",
    "SettingsError",
    "StorageError",
    "Turn",
    "UsageError",
    "__version__",
]


def __getattr__(name: str) -> object:
    module = _HOMES.get(name)
    if module is None:
        raise AttributeError(f"module 'memos' has no attribute {name!r}")
    return getattr(import_module(f"memos.{module}"), name)
