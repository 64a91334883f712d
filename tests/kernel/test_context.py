"""The compiled prompt: byte for byte, page for page, token for token."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.model import Model, call, calling, in_turn, saying

from memos import Agent, SettingsError
from memos.accept import alert, to_message
from memos.context import MESSAGE_OVERHEAD_TOKENS, Budget, MainContext, Prompt, choose_budget, render_core
from memos.events import Flushed, Login, StepFinished, UserMessage
from memos.home import Memory
from memos.messages import Message, ToolCall, ToolSchema
from memos.ports import Delta, Reply, Request
from memos.records import Block, Window
from memos.tokens import estimate_tokens

NOW = datetime(2026, 1, 2, 9, 30, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "golden"
LOOK = ToolSchema("look", "Look at a thing.", {"type": "object", "properties": {"thing": {"type": "string"}}})


def main_context(memory: Memory, limit_tokens: int = 4096) -> MainContext:
    return MainContext(
        system_prompt="You remember.",
        tools=(LOOK,),
        budget=choose_budget(limit_tokens, None),
        backend=Model(in_turn(lambda: saying("Hm."))),
        recall=memory.recall,
        state=memory.state,
        clock=memory.clock,
    )


def shown(prompt: Prompt) -> str:
    """A prompt as a file can hold it."""
    lines: list[str] = []
    for page in prompt.pages:
        lines.append(f"--- {page.section} | {page.message.role} | {page.tokens} tokens")
        lines.append(page.message.rendered)
        lines += [f"thoughts: {page.message.thoughts}"] if page.message.thoughts else []
        lines += [f"call {c.id}: {c.name} {c.arguments}" for c in page.message.calls]
    lines.append(f"--- functions | {prompt.functions_tokens} tokens")
    lines += [json.dumps([tool.name, tool.description, tool.parameters]) for tool in prompt.tools]
    return "\n".join(lines) + "\n"


def fill(memory: Memory) -> None:
    state, recall = memory.state, memory.recall
    state.add_block(Block("persona", "I am brief.", 50, "Who you are."), "test")
    state.add_block(Block("human", "", 60, 'What you know of "the user".', read_only=True), "test")
    recall.append(to_message(UserMessage("Good morning."), NOW))
    recall.append(
        Message(
            "assistant", "reply", "", NOW, calls=(ToolCall("call_send", "send_message", '{"message": "Morning!"}'),)
        )
    )
    recall.append(to_message(Login(NOW), NOW))
    recall.append(to_message(UserMessage("Look at\nthe fossil.", "Ada"), NOW))
    looked = ToolCall("call_look", "look", '{"thing": "fossil"}')
    recall.append(Message("assistant", "reply", "", NOW, thoughts="I look.", calls=(looked,)))
    recall.append(Message("tool", "result", "A trilobite.", NOW, name="look", call_id="call_look"))
    recall.append(alert("system_alert", "A document was loaded.", NOW))
    receipt = state.add_receipt(
        first_id=1, last_id=2, summary="We greeted.", replaced_id=None, freed_tokens=20, model="extractive"
    )
    newest = max(block.version for block in state.blocks())
    state.move_window(Window(5, 4, receipt.id, newest), "test")


def test_a_compiled_prompt_is_as_the_golden_file_says(memory: Memory) -> None:
    fill(memory)
    text = shown(main_context(memory).compile())
    if "UPDATE_GOLDEN" in os.environ:
        (GOLDEN / "prompt.txt").write_text(text, encoding="utf-8")
    assert text == (GOLDEN / "prompt.txt").read_text(encoding="utf-8")


def test_the_order_is_system_core_summary_pinned_queue(memory: Memory) -> None:
    fill(memory)
    pages = main_context(memory).compile().pages
    assert [page.section for page in pages[:4]] == ["system", "core", "summary", "queue"]
    assert [page.message.id for page in pages[3:]] == [4, 5, 6, 7]
    assert len({page.key for page in pages}) == len(pages)


def test_usage_adds_up(memory: Memory) -> None:
    fill(memory)
    prompt = main_context(memory).compile()
    usage = prompt.usage
    sections = (usage.system_tokens, usage.core_tokens, usage.summary_tokens, usage.queue_tokens)
    assert all(sections)
    assert sum(sections) == sum(page.tokens for page in prompt.pages)
    assert usage.used_tokens == sum(sections) + usage.functions_tokens
    assert usage.functions_tokens == prompt.functions_tokens > 0
    assert (usage.limit_tokens, usage.reserve_tokens) == (4096, 409)
    assert all(page.tokens >= estimate_tokens(page.message.rendered) + MESSAGE_OVERHEAD_TOKENS for page in prompt.pages)


def test_what_a_reply_holds_is_counted(memory: Memory) -> None:
    context = main_context(memory)
    bare = Message("assistant", "reply", "", NOW)
    sizes = [
        context.message_page(message).tokens
        for message in (
            bare,
            replace(bare, thoughts="I think."),
            replace(bare, thoughts="I think.", calls=(call("look", thing="fossil"),)),
        )
    ]
    assert sizes == sorted(set(sizes))


def test_the_prefix_is_what_the_last_request_began_with(memory: Memory) -> None:
    fill(memory)
    context = main_context(memory)
    first = context.compile()
    assert first.usage.prefix_tokens == 0
    context.sent(first)
    memory.recall.append(to_message(UserMessage("And now?"), NOW))
    assert context.compile().usage.prefix_tokens == first.usage.used_tokens
    memory.state.move_window(replace(context.window, first_id=6, pinned_id=None), "test")
    context.reload()
    head = sum(page.tokens for page in first.pages[:3])
    assert context.compile().usage.prefix_tokens == head + first.functions_tokens


def test_core_memory_is_written_back_only_when_told(memory: Memory) -> None:
    fill(memory)
    context = main_context(memory)
    before = context.compile().pages
    memory.state.edit_block("human", "Name: Ada.", "test")
    context.reload()
    assert context.compile().pages == before
    context.refresh_core()
    after = context.compile().pages
    assert "Name: Ada." in after[1].message.text
    assert after[1].key != before[1].key
    assert after[2:] == before[2:]


def sent(request: Request) -> list[tuple[object, ...]]:
    """Each page as a backend renders it, with its key."""
    return [
        (page.key, page.section, m.role, m.rendered, m.thoughts, m.calls, m.call_id, m.name)
        for page in request.pages
        for m in [page.message]
    ]


def test_between_two_flushes_each_prompt_extends_the_last() -> None:
    turns = [
        lambda: calling(call("core_memory_append", label="human", content="Likes tea.", request_heartbeat=True)),
        lambda: saying("Noted."),
        lambda: calling(call("core_memory_replace", label="human", old_content="tea", new_content="milk")),
        lambda: calling(call("no_such_function")),
        lambda: saying("Sorry. " + "word " * 60),
    ]
    model = Model(in_turn(*(turns * 40)))
    flushes = 0
    lengths: list[int] = []
    with Agent.open("ada", backend=model, context_tokens=4096) as agent:
        for number in range(30):
            for event in agent.stream(f"Message {number}."):
                flushes += isinstance(event, Flushed)
                lengths += [len(model.requests)] if isinstance(event, Flushed) else []
            if number % 7 == 3:
                agent.core["persona"].replace("brief", "brief ")
    assert flushes >= 2
    checked = 0
    for at, (earlier, later) in enumerate(zip(model.requests, model.requests[1:], strict=False), 1):
        if at in lengths:
            assert sent(earlier)[0] == sent(later)[0]
            continue
        assert sent(later)[: len(earlier.pages)] == sent(earlier)
        assert later.tools == earlier.tools
        checked += 1
    assert checked > 40


def test_prefix_tokens_of_a_step_are_the_prompt_before() -> None:
    beating = call("conversation_search", query="tea", request_heartbeat=True)
    model = Model(in_turn(lambda: calling(beating), lambda: saying("No tea.")))
    with Agent.open("ada", backend=model) as agent:
        steps = [event for event in agent.stream("Tea?") if isinstance(event, StepFinished)]
    sent = sum(page.tokens for page in model.requests[0].pages) + steps[0].context.functions_tokens
    assert steps[0].context.prefix_tokens == sent
    assert steps[1].context.prefix_tokens > sent


# ---------------------------------------------------------------- oversized messages


def sentences(count: int) -> str:
    return "\n".join(
        f"{number}. The fossil is {number} years old: it was «found» by €{number}." for number in range(count)
    )


CUT = re.compile(r"\n\[Cut here: (\d+) characters in all\. Read on with open_memory\(id=(\d+), start_char=(\d+)\)\.\]$")


def test_an_oversized_message_shows_its_head_its_size_and_how_to_read_on(memory: Memory) -> None:
    text = sentences(2_000)
    stored = memory.recall.append(to_message(UserMessage(text), NOW))
    context = main_context(memory)
    page = context.compile().pages[-1]
    assert page.tokens <= context.budget.spool_tokens
    found = CUT.search(page.message.text)
    assert found is not None
    size, message_id, start = map(int, found.groups())
    assert (size, message_id) == (len(text), stored.id)
    assert page.message.text[: found.start()] == text[:start]
    assert start > 100
    assert memory.recall.read(stored.id)[0].text == text


def test_an_oversized_reply_stays_well_formed(memory: Memory) -> None:
    long = call("archival_memory_insert", content=sentences(2_000))
    short = call("send_message", message="Hello.")
    memory.recall.append(Message("assistant", "reply", "", NOW, thoughts="hm " * 4_000, calls=(long, short)))
    context = main_context(memory)
    page = context.compile().pages[-1]
    assert page.tokens <= context.budget.spool_tokens
    assert [c.id for c in page.message.calls] == [long.id, short.id]
    assert page.message.calls[1] == short
    assert "open_memory(id=1)" in json.loads(page.message.calls[0].arguments)["cut"]


@pytest.mark.parametrize("limit_tokens", [8192, 32_768])
@pytest.mark.parametrize("text", [sentences(2_500), "三葉虫の化石を集めています。" * 2_000, "\N{SNAIL}" * 9_000])
def test_open_memory_pages_through_the_whole_text(
    text: str, limit_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Following the calls that the prompt and the results name reads every character, in order."""
    monkeypatch.setenv("MEMOS_MAX_STEPS", "10000")
    read: list[str] = []

    def answer(request: Request) -> Iterator[Delta | Reply]:
        woken_by = ("user_message", "result")  # a pressure alert may stand behind them
        message = next(page.message for page in reversed(request.pages) if page.message.kind in woken_by)
        cut = CUT.search(message.text)
        if message.kind == "user_message":
            assert cut is not None
            read.append(message.text[: cut.start()])
            start = int(cut[3])
        elif message.kind == "result" and message.name == "open_memory":
            assert cut is None, "a result of open_memory is itself cut"
            header, _, body = message.text.partition("\n")
            more = re.search(r"Read on with start_char=(\d+)", header)
            read.append(body)
            if more is None:
                return saying("Read.")
            start = int(more[1])
        else:
            return calling()
        return calling(call("open_memory", id=1, start_char=start, request_heartbeat=True))

    with Agent.open("ada", backend=Model(answer), context_tokens=limit_tokens) as agent:
        turn = agent.send(text)
    assert turn.reply == "Read."
    assert "".join(read) == text


@pytest.mark.parametrize("limit_tokens", [2048, 4096, 16_384])
def test_the_call_that_reads_on_is_one_the_model_has(limit_tokens: int) -> None:
    model = Model(in_turn(lambda: saying("Long.")))
    with Agent.open("ada", backend=model, context_tokens=limit_tokens) as agent:
        agent.send(sentences(3_000))
    named = re.search(r"Read on with (\w+)\(", model.requests[0].pages[-1].message.text)
    assert named is not None
    assert named[1] in [tool.name for tool in model.requests[0].tools]


def test_cut_arguments_can_be_read_on() -> None:
    """A reply's cut arguments name a call; what that call shows holds them."""
    secret = "The key lies under the third stone."
    inserting = call("archival_memory_insert", content=f"{secret} {sentences(400)}")
    opening = call("open_memory", id=2, request_heartbeat=True)
    model = Model(in_turn(lambda: calling(inserting), lambda: calling(opening), lambda: saying("Read.")))
    with Agent.open("bea", backend=model, context_tokens=16_384) as agent:
        agent.send("Store the long text.")
        turn = agent.send("Where is the key?")
    assert secret in turn.tool_calls[0].result


# ---------------------------------------------------------------- core, budget


def test_core_memory_is_rendered_with_labels_limits_and_descriptions() -> None:
    blocks = (Block("persona", "I am brief.", 50, 'Who "you" are.'), Block("human", "", 60, read_only=True))
    assert render_core(blocks) == (
        "Core memory. Edits shown later in the conversation override what stands here.\n"
        '<persona limit_tokens=50 description="Who \\"you\\" are.">\nI am brief.\n</persona>\n'
        "<human limit_tokens=60 read_only>\n</human>"
    )


def test_the_reserve_is_a_tenth_of_the_window_at_most_4096() -> None:
    assert choose_budget(8192, None) == Budget(8192, 819, 1843)
    assert choose_budget(200_000, None).reserve_tokens == 4096
    assert choose_budget(8192, 300).available_tokens == 7892
    with pytest.raises(SettingsError, match=r"output_reserve_tokens \(3000\).*lower it"):
        choose_budget(4096, 3000)


def tool_called(name: str) -> Callable[..., object]:
    def tool(number: int) -> str:
        """Do a thing that takes a long description, of more than a few words."""
        return str(number)

    tool.__name__ = name
    return tool


def test_a_window_too_small_for_its_fixed_parts_is_refused_in_one_line() -> None:
    functions = [tool_called(f"tool_{number}") for number in range(60)]
    with pytest.raises(SettingsError, match=r"too small: system prompt \d+, functions \d+, core memory") as caught:
        Agent.open("ada", backend=Model(in_turn(lambda: saying("x"))), context_tokens=4096, tools=functions)
    assert "\n" not in str(caught.value)
    assert "context_tokens" in str(caught.value)
    assert "fewer tools" in str(caught.value)
