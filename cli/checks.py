"""What `memos doctor` looks at. Each check looks at one thing and changes nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from memos.cli.session import is_fresh, open_home
from memos.errors import MemosError

if TYPE_CHECKING:
    from memos.settings import Configuration

State = Literal["ok", "missing", "failed"]
"""`missing`: memos works without it; `failed`: it does not work as it is set up."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    state: State
    detail: str
    cure: str | None = None
    figures: dict[str, int] | None = None


def run_all(configuration: Configuration) -> list[Finding]:
    """Every check in order; one that raises a `MemosError` has failed."""
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        try:
            findings.append(check(configuration))
        except MemosError as error:
            findings.append(Finding(name, "failed", str(error)))
    return findings


def _python(_configuration: Configuration) -> Finding:
    return Finding("python", "ok", f"{platform.python_version()}, {sys.executable}")


def _sqlite(_configuration: Configuration) -> Finding:
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute("CREATE VIRTUAL TABLE probe USING fts5(words)")
        except sqlite3.OperationalError:
            detail = f"{sqlite3.sqlite_version} was built without full-text search (FTS5)"
            return Finding("sqlite", "failed", detail, "use a Python whose sqlite3 has FTS5")
    return Finding("sqlite", "ok", f"{sqlite3.sqlite_version} with full-text search")


def _lancedb(_configuration: Configuration) -> Finding:
    try:
        version: object = getattr(import_module("lancedb"), "__version__", "")
    except (ImportError, OSError) as error:
        cure = f"{sys.executable} -m pip install --force-reinstall lancedb"
        return Finding("lancedb", "failed", f"cannot be imported ({error})", cure)
    return Finding("lancedb", "ok", str(version))


def _embedder(_configuration: Configuration) -> Finding:
    from memos.storage.embedder import StaticEmbedder

    embedder = StaticEmbedder()
    try:
        embedder.embed(["a text"])
    except (ImportError, OSError, ValueError) as error:
        cure = f"{sys.executable} -m pip install --force-reinstall memos-agent"
        return Finding("embedder", "failed", f"{embedder.name} cannot be loaded ({error})", cure)
    return Finding("embedder", "ok", f"{embedder.name}, {embedder.dim} dimensions, built in")


PROBE_BYTES = 4 << 20
"""A disk that cannot take this much is as good as full: a write-ahead log may grow as large."""


def _home(configuration: Configuration) -> Finding:
    home = configuration.paths.home
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
    except OSError as error:
        return Finding(
            "home", "failed", f"{home} cannot be written ({error.strerror})", "free space, or set MEMOS_HOME"
        )
    return Finding("home", "ok", f"{home}{' (not created yet)' if is_fresh(configuration) else ''}")


def _settings(configuration: Configuration) -> Finding:
    changed = {name: origin for name, origin in configuration.origins.items() if origin != "default"}
    named = ", ".join(f"{name} from {origin}" for name, origin in changed.items())
    return Finding("settings", "ok", f"{configuration.paths.config}: {named or 'defaults only'}")


def _model(configuration: Configuration) -> Finding:
    from memos.build import make_backend
    from memos.settings import DEFAULT_CONTEXT_TOKENS

    settings = configuration.settings
    with closing(make_backend(settings)) as backend:
        known = [limit for limit in (settings.context_tokens, backend.context_tokens) if limit is not None]
        window = f"window of {min(known, default=DEFAULT_CONTEXT_TOKENS):,} tokens"
        spec = backend.spec
    if spec == "extractive":
        detail = f"extractive, {window}: no language model; searches memory and quotes it"
        return Finding("model", "ok", detail, "memos config set model openai:NAME chooses a language model")
    return Finding("model", "ok", f"{spec}, {window}{'' if known else ' (assumed; set context_tokens)'}")


def _key(configuration: Configuration) -> Finding:
    if os.environ.get("OPENAI_API_KEY"):
        return Finding("key", "ok", "OPENAI_API_KEY is set")
    model = configuration.settings.model
    needed = model.startswith("openai:") and "@" not in model
    return Finding("key", "failed" if needed else "missing", "OPENAI_API_KEY is not set; only OpenAI itself needs it")


def _memory(configuration: Configuration) -> Finding:
    if is_fresh(configuration):
        return Finding("memory", "ok", "nothing stored yet")
    with open_home(configuration) as home:
        agents, documents = home.agents.list(), home.library.list()
    figures = {
        "agents": len(agents),
        "messages": sum(info.messages for info in agents),
        "passages": sum(info.passages for info in agents) + sum(document.passages for document in documents),
        "documents": len(documents),
    }
    return Finding("memory", "ok", ", ".join(f"{count:,} {what}" for what, count in figures.items()), figures=figures)


def _index(configuration: Configuration) -> Finding:
    if is_fresh(configuration):
        return Finding("index", "ok", "empty")
    from memos.storage import pending

    with open_home(configuration) as home, home.database.read() as connection:
        state = pending.state(connection)
        total, waiting = pending.count_all(connection), pending.count(connection, state)
        foreign = bool(state.embedder) and state.embedder != home.embedder().name
    if foreign:
        return Finding("index", "ok", f"made by {state.embedder}; the next search makes it anew")
    detail = f"{total - waiting:,} of {total:,} passages applied; searches include the rest"
    return Finding("index", "ok", detail, figures={"passages": total, "waiting": waiting})


CHECKS: dict[str, Callable[[Configuration], Finding]] = {
    "python": _python,
    "sqlite": _sqlite,
    "lancedb": _lancedb,
    "embedder": _embedder,
    "home": _home,
    "settings": _settings,
    "model": _model,
    "key": _key,
    "memory": _memory,
    "index": _index,
}
