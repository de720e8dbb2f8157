"""A question with its gold passages, before distractors are added."""

from __future__ import annotations

from typing import NamedTuple

PassageText = str
"""A passage as it is read: title, line break, text."""


class Example(NamedTuple):
    """One question."""

    source: str
    """Name of the recipe's entry that it comes from."""
    key: str
    """Where in the source: the question's own id, or the passage's place."""
    question: str
    answer: str
    gold: tuple[PassageText, ...]
    """Passages that the answer needs."""
    distractors: tuple[PassageText, ...] = ()
    """Further passages from the source; () if it has none."""
    group: str = ""
    """Examples of one group are asked one after another over the same passages; "" for one asked alone."""

    @property
    def id(self) -> str:
        """Unique among all examples of a recipe."""
        return f"{self.source}:{self.key}"


def passage(title: str, text: str) -> PassageText:
    r"""The text of a passage as readers see it.

    >>> passage("Oslo", "The capital of Norway.")
    'Oslo\nThe capital of Norway.'
    """
    return f"{title}\n{text}" if title else text


def split(text: PassageText) -> tuple[str, str]:
    r"""Title and text of a passage.

    >>> split("Oslo\nThe capital of Norway.")
    ('Oslo', 'The capital of Norway.')
    """
    title, line, body = text.partition("\n")
    return (title, body) if line else ("", text)


def words(text: str) -> int:
    """How many words a text has."""
    return len(text.split())
