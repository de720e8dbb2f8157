"""Matching of passages: by id, title, number in the question's list, or text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from clara_bench.datasets.base import content_id, squeeze
from clara_bench.errors import DataError
from clara_bench.predictions.prediction import Reference, Sentence
from clara_bench.text import composed
from clara_bench.types import Example, Fact, Passage

NamedBy = Literal["id", "title", "number"]
WAYS: Sequence[NamedBy] = ("id", "title", "number")

UNKNOWN = "unknown:"
"""Begins the id of a retrieved passage that the data do not have, which a file shows by its title or text."""

Listed = Mapping[str, Mapping[int, str]]
"""By question: the number of each passage of its own list, and the passage's id."""


class Finder:
    """Finds the passages that a file names; `named_by` resolves ambiguous names."""

    def __init__(self, corpus: Mapping[str, Passage], listed: Listed, named_by: NamedBy | None = None) -> None:
        self._corpus = corpus
        self._listed = listed
        self._named_by = named_by
        self._by_title: dict[str, list[str]] = {}
        self._titles = {passage.title.lower() for passage in corpus.values()}
        self._by_content: dict[str, str] | None = None
        for passage in corpus.values():
            self._by_title.setdefault(composed(passage.title), []).append(passage.id)

    def retrieved(self, reference: Reference, example: Example, where: str) -> Passage:
        """The passage, or a placeholder if the file shows one that the data do not have.

        Raises:
            DataError: a bare name that is no passage's, or is that of several.
        """
        id = self._passage_id(reference, example, where)
        if id is not None:
            return self._corpus[id]
        if reference.text is None and reference.title is None:
            raise DataError(
                f"{where}: retrieved passage '{str(reference)[:200]}' is no passage id and no unique title of the "
                "data. Name the corpus that was searched with --corpus"
            )
        title, text = reference.title or "", reference.text or ""
        return Passage(UNKNOWN + content_id(title, text), title, text)

    def support(self, sentence: Sentence, example: Example, where: str) -> Fact:
        """The supporting sentence as the gold names it: by title where the gold has sentences, else by passage id."""
        reference, number = sentence
        if example.gold.facts:
            return Fact(self._title(reference, example, where), number)
        if reference.number is not None:
            return Fact(self._paragraph(reference.number, example), 0)
        id = self._passage_id(reference, example, where)
        if id is None:
            raise DataError(
                f"{where}: supporting passage '{reference}' is not a passage id, title or number of the question"
            )
        return Fact(id, 0)

    def knows(self, fact: Fact) -> bool:
        """Whether a supporting sentence is in any passage of the data."""
        return fact.title in self._corpus or fact.title.lower() in self._titles

    def _title(self, reference: Reference, example: Example, where: str) -> str:
        """The title itself where the file says that it is one, else that of the passage that is named."""
        if reference.title is not None:
            return reference.title
        if reference.number is None and composed(reference.name or "") in self._by_title:
            return str(reference.name)
        id = self._passage_id(reference, example, where)
        return str(reference) if id is None else self._corpus[id].title

    def _paragraph(self, number: int, example: Example) -> str:
        """The passage of that number; the second copy of a passage is none of the gold, as in MuSiQue's script."""
        listed = self._listed.get(example.question.id, {})
        id = listed.get(number)
        first = next((place for place, other in listed.items() if other == id), number)
        return f"paragraph {number}" if id is None or first != number else id

    def _passage_id(self, reference: Reference, example: Example, where: str) -> str | None:
        if reference.name is not None:
            found = self._named(reference.name, example, where)
            return found or (self._with_content("", reference.text) if reference.text else None)
        if reference.number is not None:
            return self._listed.get(example.question.id, {}).get(reference.number)
        if reference.id is not None and self._is(reference.id, reference):
            return reference.id
        if reference.text:
            return self._with_content(reference.title or "", reference.text)
        return self._titled(reference.title, example) if reference.title else None

    def _is(self, id: str, reference: Reference) -> bool:
        """Whether a passage has this id, and what the file shows of it beside the id is not another's."""
        passage = self._corpus.get(id)
        if passage is None:
            return False
        if reference.text is not None:
            return squeeze(passage.text).startswith(squeeze(reference.text)[:40])
        return reference.title is None or squeeze(reference.title) == squeeze(passage.title)

    def _named(self, name: str, example: Example, where: str) -> str | None:
        found = self._readings(name, example)
        if self._named_by is not None:
            return found.get(self._named_by)
        if len(set(found.values())) > 1:
            ways = " or ".join(f"the {way} of '{id}'" for way, id in found.items())
            raise DataError(f"{where}: '{name}' may be {ways}. Say which with --named-by {'|'.join(found)}")
        return next(iter(found.values()), None)

    def _readings(self, name: str, example: Example) -> dict[NamedBy, str]:
        listed = self._listed.get(example.question.id, {})
        number = int(name) if re.fullmatch("[0-9]{1,9}", name) else None
        found: dict[NamedBy, str | None] = {
            "id": name if name in self._corpus else None,
            "title": self._titled(name, example),
            "number": None if number is None else listed.get(number),
        }
        return {way: id for way, id in found.items() if id is not None}

    def _titled(self, title: str, example: Example) -> str | None:
        """The question's own passage with this title, else the only one of the data."""
        all_of_them = self._by_title.get(composed(title), [])
        own = [id for id in all_of_them if id in (example.question.candidates or ())]
        found = own or all_of_them
        return found[0] if len(found) == 1 else None

    def _with_content(self, title: str, text: str) -> str | None:
        """The passage with these letters and digits, whatever its title if the file gives none."""
        if self._by_content is None:
            self._by_content = {}
            for passage in self._corpus.values():
                self._by_content.setdefault(squeeze(passage.text), passage.id)
                self._by_content[squeeze(passage.title + passage.text)] = passage.id
        return self._by_content.get(squeeze(title + text)) or self._by_content.get(squeeze(text))
