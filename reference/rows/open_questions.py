"""Questions without a passage (topic lists), paired with a retrieved passage that contains the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from clara_bench import Component, Passage, Question, create
from reference.rows.example import Example, PassageText, split
from reference.rows.held_out import content_words

DEPTH = 10
"""Passages looked at for each question."""
SHARED = 0.6
"""Share of a question's words that the passage must hold."""
NEAR = 0.4
"""Share that must stand within `WINDOW` words of the answer."""
WINDOW = 30


def examples(
    source: str, questions: Sequence[tuple[str, Sequence[str]]], passages: Sequence[PassageText]
) -> Iterator[Example]:
    """Each question with the best passage that answers it, where there is one.

    Args:
        source: name of the entry.
        questions: each with its accepted answers.
        passages: what is searched.
    """
    corpus = {str(place): Passage(str(place), *split(text)) for place, text in enumerate(passages)}
    retriever = create("retriever", Component("bm25"))
    retriever.index(corpus)
    asked = [Question(str(place), question) for place, (question, _) in enumerate(questions)]
    rankings = retriever.retrieve(asked, DEPTH)
    for (question, answers), one, ranking in zip(questions, asked, rankings, strict=True):
        texts = [passages[int(ranked.passage_id)] for ranked in ranking]
        found = next(((text, answer) for text in texts if (answer := _answer(question, answers, text))), None)
        if found:
            text, answer = found
            others = tuple(other for other in texts if not any(_spaced(a) in _spaced(other) for a in answers))
            yield Example(source, one.id, question, answer, (text,), others[:4])


def _spaced(text: str) -> str:
    return " " + " ".join(re.findall(r"\w+", text.lower())) + " "


def _answer(question: str, answers: Sequence[str], text: PassageText) -> str:
    """The shortest accepted answer that occurs next to words of the question; "" if none does."""
    asked, held = content_words(question), content_words(text)
    if not asked or len(_stems(asked) & _stems(held)) / len(asked) < SHARED:
        return ""
    given = [answer for answer in answers if len(answer) > 2 and _spaced(answer).strip() not in question.lower()]
    return min((answer for answer in given if _near(_stems(asked), answer, text)), key=len, default="")


def _near(asked: frozenset[str], answer: str, text: PassageText) -> bool:
    words, sought = _spaced(text).split(), _spaced(answer).split()
    for place in range(len(words) - len(sought) + 1):
        if words[place : place + len(sought)] == sought:
            around = words[max(0, place - WINDOW) : place + len(sought) + WINDOW]
            if len(asked & _stems(frozenset(around))) / len(asked) >= NEAR:
                return True
    return False


def _stems(words: frozenset[str]) -> frozenset[str]:
    """Words without their most common endings: song and songs match, wrote and written do not."""
    return frozenset(re.sub(r"(?:ing|ed|es|s)$", "", word) if len(word) > 4 else word for word in words)
