"""The model's own edits of core memory: shown at once, refused with advice, not announced."""

from __future__ import annotations

from typing import Any

import pytest


def test_an_edit_shows_the_new_block(use: Any) -> None:
    assert use.ok("core_memory_append", label="human", content="Name: Ada.") == "Block 'human' now reads:\nName: Ada."
    shown = use.ok("core_memory_replace", label="human", old_content="Ada", new_content="Bea")
    assert shown == "Block 'human' now reads:\nName: Bea."
    assert use.ok("core_memory_replace", label="human", old_content="Name: Bea.", new_content="").endswith("reads:\n")
    assert use.context.core["human"].value == ""
    assert use.announced == []


@pytest.mark.parametrize(
    ("name", "arguments", "advice"),
    [
        ("core_memory_append", {"label": "nobody", "content": "x"}, "no block 'nobody'; the blocks are persona, human"),
        ("core_memory_append", {"label": "human", "content": " "}, "content is empty"),
        ("core_memory_append", {"label": "human", "content": "word " * 30}, "at most 20 tokens and this would make 30"),
        ("core_memory_append", {"label": "persona", "content": "x"}, "read-only"),
        ("core_memory_replace", {"label": "nobody", "old_content": "x", "new_content": "y"}, "the blocks are"),
        ("core_memory_replace", {"label": "human", "old_content": "x", "new_content": "y"}, "does not occur"),
    ],
)
def test_a_refusal_says_what_to_do_and_changes_nothing(
    use: Any, name: str, arguments: dict[str, object], advice: str
) -> None:
    assert advice in use.failed(name, **arguments)
    assert [use.context.core[label].value for label in use.context.core] == ["I am brief.", ""]
