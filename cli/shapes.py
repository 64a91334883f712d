"""The JSON that scripts rely on, made from the kernel's values. Every field is always there.

Prints nothing and opens nothing.
"""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime

from memos.events import CallFinished, CallStarted, ContextUsage, EventOut, ToolRun, Turn, TurnFinished
from memos.hits import DocumentInfo, Hit, HitPage
from memos.messages import parse_object


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
