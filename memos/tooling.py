"""Tools: from a Python function to what a model is told, and from a model's call to a result.

A tool is a function with type hints and a docstring; its schema comes from those, once. This is the
one place where a refusal, a bad call or a tool that raises becomes a `Failed` result for the model.
It knows no particular tool.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model

from memos.core_memory import CoreMemory
from memos.errors import AgentNotFound, Refusal, StorageError, UsageError
from memos.messages import SEND_MESSAGE, LoopMode, ToolCall, ToolSchema, parse_object
from memos.ports import ArchivalStore, Clock, DocumentStore, RecallStore, StateStore
from memos.tokens import head_within

Effect = Literal["read", "memory", "external"]
"""read: changes nothing. memory: writes memos' own stores, so effect and result commit together.
external: does something outside, so it is never run twice by itself."""

HEARTBEAT = "request_heartbeat"
_NO_HEARTBEAT = frozenset({SEND_MESSAGE, "pause_heartbeats"})
_HEARTBEAT_SCHEMA: dict[str, object] = {"type": "boolean"}  # what it means stands in the system prompt, once


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may touch: the ports of the agent that called it, and nothing else."""

    core: CoreMemory
    recall: RecallStore
    archival: ArchivalStore
    documents: DocumentStore
    state: StateStore
    clock: Clock
    page_size: int
    """Hits on a page of a search."""
    result_limit_tokens: int
    """A result larger than this is spooled; tools that page should stay below."""
    count_tokens: Callable[[str], int]

    def clip(self, text: str, limit_tokens: int) -> str:
        """The head of a text that takes at most so many tokens, also when it is quoted as JSON."""
        return text[: head_within(text, limit_tokens, self.count_quoted)]

    def count_quoted(self, text: str) -> int:
        """Tokens of a text written as a JSON string."""
        return self.count_tokens(json.dumps(text, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call."""

    name: str
    description: str
    parameters: dict[str, object]
    arguments: type[BaseModel]
    function: Callable[..., object]
    effect: Effect
    context_parameter: str | None
    """The parameter that gets the `ToolContext`, if there is one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to."""

    ok: bool
    text: str

    @property
    def rendered(self) -> str:
        return self.text if self.ok else f"Failed: {self.text}"


_Function = TypeVar("_Function", bound=Callable[..., object])


def effect(kind: Effect) -> Callable[[_Function], _Function]:
    """Declare what a tool changes. Undeclared tools count as external."""

    def mark(function: _Function) -> _Function:
        function.__dict__["memos_effect"] = kind
        return function

    return mark


def tool_from_function(function: Callable[..., object]) -> Tool:
    """Read name, description, parameters and effect off a function.

    Raises `UsageError` for one without a docstring, or with a parameter that has no type hint or
    none that can be written as JSON.
    """
    name = getattr(function, "__name__", "")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
        raise UsageError(f"A tool needs a plain function name, not {name!r}.")
    if inspect.iscoroutinefunction(function):
        raise UsageError(f"Tool {name}: is async; give a plain function (it may call asyncio.run).")
    description, notes = _read_docstring(inspect.getdoc(function) or "")
    if not description:
        raise UsageError(f"Tool {name}: write a docstring; it is what the model reads.")
    hints = typing.get_type_hints(function)
    fields: dict[str, object] = {}
    context_parameter: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UsageError(f"Tool {name}: *{parameter.name} cannot be described to a model; name each parameter.")
        if parameter.kind is parameter.POSITIONAL_ONLY or parameter.name == HEARTBEAT:
            raise UsageError(f"Tool {name}: a parameter cannot be positional-only or be called {HEARTBEAT}.")
        hint = hints.get(parameter.name)
        if hint is None:
            raise UsageError(f"Tool {name}: parameter {parameter.name!r} needs a type hint.")
        if hint is ToolContext:
            context_parameter = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hint, Field(default, description=notes.get(parameter.name)))
    try:
        model = cast(
            "type[BaseModel]",
            create_model(name, __config__=ConfigDict(extra="forbid", coerce_numbers_to_str=True), **fields),  # type: ignore[call-overload]
        )
        parameters = _plain_schema(model.model_json_schema())
    except PydanticUserError as error:
        raise UsageError(f"Tool {name}: a parameter's type cannot be written as JSON ({error.code}).") from None
    kind: Effect = function.__dict__.get("memos_effect", "external") if hasattr(function, "__dict__") else "external"
    return Tool(name, description, parameters, model, function, kind, context_parameter)


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of one agent."""

    tools: dict[str, Tool]

    @classmethod
    def of(cls, functions: Iterable[Callable[..., object]]) -> Toolbox:
        tools = [tool_from_function(function) for function in functions]
        names = [tool.name for tool in tools]
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled:
            raise UsageError(f"Two tools are called {doubled}: rename one.")
        return cls({tool.name: tool for tool in tools})

    def schemas(self, loop: LoopMode, *, compact: bool = False, told: Collection[str] = ()) -> tuple[ToolSchema, ...]:
        """What the model is told. In native mode it speaks in plain text and needs no heartbeats.

        Compact schemas, for small windows, keep the required parameters (the others still work for a
        model that knows them) and the first sentence of a description; functions that the system
        prompt has `told` of get none.
        """
        shown = [tool for tool in self.tools.values() if loop == "heartbeat" or tool.name not in _NO_HEARTBEAT]
        schemas = [ToolSchema(tool.name, tool.description, tool.parameters) for tool in shown]
        if compact:
            schemas = [_compacted(schema, told) for schema in schemas]
        return tuple(_with_heartbeat(schema) for schema in schemas) if loop == "heartbeat" else tuple(schemas)

    def effect(self, call: ToolCall) -> Effect:
        """A call of an unknown tool only produces a failed result."""
        tool = self.tools.get(call.name)
        return tool.effect if tool is not None else "read"

    def run(self, call: ToolCall, context: ToolContext) -> Outcome:
        """Run one call. Raises only what makes going on useless: `StorageError`, `AgentNotFound`."""
        try:
            tool, arguments = self._prepare(call)
            with context.state.transaction() if tool.effect == "memory" else _no_transaction():
                given: dict[str, object] = {name: getattr(arguments, name) for name in arguments.model_fields_set}
                if tool.context_parameter is not None:
                    given[tool.context_parameter] = context
                value = tool.function(**given)
                text = "OK" if value is None else str(value)
        except Refusal as refusal:
            return Outcome(ok=False, text=str(refusal))
        except (StorageError, AgentNotFound):
            raise
        except Exception as error:  # noqa: BLE001 - a user's tool may raise anything; the model must hear of it
            return Outcome(ok=False, text=f"{call.name} raised {type(error).__name__}{_words_of(error)}")
        return Outcome(ok=True, text=text)

    def _prepare(self, call: ToolCall) -> tuple[Tool, BaseModel]:
        tool = self.tools.get(call.name)
        if tool is None:
            raise Refusal(f"there is no function {call.name!r}; call one of those you were given.")
        values = parse_object(call.arguments) if call.arguments.strip() else {}
        if values is None:
            raise Refusal(f"the arguments of {call.name} are not a JSON object; call it again with valid JSON.")
        values.pop(HEARTBEAT, None)
        try:
            return tool, tool.arguments.model_validate(values)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, p['loc'])) or 'arguments'}: {p['msg']}" for p in error.errors()[:5]
            )
            raise Refusal(f"the arguments of {call.name} do not fit: {problems}.") from None


def _words_of(error: Exception) -> str:
    """What an error says, if it can say it."""
    try:
        return f": {error}"
    except Exception:  # noqa: BLE001 - a user's exception may be as broken as a user's tool
        return ""


def requests_heartbeat(call: ToolCall) -> bool:
    """Whether the model asked to run again after this call; anything but true counts as no."""
    if call.name in _NO_HEARTBEAT:
        return False
    arguments = parse_object(call.arguments)
    return arguments is not None and arguments.get(HEARTBEAT) is True


class _no_transaction:  # noqa: N801 - reads as the function it stands for
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_exception: object) -> None:
        return None


def _with_heartbeat(schema: ToolSchema) -> ToolSchema:
    if schema.name in _NO_HEARTBEAT:
        return schema
    properties = cast("dict[str, object]", schema.parameters["properties"])
    return replace(schema, parameters={**schema.parameters, "properties": {**properties, HEARTBEAT: _HEARTBEAT_SCHEMA}})


def _compacted(schema: ToolSchema, told: Collection[str]) -> ToolSchema:
    required = cast("list[str]", schema.parameters.get("required", []))
    properties = cast("dict[str, dict[str, object]]", schema.parameters["properties"])
    kept = {
        name: {key: value for key, value in about.items() if key != "description"}
        for name, about in properties.items()
        if name in required
    }
    first_sentence = schema.description.split(". ", 1)[0].rstrip(".") + "."
    description = "" if schema.name in told else first_sentence
    return ToolSchema(schema.name, description, {**schema.parameters, "properties": kept})


def _plain_schema(schema: dict[str, object]) -> dict[str, object]:
    """Pydantic's schema without what only costs tokens: titles, and null where a parameter may be left out."""
    plain = cast("dict[str, object]", _slim(schema))
    plain.pop("additionalProperties", None)
    plain.setdefault("properties", {})
    return plain


def _slim(node: object) -> object:
    if isinstance(node, list):
        return [_slim(child) for child in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    mapping = dict(cast("dict[str, object]", node))
    mapping.pop("title", None)
    if mapping.get("default", 0) is None:
        del mapping["default"]
        choices = [choice for choice in cast("list[object]", mapping.get("anyOf", [])) if choice != {"type": "null"}]
        if len(choices) == 1:
            del mapping["anyOf"]
            mapping = {**cast("dict[str, object]", choices[0]), **mapping}
    properties = mapping.get("properties")
    slim = {key: _slim(value) for key, value in mapping.items() if key != "properties"}
    if isinstance(properties, dict):  # their keys are names, also one called "title"
        slim["properties"] = {name: _slim(value) for name, value in cast("dict[str, object]", properties).items()}
    return slim


def _read_docstring(doc: str) -> tuple[str, dict[str, str]]:
    """The text before `Args:`, and the note of each parameter after it."""
    description, _, rest = doc.partition("\nArgs:\n")
    notes: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if not line.strip():
            break
        found = re.match(r"\s+(\w+)(?: \([^)]*\))?:\s+(.*)", line)
        if found:
            name = found[1]
            notes[name] = found[2].strip()
        elif name:
            notes[name] += " " + line.strip()
    return " ".join(description.split()), notes
