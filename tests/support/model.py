"""A model that is a function of what it is asked, and remembers the requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from memos.messages import ToolCall
from memos.ports import Delta, Reply, Request
from memos.tokens import estimate_tokens

Answer = Callable[[Request], Iterator[Delta | Reply]]


@dataclass
class Model:
    """A `Backend` that answers as `answer` says."""

    answer: Answer
    spec: str = "test:model"
    context_tokens: int | None = None
    writes_summaries: bool = False
    requests: list[Request] = field(default_factory=list[Request])

    def count_tokens(self, text: str) -> int:
        return estimate_tokens(text)

    def count_exactly(self, text: str) -> int:
        return estimate_tokens(text)

    def complete(self, request: Request) -> Iterator[Delta | Reply]:
        self.requests.append(request)
        yield from self.answer(request)

    def close(self) -> None:
        """Nothing is held open."""


_numbers = count(1)


def call(name: str, **arguments: object) -> ToolCall:
    """A well-formed call with an id of its own."""
    return ToolCall(f"call_{next(_numbers)}", name, json.dumps(arguments, ensure_ascii=False))


def calling(*calls: ToolCall) -> Iterator[Delta | Reply]:
    yield Reply(calls=calls, finish_reason="calls")


def saying(text: str) -> Iterator[Delta | Reply]:
    yield from calling(call("send_message", message=text))


def in_turn(*answers: Callable[[], Iterator[Delta | Reply]]) -> Answer:
    """One answer a request, the last again and again."""
    asked = count()
    return lambda _request: answers[min(next(asked), len(answers) - 1)]()
