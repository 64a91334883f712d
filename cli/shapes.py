"""The JSON that scripts rely on, made from the kernel's values. Every field is always there.

Prints nothing and opens nothing.
"""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from typing import TYPE_CHECKING

from memos.events import CallFinished, CallStarted, ContextUsage, EventOut, ToolRun, Turn, TurnFinished
from memos.hits import DocumentInfo, Hit, HitPage
from memos.messages import Message, parse_object
from memos.ports import Reply
from memos.records import Block, BlockVersion, Receipt

if TYPE_CHECKING:
    from memos.requests import PastRequest


def turn_json(turn: Turn, *, agent: str, model: str) -> dict[str, object]:
    """What `send --json` prints."""
    return {
        "agent": agent,
        "model": model,
        "reply": turn.reply,
        "steps": turn.steps,
        "stopped_by": turn.stopped_by,
        "tool_calls": [_tool_run_json(run) for run in turn.tool_calls],
        "usage": dataclasses.asdict(turn.usage),
        "context": None if turn.context is None else context_json(turn.context),
    }


def context_json(context: ContextUsage) -> dict[str, object]:
    """What `context --json` prints; also a part of `send --json`."""
    return dataclasses.asdict(context)


def event_json(event: EventOut, *, agent: str, model: str) -> dict[str, object]:
    """An event as `send --stream-json` prints it: its name, then its fields."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    if isinstance(event, TurnFinished):
        return {"event": name, "turn": turn_json(event.turn, agent=agent, model=model)}
    fields: dict[str, object] = {"event": name, **dataclasses.asdict(event)}
    if isinstance(event, CallStarted | CallFinished):
        fields["arguments"] = _arguments_json(event.arguments)
    return fields


def search_json(page: HitPage) -> dict[str, object]:
    """What `search --json` prints."""
    return {"total": page.total, "hits": [_hit_json(hit) for hit in page.hits]}


def document_json(document: DocumentInfo) -> dict[str, object]:
    """A document as `documents --json` prints it."""
    return {**dataclasses.asdict(document), "created_at": time_json(document.created_at)}


def message_json(message: Message) -> dict[str, object]:
    """A message of the log, as `log --json` prints it."""
    return {
        "id": message.id,
        "created_at": time_json(message.created_at),
        "role": message.role,
        "kind": message.kind,
        "name": message.name,
        "text": message.text,
        "thoughts": message.thoughts,
        "calls": [{"name": call.name, "arguments": _arguments_json(call.arguments)} for call in message.calls],
        "status": message.status,
    }


def receipt_json(receipt: Receipt, *, stands: bool) -> dict[str, object]:
    """A flush, as `log receipts --json` and `log show --json` print it."""
    return {
        "id": receipt.id,
        "stands": stands,
        "first_id": receipt.first_id,
        "last_id": receipt.last_id,
        "freed_tokens": receipt.freed_tokens,
        "model": receipt.model,
        "created_at": time_json(receipt.created_at),
        "replaced_id": receipt.replaced_id,
        "summary": receipt.summary,
    }


def request_json(past: PastRequest) -> dict[str, object]:
    """A request exactly as the backend got it; text and arguments are not touched."""
    request = past.request
    return {
        "message_id": past.message_id,
        "model": past.model,
        "loop": request.loop,
        "max_output_tokens": request.max_output_tokens,
        "messages": [
            {
                "key": page.key,
                "section": page.section,
                "tokens": page.tokens,
                "role": page.message.role,
                "kind": page.message.kind,
                "name": page.message.name,
                "text": page.message.rendered,
                "thoughts": page.message.thoughts,
                "calls": [dataclasses.asdict(call) for call in page.message.calls],
                "call_id": page.message.call_id,
            }
            for page in request.pages
        ],
        "tools": [dataclasses.asdict(tool) for tool in request.tools],
    }


def reply_json(reply: Reply) -> dict[str, object]:
    """A completion exactly as the model gave it."""
    return dataclasses.asdict(reply)


def block_json(block: Block, *, tokens: int, shared_with: list[str]) -> dict[str, object]:
    """A block of core memory, as `memory --json` prints it."""
    return {**dataclasses.asdict(block), "tokens": tokens, "shared_with": shared_with}


def version_json(version: BlockVersion) -> dict[str, object]:
    """One value a block has had, as `memory history --json` prints it."""
    return {**dataclasses.asdict(version), "created_at": time_json(version.created_at)}


def time_json(moment: datetime | None) -> str | None:
    """ISO 8601 with its offset."""
    return None if moment is None else moment.isoformat(timespec="seconds")


def _hit_json(hit: Hit) -> dict[str, object]:
    return {
        "tier": hit.tier,
        "id": hit.id,
        "text": hit.text,
        "score": hit.score,
        "created_at": time_json(hit.created_at),
        "role": hit.role,
        "source": hit.source,
        "page": hit.page,
        "line_start": hit.line_start,
        "line_end": hit.line_end,
    }


def _tool_run_json(run: ToolRun) -> dict[str, object]:
    return {
        "name": run.name,
        "arguments": _arguments_json(run.arguments),
        "status": run.status,
        "result": run.result,
    }


def _arguments_json(arguments: str) -> object:
    """The arguments object; where the model wrote none that can be read, its text as it was."""
    parsed = parse_object(arguments)
    return arguments if parsed is None else parsed
