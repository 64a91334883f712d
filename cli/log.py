"""`memos log`: what was said, what was paged out, and the way back.

Looking reads the stores alone, so it works without the model's key or file.
"""

from __future__ import annotations

import re
from datetime import datetime

from memos.cli import output, shapes
from memos.cli.session import Flags, open_agent, open_memory
from memos.errors import UsageError
from memos.messages import Message
from memos.records import Receipt

SHOWN_CHARS = 2000
"""Of a message's text, on the screen; `--json` gives all of it."""


def list_newest(flags: Flags, *, last: int, as_json: bool) -> None:
    """Print the newest messages, oldest first."""
    with open_memory(flags) as (_, memory):
        messages = memory.recall.read(max(1, memory.recall.last_id() - last + 1))
    if as_json:
        output.emit_json({"messages": [shapes.message_json(message) for message in messages]})
        return
    if not messages:
        output.note("Nothing was said yet.")
    for message in messages:
        emit_message(message)


def receipts(flags: Flags, *, as_json: bool) -> None:
    """Print every flush there was, oldest first; those that were not undone stand."""
    with open_memory(flags) as (_, memory):
        found = memory.state.receipts()
        standing = memory.state.standing_receipts()
    if as_json:
        shown = [shapes.receipt_json(receipt, stands=receipt in standing) for receipt in found]
        output.emit_json({"receipts": shown})
        return
    if not found:
        output.note("Nothing was paged out yet.")
        return
    header = ("receipt", "stands", "messages", "freed tokens", "summary by", "when")
    output.emit_table(header, [_receipt_row(receipt, stands=receipt in standing) for receipt in found])


def show(receipt_id: int, flags: Flags, *, messages: bool, as_json: bool) -> None:
    """Print one flush: the summary before it, the one it wrote, and on request what it covers."""
    with open_memory(flags) as (_, memory):
        receipt = memory.state.receipt(receipt_id)
        stands = receipt in memory.state.standing_receipts()
        old = memory.state.receipt(receipt.replaced_id).summary if receipt.replaced_id is not None else None
        covered = memory.recall.read(receipt.first_id, receipt.last_id) if messages else None
    if as_json:
        told = [shapes.message_json(message) for message in covered] if covered is not None else None
        output.emit_json({**shapes.receipt_json(receipt, stands=stands), "old_summary": old, "messages": told})
        return
    output.emit(
        f"receipt {receipt.id}{'' if stands else ' (undone)'}: messages {receipt.first_id} to {receipt.last_id}, "
        f"{receipt.freed_tokens} tokens freed, summary by {receipt.model}, {_time(receipt.created_at.astimezone())}"
    )
    output.emit(f"\nsummary before:\n{old or '(none)'}\n\nsummary after:\n{receipt.summary or '(none)'}")
    for message in covered or ():
        output.emit("")
        emit_message(message)


def undo(flags: Flags) -> None:
    """Take the newest flush back."""
    with open_agent(flags, create_default=False) as agent:
        receipt = agent.undo_flush()
    output.note(f"Flush {receipt.id} is undone: messages {receipt.first_id} to {receipt.last_id} are in the window.")


def page_in(span: str, flags: Flags) -> None:
    """Put old messages at the end of the queue, verbatim."""
    numbers = re.fullmatch(r"(\d{1,15})(?:-(\d{1,15}))?", span)
    if numbers is None:
        raise UsageError(f"{span!r} names no messages; write FIRST or FIRST-LAST, such as 12-15.")
    first_id = int(numbers[1])
    last_id = int(numbers[2] or numbers[1])
    with open_agent(flags, create_default=False) as agent:
        message = agent.page_in(first_id, last_id)
    output.note(f"Paged in as message {message.id}; the agent sees it with its next turn.")


def emit_message(message: Message) -> None:
    """One message for people: who and when, then its words and calls."""
    status = "" if message.status == "ok" else f"  ({message.status})"
    output.emit(f"{message.id}  {_time(message.created_at)}  {_who(message)}{status}")
    if message.thoughts:
        output.emit(_indented(f"(thinks) {message.thoughts}"))
    if message.text:
        output.emit(_indented(message.text))
    for call in message.calls:
        output.emit(_indented(f"→ {call.name} {call.arguments}"))


def _receipt_row(receipt: Receipt, *, stands: bool) -> tuple[str, ...]:
    return (
        str(receipt.id),
        "yes" if stands else "undone",
        f"{receipt.first_id}-{receipt.last_id}",
        f"{receipt.freed_tokens:,}",
        receipt.model,
        _time(receipt.created_at.astimezone()),
    )


def _who(message: Message) -> str:
    if message.kind == "result":
        return f"result of {message.name}"
    if message.kind == "user_message":
        return message.name or "user"
    return "agent" if message.role == "assistant" else message.kind.replace("_", " ")


def _indented(text: str) -> str:
    left_out = len(text) - SHOWN_CHARS
    if left_out > 0:
        text = f"{text[:SHOWN_CHARS]}… ({left_out:,} more characters; --json shows all)"
    return "\n".join(f"    {line}" for line in text.split("\n"))


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")
