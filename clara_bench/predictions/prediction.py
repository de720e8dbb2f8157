"""One prediction in any format, with the file's own names, before matching."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from clara_bench.predictions.files import Content
from clara_bench.types import Triple


@dataclass(frozen=True, slots=True)
class Reference:
    """How a file names a passage: by one or several of these."""

    name: str | None = None
    """An id, a title, or the number in the question's own list; the file does not say which."""
    id: str | None = None
    title: str | None = None
    text: str | None = None
    number: int | None = None
    """The number in the question's own list, as MuSiQue's script has it."""

    def __str__(self) -> str:
        shown = next(value for value in (self.name, self.id, self.title, self.number, self.text) if value is not None)
        return str(shown)


class Sentence(NamedTuple):
    """A predicted supporting sentence; 0 stands for a whole passage where the data set has no sentences."""

    passage: Reference
    sentence: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction of a file; None for missing fields."""

    where: str
    """File and place, for messages."""
    ids: tuple[str, ...] = ()
    """Candidates for the question's id or text, preferred first."""
    question: str | None = None
    """The question's text."""
    prompt: str | None = None
    """The model's input, which may be or contain the question's text."""
    place: int | None = None
    """The question's place in the data, from 0, for files that name no question."""
    answer: str | None = None
    retrieved: tuple[Reference, ...] | None = None
    """Best first."""
    support: tuple[Sentence, ...] | None = None
    evidences: tuple[Triple, ...] | None = None
    answerable: bool | None = None
    error: str | None = None
    """Why the question failed, where the file says that it did."""
    variant: str | None = None
    """Which of several answers to the question this is, such as `filter strict-match` or `epoch 2`."""


class Reading(NamedTuple):
    """All that a file says."""

    predictions: list[Prediction]
    notes: tuple[str, ...] = ()
    """Notes for the user on how it was read."""


@dataclass(frozen=True, slots=True)
class Form:
    """One form that files of predictions have."""

    name: str
    """What it is called, for the user."""
    fits: Callable[[Content], bool]
    """Whether the file has this form, by its content, not its name."""
    read: Callable[[Content], Iterable[Prediction] | Reading]
