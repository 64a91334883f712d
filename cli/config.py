"""`memos config`: the settings in force, where each came from, and the user's own file."""

from __future__ import annotations

from pathlib import Path

from memos import settings
from memos.cli import output
from memos.errors import DocumentError


def show(*, as_json: bool) -> None:
    """Every setting with its value and origin."""
    configuration = settings.load()
    values: dict[str, object] = configuration.settings.model_dump()
    if as_json:
        shown = {name: {"value": value, "origin": configuration.origins[name]} for name, value in values.items()}
        output.emit_json({"settings": shown, "paths": _paths_json(configuration.paths)})
        return
    rows = [(name, "" if value is None else str(value), configuration.origins[name]) for name, value in values.items()]
    output.emit_table(("setting", "value", "origin"), rows)


def path() -> None:
    """Where the user's settings file lies, whether it exists or not."""
    output.emit(str(settings.find_paths().config))


def set_value(name: str, value: str) -> None:
    """Write one setting into the user's file; an empty value takes it out."""
    file = settings.find_paths().config
    settings.write_setting(file, name, value)
    output.note(f"{name} was {'set' if value else 'removed'} in {file}.")


def trust() -> None:
    """Let the project file of this folder, as it stands now, name servers and files."""
    file = Path(settings.PROJECT_FILE)
    if not file.is_file():
        raise DocumentError(f"there is no {settings.PROJECT_FILE} in this folder to trust.")
    settings.trust(settings.find_paths(), file)
    output.note(f"{file.absolute()} is trusted as it stands now; after a change it must be trusted again.")


def _paths_json(paths: settings.Paths) -> dict[str, str]:
    return {"home": str(paths.home), "settings": str(paths.config), "cache": str(paths.cache)}
