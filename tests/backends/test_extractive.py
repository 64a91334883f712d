"""The embedded backend: what it searches, what it answers, and how it ends a turn."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.conversation import ALL_TOOLS, NOW, Answers, Conversation, passage, said

from memos.backends.extractive import ExtractiveBackend
from memos.backends.reading import ABOUT, NOTHING_FOUND
from memos.hits import Hit
from memos.messages import Message
from memos.ports import Reply, Request

ADA = "My name is Ada and I collect trilobites."


# ---------------------------------------------------------------- asking


@pytest.mark.parametrize(
    "question",
    [
        "What do I collect?",
        "what do i collect",
        "Tell me what I collect.",
        "Do you remember what I collect?",
        "please find my collection",
        "私は何を集めていますか？",
        "ماذا أجمع؟",
        "Τι μαζεύω;",
        "¿Qué colecciono?",
    ],
)
def test_a_question_searches_what_is_offered(question: str) -> None:
    chat = Conversation(tools=ALL_TOOLS)
    assert chat.send(question) == NOTHING_FOUND
    first = [(name, arguments["query"]) for name, arguments in chat.called() if name != "send_message"]
    for name in ("conversation_search", "archival_memory_search", "search_document"):
        assert (name, question) in first
    assert all(arguments["request_heartbeat"] is True for name, arguments in chat.called() if name != "send_message")
    without = Conversation()
    without.send(question)
    assert "search_document" not in dict(without.called())


def test_the_answer_quotes_recall_with_speaker_and_time() -> None:
    chat = Conversation(
        finds={"conversation_search": [said("What do I collect?"), said("It is raining.", 2), said(ADA, 3)]}
    )
    assert chat.send("What do I collect?") == f'"{ADA}" — you, 2026-11-20 10:35'


def test_the_answer_may_come_from_core_memory_alone() -> None:
    chat = Conversation(core=ADA)
    assert chat.send("What do I collect?") == f'"{ADA}" — core memory, human'


def test_the_persona_is_quoted_only_when_the_agent_is_meant() -> None:
    assert Conversation().send("Am I a helpful fossil?") == NOTHING_FOUND
    assert Conversation().send("Are you a fossil?") == '"I am a helpful fossil." — core memory, persona'


def test_questions_and_own_answers_are_no_evidence() -> None:
    own = [
        f'"{ADA}" — you, 2026-11-19 10:35',
        f'Noted in core memory: "{ADA}"',
        f'Already in core memory: "{ADA}"',
        NOTHING_FOUND,
        ABOUT,
    ]
    hits = [said(text, n, "assistant") for n, text in enumerate(own)] + [said("tell me what I collect", 9)]
    assert Conversation(finds={"conversation_search": hits}).send("What do I collect?") == NOTHING_FOUND


def test_another_models_reply_may_be_quoted() -> None:
    hits = [said("Your train to Milan leaves at 9:14.", 1, "assistant")]
    answer = Conversation(finds={"conversation_search": hits}).send("When does my train leave?")
    assert answer == '"Your train to Milan leaves at 9:14." — assistant, 2026-11-20 10:37'


def test_further_pages_are_read_when_the_first_holds_only_questions() -> None:
    hits = [said("What do I collect?", n) for n in range(5)] + [said(ADA, 7)]
    chat = Conversation(finds={"conversation_search": hits})
    assert chat.send("What do I collect?") == f'"{ADA}" — you, 2026-11-20 10:31'
    assert len(chat.steps) == 3


def test_a_statement_and_a_question_in_one_message() -> None:
    chat = Conversation(finds={"conversation_search": [said("My sister is Eva.", 2)]})
    answer = chat.send("I live in Turin. Who is my sister?")
    assert answer == 'Noted in core memory: "I live in Turin."\n\n"My sister is Eva." — you, 2026-11-20 10:36'
    assert len(chat.steps) == 2


@pytest.mark.parametrize(
    ("fact", "question"),
    [
        ("I live in Utrecht.", "Where do I live, by the way?"),
        ("I live in Utrecht.", "Tell me, where do I live"),
        ("I live in Utrecht.", "Where do I currently live?"),
        ("My laptop is a ThinkPad.", "what's my laptop again?"),
        ("I speak Dutch and Portuguese.", "Which languages do I speak?"),
        ("I play the harp.", "Which instrument do I play?"),
        ("My rent is 950 euros a month.", "How much rent do I pay?"),
        ("I bought a red bicycle.", "What did I buy?"),
        ("I went to Lisbon in May.", "When did I go to Lisbon?"),
        ("My favourite tea is oolong.", "What is my favorite tea?"),
        ("I don't drink coffee.", "Do I drink coffee?"),
        ("I hate coriander.", "Do you remember which herb I hate?"),
        ("My name is Ada.", "Do you remember my name?"),
    ],
)
def test_a_fact_is_found_in_other_words_than_it_was_told(fact: str, question: str) -> None:
    assert Conversation(core=fact).send(question) == f'"{fact}" — core memory, human'


@pytest.mark.parametrize("question", ["What is my name?", "Do you remember my name?", "What's 2+2?", "x"])
def test_a_personal_or_empty_question_is_not_answered_from_elsewhere(question: str) -> None:
    found = [passage("My boyfriend named James has 2 names and x.")]
    chat = Conversation(tools=ALL_TOOLS, core="We named our daughter Wren.", finds={"search_document": found})
    assert chat.send(question) == NOTHING_FOUND


def test_of_facts_that_answer_equally_well_the_newest_comes_first() -> None:
    hits = [said("I live in Oslo.", 9), said("Since May I live in Rome.", 2)]
    answer = Conversation(core="I live in Oslo.", finds={"conversation_search": hits}).send("Where do I live?")
    assert answer == '"Since May I live in Rome." — you, 2026-11-20 10:36\n\n"I live in Oslo." — you, 2026-11-20 10:29'


@pytest.mark.parametrize("question", ["Tell me everything you know about me.", "What do you know about me?"])
def test_all_that_is_known_is_every_line_of_core_memory(question: str) -> None:
    answer = Conversation(core="I live in Oslo.\nLikes tea.\nHas a cat.\nWorks.").send(question)
    assert answer is not None
    assert [line.split('"')[1] for line in answer.split("\n\n")] == [
        "I live in Oslo.",
        "Likes tea.",
        "Has a cat.",
        "Works.",
    ]
    assert Conversation().send(question) == NOTHING_FOUND


def test_a_search_by_words_is_told_the_irregular_forms() -> None:
    chat = Conversation()
    chat.send("What did I buy?")
    assert dict(chat.called())["conversation_search"]["query"] == "What did I buy? bought"


def test_two_questions_get_two_answers() -> None:
    answer = Conversation(core="I live in Oslo.\nMy cat is Tom.").send("Where do I live? Who is my cat?")
    assert answer == '"I live in Oslo." — core memory, human\n\n"My cat is Tom." — core memory, human'


def test_irregular_sentences_of_the_question_alone_answer_nothing() -> None:
    hits = [said("Collect!", 1), said("The fossil shop opens at nine.", 2)]
    assert Conversation(finds={"conversation_search": hits}).send("What stamps do I collect?") == NOTHING_FOUND


def test_a_word_that_only_names_the_kind_of_answer_need_not_occur() -> None:
    answer = Conversation(core="My sister Eva lives in Rome.").send("What is my sister's name?")
    assert answer == '"My sister Eva lives in Rome." — core memory, human'


@pytest.mark.parametrize(
    ("core", "question"),
    [
        ("My favourite food is pizza.", "What is my favourite colour?"),
        ("Tom likes tea. Ann likes cake.", "What does Bob like?"),
        ("Thanks for the tip about cakes, Ann.", "What does Ann study?"),
        ("I was in Paris with Tom.", "When did Ann go to Oslo?"),
    ],
)
def test_what_merely_resembles_is_not_an_answer(core: str, question: str) -> None:
    assert Conversation(core=core).send(question) == NOTHING_FOUND


def test_of_several_facts_the_asked_one_comes_first() -> None:
    core = "I live in Turin.\nI work in Milan.\nMy brother lives in Oslo.\nI was born in 1990."
    for question, wanted in [
        ("Where do I work?", "I work in Milan."),
        ("Where does my brother live?", "My brother lives in Oslo."),
        ("When was I born?", "I was born in 1990."),
    ]:
        answer = Conversation(core=core).send(question)
        assert answer is not None
        assert answer.startswith(f'"{wanted}"')


def test_a_speaker_known_by_name() -> None:
    hits = [said("I adopted a dog called Rex.", 1, "user", "Caroline"), said("Dogs are nice.", 2, "user", "Melanie")]
    answer = Conversation(finds={"conversation_search": hits}).send("Which dog did Caroline adopt?")
    assert answer is not None
    assert answer.startswith('"I adopted a dog called Rex." — Caroline, ')


def test_a_failed_search_does_not_stop_the_others() -> None:
    finds: Answers = {
        "conversation_search": "Failed: broken.",
        "archival_memory_search": [Hit("archival", "a", ADA, 1.0, NOW)],
    }
    assert Conversation(finds=finds).send("What do I collect?") == f'"{ADA}" — archival memory, 2026-11-20 10:38'


def test_when_every_search_fails_it_says_so() -> None:
    finds: Answers = {"conversation_search": "Failed: broken.", "archival_memory_search": "Failed: broken."}
    assert Conversation(finds=finds).send("What do I collect?") == "I could not search memory: Failed: broken."


def test_a_broken_result_is_no_obstacle() -> None:
    broken = 'Results 1-2 of 2 (page 1 of 1).\n{"tier": "recall", "text": 5}\n{broken\n' + json.dumps(
        {"tier": "recall", "id": "1", "from": "user", "text": ADA}
    )
    chat = Conversation(finds={"conversation_search": broken})
    assert chat.send("What do I collect?") == f'"{ADA}" — you'


# ---------------------------------------------------------------- the loop


def test_events_with_nothing_to_do_yield() -> None:
    chat = Conversation()
    assert chat.send("The user opened a session.", kind="login") is None
    chat.send("hello")
    assert chat.send("The user opened a session.", kind="login") is None
    assert chat.steps[-1] == replace(Reply(), usage=chat.steps[-1].usage)


def test_a_heartbeat_or_alert_within_a_turn_does_not_hide_its_question() -> None:
    chat = Conversation()
    chat.append(Message("user", "user_message", "What do I collect?", NOW))
    chat.append(Message("user", "pressure", "Memory pressure.", NOW))
    assert {call.name for call in chat.step().calls} == {"conversation_search", "archival_memory_search"}


def test_an_interrupted_question_is_let_go() -> None:
    chat = Conversation()
    chat.append(Message("user", "user_message", "What do I collect?", NOW))
    chat.append(Message("user", "interrupt", "The user interrupted you.", NOW))
    assert chat.send("The user opened a session.", kind="login") is None


def test_native_mode_answers_in_plain_text() -> None:
    chat = Conversation(loop="native", core=ADA)
    assert chat.send("What do I collect?") == f'"{ADA}" — core memory, human'
    assert [reply.text for reply in chat.steps[:-1]] == [""]
    assert all("request_heartbeat" not in arguments for _, arguments in chat.called())
    assert chat.steps[-1].calls == ()


def test_usage_counts_prompt_and_reply() -> None:
    chat = Conversation(core=ADA)
    chat.send("What do I collect?")
    assert chat.steps[0].usage.prompt_tokens == 60
    assert chat.steps[0].usage.completion_tokens > 10


def test_steps_are_counted_even_when_a_flush_took_the_first_ones() -> None:
    hits = [said("What do I collect?", n) for n in range(12)]
    chat = Conversation(finds={"conversation_search": hits})
    chat.append(Message("user", "user_message", "What do I collect?", NOW))
    for _ in range(2):
        reply = chat.step()
        chat.append(Message("assistant", "reply", "", NOW, calls=reply.calls))
        for call in reply.calls:
            chat.append(chat.result(call))
    second = next(n for n, message in enumerate(chat.log) if message.calls == chat.steps[1].calls)
    chat.log[1:second] = []
    assert [call.name for call in chat.step().calls] == ["send_message"]


def test_call_ids_are_unique_in_a_log() -> None:
    chat = Conversation(tools=ALL_TOOLS)
    chat.send("What does Ada collect?")
    chat.send("What does Ada collect?")
    ids = [call.id for message in chat.log for call in message.calls]
    assert len(ids) == len(set(ids))


def test_it_is_what_it_says_it_is() -> None:
    backend = ExtractiveBackend()
    assert (backend.spec, backend.context_tokens, backend.writes_summaries) == ("extractive", None, False)
    assert backend.count_tokens("three small words") >= 3
    request = Request(Conversation().pages(), (), 100, purpose="summary")
    (reply,) = backend.complete(request)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.calls) == ("", ())
    backend.close()
