"""Shared parts of the readers of raw files: the resulting data set, the pool of passages, the layouts.

A raw row names its passages by title and text, a corpus by id. The pool brings the two
together: a passage of a row is the corpus passage with the same letters and digits in title and
text, or else a new one. A title alone stands for a passage only where a row gives nothing more
(a supporting title whose text is in no row), for data sets cut several passages from one page.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clara_bench.errors import DataError
from clara_bench.text import composed
from clara_bench.types import Example, Passage

Aliases = Mapping[str, Sequence[str]]
"""Entity id to all its spellings."""

UNANSWERABLE = "#unanswerable"
"""Ends the id of the copy of a question whose support was taken away, where the data set asks it both ways."""

MISSING = "missing:"
"""Begins the id of a gold passage that is in no file, so that recall still counts it."""

_LETTERS_AND_DIGITS = re.compile(r"[^\W_]+")
_OTHER_ASCII = bytes(code for code in range(128) if not chr(code).isalnum())


@dataclass(frozen=True, slots=True)
class Dataset:
    """Questions with their truth, and the passages to search."""

    examples: tuple[Example, ...]
    """In the order of the file; `question.candidates` are the row's own passages, each once; none if it has none."""
    corpus: Mapping[str, Passage]
    """The corpus given, then any passage of the rows that is not in it."""
    missing_gold: frozenset[str]
    """Ids of the questions some of whose gold passages are in no file."""
    listed: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """By question: the numbers of the row's own passages, and their ids. One that a row lists twice has two numbers."""
    steps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By question: the gold passages in the order of the hops, for data sets that name a passage with each hop."""


class PassagePool:
    """The corpus during reading: finds a passage by content or title, and adds missing ones."""

    def __init__(self, corpus: Mapping[str, Passage] | None = None, where: str = "data") -> None:
        self.corpus = dict(corpus or {})
        self._where = where
        self._by_title: dict[str, list[Passage]] | None = None
        self._by_content: dict[str, dict[str, list[Passage]]] = {}
        """By title, then by text, both squeezed; a title's texts are squeezed when it is first asked for."""

    def add(self, title: str, text: str, id: str | None = None) -> str:
        """The id of the passage with this content; if there is none, it is added under `id` or a content id.

        Of several copies in the corpus the one with this id, or exactly these characters, comes first.

        Raises:
            DataError: `id` is the id of a passage that says something else.
        """
        key, body = squeeze(title), squeeze(text)
        same = self._texts_of(key).setdefault(body, [])
        if id in self.corpus and self.corpus[id] not in same:
            raise DataError(f"{self._where}: passage id '{id}' stands for two different texts. Give each its own id")
        if not same:
            same.append(Passage(id or _content_id(key, body), title, text))
            self.corpus[same[0].id] = same[0]
            self._titles()[key].append(same[0])
        twins = (passage.id for passage in same if passage.id == id or (passage.title, passage.text) == (title, text))
        return next(twins, same[0].id)

    def titled(self, title: str) -> str:
        """The id of the only passage with this title, else `missing:` and the title.

        A title that differs in blanks, case or punctuation will do when none is the same.
        """
        near = self._titles().get(squeeze(title), [])
        found = [passage for passage in near if composed(passage.title) == composed(title)] or near
        return found[0].id if len(found) == 1 else MISSING + title

    def identified(self, id: str) -> str:
        """The id itself when the corpus has it, else `missing:` and the id."""
        return id if id in self.corpus else MISSING + id

    def _titles(self) -> dict[str, list[Passage]]:
        if self._by_title is None:
            self._by_title = {}
            for passage in self.corpus.values():
                self._by_title.setdefault(squeeze(passage.title), []).append(passage)
        return self._by_title

    def _texts_of(self, title: str) -> dict[str, list[Passage]]:
        if title not in self._by_content:
            texts: dict[str, list[Passage]] = {}
            for passage in self._titles().setdefault(title, []):
                texts.setdefault(squeeze(passage.text), []).append(passage)
            self._by_content[title] = texts
        return self._by_content[title]


@dataclass(frozen=True, slots=True)
class Layout:
    """One raw form of a data set: how to tell it, how to take its passages, how to make an example."""

    keys: frozenset[str]
    """The layout is this one when the first row has all of these."""
    row: type
    """The msgspec Struct that checks a row."""
    passages: Callable[[Any, PassagePool], list[str]]
    """Adds a row's own passages to the pool; their ids in the row's order, repetitions kept."""
    example: Callable[[Any, Sequence[str], PassagePool, Aliases], Example]
    """From a row and those ids, once every row's passages are in the pool."""
    prepare: Callable[[list[Any]], list[Any]] = list
    """What must be settled across rows."""
    answers_may_be_missing: bool = False
    """Whether a question may have no answer: it is asked, and its answer not scored."""
    numbers: Callable[[Any], Sequence[int]] | None = None
    """The numbers that the data set itself gives a row's passages; None where they are counted from 0."""
    steps: Callable[[Any, Sequence[str]], Sequence[str]] | None = None
    """From a row and the ids of its passages: the gold passage of each hop; None where the data set names none."""


def squeeze(text: str) -> str:
    """Only the letters and digits, composed and in lower case: what two copies of a text share.

    >>> squeeze("Bye Bye, O. Kay (1999)")
    'byebyeokay1999'
    """
    if text.isascii():  # the same, ten times faster
        return text.lower().encode().translate(None, _OTHER_ASCII).decode()
    return "".join(_LETTERS_AND_DIGITS.findall(composed(text).lower()))


def content_id(title: str, text: str) -> str:
    """An id derived from a passage's content, for passages without one.

    >>> content_id("Paris", "Paris is in France.") == content_id("PARIS", "Paris is in France")
    True
    """
    return _content_id(squeeze(title), squeeze(text))


def question_id(prefix: str, question: str) -> str:
    """An id for a data set that has none, from the question's text."""
    return f"{prefix}-{_short_hash(question)}"


def _content_id(title: str, text: str) -> str:
    return "p" + _short_hash(f"{title}\n{text}")


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def unique(items: Iterable[str]) -> tuple[str, ...]:
    """The items, each once, in the order of first appearance."""
    return tuple(dict.fromkeys(items))


def join_kind(kind: str | None, link: str | None) -> str | None:
    """The question type, with the reasoning path in a synthetic world."""
    return "-".join(part for part in (kind, link) if part) or None


def paired(ids: Sequence[str], flags: Iterable[bool]) -> frozenset[str]:
    """The ids whose flag is set."""
    return frozenset(id for id, flag in zip(ids, flags, strict=True) if flag)
