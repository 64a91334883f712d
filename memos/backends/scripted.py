"""A model that says what a file tells it to: for tests, demonstrations and bug reports.

The file is a JSON list; each element answers one request and the last one repeats. It reads nothing
of what it is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard
from uuid import uuid4

from memos.errors import BackendError, ConnectionFailed, ContextOverflow, MalformedReply, RateLimited, SettingsError
from memos.messages import ToolCall, Usage
from memos.ports import Delta, Purpose, Reply, Request
from memos.tokens import estimate_tokens

_ERRORS: dict[str, Callable[[], BackendError]] = {
    "overflow": lambda: ContextOverflow("The script says: the prompt is longer than the window."),
    "timeout": lambda: ConnectionFailed("The script says: the model did not answer in time."),
    "rate_limit": lambda: RateLimited("The script says: slow down."),
    "garbage": lambda: MalformedReply("The script says: the answer is no completion."),
}
_FIELDS = {"text", "calls", "error", "usage", "for"}
_USAGE_FIELDS = {"prompt_tokens", "completion_tokens", "cached_tokens"}
_PIECES = 3
"""How many deltas a text arrives in."""


@dataclass(frozen=True, slots=True)
class _Element:
    """What answers one request."""

    text: str
    calls: tuple[tuple[str, str], ...]
    """Name and raw arguments of each call."""
    error: str | None
    usage: dict[str, int]
    purpose: Purpose


class ScriptedBackend:
    """Replies from a file, in order.

    Raises `SettingsError` where the file is missing or malformed. The place in the script belongs to
    this object: a new one starts at the beginning.
    """

    context_tokens: int | None = None

    def __init__(self, path: Path) -> None:
        self.spec = f"scripted:{path}"
        elements = _read_script(path)
        self._elements: dict[Purpose, list[_Element]] = {
            "turn": [element for element in elements if element.purpose == "turn"],
            "summary": [element for element in elements if element.purpose == "summary"],
        }
        if not self._elements["turn"]:
            raise SettingsError(f"{path}: the script has no element that answers a turn.")
        self._answered: dict[Purpose, int] = {"turn": 0, "summary": 0}

    @property
    def writes_summaries(self) -> bool:
        """Whether the script has elements for summaries."""
        return bool(self._elements["summary"])

    def count_tokens(self, text: str) -> int:
        """Its tokenizer is the estimate, so what it counts is exact."""
        return estimate_tokens(text)

    def count_exactly(self, text: str) -> int:
        return self.count_tokens(text)

    def complete(self, request: Request) -> Iterator[Delta | Reply]:
        """Answer with the next element."""
        element = self._next_element(request.purpose)
        if element.error is not None:
            raise _ERRORS[element.error]()
        calls = tuple(ToolCall(f"call_{uuid4().hex[:12]}", name, arguments) for name, arguments in element.calls)
        yield from (Delta(text=piece) for piece in _pieces(element.text))
        for index, call in enumerate(calls):
            yield Delta(call_index=index, call_name=call.name)
            yield from (Delta(call_index=index, arguments=piece) for piece in _pieces(call.arguments))
        yield Reply(
            text=element.text,
            calls=calls,
            usage=self._usage(element, request),
            finish_reason="calls" if calls else "stop",
        )

    def close(self) -> None:
        """Nothing is held open."""

    def _next_element(self, purpose: Purpose) -> _Element:
        elements = self._elements[purpose]
        if not elements:
            raise MalformedReply(f"{self.spec}: the script has no element for summaries.")
        element = elements[min(self._answered[purpose], len(elements) - 1)]
        self._answered[purpose] += 1
        return element

    def _usage(self, element: _Element, request: Request) -> Usage:
        """What the element says; else the sizes of the prompt's pages and of the reply."""
        said = estimate_tokens(element.text) + sum(
            estimate_tokens(name) + estimate_tokens(arguments) for name, arguments in element.calls
        )
        return Usage(
            element.usage.get("prompt_tokens", sum(page.tokens for page in request.pages)),
            element.usage.get("completion_tokens", said),
            element.usage.get("cached_tokens", 0),
        )


def _pieces(text: str) -> Iterator[str]:
    size = -(-len(text) // _PIECES) or 1
    return (text[start : start + size] for start in range(0, len(text), size))


def _read_script(path: Path) -> list[_Element]:
    try:
        script: object = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: the script cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{path}: the script is not JSON ({reason}).") from None
    if not _is_array(script):
        raise SettingsError(f"{path}: the script must be a JSON list.")
    return [_read_element(value, f"{path}: element {number}") for number, value in enumerate(script, 1)]


def _read_element(value: object, where: str) -> _Element:
    """One element; `where` names it in errors."""
    if not _is_object(value):
        raise SettingsError(f"{where} must be an object.")
    if unknown := sorted(value.keys() - _FIELDS):
        raise SettingsError(f"{where} has an unknown field {unknown[0]!r}; known are {', '.join(sorted(_FIELDS))}.")
    if not value.keys() & {"text", "calls", "error"}:
        raise SettingsError(f"{where} must have text, calls or an error.")
    text, error = value.get("text", ""), value.get("error")
    if not isinstance(text, str):
        raise SettingsError(f"{where}: text must be a string.")
    if error is not None and (not isinstance(error, str) or error not in _ERRORS):
        raise SettingsError(f"{where}: error must be one of {', '.join(_ERRORS)}.")
    if value.get("for", "summary") != "summary":
        raise SettingsError(f'{where}: "for" can only be "summary".')
    purpose: Purpose = "summary" if "for" in value else "turn"
    return _Element(text, _read_calls(value, where), error, _read_usage(value, where), purpose)


def _read_calls(element: dict[str, object], where: str) -> tuple[tuple[str, str], ...]:
    """Names and raw arguments; a string is kept as it is, broken or not."""
    calls = element.get("calls", [])
    if not _is_array(calls):
        raise SettingsError(f"{where}: calls must be a list.")
    read: list[tuple[str, str]] = []
    for call in calls:
        name = call.get("name") if _is_object(call) else None
        arguments = call.get("arguments", {}) if _is_object(call) else None
        if not isinstance(name, str) or not isinstance(arguments, dict | str):
            raise SettingsError(f"{where}: a call must have a name, and arguments that are an object or a string.")
        read.append((name, arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)))
    return tuple(read)


def _read_usage(element: dict[str, object], where: str) -> dict[str, int]:
    usage = element.get("usage", {})
    read: dict[str, int] = {}
    for name, count in (usage if _is_object(usage) else {"": None}).items():
        if name not in _USAGE_FIELDS or not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise SettingsError(f"{where}: usage may hold {', '.join(sorted(_USAGE_FIELDS))}, each a whole number.")
        read[name] = count
    return read


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _is_array(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)
