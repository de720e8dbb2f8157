"""Held-out data: dev questions, near-duplicates of them, and passages that answer them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

ALIKE = 0.75
"""Share of words (Jaccard) from which two questions count as the same."""
COMMON = frozenset(
    "a an the of in on at to for by with from and or is are was were be been do does did has have had what which who "
    "whom whose when where why how that this it its name s".split()
)
"""Words that say nothing of what is asked."""


def content_words(question: str) -> frozenset[str]:
    """The content words of a question, in lower case.

    >>> sorted(content_words("When was the Eiffel Tower built?"))
    ['built', 'eiffel', 'tower']
    """
    return frozenset(re.findall(r"\w+", question.lower())) - COMMON


def plain(text: str) -> str:
    """Letters and digits only, in lower case, to detect copies of a text.

    >>> plain("The  U.S. Open, 1999")
    'theusopen1999'
    """
    return re.sub(r"[\W_]+", "", text.lower())


class Held:
    """Questions and passages that are held out."""

    def __init__(self, questions: Iterable[str], passages: Iterable[str]) -> None:
        """Args: dev questions with their sub-questions, and the passages that answer them (title, line break, text)."""
        self._questions: list[frozenset[str]] = []
        self._holding: defaultdict[str, list[int]] = defaultdict(list)
        self._exact: set[str] = set()
        for question in questions:
            self._add(question)
        self._passages = {plain(text) for text in passages}

    def _add(self, question: str) -> None:
        words = content_words(question)
        self._exact.add(plain(question))
        for word in words:
            self._holding[word].append(len(self._questions))
        self._questions.append(words)

    def asks_alike(self, question: str) -> bool:
        """Whether a question is held out, or shares three quarters of its words with a held-out one."""
        words = content_words(question)
        if plain(question) in self._exact:
            return True
        near = {number for word in words for number in self._rare(word)}
        return any(_jaccard(words, self._questions[number]) >= ALIKE for number in near)

    def _rare(self, word: str) -> list[int]:
        return self._holding.get(word, [])

    def holds(self, passage: str) -> bool:
        """Whether a passage is held out."""
        return plain(passage) in self._passages


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 1.0
