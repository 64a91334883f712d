"""Sentences: where they begin and end, the words that carry them, and what kind they are.

Splitting keeps offsets, so that a sentence is always a verbatim slice of its text. The kinds
(question, wish to remember, statement about the speaker) are told by their first words, in English;
a question mark of any script is understood too. Knows nothing of memory or models.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

MAX_SENTENCE_CHARS = 500
"""Text without any full stop is taken apart at spaces, at the latest here."""
SHORT_LINE_CHARS = 32
"""A line this short was ended on purpose; a longer one may have been wrapped."""


class Span(NamedTuple):
    """A slice of a text."""

    start: int
    end: int
    paragraph: int
    """Blank lines and lists part paragraphs; spans of one paragraph may be quoted together."""


_END = re.compile(
    r"(?P<stop>[.!?…؟።፧।]+[\"'”’»)\]_*]{0,4}(?=\s|$))"
    r"|(?P<wide>[。！？｡]+[」』”’）]{0,4})"
    r"|(?P<newlines>\n\s*)"
)
_LEFT_BEHIND = re.compile(r"(?:\s|[”’»](?=\s))+")
"""Space, and the closing mark of a sentence that stands in the passage before."""
_BULLET = re.compile(r"(?:[-*•–#|]|\d{1,3}[.)])\s")
_CLOSED = re.compile(r"[.!?…؟။፧।。！？｡][\"'”’»)\]_*」』）]*$")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘])(?:mr|mrs|ms|mme|dr|st|prof|capt|col|gen|lt|rev|hon|sr|jr|vs|vol|fig|no|pp?|cf|ca|approx"
    r"|[A-HJ-Z]|\w(?:\.\w)+)$",
    re.IGNORECASE,
)


def split(text: str, max_chars: int = MAX_SENTENCE_CHARS) -> list[Span]:
    """The sentences of a text, in order; each holds at least one letter or digit."""
    spans: list[Span] = []
    start = line_start = paragraph = 0
    for match in _END.finditer(text):
        if match.lastgroup == "newlines":
            gap = match.group().count("\n") > 1 or _BULLET.match(text, match.end()) is not None
            ends = gap or match.start() - line_start < SHORT_LINE_CHARS
            line_start = match.end()
        else:
            gap, ends = False, match.lastgroup == "wide" or _ends_sentence(text, match)
        if ends:
            _add(spans, text, Span(start, match.end(), paragraph), max_chars)
            start = match.end()
        paragraph += gap
    _add(spans, text, Span(start, len(text), paragraph), max_chars)
    return spans


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    following = text[match.end() : match.end() + 8].lstrip()[:1]
    mark = match.group()
    if mark == ".":
        return _ABBREVIATION.search(text, max(0, match.start() - 12), match.start()) is None
    closes_speech = mark[-1] not in ".!?…؟።፧।"
    return not (following.islower() and (closes_speech or mark.startswith(("..", "…"))))


def is_whole(sentence: str) -> bool:
    """Whether it is a sentence of prose, not a heading, a list's label or a piece of one that was cut."""
    return not sentence[0].islower() and sentence[0] not in "#|" and _CLOSED.search(sentence) is not None


def _add(spans: list[Span], text: str, span: Span, max_chars: int) -> None:
    """Take the span in, without the space around it and in pieces of at most `max_chars`."""
    start, end, paragraph = span
    while start < end:
        stop = end
        if end - start > max_chars:
            space = text.rfind(" ", start + max_chars // 2, start + max_chars)
            stop = space if space > 0 else start + max_chars
        piece = text[start:stop].rstrip()
        if any(character.isalnum() for character in piece):
            left_behind = _LEFT_BEHIND.match(piece)
            spans.append(Span(start + (left_behind.end() if left_behind else 0), start + len(piece), paragraph))
        start = stop


# ---------------------------------------------------------------- words

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_STOP_WORD_LIST = """
    a about actually after again all also am an and any anything are as asked at be because been before being but by
    bye can could d did do does doing don done everything find for from get give had has have having he hello her
    here hers hey hi him his how i if in into is it its just know list ll look m many me might mine more most much
    must my no not now of off ok okay on one or our ours out over own please quote re recall remember s said say
    search shall she should show so some something still such t tell than thank thanks that the their theirs them
    then there these they think this those to too up us ve very was we were what when where which while who whom
    whose why will with would you your yours
"""
_STOP_WORDS = frozenset(_STOP_WORD_LIST.split())
_IRREGULAR_VERBS = """
    become became, begin began begun, break broke broken, bring brought, build built, buy bought, catch caught,
    choose chose chosen, come came, drink drank drunk, drive drove driven, eat ate eaten, fall fell fallen, feel felt,
    fly flew flown, forget forgot forgotten, give gave given, go goes going went gone, grow grew grown, hear heard,
    hold held, keep kept, know knew known, leave left, lend lent, lose lost, make made, meet met, pay paid,
    ride rode ridden, run ran, see saw seen, sell sold, send sent, sing sang sung, sit sat, sleep slept,
    speak spoke spoken, spend spent, stand stood, steal stole stolen, swim swam swum, take took taken, teach taught,
    tell told, think thought, throw threw thrown, wear wore worn, win won, write wrote written
"""
_VERBS = [forms.split() for forms in _IRREGULAR_VERBS.split(",")]
_BASES = {form: verb[0] for verb in _VERBS for form in verb}
_BRITISH = re.compile(r"(?<=[a-z][bdlmnv])our")
_SUFFIXES = ("ing", "ion", "ed", "ly", "s")


def content_words(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order; ideographs as pairs."""
    found: list[str] = []
    for match in _WORD.finditer(text):
        word = match.group()
        if _IDEOGRAPHS.search(word):
            found += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
            continue
        bare = _fold(re.split(r"['’]", word)[0])
        bare = _BASES.get(bare, bare)
        if bare not in _STOP_WORDS:
            found.append(stem(bare))
    return found


def other_forms(text: str) -> list[str]:
    """Forms of its irregular verbs that a search by regular endings would miss."""
    words = {word.lower() for word in _WORD.findall(text)}
    bases = {_BASES[word] for word in words & _BASES.keys()} - _STOP_WORDS
    return [form for verb in _VERBS if verb[0] in bases for form in verb if form not in words]


def _fold(word: str) -> str:
    """Without case and accents, as searches compare words."""
    if word.isascii():
        return word.lower()
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))


def stem(word: str) -> str:
    """A word without its commonest English endings: equal for lives, lived and living, colour and color."""
    if not word.isascii() or not word.isalpha():
        return word
    word = _BRITISH.sub("or", word)
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    for suffix in _SUFFIXES:
        base = word[: -len(suffix)]
        if word.endswith(suffix) and len(base) >= 3 and not (suffix == "s" and base[-1] in "su"):
            word = base
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    if len(word) > 3 and word[-1] == "e":
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 2 and word[-1] == "y" else word


def names(text: str) -> set[str]:
    """Stems of the capitalised words that do not open a sentence: names, most likely."""
    found: set[str] = set()
    for match in _WORD.finditer(text):
        before = text[: match.start()].rstrip(" \"'“”‘’(_—\n")[-1:]
        if match.group()[0].isupper() and before not in ("", ".", "!", "?", ":"):
            found.update(content_words(match.group()))
    return found


def without_names(text: str) -> str:
    """The text's words but for its names."""
    left_out = names(text)
    return " ".join(word for word in _WORD.findall(text) if not left_out.intersection(content_words(word)))


# ---------------------------------------------------------------- kinds

_LEAD = (
    r"^\W*(?:(?:hi|hello|hey|well|ok|okay|yes|no|so|and|but|also|btw|by the way|actually|please|then|now|thanks)"
    r"[,!.:]?\s+){0,3}"
)
_SUBJECT = r"(?:i|you|he|she|it|we|they)\b"
_ASKS = re.compile(
    _LEAD + rf"(?:(?:who|whom|whose|what|when|where|which|why|how)(?:'s|’s)?\b(?!\s+{_SUBJECT})"
    rf"|(?:have|had|may|might|shall|am)\s+{_SUBJECT}"
    rf"|(?:is|are|was|were|do|does|did|can|could|will|would|should|has)\s+(?:{_SUBJECT}|(?:there|the|a|an|any|my|your"
    r"|his|her|our|their|this|that|these|those)\b)"
    r"|(?:tell|show|give)\s+(?:me|us)\b|(?:find|search|list|quote|describe|explain|look\s+up)\b"
    r"|remind\s+me\s+(?:who|what|when|where|which|why|how|of|about)\b"
    r"|i(?:'d|’d|\s+would)?\s+(?:(?:want|like|need)\s+to\s+know|wonder)\b|do\s+you\s+know\b)",
    re.IGNORECASE,
)
_POLITE = r"(?:can|could|would|will)\s+you|i(?:['’]d|\s+would)?\s+(?:like|want)\s+you\s+to"
_WISH = re.compile(
    _LEAD + rf"(?:(?P<polite>{_POLITE})\s+(?:please\s+)?)?"
    r"(?P<verb>remember|note|take\s+note|make\s+a\s+note|keep\s+in\s+mind|(?:don'?t|don’t|do\s+not|never)\s+forget"
    r"|memori[sz]e|save|store|write\s+down|remind\s+me)\b(?:\s+(?:of\s+)?this)?(?P<that>\s*[:,]|\s+that\b)?\s*",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"\b(?:is|are|was|were|am|has|have|had|will|can|must)\b|['’](?:s|m|re|ve|ll)\b", re.IGNORECASE)
_CHOICE = re.compile(r"\W*(?:who|whom|whose|what|when|where|which|why|how|if|whether)\b", re.IGNORECASE)
_COMMAND = re.compile(
    _LEAD
    + r"(?P<verb>[a-z]{2,}(?<!ly)(?<!ing)(?<!ed))\s+(?:me|us|my|our|your|this|that|these|it|him|her|them|the|an?|all"
    r"|any|every\w*|what|who|where|when|why|how)\b",
    re.IGNORECASE,
)
_NO_COMMAND_LIST = """
    although during every last like maybe next often once perhaps since sometimes though today tomorrow tonight unless
    unlike until usually without yesterday
"""
_NO_COMMANDS = frozenset(_NO_COMMAND_LIST.split()) | _STOP_WORDS
_PRONOUN = re.compile(r"\W*(?:he|she|it|they|his|her|hers|its|their|this|that|these|those)\b", re.IGNORECASE)
_TURN_TO_ASKING = re.compile(r"[,;:–—-]\s+(?=\w)")
_FRAME = re.compile(
    r"\b(?:(?:can|could|would|will|do)\s+you\s+(?:(?:still|please|happen\s+to)\s+)*"
    r"(?:know|recall|remember|(?:tell|remind|show)\s+(?:me|us))"
    r"|(?:tell|show|give|remind)\s+(?:me|us)|by\s+the\s+way|btw|please)\b[,:]?",
    re.IGNORECASE,
)
_EVERYTHING = re.compile(r"\babout\s+(?:me|myself)\W*$", re.IGNORECASE)
_FIRST_PERSON = re.compile(r"\b(?:I|[Mm]y|[Mm]ine|[Ww]e|[Oo]ur)\b(?!\.\w)|\b(?:i(?:['’]\w|\s))")
_IDLE = re.compile(
    r"\b(?:i|we)\s+(?:(?:do\s+not|don['’]?t|did\s+not|didn['’]?t|can['’]?t|cannot)\s+(?:understand|know|think|see|care|mind"
    r"|get|remember|recall)|think|guess|mean|see|understand|wonder|hope|suppose|agree|said|asked|forgot)\b"
    r"|\bmy\s+(?:god|goodness|pleasure|bad|dear)\b|\bmy\s+friend\s*[,.!?]|^\W*i\s+(?:want|need|would\s+like)\s+you\b",
    re.IGNORECASE,
)
_QUESTION_MARKS = "?？؟⁇⁈፧\u037e"
_GREEK = re.compile(r"[\u0370-\u03ff]")


def is_question(sentence: str) -> bool:
    """Whether it asks: by its mark in any script, or by how it begins in English."""
    bare = sentence.rstrip(" \t\n\"'”’»)]*_")
    if bare.endswith(tuple(_QUESTION_MARKS)) or (bare.endswith(";") and _GREEK.search(bare) is not None):
        return True
    return "՞" in bare or (not bare.endswith("!") and _ASKS.match(sentence) is not None)


def wish(sentence: str) -> tuple[int, int] | None:
    """Where the thing to remember begins and ends, when the sentence asks to remember one."""
    match = _WISH.match(sentence)
    if match is None or (not match["polite"] and is_question(sentence)):
        return None
    if not is_question(sentence):
        return match.end(), len(sentence)
    content = sentence[match.end() :]
    is_clause = match["that"] or (_CLAUSE.search(content) and not _CHOICE.match(content))
    asks_back = match["verb"].lower() == "remember" and not is_clause
    return None if asks_back else (match.end(), len(sentence.rstrip(_QUESTION_MARKS + " ")))


def command(sentence: str) -> str | None:
    """The verb of a sentence that tells somebody to do something."""
    match = _COMMAND.match(sentence)
    verb = match["verb"].lower() if match is not None else "a"
    return None if verb in _NO_COMMANDS or _BASES.get(verb, verb) != verb else verb


def goes_on(sentence: str) -> bool:
    """Whether it speaks of whom the sentence before names."""
    return _PRONOUN.match(sentence) is not None


def statement_end(question: str) -> int:
    """Where a statement ends that a question is added to ("I have two cats, do you like cats?"); 0 without one."""
    turns = (match for match in _TURN_TO_ASKING.finditer(question) if _ASKS.match(question[match.end() :]))
    turn = next(turns, None)
    return turn.start() if turn is not None and is_about_speaker(question[: turn.start()]) else 0


def is_about_speaker(sentence: str) -> bool:
    """Whether it states something about whoever says it."""
    is_statement = not is_question(sentence) and command(sentence) is None
    return is_statement and _FIRST_PERSON.search(sentence) is not None and not is_idle(sentence)


def is_idle(text: str) -> bool:
    """Whether it says nothing that is worth keeping."""
    return _IDLE.search(text) is not None


def matter(question: str) -> str:
    """A question without the phrases around it: "do you remember", "tell me", "by the way"."""
    return _FRAME.sub(" ", question)


def is_personal(question: str) -> bool:
    """Whether a question is about the one who asks it."""
    return re.search(r"\b(?:I|i|[Mm]y|[Mm]e|[Mm]ine|[Mm]yself|[Ww]e|[Uu]s|[Oo]ur)\b", matter(question)) is not None


def asks_everything(question: str) -> bool:
    """Whether it asks for all that is known about the speaker."""
    return not content_words(matter(question)) and _EVERYTHING.search(question) is not None
