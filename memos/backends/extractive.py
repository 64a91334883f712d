"""The embedded default: no language model; it stores what it is told, and answers by quoting.

It takes part in the same loop through the same function calls as any model, and sees nothing but
the pages of a request, so a new process goes on with a turn where another left off. Apart from a
few fixed phrases that say what was done, every sentence it sends is a stored one, word for word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from memos.backends import sentences
from memos.backends.quotes import best_quotes
from memos.backends.reading import (
    ABOUT,
    CANNOT_FORGET,
    HEADER,
    KEPT,
    NOTHING_FOUND,
    NOTHING_IN_DOCUMENTS,
    SEARCHES,
    Turn,
    call_id,
    core_blocks,
    is_about_documents,
    plain,
    read_turn,
    texts,
)
from memos.messages import SEND_MESSAGE, Message, ToolCall, Usage, parse_object
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
STATEMENT_WORDS = 3
"""Fewer words that are no sentence are words to look up."""

_Step = tuple[str, dict[str, object]]
_APPEND, _INSERT = "core_memory_append", "archival_memory_insert"
_STORES = {_APPEND: "core memory", _INSERT: "archival memory"}
_FORGETS = frozenset({"forget", "delete", "erase", "remove"})


@dataclass(slots=True)
class _Plan:
    """What a message asks for; the same whenever it is read."""

    wished: list[str] = field(default_factory=list[str])
    """What is to be remembered on request."""
    about: list[str] = field(default_factory=list[str])
    """Statements about the speaker."""
    asked: list[str] = field(default_factory=list[str])
    """What to look for."""
    refused: str = ""
    """The answer to an order that cannot be carried out."""
    rest: str = ""
    """Where there is nothing else: what is looked up in documents all the same."""


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
        core = core_blocks(request.pages)
        plan = _plan(turn.said, is_library="search_document" in offered)
        steps = _next_calls(turn, plan, core, offered, request.max_output_tokens)
        if steps:
            calls = tuple(_call(turn, index, name, arguments, request) for index, (name, arguments) in enumerate(steps))
            thought = f"{_describe(steps)}." if request.loop == "heartbeat" else ""
            return self._reply(request, thought, calls)
        answer = _answer(turn, plan, core, request)
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


def _plan(said: str, *, is_library: bool) -> _Plan:
    plan = _sort(said)
    words = sentences.content_words(said)
    if words and not (plan.wished or plan.about or plan.asked or plan.refused or sentences.is_idle(said)):
        if len(words) < STATEMENT_WORDS and not sentences.is_whole(said.strip()):
            plan.asked.append(said)
        elif is_library:
            plan.rest = said
    return plan


def _sort(said: str) -> _Plan:
    plan = _Plan()
    wish: tuple[int, int] | None = None
    is_told = False  # the sentence before is about the speaker
    for span in sentences.split(said, max_chars=max(1, len(said))):
        sentence, was_told, is_told = said[span.start : span.end], is_told, False
        begun = sentences.wish(sentence)
        if begun is not None and wish is None:
            wish = span.start + begun[0], span.start + begun[1]
        elif sentences.is_question(sentence):
            end = sentences.statement_end(sentence)
            plan.about += [sentence[:end]] if end else []
            plan.asked.append(sentence[end:].lstrip(",;:–—- "))
        elif wish is not None and not plan.asked:
            wish = wish[0], span.end
        elif (verb := sentences.command(sentence)) is not None:
            plan.refused = CANNOT_FORGET if verb in _FORGETS else ABOUT
        elif sentences.is_about_speaker(sentence) or (was_told and sentences.goes_on(sentence)):
            plan.about.append(sentence)
            is_told = True
    if wish is not None and (content := said[wish[0] : wish[1]].strip()):
        plan.wished.append(content)
    return plan


def _next_calls(
    turn: Turn, plan: _Plan, core: dict[str, str], offered: frozenset[str], room_tokens: int
) -> list[_Step]:
    """The calls of the next step; none when it is time to answer."""
    if turn.steps == 0:
        return _stores(plan, core, offered, room_tokens) + _searches(plan, offered)
    if turn.steps > 1:
        return []
    refused = [call for call, result in turn.done if call.name == _APPEND and (result is None or result.status != "ok")]
    steps: list[_Step] = [(_INSERT, {"content": _content(call)}) for call in refused if _INSERT in offered]
    quotes = [best_quotes(question, texts(turn, core, question)) for question in _questions(plan)]
    if not all(quotes):
        steps += _further_pages(turn, "conversation_search", FURTHER_PAGES)
    if not all(found and found[0].score >= CONFIDENT_SCORE for found in quotes):
        steps += _further_pages(turn, "search_document", 1)
    return steps


def _stores(plan: _Plan, core: dict[str, str], offered: frozenset[str], room_tokens: int) -> list[_Step]:
    fresh = " ".join(text for text in plan.about if not _holds(core, text))
    steps: list[_Step] = []
    for content in (*(text for text in plan.wished if not _holds(core, text)), fresh):
        is_core = len(content) <= CORE_NOTE_CHARS and sentences.is_about_speaker(content)
        if content and is_core and _APPEND in offered:
            steps.append((_APPEND, {"label": "human", "content": content}))
        elif content and _INSERT in offered:
            steps.append((_INSERT, {"content": _fitting(content, room_tokens)}))
    return steps


def _holds(core: dict[str, str], statement: str) -> bool:
    wanted = plain(statement)
    return any(wanted in plain(value) for label, value in core.items() if label != "persona")


def _questions(plan: _Plan) -> list[str]:
    return [question[:QUERY_CHARS] for question in (*plan.asked, plan.rest) if question]


def _searches(plan: _Plan, offered: frozenset[str]) -> list[_Step]:
    steps: list[_Step] = []
    for question in _questions(plan):
        if sentences.asks_everything(question):
            continue
        names = ("search_document",) if question == plan.rest else [name for name in SEARCHES if name in offered]
        for name in names:
            forms = sentences.other_forms(question) if name == "conversation_search" else []
            steps.append((name, {"query": " ".join([question, *forms])}))
        nameless = sentences.without_names(question)
        words = sentences.content_words(nameless)
        if "search_document" in names and words and words != sentences.content_words(question):
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


def _answer(turn: Turn, plan: _Plan, core: dict[str, str], request: Request) -> str:
    parts = _reports(turn, plan, core) + [plan.refused] * bool(plan.refused)
    searched = [result for call, result in turn.done if call.name in SEARCHES]
    failed = [result for result in searched if result is not None and result.status != "ok"]
    for question in _questions(plan):
        quotes = _quotes(turn, core, question)
        if quotes:
            parts += [quote for quote in quotes if quote not in parts]
        elif failed and len(failed) == len(searched):
            parts.append(f"I could not search memory: {failed[0].text[:ECHO_CHARS]}")
        elif question != plan.rest:
            parts.append(NOTHING_IN_DOCUMENTS if is_about_documents(request.pages) else NOTHING_FOUND)
    if parts:
        return "\n\n".join(dict.fromkeys(parts))
    return KEPT if sentences.content_words(turn.said) and not sentences.is_idle(turn.said) else ABOUT


def _quotes(turn: Turn, core: dict[str, str], question: str) -> list[str]:
    if sentences.asks_everything(question):
        return [f'"{line}" — core memory, human' for line in core.get("human", "").split("\n") if line.strip()]
    return [str(quote) for quote in best_quotes(question, texts(turn, core, question))]


def _reports(turn: Turn, plan: _Plan, core: dict[str, str]) -> list[str]:
    """What became of each statement, told from this turn's calls and their results."""
    reports: dict[str, str] = {}
    for call, result in turn.done:
        if call.name in _STORES:
            reports[_content(call)] = _report(call, result, plan)
    told = plain(" ".join(reports))
    statements = [*plan.wished, *plan.about]
    held = [text for text in statements if plain(text) not in told and _holds(core, text)]
    if statements and not held and not reports:
        return ["I could not store that: no function to store it is offered."] if turn.is_whole else [KEPT]
    # When a flush took the calls out of view, core memory alone does not tell when it was stored.
    word = "Already in" if turn.is_whole else "Noted in"
    return [*(f'{word} core memory: "{text}"' for text in held), *reports.values()]


def _report(call: ToolCall, result: Message | None, plan: _Plan) -> str:
    content = _content(call)
    more = f" … ({len(content)} characters)" if len(content) > ECHO_CHARS else ""
    if result is None or result.status != "ok":
        reason = result.text[:ECHO_CHARS] if result is not None else "no result came back"
        return f'I could not store "{content[:ECHO_CHARS]}"{more}: {reason}'
    whole = (*plan.wished, " ".join(plan.about))
    is_cut = any(len(text) > max(CORE_NOTE_CHARS, len(content)) and text.startswith(content) for text in whole)
    cut = " The rest is only in the conversation's record: it is too long for one step." if is_cut else ""
    return f'Noted in {_STORES[call.name]}: "{content[:ECHO_CHARS]}"{more}{cut}'


def _content(call: ToolCall) -> str:
    return str((parse_object(call.arguments) or {}).get("content", ""))
