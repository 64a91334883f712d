"""What a request's pages say to the extractive backend: the open turn, core memory, what was found.

Reads the formats that prompt and tools write; decides nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from memos import prompts
from memos.backends import sentences
from memos.backends.quotes import Text
from memos.hits import parse_page
from memos.messages import Message, ToolCall, sent_text
from memos.ports import Page

NOTHING_FOUND = "I find nothing about that in memory."
NOTHING_IN_DOCUMENTS = "I find nothing about that in the documents."
ABOUT = (
    "I am the built-in extractive backend, without a language model: I keep what you tell me, and answer questions "
    "by quoting it."
)
KEPT = "Kept in our conversation: ask about it, and I find it there."
CANNOT_FORGET = "I cannot forget by myself: `memos memory edit human` changes what I keep about you."
_FIXED = (NOTHING_FOUND, NOTHING_IN_DOCUMENTS, ABOUT, KEPT, CANNOT_FORGET)

SEARCHES = ("conversation_search", "archival_memory_search", "search_document")

HEADER = re.compile(r"Results (?P<first>\d+)-\d+ of \d+ \(page \d+ of (?P<pages>\d+)\)")
_CALL_ID = re.compile(r"x\d+-(\d+)-\d+$")
_OWN_WORDS = re.compile(r'(?:^|\n\n)(?:"[^\n].*" — |(?:Noted|Already) in |I could not )', re.DOTALL)
_BLOCK = re.compile(r"^<(?P<label>\S+) limit_tokens=[^\n]*>\n(?P<value>.*?)^</(?P=label)>$", re.DOTALL | re.MULTILINE)
_EDITED_BLOCK = re.compile(r"\b[Bb]lock '(?P<label>[^'\n]+)'[^\n]*:\n(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Turn:
    """The last user message, and what has been done about it."""

    event: Message
    said: str
    steps: int
    done: tuple[tuple[ToolCall, Message | None], ...]
    """Calls with their results."""
    is_whole: bool
    """Whether its first calls are in view still, or a flush took them."""


def read_turn(pages: tuple[Page, ...]) -> Turn | None:
    """The last user message and what followed it; None when there is none, or it has been answered."""
    opening = next((i for i in reversed(range(len(pages))) if pages[i].message.kind == "user_message"), None)
    if opening is None:
        return None
    page, after = pages[opening], [page.message for page in pages[opening + 1 :]]
    replies = [message for message in after if message.kind == "reply"]
    calls = [call for reply in replies for call in reply.calls]
    is_over = any(message.kind == "interrupt" for message in after) or not all(reply.calls for reply in replies)
    if is_over or any(sent_text(call) is not None for call in calls):
        return None
    # A flush may have taken the turn's first steps; the ids of the calls that are left still tell their number.
    steps = max([len(replies), *(int(match[1]) + 1 for call in calls if (match := _CALL_ID.match(call.id)))])
    results = {message.call_id: message for message in after if message.kind == "result"}
    said = page.message.text
    if page.key.endswith(":head"):
        said = said.rpartition("\n[Cut here: ")[0] or said
    return Turn(page.message, said, steps, tuple((call, results.get(call.id)) for call in calls), steps == len(replies))


def is_about_documents(pages: tuple[Page, ...]) -> bool:
    """Whether the agent is there for questions about documents alone."""
    task = prompts.load("documents")
    return any(page.section == "system" and task in page.message.text for page in pages)


def core_blocks(pages: tuple[Page, ...]) -> dict[str, str]:
    """Blocks by label: as the prefix shows them, then as edits seen in the queue left them."""
    blocks: dict[str, str] = {}
    for page in pages:
        message = page.message
        if page.section == "core":
            found = {match["label"]: match["value"] for match in _BLOCK.finditer(message.text)}
            blocks.update(found or {"human": message.text})
        elif message.kind == "system_alert" or (message.kind == "result" and (message.name or "").startswith("core_")):
            edited = _EDITED_BLOCK.search(message.text)
            if edited and message.status == "ok" and page.section == "queue":
                blocks[edited["label"]] = edited["value"]
    return blocks


def texts(turn: Turn, core: dict[str, str], question: str) -> list[Text]:
    """All that may be quoted: what this turn's searches found, and core memory."""
    return [*_found(turn), *_core_texts(core, question)]


def _found(turn: Turn) -> list[Text]:
    """The texts that this turn's searches returned, each once; not the event itself, nor what this backend said."""
    found: dict[tuple[str, str], Text] = {}
    for call, result in turn.done:
        if call.name not in SEARCHES or result is None or result.status != "ok":
            continue
        header = HEADER.match(result.text)
        for rank, fields in enumerate(parse_page(result.text), int(header["first"]) - 1 if header else 0):
            text = _text(fields, rank, turn.event.name)
            if text is not None and plain(text.text) != plain(turn.said):
                found.setdefault((text.tier, str(fields.get("id"))), text)
    return list(found.values())


def _text(fields: dict[str, object], rank: int, asker: str | None) -> Text | None:
    tier, text, line, page = fields.get("tier"), fields.get("text"), fields.get("line"), fields.get("page")
    if not isinstance(text, str) or tier not in ("recall", "archival", "documents"):
        return None
    speaker, number = str(fields.get("from", "")), str(fields.get("id"))
    if speaker == "assistant" and (_OWN_WORDS.search(text) or any(words in text for words in _FIXED)):
        return None
    speaker = "you" if speaker == "user" or (asker and speaker == asker) else speaker
    return Text(
        _whole_sentences(text) if fields.get("cut") is True else text,
        "recall" if tier == "recall" else "archival" if tier == "archival" else "documents",
        speaker=str(fields.get("source", "")) if tier == "documents" else speaker,
        time=str(fields.get("time", "")),
        line=line if isinstance(line, int) else None,
        page=page if isinstance(page, int) else None,
        rank=rank,
        order=int(number) if number.isdecimal() else 0,
    )


def _whole_sentences(text: str) -> str:
    """A text that was cut somewhere, without its last, broken sentence; without its last word where it has but one."""
    spans = sentences.split(text)
    return text[: spans[-2].end] if len(spans) > 1 else text.rpartition(" ")[0]


def _core_texts(core: dict[str, str], question: str) -> list[Text]:
    """The lines of core memory; the persona speaks of the agent, so only where the agent is asked about."""
    addressed = re.search(r"\b(?:you|your|yourself)\b", sentences.matter(question), re.IGNORECASE) is not None
    return [
        Text(line, "core", speaker=label, order=order)
        for label, value in core.items()
        if label != "persona" or addressed
        for order, line in enumerate(value.split("\n"))
        if line.strip()
    ]


def call_id(turn: Turn, index: int) -> str:
    """Unique in the log, and the same when the step is taken again."""
    return f"x{turn.event.id}-{turn.steps}-{index}"


def plain(text: str) -> str:
    """The text as it is compared: without case, spacing and the closing mark."""
    return " ".join(text.casefold().split()).rstrip(".!")
