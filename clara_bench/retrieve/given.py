"""The retriever `given`: a question's candidates in their given order, for settings without retrieval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clara_bench.errors import ConfigError
from clara_bench.retrieve.index import check_k, refuse_unknown_candidates
from clara_bench.types import IndexStats, Passage, Question, Ranked


class Given:
    """Ranks a question's candidates as they were given; a passage's score is 1 / rank."""

    def __init__(self) -> None:
        self._corpus: Mapping[str, Passage] = {}

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Remember which passages there are; nothing is built."""
        self._corpus = corpus
        return IndexStats(passages=len(corpus), seconds=0.0, bytes=0)

    def retrieve(self, questions: Sequence[Question], k: int) -> list[list[Ranked]]:
        """The first k candidates of each question.

        Raises:
            ConfigError: k is below 1, or a question has no candidates though there are passages.
            DataError: a candidate is not in the corpus.
        """
        check_k(k)
        return [self._ranking(question, k) for question in questions]

    def _ranking(self, question: Question, k: int) -> list[Ranked]:
        if self._corpus and question.candidates is None:
            raise ConfigError(
                f"question '{question.id}' has no candidates, and retriever 'given' does not search a corpus. "
                "Choose a setting that gives candidates (gold, distractor, injected, retrieved) or another retriever"
            )
        refuse_unknown_candidates(question, self._corpus)
        candidates = dict.fromkeys(question.candidates or ())
        return [Ranked(passage_id, 1 / rank) for rank, passage_id in enumerate([*candidates][:k], start=1)]
