"""`memos log requests`: exactly what the model was sent in a turn, and the same sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memos.cli import output, shapes
from memos.cli.session import Flags, open_agent
from memos.errors import UsageError

if TYPE_CHECKING:
    from memos.ports import Page, Reply
    from memos.requests import PastRequest


def run(flags: Flags, *, turn_id: int | None, replay_id: int | None, as_json: bool) -> None:
    """Print the requests of a turn, or the reply to one of them sent once more."""
    if turn_id is not None and replay_id is not None:
        raise UsageError("--turn and --replay exclude each other; choose one.")
    with open_agent(flags, create_default=False) as agent:
        if replay_id is not None:
            _emit_reply(replay_id, agent.model, agent.replay(replay_id), as_json=as_json)
            return
        found = agent.requests(turn_id)
    if as_json:
        output.emit_json({"requests": [shapes.request_json(past) for past in found]})
        return
    if not found:
        output.note("The model was asked nothing in that turn.")
    for past in found:
        _emit_request(past)


def _emit_request(past: PastRequest) -> None:
    request = past.request
    used = sum(page.tokens for page in request.pages)
    output.emit(
        f"== answered by message {past.message_id} · {past.model} · {request.loop} loop · messages {used:,} tokens "
        f"· at most {request.max_output_tokens:,} tokens out"
    )
    output.emit(f"== functions: {', '.join(tool.name for tool in request.tools) or 'none'}")
    for page in request.pages:
        _emit_page(page)
    output.emit("")


def _emit_page(page: Page) -> None:
    message = page.message
    output.emit(f"\n-- {page.section} · {page.key} · {page.tokens:,} tokens · {message.role}")
    if message.thoughts:
        output.emit(f"(thinks) {message.thoughts}")
    if message.rendered:
        output.emit(message.rendered)
    for call in message.calls:
        output.emit(f"→ {call.name} {call.arguments}")


def _emit_reply(message_id: int, model: str, reply: Reply, *, as_json: bool) -> None:
    if as_json:
        output.emit_json({"message_id": message_id, "model": model, "reply": shapes.reply_json(reply)})
        return
    if reply.thoughts:
        output.emit(f"(thinks) {reply.thoughts}")
    if reply.text:
        output.emit(reply.text)
    for call in reply.calls:
        output.emit(f"→ {call.name} {call.arguments}")
