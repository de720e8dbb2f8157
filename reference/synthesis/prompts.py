"""Prompts for writing pretraining data with a language model, and parsing of the replies.

The steps are those of the paper (section 2.1 and appendix); the wording is ours. Every request for a list asks
for JSON, and any other reply is refused.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from clara_bench import DataError
from clara_bench.io.parsing import decode

VERSION = 1
"""Raised with every change of a prompt; data of different versions are not mixed."""
MISSING = "NOT IN DOCUMENT"
"""What the model answers where the document holds no answer."""

Kind = Literal["simple", "complex", "paraphrase"]
KINDS: tuple[Kind, ...] = ("simple", "complex", "paraphrase")

_DEMONSTRATION = """\
Tessel Marsh
Tessel Marsh is a wetland reserve of 40 hectares in the Dutch province of North Holland. It was bought in 1909 by the
ornithologist Jan Verwey, who gave it to the bird society that he had founded two years earlier."""

_SIMPLE = """\
Write questions about the document below, so that together they ask for every fact that it states: names, dates,
numbers, places, roles, reasons.
- Each question asks for one fact, and the document states the answer.
- Each question names what it is about and can be understood by someone who has not seen the document. Never write
  "the document", "the text" or "according to".
- No two questions ask for the same fact. Answers are short."""

_COMPLEX = """\
Write questions about the document below that can only be answered by putting together two or more pieces of it from
different sentences, for instance: a fact about something that is described but not named; what two things have in
common; the order of two events, or the time between them; a reason and its result.
- The document alone is enough to answer, and one sentence alone is not.
- Each question can be understood by someone who has not seen the document. Never write "the document" or "the text".
- Together the questions draw on every sentence. No two ask for the same thing. Answers are short."""

_DEMONSTRATED = {
    "simple": '["How large is Tessel Marsh?", "In which province is Tessel Marsh?", "Who bought Tessel Marsh?", '
    '"In what year was Tessel Marsh bought by Jan Verwey?", "What was the profession of Jan Verwey?", '
    '"To whom did Jan Verwey give Tessel Marsh?", "Who founded the bird society that was given Tessel Marsh?"]',
    "complex": '["In what year was the bird society founded that came to own Tessel Marsh?", '
    '"What was the profession of the man who bought a wetland reserve in North Holland in 1909?"]',
}

_LIST = "Reply with a JSON list of strings and nothing else."


def questions(kind: Kind, document: str) -> str:
    """Asks for a first set of questions."""
    return (
        f"{_task(kind)}\n{_LIST}\n\nExample document:\n{_DEMONSTRATION}\n\nExample reply:\n{_DEMONSTRATED[kind]}\n\n"
        f"Document:\n{document}"
    )


def missing(kind: Kind, document: str, asked: list[str]) -> str:
    """Asks for questions about what those at hand leave out; an empty list says that nothing is left."""
    told = "fact of it that no question asks for" if kind == "simple" else "sentence of it that no question draws on"
    return (
        f"{_task(kind)}\n\nDocument:\n{document}\n\nQuestions written so far:\n{_json(asked)}\n\n"
        f"Go through the document. For each {told} yet, write a further question by the same rules. "
        f"{_LIST} If nothing is left, reply []."
    )


def answers(document: str, asked: list[str]) -> str:
    """Asks for an answer to each question."""
    return (
        "Answer each question from the document alone, in as few words as possible: a name, a number, a phrase. "
        f'Where the document does not hold the answer, write "{MISSING}".\n'
        f"Reply with a JSON list of {len(asked)} strings, one for each question in order, and nothing else.\n\n"
        f"Document:\n{document}\n\nQuestions:\n{_json(asked)}"
    )


def verdicts(kind: Kind, document: str, pairs: list[tuple[str, str]]) -> str:
    """Asks whether each pair of question and answer is right: "correct" or "incorrect"."""
    two = " the question cannot be answered from one sentence alone," if kind == "complex" else ""
    return (
        "Judge each pair of question and answer by the document. A pair is correct if the document supports the "
        f"answer, the answer is complete,{two} and the question is clear without the document. Otherwise it is "
        f"incorrect.\nReply with a JSON list of {len(pairs)} strings, each "
        '"correct" or "incorrect", in order, and nothing else.\n\n'
        f"Document:\n{document}\n\nPairs:\n{_json(pairs)}"
    )


def paraphrase(document: str) -> str:
    """Asks for the document in other words."""
    return (
        "Write the document below anew. Change the order of the sentences, how they are built and the words as much "
        "as you can, but keep every fact: all names, dates and numbers stay as they are. Add nothing and explain "
        f"nothing.\nReply with the new text alone.\n\nDocument:\n{document}"
    )


def faithful(document: str, other: str) -> str:
    """Asks whether a paraphrase says the same: "yes" or "no"."""
    return (
        "Do these two texts state exactly the same facts, none lost, none added, none changed? "
        f"Reply with yes or no and nothing else.\n\nFirst text:\n{document}\n\nSecond text:\n{other}"
    )


class BadReply(ValueError):
    """A reply that is not what was asked for; says why."""


def read_list(reply: str, length: int | None = None) -> list[str]:
    """The strings of a JSON list, around which there may be other words.

    Raises:
        BadReply: there is no such list, or one of another length.

    >>> read_list('Here you are: ["a", 1960]')
    ['a', '1960']
    """
    text = spoken(reply)
    start, end = text.find("["), text.rfind("]")
    if start < 0 or end < start:
        raise BadReply(f"no JSON list in {_shortened(text)}")
    try:
        found = decode(text[start : end + 1], list[str | int | float], "the reply")
    except DataError as error:
        raise BadReply(f"{error} in {_shortened(text)}") from error
    if length is not None and len(found) != length:
        raise BadReply(f"a list of {len(found)}, expected {length}")
    return [str(item).strip() for item in found]


def read_verdict(reply: str, yes: str, no: str) -> bool:
    """Which of two words a reply starts with.

    Raises:
        BadReply: neither.

    >>> read_verdict("Incorrect.", "correct", "incorrect")
    False
    """
    word = re.match(r"\W*(\w*)", spoken(reply).lower())
    said = word[1] if word else ""
    if said not in (yes, no):
        raise BadReply(f"neither {yes} nor {no}: {_shortened(reply)}")
    return said == yes


def spoken(reply: str) -> str:
    """A reply without the reasoning that some models put before it."""
    return reply.rpartition("</think>")[2].strip()


def _task(kind: Kind) -> str:
    return _SIMPLE if kind == "simple" else _COMPLEX


def _json(items: list[str] | list[tuple[str, str]]) -> str:
    return msgspec.json.encode(items).decode()


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) < 80 else f"{flat[:80]}...")
