"""What a model is told, word for word: a change of a prompt or of a tool's docstring is a change of behaviour."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

import pytest

from memos import prompts, tools
from memos.messages import LoopMode, ToolSchema
from memos.tokens import O200kCounter
from memos.tooling import Toolbox

GOLDEN = Path(__file__).parent / "golden"
COMPACT_LIMIT_TOKENS = 400
LOOPS: tuple[LoopMode, ...] = ("heartbeat", "native")


def schemas(loop: LoopMode, *, compact: bool, documents: bool = True) -> tuple[ToolSchema, ...]:
    """As an agent that may read documents gets them."""
    base = tools.COMPACT_TOOLS if compact else tools.BASE_TOOLS
    reading = tools.COMPACT_DOCUMENT_TOOLS if compact else tools.DOCUMENT_TOOLS
    told = [tool.__name__ for tool in tools.COMPACT_TOOLS]
    return Toolbox.of([*base, *(reading if documents else ())]).schemas(loop, compact=compact, told=told)


def written(tool: ToolSchema) -> str:
    return json.dumps([tool.name, tool.description, tool.parameters], ensure_ascii=False, separators=(",", ":"))


def told(loop: LoopMode, *, compact: bool) -> str:
    """Everything, as the golden file holds it."""
    functions = "\n".join(written(tool) for tool in schemas(loop, compact=compact))
    return f"{prompts.system_prompt(loop, compact=compact)}\n\n--- functions\n{functions}\n"


def assert_golden(name: str, text: str) -> None:
    """Compare with the file, or write it where UPDATE_GOLDEN is set: then read the difference before committing."""
    if "UPDATE_GOLDEN" in os.environ:
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("loop", LOOPS)
def test_what_the_model_is_told_is_as_the_golden_file_says(loop: LoopMode, compact: bool) -> None:
    name = f"{loop}_compact.txt" if compact else f"{loop}.txt"
    assert_golden(name, told(loop, compact=compact))


def test_what_the_summariser_and_the_first_persona_are_told() -> None:
    others = [prompts.load(name) for name in ("summary", "persona", "documents")]
    assert_golden("others.txt", "\n\n".join(others) + "\n")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_compact_agent_is_told_little(loop: LoopMode) -> None:
    functions = schemas(loop, compact=True, documents=False)
    count = O200kCounter().count
    size = count(prompts.system_prompt(loop, compact=True)) + sum(count(written(tool)) for tool in functions)
    assert size < COMPACT_LIMIT_TOKENS


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_prompt_names_no_function_that_is_not_there(loop: LoopMode, compact: bool) -> None:
    text = prompts.system_prompt(loop, compact=compact)
    given = {tool.name for tool in schemas(loop, compact=compact, documents=False)}
    every = {tool.__name__ for tool in (*tools.BASE_TOOLS, *tools.DOCUMENT_TOOLS)}
    assert {name for name in every if name in text} <= given


@pytest.mark.parametrize("loop", LOOPS)
def test_what_has_no_description_has_its_tier_in_the_compact_prompt(loop: LoopMode) -> None:
    """open_memory is named where it is needed: in each message that was cut."""
    text = prompts.system_prompt(loop, compact=True)
    for tool in schemas(loop, compact=True):
        assert tool.description or tool.name.partition("_")[0] in text or tool.name == "open_memory", tool.name


def test_a_heartbeat_can_be_requested_of_every_function_but_two() -> None:
    for tool in schemas("heartbeat", compact=False):
        properties = tool.parameters["properties"]
        assert isinstance(properties, dict)
        assert ("request_heartbeat" in properties) == (tool.name not in ("send_message", "pause_heartbeats"))


def test_every_parameter_of_a_base_tool_is_described() -> None:
    for tool in schemas("native", compact=False):
        properties = cast("dict[str, dict[str, object]]", tool.parameters["properties"])
        assert all("description" in about for about in properties.values()), tool.name
