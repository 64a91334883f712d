"""The embedded backend stores: what counts as a fact, where it goes, and what it says it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.conversation import NOW, Conversation

from memos import Agent
from memos.backends.reading import ABOUT, CANNOT_FORGET, KEPT, NOTHING_FOUND
from memos.messages import Message, ToolCall, sent_text

ADA = "My name is Ada and I collect trilobites."


@pytest.mark.parametrize(
    "statement",
    [ADA, "I live in Turin", "my sister's birthday is 4 May", "Hello, I'm Ada.", "Yesterday I bought a trilobite!"],
)
def test_a_statement_about_the_user_goes_to_core_memory_as_said(statement: str) -> None:
    chat = Conversation()
    answer = chat.send(statement)
    name, arguments = chat.called()[0]
    assert (name, arguments) == (
        "core_memory_append",
        {"label": "human", "content": statement, "request_heartbeat": True},
    )
    assert answer == f'Noted in core memory: "{statement}"'
    assert len(chat.steps) == 2


def test_only_the_sentences_about_the_user_are_stored() -> None:
    chat = Conversation()
    chat.send("Hello there! I am Ada. The weather is fine. My cat is called Tom.")
    assert chat.called()[0][1]["content"] == "I am Ada. My cat is called Tom."


@pytest.mark.parametrize(
    ("wish", "content", "tool"),
    [
        ("Remember that the gate code is 4417.", "the gate code is 4417.", "archival_memory_insert"),
        ("note: water boils at 100 °C", "water boils at 100 °C", "archival_memory_insert"),
        ("Please keep in mind that I am allergic to nuts.", "I am allergic to nuts.", "core_memory_append"),
        ("Could you remember my PIN hint is blue?", "my PIN hint is blue", "core_memory_append"),
        ("Can you remember that the meeting is at 5?", "the meeting is at 5", "archival_memory_insert"),
        ("I'd like you to remember that Bob is tall.", "Bob is tall.", "archival_memory_insert"),
        ("Don't forget the milk", "the milk", "archival_memory_insert"),
        ("Remember this: A is one. B is two.", "A is one. B is two.", "archival_memory_insert"),
    ],
)
def test_a_wish_to_remember_is_granted(wish: str, content: str, tool: str) -> None:
    chat = Conversation()
    answer = chat.send(wish)
    assert chat.called()[0][0] == tool
    assert chat.called()[0][1]["content"] == content
    assert answer is not None
    assert answer.startswith("Noted in ")
    assert content in answer


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("I have two cats, do you like cats?", "I have two cats"),
        (
            "My boss is Mr. Tanaka. He hates meetings before ten.",
            "My boss is Mr. Tanaka. He hates meetings before ten.",
        ),
        ("Saw my doctor today.", "Saw my doctor today."),
        ("Yesterday my dog died.", "Yesterday my dog died."),
    ],
)
def test_what_belongs_to_a_statement_is_stored_with_it(text: str, content: str) -> None:
    chat = Conversation()
    chat.send(text)
    assert chat.called()[0][1]["content"] == content


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ("Forget that I live in Oslo.", CANNOT_FORGET),
        ("please delete my address", CANNOT_FORGET),
        ("Summarize our conversation.", ABOUT),
        ("Write me a poem about my cat.", ABOUT),
    ],
)
def test_an_order_is_no_fact(order: str, answer: str) -> None:
    chat = Conversation()
    assert chat.send(order) == answer
    assert [name for name, _ in chat.called()] == ["send_message"]


@pytest.mark.parametrize("question", ["Can you remember my name?", "Could you remember where I live?"])
def test_a_question_what_is_remembered_is_no_wish(question: str) -> None:
    chat = Conversation()
    assert chat.send(question) == NOTHING_FOUND
    assert "archival_memory_insert" not in dict(chat.called())


@pytest.mark.parametrize(
    "statement",
    ["Tom owes me 50 euros", "The spare key is under the blue flowerpot", "It rains.", "私の名前はエイダです"],
)
def test_what_is_not_about_the_user_is_said_to_be_kept_in_the_conversation(statement: str) -> None:
    chat = Conversation()
    assert chat.send(statement) == KEPT
    assert len(chat.steps) == 1


def test_a_flush_between_storing_and_replying_changes_nothing_of_the_reply() -> None:
    chat = Conversation()
    chat.append(Message("user", "user_message", ADA, NOW))
    reply = chat.step()
    chat.append(Message("assistant", "reply", "", NOW, calls=reply.calls))
    chat.append(chat.result(reply.calls[0]))
    chat.core = ADA
    assert sent_text(chat.step().calls[0]) == f'Noted in core memory: "{ADA}"'


def test_a_flush_that_took_the_storing_call_leaves_a_true_reply() -> None:
    chat = Conversation(core=ADA)
    chat.append(Message("user", "user_message", f"{ADA} What is my shoe size?", NOW))
    search = ToolCall("x1-1-0", "conversation_search", json.dumps({"query": "shoe size", "page": 2}))
    chat.append(Message("assistant", "reply", "", NOW, calls=(search,)))
    chat.append(chat.result(search))
    assert sent_text(chat.step().calls[0]) == f'Noted in core memory: "{ADA}"\n\n{NOTHING_FOUND}'


def test_no_reply_of_a_small_window_calls_a_new_fact_old(home: Path) -> None:
    with Agent.open("ada", model="extractive", home=home, context_tokens=2048) as agent:
        for n in range(60):
            fact = (
                f"My friend number {n} collects {n * 7} old coins and plays the {'cello' if n % 2 else 'harp'} in town."
            )
            reply = agent.send(fact).reply
            assert reply.startswith("Noted in ")
            assert "Already" not in reply
            assert "too long" not in reply
        assert len(agent.receipts()) > 3


def test_a_long_statement_goes_to_archival_memory() -> None:
    statement = "I collect " + ", ".join(f"fossil number {n}" for n in range(40)) + "."
    chat = Conversation()
    answer = chat.send(statement)
    assert chat.called()[0] == ("archival_memory_insert", {"content": statement, "request_heartbeat": True})
    assert answer is not None
    assert answer.startswith('Noted in archival memory: "I collect')


def test_a_text_too_long_for_one_reply_is_cut_and_said_to_be() -> None:
    chat = Conversation(max_output_tokens=200)
    text = "Remember this: " + "The sea is deep and cold. " * 200
    answer = chat.send(text)
    content = str(chat.called()[0][1]["content"])
    assert content in text
    assert 200 <= len(content) <= 400
    assert answer is not None
    assert "too long" in answer


def test_full_core_memory_overflows_into_archival_memory() -> None:
    chat = Conversation(finds={"core_memory_append": "Failed: the block is full."})
    assert chat.send(ADA) == f'Noted in archival memory: "{ADA}"'
    assert [name for name, _ in chat.called()] == ["core_memory_append", "archival_memory_insert", "send_message"]


def test_storing_that_fails_everywhere_is_admitted() -> None:
    chat = Conversation(finds={"core_memory_append": "Failed: full.", "archival_memory_insert": "Failed: no room."})
    answer = chat.send(ADA)
    assert answer == f'I could not store "{ADA}": Failed: no room.'
    assert len(chat.steps) == 3


def test_no_function_to_store_is_admitted() -> None:
    answer = Conversation(tools=("send_message",)).send(ADA)
    assert answer is not None
    assert answer.startswith("I could not store")


def test_what_core_memory_holds_is_not_stored_twice() -> None:
    chat = Conversation(core=f"{ADA}\nLives in Turin.")
    assert chat.send("my name is Ada, and I collect  trilobites".replace(",", "")) is not None
    assert [name for name, _ in chat.called()] == ["send_message"]
    assert chat.send(ADA) == f'Already in core memory: "{ADA}"'


def test_an_edit_seen_in_the_queue_counts_as_held() -> None:
    chat = Conversation()
    chat.send(ADA)
    assert chat.send(ADA) == f'Already in core memory: "{ADA}"'


@pytest.mark.parametrize(
    "talk", ["hello", "Thanks!", "Hi there", "", "  ", "👍", "I don't understand you.", "I think so."]
)
def test_small_talk_gets_one_honest_line(talk: str) -> None:
    chat = Conversation()
    assert chat.send(talk) == ABOUT
    assert len(chat.steps) == 1
