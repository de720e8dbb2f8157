"""The retriever `hybrid`: reciprocal rank fusion of several retrievers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clara_bench.components import checks
from clara_bench.components.registry import Component, create
from clara_bench.retrieve.index import check_k
from clara_bench.types import IndexStats, Passage, Question, Ranked, Retriever


class Hybrid:
    """Ranks passages by the sum of 1 / (constant + rank) over the retrievers that rank them.

    Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet".
    """

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `hybrid`; a dotted key such as `second.model` reaches the nested retriever."""

        first: Component = field(default=Component("bm25"), metadata={"kind": "retriever"})
        """A retriever."""
        second: Component = field(default=Component("dense"), metadata={"kind": "retriever"})
        """Another."""
        third: Component | None = field(default=None, metadata={"kind": "retriever"})
        """A third, if wanted."""
        constant: float = 60.0
        """A larger constant reduces the weight of the first ranks; 60 in the paper."""
        depth: int = 100
        """Ranks taken from each retriever; at least as many as are asked for."""

        def __post_init__(self) -> None:
            if not self.constant >= 0 or self.depth < 1:
                raise ValueError(f"expected constant >= 0 and depth >= 1, got {self.constant} and {self.depth}")

    def __init__(self, options: Options) -> None:
        self.options = options
        self._chosen = [one for one in (options.first, options.second, options.third) if one is not None]
        self.retrievers: tuple[Retriever, ...] = tuple(create("retriever", one) for one in self._chosen)
        self._corpus: Mapping[str, Passage] = {}

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Prepare every retriever; the costs add up."""
        self._corpus = corpus
        return add_stats([retriever.index(corpus) for retriever in self.retrievers])

    def retrieve(self, questions: Sequence[Question], k: int) -> list[list[Ranked]]:
        """The k passages with the highest sums; an unranked passage gets no score from that retriever.

        Raises:
            ConfigError: k is below 1.
            DataError: a candidate is not in the corpus.
        """
        check_k(k)
        depth = max(k, self.options.depth)
        found = [self._rankings(place, questions, depth) for place in range(len(self.retrievers))]
        return [fuse(rankings, self.options.constant)[:k] for rankings in zip(*found, strict=True)]

    def _rankings(self, place: int, questions: Sequence[Question], depth: int) -> list[tuple[Ranked, ...]]:
        found, who = self.retrievers[place].retrieve(questions, depth), f"retriever '{self._chosen[place].name}'"
        return checks.rankings(found, questions, depth, self._corpus, who)


def fuse(rankings: Sequence[Sequence[Ranked]], constant: float) -> list[Ranked]:
    """One ranking out of several; equal sums in the order of passage ids.

    >>> fuse([[Ranked("a", 9.0), Ranked("b", 8.0)], [Ranked("b", 0.7), Ranked("c", 0.1)]], constant=60.0)[0]
    Ranked(passage_id='b', score=0.03252247488101534)
    """
    sums: dict[str, float] = {}
    for ranking in rankings:
        for rank, ranked in enumerate(ranking, start=1):
            sums[ranked.passage_id] = sums.get(ranked.passage_id, 0.0) + 1 / (constant + rank)
    return sorted((Ranked(passage_id, total) for passage_id, total in sums.items()), key=lambda r: (-r.score, r[0]))


def add_stats(parts: Sequence[IndexStats]) -> IndexStats:
    """What several indexes over the same passages cost together."""
    return IndexStats(
        passages=parts[0].passages,
        seconds=sum(part.seconds for part in parts),
        bytes=sum(part.bytes for part in parts),
        encoded_tokens=sum(part.encoded_tokens for part in parts),
        cached=all(part.cached for part in parts),
        cut_passages=max(part.cut_passages for part in parts),
    )
