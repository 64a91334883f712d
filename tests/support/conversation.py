"""A log as the controller would write it, with results of a test's choosing, for the embedded backend."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from memos.backends.extractive import ExtractiveBackend
from memos.context import render_core
from memos.hits import Hit, HitPage, render_page
from memos.messages import SEND_MESSAGE, LoopMode, Message, Status, ToolCall, ToolSchema, parse_object
from memos.ports import Delta, Page, Reply, Request
from memos.records import Block

NOW = datetime(2026, 11, 20, 10, 38, tzinfo=UTC)
MEMORY_TOOLS = (
    "send_message",
    "core_memory_append",
    "core_memory_replace",
    "archival_memory_insert",
    "archival_memory_search",
    "conversation_search",
)
ALL_TOOLS = (*MEMORY_TOOLS, "search_document", "open_document")

Answers = dict[str, "list[Hit] | str"]


@dataclass
class Conversation:
    """A log as the controller would write it, with results of the test's choosing."""

    core: str = ""
    tools: tuple[str, ...] = MEMORY_TOOLS
    loop: LoopMode = "heartbeat"
    finds: Answers = field(default_factory=dict[str, "list[Hit] | str"])
    log: list[Message] = field(default_factory=list[Message])
    steps: list[Reply] = field(default_factory=list[Reply])
    max_output_tokens: int = 1024

    def pages(self) -> tuple[Page, ...]:
        blocks = (Block("persona", "I am a helpful fossil.", 400, ""), Block("human", self.core, 400, ""))
        core = Message("system", "system_alert", render_core(blocks), NOW)
        queue = [Page(f"message:{message.id}", "queue", message, 10) for message in self.log]
        return (Page("core:1", "core", core, 50), *queue)

    def append(self, message: Message) -> None:
        self.log.append(replace(message, id=len(self.log) + 1))

    def step(self) -> Reply:
        tools = tuple(ToolSchema(name, "", {}) for name in self.tools)
        request = Request(self.pages(), tools, self.max_output_tokens, self.loop)
        *deltas, reply = ExtractiveBackend().complete(request)  # a new one each time: it may keep nothing
        assert isinstance(reply, Reply)
        assert all(isinstance(delta, Delta) for delta in deltas)
        assert "".join(delta.text for delta in deltas if isinstance(delta, Delta)) == reply.text
        self.steps.append(reply)
        return reply

    def send(self, text: str, kind: str = "user_message", name: str | None = None) -> str | None:
        """Run the turn to its end; the text sent to the user, None when there was none."""
        assert kind in ("user_message", "login", "heartbeat")
        self.steps.clear()
        self.append(Message("user", "user_message" if kind == "user_message" else "login", text, NOW, name=name))
        for _ in range(4):
            reply = self.step()
            heartbeat = self.loop == "heartbeat"
            self.append(Message("assistant", "reply", "" if heartbeat else reply.text, NOW, calls=reply.calls))
            said = [parse_object(call.arguments) for call in reply.calls if call.name == SEND_MESSAGE]
            for call in reply.calls:
                self.append(self.result(call))
            if said and said[0] is not None:
                return str(said[0]["message"])
            if not reply.calls:
                return reply.text or None
        raise AssertionError("the turn did not end within three steps")

    def result(self, call: ToolCall) -> Message:
        arguments = parse_object(call.arguments)
        assert arguments is not None
        found = self.finds.get(call.name, [])
        if call.name == "core_memory_append" and not isinstance(found, str):
            found = f"Block 'human' now reads:\n{self.core}\n{arguments['content']}"
        elif call.name in ("archival_memory_insert", SEND_MESSAGE) and not isinstance(found, str):
            found = "OK"
        if not isinstance(found, str):
            page = arguments.get("page", 1)
            assert isinstance(page, int)
            shown = HitPage(len(found), tuple(found[(page - 1) * 5 : page * 5]), (page - 1) * 5)
            found = render_page(shown, number=page, size=5, clip=lambda text: text[:900])
        status: Status = "failed" if found.startswith("Failed") else "ok"
        return Message("tool", "result", found, NOW, name=call.name, call_id=call.id, status=status)

    def called(self) -> list[tuple[str, dict[str, object]]]:
        return [(call.name, parse_object(call.arguments) or {}) for reply in self.steps for call in reply.calls]


def said(text: str, number: int = 1, role: str = "user", name: str | None = None) -> Hit:
    return Hit("recall", str(number), text, 1.0, NOW - timedelta(minutes=number), role, name)


def passage(text: str, number: int = 1, *, line: int | None = 100, page: int | None = None) -> Hit:
    return Hit("documents", f"p{number}", text, 1.0, source="/books/egg.txt", line_start=line, page=page)


def quotes_in(answer: str) -> list[str]:
    return re.findall(r'(?:^|\n\n)"(.*?)" — [^\n]+(?=\n\n"|$)', answer, re.DOTALL)
