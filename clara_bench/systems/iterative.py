"""The system `iterative`: retrieve, write a reasoning step, retrieve with it, answer from all retrieved passages.

After IRCoT (Trivedi et al., ACL 2023), a strong text baseline for multi-hop questions: a fact from one passage
becomes the query for the next. Passages keep the order in which they were retrieved.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from clara_bench.components import checks, seen
from clara_bench.components.registry import Component, create
from clara_bench.compress.shared.spans import passage_text
from clara_bench.systems.describe import prepare, reading
from clara_bench.types import (
    FAILURES,
    Answer,
    IndexStats,
    Passage,
    Question,
    Ranked,
    Reader,
    Reading,
    Retriever,
    Traits,
    Usage,
)


class Iterative:
    """Retrieves in rounds: the reader's reasoning over the passages so far is the next query."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `iterative`; a dotted key such as `retriever.model` reaches the nested component."""

        retriever: Component = Component("bm25")
        """Ranks the passages in every round."""
        reader: Component = Component("hf")
        """The language model that answers."""
        thinker: Component = field(default=Component("hf", {"prompt": "step"}), metadata={"kind": "reader"})
        """The reader that writes a step of reasoning from the passages so far; its text is the next query."""
        rounds: int = 3
        """Retrievals for one question; the first one with the question itself."""
        k: int = 5
        """Passages given to the reader, over all rounds."""
        depth: int = 20
        """Passages ranked and recorded: those that are read, and then the first round's."""

        def __post_init__(self) -> None:
            for name in ("rounds", "k", "depth"):
                if getattr(self, name) < 1:
                    raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
            if self.k < self.rounds:
                raise ValueError(f"k must be at least rounds, got k={self.k}, rounds={self.rounds}")

    def __init__(self, options: Options) -> None:
        self.options = options
        self.retriever: Retriever = create("retriever", options.retriever)
        self.reader: Reader = create("reader", options.reader)
        self.thinker: Reader = create("reader", options.thinker)
        self._corpus: Mapping[str, Passage] = {}

    @property
    def traits(self) -> Traits:
        """Columns of the leaderboard."""
        return reading(self.reader)

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Index the corpus with the retriever; the readers load their models, which no question pays for."""
        self._corpus = corpus
        prepare(self.reader, self.thinker)
        return self.retriever.index(corpus)

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """All rounds for all questions together; a round's seconds are shared among them.

        The tokens that the steps cost are in `prompt_tokens` and `generated_tokens`, and their seconds in `prefill`
        and `decode`; `context_positions` are those of the last reading alone. Where a step failed, so does
        the answer; where one was cut, the question counts as truncated.
        """
        first, seconds = self._retrieve(questions, max(self.options.k, self.options.depth))
        shares = _shares(self.options.k, self.options.rounds)
        thoughts: list[list[Reading]] = [[] for _ in questions]
        found = [list(ranking[: shares[0]]) for ranking in first]
        for share in shares[1:]:
            steps = self._read(self.thinker, self.options.thinker, questions, found)
            for before, step in zip(thoughts, steps, strict=True):
                before.append(step)
            more, took = self._retrieve(list(map(_asked_next, questions, steps)), self.options.k)
            seconds += took
            for kept, ranking in zip(found, more, strict=True):
                kept += _fresh(ranking, kept)[:share]
        found = [
            kept + _fresh(ranking, kept)[: self.options.k - len(kept)]
            for kept, ranking in zip(found, first, strict=True)
        ]
        read = self._read(self.reader, self.options.reader, questions, found)
        for question, texts in zip(questions, self._texts(found), strict=True):
            seen.tell(question.id, context=texts)
        return [
            _answer(last, steps, _ranked(kept, ranking, self.options.depth), seconds / len(questions))
            for last, steps, kept, ranking in zip(read, thoughts, found, first, strict=True)
        ]

    def _retrieve(self, questions: Sequence[Question], k: int) -> tuple[list[tuple[Ranked, ...]], float]:
        start, who = time.perf_counter(), f"retriever '{self.options.retriever.name}'"
        rankings = checks.rankings(self.retriever.retrieve(questions, k), questions, k, self._corpus, who)
        return rankings, time.perf_counter() - start

    def _read(
        self, reader: Reader, chosen: Component, questions: Sequence[Question], found: Sequence[Sequence[Ranked]]
    ) -> list[Reading]:
        return checks.readings(reader.read(questions, self._texts(found)), questions, f"reader '{chosen.name}'")

    def _texts(self, found: Sequence[Sequence[Ranked]]) -> list[tuple[str, ...]]:
        return [tuple(passage_text(self._corpus[ranked.passage_id]) for ranked in kept) for kept in found]


def _answer(last: Reading, steps: Sequence[Reading], ranking: tuple[Ranked, ...], retrieving: float) -> Answer:
    total = reduce(_added, (step.usage for step in [*steps, last]))
    failed = next((step for step in steps if step.status in FAILURES), last)
    usage = replace(
        total,
        context_positions=last.usage.context_positions,
        context_text_tokens=last.usage.context_text_tokens,
        seconds={**total.seconds, "retrieve": retrieving},
    )
    cut = failed is last and last.status not in FAILURES and any(step.status == "truncated" for step in steps)
    text, status = last.text if failed is last else "", "truncated" if cut else failed.status
    return Answer(text, ranking, usage, status, failed.error, thinking=last.thinking)


def _shares(k: int, rounds: int) -> list[int]:
    """Passages that each round may add.

    >>> _shares(5, 3)
    [2, 2, 1]
    """
    return [k // rounds + (place < k % rounds) for place in range(rounds)]


def _asked_next(question: Question, step: Reading) -> Question:
    """The step as a query; the question again where nothing was said."""
    return replace(question, text=step.text if step.text.strip() else question.text)


def _fresh(ranking: Sequence[Ranked], kept: Sequence[Ranked]) -> list[Ranked]:
    known = {ranked.passage_id for ranked in kept}
    return [ranked for ranked in ranking if ranked.passage_id not in known]


def _ranked(kept: Sequence[Ranked], first: Sequence[Ranked], depth: int) -> tuple[Ranked, ...]:
    """The passages read, then the question's own results; the score is 1 / rank, since rounds differ in scale."""
    order = [*kept, *_fresh(first, kept)][: max(depth, len(kept))]
    return tuple(Ranked(ranked.passage_id, 1 / rank) for rank, ranked in enumerate(order, start=1))


def _added(one: Usage, other: Usage) -> Usage:
    seconds: defaultdict[str, float] = defaultdict(float)
    for usage in (one, other):
        for phase, value in usage.seconds.items():
            seconds[phase] += value
    return Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        generated_tokens=one.generated_tokens + other.generated_tokens,
        seconds=dict(seconds),
        usd=None if one.usd is None and other.usd is None else (one.usd or 0.0) + (other.usd or 0.0),
    )
