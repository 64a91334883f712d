"""A message is heard while its call is still being written, however the pieces are cut."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from memos.ports import Delta
from memos.speech import SpeechStream


def heard(arguments: str, size: int, name: str = "send_message") -> list[str]:
    stream = SpeechStream()
    pieces = [stream.hear(Delta(call_index=0, call_name=name))]
    return pieces + [
        stream.hear(Delta(call_index=0, arguments=arguments[at : at + size])) for at in range(0, len(arguments), size)
    ]


@given(st.text(), st.integers(1, 9), st.booleans())
def test_any_text_cut_anywhere_is_heard_whole(text: str, size: int, ascii_only: bool) -> None:
    arguments = json.dumps({"message": text, "other": 'no "message": "x"'}, ensure_ascii=ascii_only)
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if ascii_only else text
    assert "".join(heard(arguments, size)) == expected


def test_words_come_as_soon_as_they_can() -> None:
    assert heard('{"message": "Hi \\u00e9!"}', 4)[4:8] == ["Hi ", "", "é!", ""]


def test_only_what_is_sent_is_heard() -> None:
    assert "".join(heard('{"message": "secret"}', 3, name="archival_memory_insert")) == ""
    assert SpeechStream().hear(Delta(text="thinking")) == ""
    assert SpeechStream().hear(Delta(call_index=3, arguments='{"message": "lost"')) == ""
    assert "".join(heard('{"message": "broken \\uZZZZ off', 2)) == "broken \ufffd off"
