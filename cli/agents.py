"""`memos agents`: who lives in this home."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from memos.cli import output, shapes
from memos.cli.session import Flags, is_fresh, load, missing_agent, open_home, require_openable
from memos.errors import UsageError

if TYPE_CHECKING:
    from memos.storage.agents import AgentInfo


def list_all(*, as_json: bool) -> None:
    """The agents of the home; scratch agents of single questions are left out."""
    configuration = load(Flags())
    found: list[AgentInfo] = []
    if not is_fresh(configuration):
        with open_home(configuration) as home:
            found = [info for info in home.agents.list() if not info.scratch]
    if as_json:
        output.emit_json({"agents": [_agent_json(info) for info in found]})
        return
    if not found:
        output.note("There is no agent yet; `memos send TEXT` or `memos chat` creates the default one.")
        return
    header = ("agent", "messages", "passages", "documents", "last active")
    output.emit_table(header, [_row(info) for info in found])


def show(name: str, *, as_json: bool) -> None:
    """One agent's figures."""
    configuration = load(Flags())
    if is_fresh(configuration):
        raise missing_agent(name)
    with open_home(configuration) as home:
        info = home.agents.find(name)
    fields = _agent_json(info)
    if as_json:
        output.emit_json(fields)
        return
    for key, value in fields.items():
        output.emit(f"{key.replace('_', ' ')}: {value}")


def new(name: str, *, persona: str | None, human: str | None) -> None:
    """Create an agent; where a persona or human is named, its first blocks are written at once."""
    with open_home(load(Flags(persona=persona, human=human))) as home, home.database.write():
        home.agents.create(name, timezone=home.settings.timezone)
        if persona is not None or human is not None:
            require_openable(home, name)
    output.note(f"Created agent {name}. Talk to it with: memos chat --agent {name}")


def rename(old: str, new_name: str) -> None:
    """Give an agent another name; its memory stays as it is."""
    configuration = load(Flags())
    if is_fresh(configuration):
        raise missing_agent(old)
    with open_home(configuration) as home:
        home.agents.rename(old, new_name)
    output.note(f"Agent {old} is now {new_name}.")


def delete(name: str, *, yes: bool) -> None:
    """Delete an agent with all it remembers, after asking."""
    configuration = load(Flags())
    if is_fresh(configuration):
        raise missing_agent(name)
    with open_home(configuration) as home:
        info = home.agents.find(name)
        if not yes and not _confirmed(info):
            output.note("Nothing was deleted.")
            return
        home.delete_agent(name)
    output.note(f"Deleted agent {name}.")


def _confirmed(info: AgentInfo) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("deleting an agent asks first, and there is no terminal to ask at; add --yes.")
    import typer

    question = f"Delete agent {info.name} with its {info.messages} messages and {info.passages} passages for good?"
    return typer.confirm(question, err=True)


def _row(info: AgentInfo) -> tuple[str, str, str, str, str]:
    last_active = info.last_active_at.astimezone().strftime("%Y-%m-%d %H:%M")
    return (info.name, str(info.messages), str(info.passages), str(info.documents), last_active)


def _agent_json(info: AgentInfo) -> dict[str, object]:
    return {
        "name": info.name,
        "created_at": shapes.time_json(info.created_at),
        "last_active_at": shapes.time_json(info.last_active_at),
        "messages": info.messages,
        "passages": info.passages,
        "documents": info.documents,
        "scratch": info.scratch,
    }
