"""Settings: what they are, where each came from, and where the home lies.

Precedence: flag > `MEMOS_*` environment > `./memos.toml` > user settings > default. A project file
may choose no model, persona or price until the user has trusted that very file. This module opens no
store and no model.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from memos.errors import SettingsError
from memos.messages import LoopMode

Origin = Literal["flag", "environment", "project file", "user settings", "default"]

PROJECT_FILE = "memos.toml"
MODEL_KINDS = "use extractive, openai:NAME, openai:NAME@BASE_URL or scripted:PATH"
DEFAULT_CONTEXT_TOKENS = 8192
"""Assumed where neither the model nor the user says more: what most small local servers give."""


class Settings(BaseModel):
    """Every setting, with its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "extractive"
    """Which model answers: extractive, openai:NAME[@URL], gguf:PATH, scripted:PATH."""
    agent: str = "default"
    """The agent the commands mean when none is named."""
    loop: LoopMode = "heartbeat"
    """How the agent runs: heartbeat (speaks by send_message) or native (plain text is the reply)."""
    context_tokens: int | None = Field(default=None, ge=1024, le=16_777_216)
    """The context window to use; never more than the model's own."""
    output_reserve_tokens: int | None = Field(default=None, ge=64)
    """Tokens kept free for each completion (default: a tenth of the window, 4,096 at most)."""
    warn_fraction: float = Field(default=0.7, gt=0, le=1)
    """Warn the model of memory pressure at this share of window minus reserve."""
    flush_fraction: float = Field(default=0.9, gt=0, le=1)
    """Evict and summarise at this share of window minus reserve."""
    evict_fraction: float = Field(default=0.5, gt=0, lt=1)
    """The share of the queue that a flush evicts."""
    max_steps: int = Field(default=50, ge=1)
    """Steps after which a turn is ended."""
    max_turn_tokens: int | None = Field(default=None, ge=1)
    """Tokens (prompt and completion) after which a turn is ended."""
    max_turn_cost: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Money after which a turn is ended, in the currency of the prices."""
    price_prompt: float = Field(default=0, ge=0, allow_inf_nan=False)
    """What a million prompt tokens cost."""
    price_cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """What a million prompt tokens that the server had cached cost (default: as any other)."""
    price_completion: float = Field(default=0, ge=0, allow_inf_nan=False)
    """What a million completion tokens cost."""
    heartbeat_minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Wake the agent this often while a chat is open and nobody writes (default: never)."""
    cache_minutes: float = Field(default=60, gt=0, allow_inf_nan=False)
    """After so long without a turn no prompt cache is taken to be warm: core memory is rendered anew."""
    persona: str = "default"
    """Who a new agent is: a file of the home's folder personas, without .md."""
    human: str = "default"
    """What a new agent knows of its user: a file of the home's folder humans, without .md."""
    search_page_size: int = Field(default=5, ge=1, le=50)
    """Hits on a page of a search that the model makes."""
    timezone: str | None = None
    """IANA time zone of new agents (default: the machine's)."""
    busy_wait_s: float = Field(default=5, ge=0, allow_inf_nan=False)
    """How long to wait while another process takes a turn of the same agent."""
    timeout_s: float = Field(default=120, gt=0, allow_inf_nan=False)
    """How long a model server may stay silent."""
    max_retries: int = Field(default=2, ge=0, le=20)
    """How often a request that may succeed later is repeated."""

    @field_validator("model")
    @classmethod
    def _known_kind(cls, model: str) -> str:
        if model != "extractive" and not re.fullmatch(r"(openai|gguf|scripted):.+", model, re.DOTALL):
            raise PydanticCustomError(
                "model", "Unknown model {model}: {kinds}", {"model": repr(model), "kinds": MODEL_KINDS}
            )
        return model

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, timezone: str | None) -> str | None:
        try:
            return timezone if timezone is None else ZoneInfo(timezone).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            named = {"zone": repr(timezone)}
            raise PydanticCustomError("timezone", "{zone} is no IANA time zone, such as Europe/Rome", named) from None


@dataclass(frozen=True, slots=True)
class Paths:
    """Where one home keeps its things."""

    home: Path
    config: Path
    cache: Path

    @property
    def database(self) -> Path:
        return self.home / "memos.db"

    @property
    def index(self) -> Path:
        return self.home / "index"

    @property
    def locks(self) -> Path:
        return self.home / "locks"

    @property
    def personas(self) -> Path:
        return self.config.parent / "personas"

    @property
    def humans(self) -> Path:
        return self.config.parent / "humans"

    @property
    def trusted(self) -> Path:
        return self.config.parent / "trusted.json"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings in force, with the origin of each."""

    settings: Settings
    origins: dict[str, Origin]
    paths: Paths


def find_paths(home: Path | str | None = None) -> Paths:
    """`home`, else `MEMOS_HOME`, holds everything; else the platform's folders do."""
    named = home or os.environ.get("MEMOS_HOME")
    if named:
        root = Path(named).expanduser().absolute()
        return Paths(root, root / "settings.toml", root / "cache")
    from platformdirs import user_cache_path, user_config_path, user_data_path

    return Paths(
        user_data_path("memos", appauthor=False),
        user_config_path("memos", appauthor=False) / "settings.toml",
        user_cache_path("memos", appauthor=False),
    )


def load(flags: dict[str, object] | None = None, *, home: Path | str | None = None) -> Configuration:
    """Merge every source of settings. Flags that are None count as not given.

    Raises `SettingsError`, naming the file or variable and the cure.
    """
    paths = find_paths(home)
    merged: dict[str, object] = {}
    origins: dict[str, Origin] = dict.fromkeys(Settings.model_fields, "default")
    layers: list[tuple[Origin, str, dict[str, object]]] = [
        ("user settings", str(paths.config), read_file(paths.config)),
        ("project file", PROJECT_FILE, _read_project_file(paths)),
        ("environment", "the environment", _read_environment()),
        ("flag", "the options given", {k: v for k, v in (flags or {}).items() if v is not None}),
    ]
    for origin, where, values in layers:
        check(values, where)
        merged.update(values)
        origins.update(dict.fromkeys(values, origin))
    settings = check(merged, "the settings")
    if settings.warn_fraction > settings.flush_fraction:
        raise SettingsError(
            f"warn_fraction ({settings.warn_fraction}) is above flush_fraction ({settings.flush_fraction}): lower it."
        )
    return Configuration(settings, origins, paths)


def check(values: dict[str, object], where: str) -> Settings:
    """Validate settings from one place; raises `SettingsError` for the first that is wrong."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0]) if problem["loc"] else "?"
        if problem["type"] == "extra_forbidden":
            raise SettingsError(f"{where}: there is no setting {name!r}; `memos config show` lists them.") from None
        raise SettingsError(f"{where}: {name} = {values.get(name)!r}: {problem['msg']}.") from None


def read_file(path: Path) -> dict[str, object]:
    """A settings file as a mapping; {} when there is none. Raises `SettingsError` when malformed."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as settings ({error}); mend or remove it.") from None
    try:
        return dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: malformed settings ({error}); mend or remove the file.") from None


def write_setting(path: Path, name: str, value: str) -> None:
    """Set one key of the user's settings file, keeping the others."""
    values = read_file(path)
    if value == "":
        values.pop(name, None)
    else:
        values[name] = _from_text(name, value)
    check(values, str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in values.items()), encoding="utf-8")
        temporary.replace(path)
    except UnicodeEncodeError:
        raise SettingsError(f"{name}: {value!r} holds characters that no file can hold.") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written ({error.strerror}); check the folder's permissions.") from None


def _toml(value: object) -> str:
    """JSON's numbers and strings are TOML's, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def trust(paths: Paths, project_file: Path) -> None:
    """Let this project file, as it stands now, name servers and tools."""
    known = _trusted(paths)
    known[str(project_file.absolute())] = _fingerprint(project_file)
    try:
        paths.trusted.parent.mkdir(parents=True, exist_ok=True)
        paths.trusted.write_text(json.dumps(known, indent=1), encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{paths.trusted}: cannot be written ({error.strerror}).") from None


def _read_project_file(paths: Paths) -> dict[str, object]:
    path = Path(PROJECT_FILE)
    if not path.is_file():
        return {}
    values = read_file(path)
    # What came with a checkout must not choose who hears the user's words, what may be spent, or who the agent is.
    guarded = ("model", "persona", "human", "max_turn_cost", "price_")
    chooses = [name for name, value in values.items() if name.startswith(guarded) and value != "extractive"]
    if chooses and _trusted(paths).get(str(path.absolute())) != _fingerprint(path):
        raise SettingsError(
            f"{path.absolute()}: sets {', '.join(chooses)} and is not trusted; read it, then run `memos config trust`."
        )
    return values


def _trusted(paths: Paths) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(paths.trusted.read_text(encoding="utf-8"))
        return known
    except (OSError, ValueError):
        return {}


def _fingerprint(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}).") from None


def _read_environment() -> dict[str, object]:
    found: dict[str, object] = {}
    for name in Settings.model_fields:
        value = os.environ.get(f"MEMOS_{name.upper()}")
        if value:
            found[name] = _from_text(name, value)
    return found


def _from_text(name: str, value: str) -> object:
    """Numbers as numbers; pydantic checks the rest."""
    field = Settings.model_fields.get(name)
    kind = str(field.annotation) if field is not None else ""
    try:
        return float(value) if "float" in kind else int(value) if "int" in kind else value
    except ValueError:
        return value
