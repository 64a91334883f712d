"""Schemas from functions, and calls from models: good, bad and broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from memos.errors import UsageError
from memos.messages import ToolCall
from memos.tooling import Toolbox, effect, requests_heartbeat, tool_from_function


def weather(city: str, unit: Literal["C", "F"] = "C", days: list[int] | None = None) -> str:
    """Tell the weather.

    Looks it up.

    Args:
        city: Where to look,
            as people call it.
        unit: Of the temperature.
    """
    return f"{city} {unit} {days}"


def test_schema_comes_from_signature_and_docstring() -> None:
    tool = tool_from_function(weather)
    assert tool.name == "weather"
    assert tool.description == "Tell the weather. Looks it up."
    assert tool.effect == "external"
    properties = tool.parameters["properties"]
    assert isinstance(properties, dict)
    assert properties["city"] == {"type": "string", "description": "Where to look, as people call it."}
    assert properties["unit"] == {
        "type": "string",
        "enum": ["C", "F"],
        "default": "C",
        "description": "Of the temperature.",
    }
    assert tool.parameters["required"] == ["city"]


def test_a_parameter_called_title_keeps_its_name() -> None:
    def shelve(title: str) -> str:
        """Put a book on the shelf."""
        return title

    assert tool_from_function(shelve).parameters["properties"] == {"title": {"type": "string"}}


def test_heartbeat_is_injected_where_it_makes_sense() -> None:
    def send_message(message: str) -> str:
        """Say it."""
        return message

    box = Toolbox.of([weather, send_message])
    shown = {schema.name: schema.parameters["properties"] for schema in box.schemas("heartbeat")}
    assert "request_heartbeat" in shown["weather"]  # type: ignore[operator]
    assert "request_heartbeat" not in shown["send_message"]  # type: ignore[operator]
    assert [schema.name for schema in box.schemas("native")] == ["weather"]
    assert "request_heartbeat" not in box.schemas("native")[0].parameters["properties"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("arguments", "asks"),
    [
        ('{"city": "Turin", "request_heartbeat": true}', True),
        ('{"city": "Turin", "request_heartbeat": false}', False),
        ('{"city": "Turin", "request_heartbeat": "true"}', False),
        ('{"city": "Turin", "request_heartbeat": 1}', False),
        ('{"city": "Turin"}', False),
        ("broken", False),
    ],
)
def test_only_true_requests_a_heartbeat(arguments: str, asks: bool) -> None:
    assert requests_heartbeat(ToolCall("1", "weather", arguments)) is asks


def test_functions_that_cannot_be_described_are_refused() -> None:
    def undocumented(city: str) -> str:
        return city

    def unhinted(city):  # type: ignore[no-untyped-def] # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
        """Look."""
        return city  # pyright: ignore[reportUnknownVariableType]

    def starred(*cities: str) -> str:
        """Look."""
        return str(cities)

    def opaque(value: object, handler: pytest.Config) -> str:
        """Look."""
        return str((value, handler))

    functions: list[tuple[Callable[..., object], str]] = [
        (undocumented, "docstring"),
        (unhinted, "type hint"),
        (starred, "name each parameter"),
        (opaque, "written as JSON"),
        (lambda: None, "plain function name"),
    ]
    for function, problem in functions:
        with pytest.raises(UsageError, match=problem):
            tool_from_function(function)
    with pytest.raises(UsageError, match="Two tools"):
        Toolbox.of([weather, weather])


def test_the_effect_is_declared() -> None:
    @effect("read")
    def look(city: str) -> str:
        """Look."""
        return city

    assert tool_from_function(look).effect == "read"
    assert Toolbox.of([look]).effect(ToolCall("1", "unknown", "{}")) == "read"
