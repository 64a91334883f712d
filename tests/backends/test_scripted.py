"""The model that reads its replies from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from memos.backends.scripted import ScriptedBackend
from memos.errors import BackendError, ConnectionFailed, ContextOverflow, MalformedReply, RateLimited, SettingsError
from memos.messages import Usage
from memos.ports import Delta, Page, Reply, Request


def scripted(folder: Path, script: object) -> ScriptedBackend:
    path = folder / "script.json"
    path.write_text(script if isinstance(script, str) else json.dumps(script), encoding="utf-8")
    return ScriptedBackend(path)


def answer(backend: ScriptedBackend, request: Request) -> tuple[list[Delta], Reply]:
    *deltas, reply = backend.complete(request)
    assert isinstance(reply, Reply)
    return [delta for delta in deltas if isinstance(delta, Delta)], reply


def test_elements_answer_in_order_and_the_last_repeats(tmp_path: Path, hello: Request) -> None:
    backend = scripted(tmp_path, [{"text": "one"}, {"text": "two"}])
    assert [answer(backend, hello)[1].text for _ in range(4)] == ["one", "two", "two", "two"]
    assert answer(ScriptedBackend(tmp_path / "script.json"), hello)[1].text == "one"
    assert backend.spec == f"scripted:{tmp_path / 'script.json'}"
    assert backend.context_tokens is None


def test_calls_and_their_deltas(tmp_path: Path, hello: Request) -> None:
    calls = [{"name": "f", "arguments": {"é": [1]}}, {"name": "g", "arguments": '{"broken'}, {"name": "h"}]
    deltas, reply = answer(scripted(tmp_path, [{"text": "Thinking aloud.", "calls": calls}]), hello)
    assert [(call.name, call.arguments) for call in reply.calls] == [
        ("f", '{"é": [1]}'),
        ("g", '{"broken'),
        ("h", "{}"),
    ]
    assert reply.finish_reason == "calls"
    assert "".join(delta.text for delta in deltas) == reply.text == "Thinking aloud."
    assert sum(bool(delta.text) for delta in deltas) > 1
    for number, call in enumerate(reply.calls):
        mine = [delta for delta in deltas if delta.call_index == number]
        assert "".join(delta.arguments for delta in mine) == call.arguments
        assert mine[0].call_name == call.name


def test_call_ids_never_repeat(tmp_path: Path, hello: Request) -> None:
    script = [{"calls": [{"name": "f"}, {"name": "f"}]}]
    backends = [scripted(tmp_path, script) for _ in range(2)]
    made = [call.id for backend in backends for _ in range(3) for call in answer(backend, hello)[1].calls]
    assert len(set(made)) == len(made) == 12


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("overflow", ContextOverflow),
        ("timeout", ConnectionFailed),
        ("rate_limit", RateLimited),
        ("garbage", MalformedReply),
    ],
)
def test_errors(tmp_path: Path, hello: Request, kind: str, raised: type[BackendError]) -> None:
    backend = scripted(tmp_path, [{"error": kind}, {"text": "better"}])
    with pytest.raises(BackendError) as caught:
        answer(backend, hello)
    assert type(caught.value) is raised
    assert answer(backend, hello)[1].text == "better"


def test_summaries_have_elements_of_their_own(
    tmp_path: Path, hello: Request, page: Callable[..., Page], request_of: Callable[..., Request]
) -> None:
    script = [{"text": "one"}, {"text": "sum", "for": "summary"}, {"text": "two"}]
    backend = scripted(tmp_path, script)
    summary = request_of(page("user", "Sum up."), purpose="summary")
    assert backend.writes_summaries
    assert [answer(backend, each)[1].text for each in (summary, hello, summary, hello)] == ["sum", "one", "sum", "two"]


def test_without_elements_for_summaries_it_writes_none(
    tmp_path: Path, page: Callable[..., Page], request_of: Callable[..., Request]
) -> None:
    backend = scripted(tmp_path, [{"text": "one"}])
    assert not backend.writes_summaries
    with pytest.raises(MalformedReply):
        answer(backend, request_of(page("user", "Sum up."), purpose="summary"))


def test_usage(tmp_path: Path, hello: Request) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "cached_tokens": 1}
    backend = scripted(tmp_path, [{"text": "x", "usage": usage}, {"text": "four words are here"}])
    assert answer(backend, hello)[1].usage == Usage(3, 2, 1)
    counted = answer(backend, hello)[1].usage
    assert counted == Usage(20, backend.count_tokens("four words are here"), 0)


MALFORMED: list[tuple[object, str]] = [
    ("{broken", "not JSON"),
    ("[" * 100_000, "not JSON"),
    ({"text": "x"}, "JSON list"),
    ([], "no element"),
    ([{"text": "x", "for": "summary"}], "no element"),
    ([{"text": "x"}, "y"], "element 2"),
    ([{}], "element 1"),
    ([{"text": 1}], "element 1: text"),
    ([{"txt": "x"}], "element 1.*'txt'"),
    ([{"text": "x"}, {"error": "fire"}], "element 2: error"),
    ([{"error": ["fire"]}], "element 1: error"),
    ([{"text": "x", "for": "turn"}], "element 1"),
    ([{"calls": {}}], "element 1: calls"),
    ([{"calls": [{"arguments": {}}]}], "element 1: a call"),
    ([{"calls": [{"name": "f", "arguments": 3}]}], "element 1: a call"),
    ([{"text": "x", "usage": {"prompt_tokens": "3"}}], "element 1: usage"),
    ([{"text": "x", "usage": 3}], "element 1: usage"),
]


@pytest.mark.parametrize(("script", "named"), MALFORMED)
def test_malformed_scripts(tmp_path: Path, script: object, named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        scripted(tmp_path, script)
    assert str(tmp_path / "script.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_binary_scripts(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.json"):
        ScriptedBackend(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not JSON"):
        ScriptedBackend(tmp_path / "binary.json")
