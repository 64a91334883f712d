"""What a terminal shows of a turn's events."""

from __future__ import annotations

import pytest

from memos.cli.shapes import event_json
from memos.cli.stream import Speaker
from memos.events import EventOut, Flushed, MemoryEdited, Pressure, Spoken, TextDelta, ThoughtDelta, Turn, TurnFinished

END = TurnFinished(Turn("", "yield", 1))


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([Spoken("One."), Spoken("Two."), END], "One.\n\nTwo.\n"),
        ([TextDelta("On"), TextDelta("e."), Spoken("One."), END], "One.\n"),
        ([TextDelta("On"), Spoken("One."), TextDelta("Two"), Spoken("Two."), END], "One.\n\nTwo.\n"),
        ([TextDelta("Broken o"), Spoken("Asked again."), END], "Broken o\nAsked again.\n"),
        ([TextDelta("Interrup"), END], "Interrup\n"),
        ([ThoughtDelta("Hm."), END], ""),
    ],
)
def test_messages_are_shown_once_and_whole(
    events: list[EventOut], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    speaker = Speaker(notices=False)
    for event in events:
        speaker(event)

    assert capsys.readouterr() == (shown, "")


def test_what_memory_does_is_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    for notices in (True, False):
        speaker = Speaker(notices=notices)
        speaker(Pressure(700, 1000))
        speaker(MemoryEdited("human", "Ada"))
        speaker(Flushed(1, 2, 9, 500))

    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "· the window is filling up: 700 of 1000 tokens; the agent was told",
        "· core memory: human was edited",
        "· messages 2 to 9 were paged out; they stay in recall",
    ]


def test_an_event_in_json_is_its_name_and_its_fields() -> None:
    assert event_json(Flushed(1, 2, 9, 500), agent="ada", model="extractive") == {
        "event": "flushed",
        "receipt_id": 1,
        "first_id": 2,
        "last_id": 9,
        "freed_tokens": 500,
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0},
    }
