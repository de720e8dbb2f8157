"""Systems without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clara_bench import Answer, IndexStats, Passage, Question


class Quick:
    """Answers at once."""

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        return IndexStats(len(corpus), 0.0, 0)

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        return [Answer("yes") for _ in questions]


class Failing(Quick):
    """Fails."""

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        raise RuntimeError("no model")
