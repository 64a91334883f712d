"""The embedded default: no language model; it stores what it is told, and answers by quoting.

It takes part in the same loop through the same function calls as any model, and sees nothing but
the pages of a request, so a new process goes on with a turn where another left off. Apart from a
few fixed phrases that say what was done, every sentence it sends is a stored one, word for word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from memos.backends import sentences
from memos.backends.quotes import best_quotes
from memos.backends.reading import (
    ABOUT,
    HEADER,
    NOTHING_FOUND,
    SEARCHES,
    Turn,
    call_id,
    core_blocks,
    plain,
    read_turn,
    texts,
)
from memos.messages import SEND_MESSAGE, ToolCall, Usage, parse_object
from memos.ports import Delta, Reply, Request
from memos.tokens import estimate_tokens

CORE_NOTE_CHARS = 240
"""A longer note goes to archival memory; core memory is small and always in view."""
ECHO_CHARS = 400
QUERY_CHARS = 1000
FURTHER_PAGES = 3
CONFIDENT_SCORE = 0.9
"""About nine tenths of the question's weight: below it, documents are searched further."""
MAX_STEPS = 3

_Step = tuple[str, dict[str, object]]
_APPEND, _INSERT = "core_memory_append", "archival_memory_insert"
_STORES = {_APPEND: "core memory", _INSERT: "archival memory"}


@dataclass(frozen=True, slots=True)
class _Note:
    """Something to store."""

    content: str
    tool: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a message asks for."""

    notes: tuple[_Note, ...]
    held: tuple[str, ...]
    """Statements that core memory holds already."""
    question: str
    """What to look for."""
    is_asked: bool
    """Whether it was a question; else the documents are tried all the same."""
    queries: tuple[str, ...]
    """The searches to call."""


class ExtractiveBackend:
    """A backend that stores, searches and quotes."""

    spec = "extractive"
    context_tokens: int | None = None
    writes_summaries = False

    def count_tokens(self, text: str) -> int:
        """Its tokenizer is the estimate, so what it counts is exact."""
        return estimate_tokens(text)

    def count_exactly(self, text: str) -> int:
        return self.count_tokens(text)

    def complete(self, request: Request) -> Iterator[Delta | Reply]:
        """Decide the next step from what stands after the last user message; keeps no state."""
        reply = self._decide(request)
        if reply.text:
            yield Delta(text=reply.text)
        for index, call in enumerate(reply.calls):
            yield Delta(call_index=index, call_name=call.name, arguments=call.arguments)
        yield reply

    def close(self) -> None:
        """Nothing is held."""

    def _decide(self, request: Request) -> Reply:
        turn = read_turn(request.pages) if request.purpose == "turn" else None
        if turn is None or turn.steps >= MAX_STEPS:
            return self._reply(request, "", ())
        offered = frozenset(tool.name for tool in request.tools)
        plan = _plan(turn, core_blocks(request.pages, before=turn.event.id), offered)
        core = core_blocks(request.pages)
        steps = _next_calls(turn, plan, core, offered, request.max_output_tokens)
        if steps:
            calls = tuple(_call(turn, index, name, arguments, request) for index, (name, arguments) in enumerate(steps))
            thought = f"{_describe(steps)}." if request.loop == "heartbeat" else ""
            return self._reply(request, thought, calls)
        answer = _answer(turn, plan, core)
        if request.loop == "native":
            return self._reply(request, answer, ())
        return self._reply(
            request, "Answering from memory.", (_call(turn, 0, SEND_MESSAGE, {"message": answer}, request),)
        )

    def _reply(self, request: Request, text: str, calls: tuple[ToolCall, ...]) -> Reply:
        written = text + "".join(call.name + call.arguments for call in calls)
        usage = Usage(sum(page.tokens for page in request.pages), self.count_tokens(written))
        return Reply(text, calls=calls, usage=usage, finish_reason="calls" if calls else "stop")


# ---------------------------------------------------------------- deciding


def _plan(turn: Turn, core: dict[str, str], offered: frozenset[str]) -> _Plan:
    wished, about, asked = _sort(turn.said)
    held = tuple(text for text in (*wished, *about) if _holds(core, text))
    fresh = " ".join(text for text in about if text not in held)
    notes = tuple(_note(text, offered) for text in (*wished, fresh) if text and text not in held)
    question = "\n".join(asked)
    queries = tuple(name for name in SEARCHES if name in offered and question)
    if not (notes or held or question) and "search_document" in offered and sentences.content_words(turn.said):
        question, queries = turn.said, ("search_document",)
    return _Plan(notes, held, question[:QUERY_CHARS], bool(asked), queries)


def _sort(said: str) -> tuple[list[str], list[str], list[str]]:
    """What is to be remembered on request, statements about the speaker, and questions."""
    wished: list[str] = []
    about: list[str] = []
    asked: list[str] = []
    wish_start = wish_end = None
    for span in sentences.split(said, max_chars=max(1, len(said))):
        sentence = said[span.start : span.end]
        begin = sentences.wish(sentence)
        if begin is not None and wish_start is None:
            wish_start, wish_end = span.start + begin, span.end
        elif sentences.is_question(sentence):
            asked.append(sentence)
        elif wish_start is not None and not asked:
            wish_end = span.end
        elif sentences.is_about_speaker(sentence):
            about.append(sentence)
    if wish_start is not None and (content := said[wish_start:wish_end].strip()):
        wished.append(content)
    return wished, about, asked


def _note(content: str, offered: frozenset[str]) -> _Note:
    short = len(content) <= CORE_NOTE_CHARS and sentences.is_about_speaker(content)
    return _Note(content, _APPEND if short and _APPEND in offered else _INSERT)


def _holds(core: dict[str, str], statement: str) -> bool:
    wanted = plain(statement)
    return any(wanted in plain(value) for label, value in core.items() if label != "persona")


def _next_calls(
    turn: Turn, plan: _Plan, core: dict[str, str], offered: frozenset[str], room_tokens: int
) -> list[_Step]:
    """The calls of the next step; none when it is time to answer."""
    if turn.steps == 0:
        return _stores(plan, offered, room_tokens) + _searches(plan)
    if turn.steps > 1:
        return []
    refused = [call for call, result in turn.done if call.name == _APPEND and (result is None or result.status != "ok")]
    steps: list[_Step] = [(_INSERT, {"content": _content(call)}) for call in refused if _INSERT in offered]
    if plan.question:
        quotes = best_quotes(plan.question, texts(turn, core, plan.question))
        if not quotes:
            steps += _further_pages(turn, "conversation_search", FURTHER_PAGES)
        if not quotes or quotes[0].score < CONFIDENT_SCORE:
            steps += _further_pages(turn, "search_document", 1)
    return steps


def _stores(plan: _Plan, offered: frozenset[str], room_tokens: int) -> list[_Step]:
    steps: list[_Step] = []
    for note in plan.notes:
        content = _fitting(note.content, room_tokens)
        if note.tool == _APPEND:
            steps.append((_APPEND, {"label": "human", "content": content}))
        elif _INSERT in offered:
            steps.append((_INSERT, {"content": content}))
    return steps


def _searches(plan: _Plan) -> list[_Step]:
    steps: list[_Step] = [(name, {"query": plan.question}) for name in plan.queries]
    nameless = sentences.without_names(plan.question)
    words = sentences.content_words(nameless)
    if "search_document" in plan.queries and words and words != sentences.content_words(plan.question):
        # The passage that answers often calls its subject by a pronoun.
        steps.append(("search_document", {"query": nameless}))
    return steps


def _further_pages(turn: Turn, name: str, count: int) -> list[_Step]:
    """The next pages of the searches of that name: the first may hold only earlier questions, or weak passages."""
    steps: list[_Step] = []
    for call, result in turn.done:
        header = HEADER.match(result.text) if result is not None and call.name == name else None
        arguments = parse_object(call.arguments) or {}
        if header is not None and "query" in arguments:
            last = min(int(header["pages"]), 1 + count)
            steps += [(name, {"query": arguments["query"], "page": page}) for page in range(2, last + 1)]
    return steps


def _fitting(content: str, room_tokens: int) -> str:
    """As much of a text as a reply may hold; what is cut stays in recall, where the message itself is."""
    room_chars = max(CORE_NOTE_CHARS, 2 * room_tokens)
    if len(content) <= room_chars:
        return content
    ends = [span.end for span in sentences.split(content[:room_chars])]
    return content[: ends[-2]] if len(ends) > 1 else content[:room_chars]


def _call(turn: Turn, index: int, name: str, arguments: dict[str, object], request: Request) -> ToolCall:
    if request.loop == "heartbeat" and name != SEND_MESSAGE:
        arguments = {**arguments, "request_heartbeat": True}
    return ToolCall(call_id(turn, index), name, json.dumps(arguments, ensure_ascii=False))


def _describe(steps: list[_Step]) -> str:
    query = next((arguments["query"] for _, arguments in steps if "query" in arguments), None)
    stored = "Storing what was said" if any(name in _STORES for name, _ in steps) else ""
    searched = f"Searching memory for: {str(query)[:80]}" if query else ""
    return "; ".join(part for part in (stored, searched) if part)


# ---------------------------------------------------------------- answering


def _answer(turn: Turn, plan: _Plan, core: dict[str, str]) -> str:
    parts = [f'Already in core memory: "{text}"' for text in plan.held]
    parts += _reports(turn, plan)
    if plan.question:
        searched = [result for call, result in turn.done if call.name in SEARCHES]
        failed = [result for result in searched if result is not None and result.status != "ok"]
        quotes = best_quotes(plan.question, texts(turn, core, plan.question))
        if quotes:
            parts += [str(quote) for quote in quotes]
        elif failed and len(failed) == len(searched):
            parts.append(f"I could not search memory: {failed[0].text[:ECHO_CHARS]}")
        else:
            parts.append(NOTHING_FOUND if plan.is_asked else ABOUT)
    return "\n\n".join(parts) or ABOUT


def _reports(turn: Turn, plan: _Plan) -> list[str]:
    """What became of each note, told from the results."""
    reports: dict[str, str] = {}
    whole = {note.content for note in plan.notes}
    for call, result in turn.done:
        if call.name not in _STORES:
            continue
        content = _content(call)
        shown = content if len(content) <= ECHO_CHARS else content[:ECHO_CHARS]
        more = "" if shown == content else f" … ({len(content)} characters)"
        cut = "" if content in whole else " The rest is only in the conversation's record: it is too long for one step."
        if result is not None and result.status == "ok":
            reports[content] = f'Noted in {_STORES[call.name]}: "{shown}"{more}{cut}'
        else:
            reason = result.text[:ECHO_CHARS] if result is not None else "no result came back"
            reports[content] = f'I could not store "{shown}"{more}: {reason}'
    if plan.notes and not reports:
        return ["I could not store that: no function to store it is offered."]
    return list(reports.values())


def _content(call: ToolCall) -> str:
    return str((parse_object(call.arguments) or {}).get("content", ""))
