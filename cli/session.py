"""From the options of a command to an opened agent or home.

Settings are merged here and nowhere else in the terminal. `memos.agent` and `memos.build` are
imported when something is opened: `--help` needs neither.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memos.errors import AgentNotFound
from memos.messages import LoopMode

if TYPE_CHECKING:
    from memos.agent import Agent
    from memos.home import Home, Memory
    from memos.settings import Configuration

DEFAULT_AGENT = "default"
"""The one agent that comes into being when it is first spoken to."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The options that override settings; None is not given."""

    agent: str | None = None
    model: str | None = None
    loop: LoopMode | None = None
    context_tokens: int | None = None
    persona: str | None = None
    human: str | None = None


def load(flags: Flags) -> Configuration:
    """The settings in force under these options. Raises `SettingsError`."""
    from memos import settings

    return settings.load(
        {
            "agent": flags.agent,
            "model": flags.model,
            "loop": flags.loop,
            "context_tokens": flags.context_tokens,
            "persona": flags.persona,
            "human": flags.human,
        }
    )


def open_agent(flags: Flags, *, create_default: bool = True) -> Agent:
    """The agent meant. Only `default` is created here; any other must have been made on purpose."""
    configuration = load(flags)
    name = configuration.settings.agent
    create = create_default and name == DEFAULT_AGENT
    if not create and not configuration.paths.database.exists():
        raise missing_agent(name)
    from memos.agent import Agent

    return Agent.open(name, model=flags.model, context_tokens=flags.context_tokens, loop=flags.loop, create=create)


@contextmanager
def open_home(configuration: Configuration) -> Generator[Home, None, None]:
    """The home, for commands that take no turn."""
    from memos.home import Home

    home = Home(configuration)
    try:
        yield home
    finally:
        home.close()


@contextmanager
def open_memory(flags: Flags) -> Generator[tuple[Home, Memory], None, None]:
    """The home and the stores of the agent meant: what needs no model. Raises `AgentNotFound`."""
    configuration = load(flags)
    name = configuration.settings.agent
    if is_fresh(configuration):
        raise missing_agent(name)
    with open_home(configuration) as home:
        yield home, home.memory(name)


def require_openable(home: Home, *agents: str) -> None:
    """Refuse when one of them could not be opened as it stands; one that never was gets its first blocks.

    Raises `SettingsError`. Inside a transaction, what was changed before the call is undone with it.
    """
    from memos.build import assemble, make_backend, wake

    backend = make_backend(home.settings)
    try:
        for name in agents:
            assemble(home, wake(home, name, backend, create=False), backend, ())
    finally:
        backend.close()


def is_fresh(configuration: Configuration) -> bool:
    """Whether nothing was ever stored here; looking must not create a home."""
    return not configuration.paths.database.exists()


def missing_agent(name: str) -> AgentNotFound:
    """The refusal for an agent that does not exist, with its cure."""
    if name == DEFAULT_AGENT:
        return AgentNotFound("there is no agent yet; `memos send TEXT` or `memos chat` creates the default one.")
    return AgentNotFound(f"there is no agent {name!r}; `memos agents new {name}` creates it.")
