"""Pages to the messages of the chat-completions API.

What providers demand and the log does not promise is mended here: one system message, at the head;
every call answered right behind it; arguments that are JSON. Pure functions: no SDK, no network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import takewhile

from memos.messages import SEND_MESSAGE, Message, ToolCall, ToolSchema, parse_object
from memos.ports import Request

Json = dict[str, object]


def render_messages(request: Request) -> list[Json]:
    """The request's pages as API messages.

    Leading system pages become one system message; a later one is sent as the user's, because most
    chat templates take a system message at the head only. Results follow the call they answer; a
    result without its call, and a call without its result, are left out.
    """
    messages = [page.message for page in request.pages]
    head = list(takewhile(lambda message: message.role == "system", messages))
    rest = messages[len(head) :]
    rendered: list[Json] = []
    if head:
        rendered.append({"role": "system", "content": "\n\n".join(message.rendered for message in head)})
    for index, message in enumerate(rest):
        if message.role == "assistant":
            rendered += _render_step(message, _results_after(rest, index), request)
        elif message.role != "tool":
            rendered.append({"role": "user", "content": message.rendered})
    return rendered


def render_tools(tools: Sequence[ToolSchema]) -> list[Json]:
    """Tool schemas as the API takes them."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]


def valid_arguments(raw: str) -> str:
    """The raw arguments where they are a JSON object; else the nearest text that providers accept.

    Servers parse the arguments of earlier calls and refuse the whole request over a broken one. What
    only a lenient reader understands is written anew; what nobody understands becomes `{}`: never
    longer than it was counted, and the call's result tells the model what was wrong with it.
    """
    try:
        value: object = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _rewritten(raw)
    return raw if isinstance(value, dict) else "{}"


def _rewritten(raw: str) -> str:
    try:
        return json.dumps(parse_object(raw) or {}, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return "{}"


def _refuse_constant(name: str) -> object:
    raise ValueError(name)  # NaN and Infinity, which Python reads and JSON does not know


def _results_after(messages: Sequence[Message], index: int) -> dict[str, Message]:
    """The results that stand between a reply and the next one, by the call they answer."""
    found: dict[str, Message] = {}
    for message in takewhile(lambda message: message.role != "assistant", messages[index + 1 :]):
        if message.role == "tool" and message.call_id is not None:
            found.setdefault(message.call_id, message)
    return found


def _render_step(message: Message, results: dict[str, Message], request: Request) -> list[Json]:
    """A reply with the calls that were answered, then their results."""
    content, calls = _content_and_calls(message, request)
    answered = [call for call in calls if call.id in results]
    if not answered:
        return [{"role": "assistant", "content": content}] if content else []
    reply: Json = {
        "role": "assistant",
        "content": content or None,
        "tool_calls": [_render_call(call) for call in answered],
    }
    return [reply, *(_render_result(call, results[call.id]) for call in answered)]


def _content_and_calls(message: Message, request: Request) -> tuple[str, tuple[ToolCall, ...]]:
    """What a reply says in this loop mode.

    Heartbeat mode: its inner thoughts, or a plain reply from the time of the other mode. Native mode:
    its text; where send_message is not offered, what was sent through it reads as plain text.
    """
    if request.loop == "heartbeat":
        return message.text or message.thoughts, message.calls
    if any(tool.name == SEND_MESSAGE for tool in request.tools):
        return message.text, message.calls
    return message.spoken or message.text, tuple(call for call in message.calls if call.name != SEND_MESSAGE)


def _render_call(call: ToolCall) -> Json:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": valid_arguments(call.arguments)},
    }


def _render_result(call: ToolCall, result: Message) -> Json:
    return {"role": "tool", "tool_call_id": call.id, "content": result.rendered}
