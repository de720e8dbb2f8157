"""The system `rag`: retriever -> (compressor) -> reader."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from clara_bench.components import checks, seen
from clara_bench.components.registry import Component, create
from clara_bench.compress.shared.spans import passage_text
from clara_bench.systems.describe import prepare, reading
from clara_bench.types import (
    Answer,
    AnswerEach,
    Compressor,
    IndexStats,
    Passage,
    Question,
    Ranked,
    Reader,
    Reading,
    Retriever,
    Traits,
)

TRIES = 8
"""Rates tried for a budget of tokens."""


class Rag:
    """Retrieves passages, shortens them if a compressor is chosen, and lets the reader answer from the text."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `rag`; a dotted key such as `retriever.model` reaches the nested component."""

        retriever: Component = Component("bm25")
        """Ranks the passages."""
        compressor: Component | None = None
        """Shortens the passages; none by default."""
        reader: Component = Component("hf")
        """The language model that answers."""
        k: int = 5
        """Passages given to the reader."""
        depth: int = 20
        """Passages ranked and recorded, so that recall can be measured beyond k."""

        def __post_init__(self) -> None:
            if self.k < 1 or self.depth < 1:
                raise ValueError(f"k and depth must be at least 1, got k={self.k}, depth={self.depth}")

    def __init__(self, options: Options) -> None:
        self.options = options
        self.retriever: Retriever = create("retriever", options.retriever)
        self.compressor: Compressor | None = create("compressor", options.compressor) if options.compressor else None
        self.reader: Reader = create("reader", options.reader)
        self._corpus: Mapping[str, Passage] = {}
        self._tokens: int | None = getattr(getattr(self.compressor, "options", None), "tokens", None)

    @property
    def traits(self) -> Traits:
        """Columns of the leaderboard."""
        compressor, read = self.compressor, reading(self.reader)
        return replace(
            read,
            compressor=str(self.options.compressor.short) if self.options.compressor else "",
            nominal_ratio=None if self._tokens else getattr(compressor, "rate", None),
            offline=None if compressor is None else getattr(compressor, "offline", not compressor.query_dependent),
            query_dependent=None if compressor is None else compressor.query_dependent,
            weights=read.weights if compressor is None else getattr(compressor, "weights", ""),
        )

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Index the corpus with the retriever; reader and compressor load their models, which no question pays for."""
        self._corpus = corpus
        prepare(self.compressor, self.reader)
        return self.retriever.index(corpus)

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """Retrieve, shorten, read; the seconds of each phase are shared among the questions.

        A question for which nothing is found is read alone, as `closed-book` reads it.
        """
        return checks.in_order(self._answer_each(questions))

    @property
    def answer_each(self) -> AnswerEach | None:
        """Answers one by one, if the reader returns its readings one by one."""
        return self._answer_each if hasattr(self.reader, "read_each") else None

    def _answer_each(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        start = time.perf_counter()
        rankings = self._rankings(questions)
        retrieve_seconds = (time.perf_counter() - start) / len(questions)
        chosen = [[self._corpus[ranked.passage_id] for ranked in ranking[: self.options.k]] for ranking in rankings]
        contexts, compress_seconds = self._contexts(questions, chosen)
        for question, texts in zip(questions, contexts, strict=True):
            seen.tell(question.id, context=texts)
        who = f"reader '{self.options.reader.name}'"
        originals = [None] * len(questions) if self.compressor is None else self._whole_tokens(questions, chosen, who)
        for place, read in checks.readings_each(self.reader, questions, contexts, who):
            seconds = {"retrieve": retrieve_seconds, "compress": compress_seconds[place]}
            yield place, _answer(read, rankings[place], seconds, originals[place])

    def _rankings(self, questions: Sequence[Question]) -> list[tuple[Ranked, ...]]:
        depth, who = max(self.options.k, self.options.depth), f"retriever '{self.options.retriever.name}'"
        return checks.rankings(self.retriever.retrieve(questions, depth), questions, depth, self._corpus, who)

    def _contexts(
        self, questions: Sequence[Question], chosen: Sequence[Sequence[Passage]]
    ) -> tuple[list[tuple[str, ...]], list[float]]:
        if self.compressor is None:
            return [tuple(map(passage_text, passages)) for passages in chosen], [0.0] * len(questions)
        contexts: list[tuple[str, ...]] = []
        seconds: list[float] = []
        for question, passages in zip(questions, chosen, strict=True):
            start = time.perf_counter()
            found = self._compressed(self.compressor, question, passages) if passages else ()
            seconds.append(time.perf_counter() - start)
            contexts.append(found)
        return contexts, seconds

    def _compressed(self, compressor: Compressor, question: Question, passages: Sequence[Passage]) -> tuple[str, ...]:
        """What the compressor leaves; where tokens are asked for, at the lowest rate found that keeps to them.

        Raises:
            ValueError: it leaves more tokens than may stay, whatever the rate.
        """
        who = f"question '{question.id}': compressor '{self.options.compressor}'"
        if self._tokens is None:
            return checks.texts(compressor.compress(question, passages), who)
        whole = tuple(map(passage_text, passages))
        size = self._size(question, whole)
        found, rate = whole, 1.0
        for _ in range(TRIES):
            if size <= self._tokens:
                return found
            rate *= max(size / self._tokens, 1.02)
            compressor.rate = rate  # type: ignore[attr-defined]
            found = checks.texts(compressor.compress(question, passages), who)
            size = self._size(question, found)
        if size <= self._tokens:
            return found
        raise ValueError(f"{who} leaves {size} tokens at a rate of {rate:.1f}, where {self._tokens} may stay")

    def _size(self, question: Question, texts: tuple[str, ...]) -> int:
        """Tokens of texts as the reader counts them."""
        who = f"reader '{self.options.reader.name}'"
        return checks.counts(self.reader.context_tokens([texts]), [question], who)[0]

    def _whole_tokens(
        self, questions: Sequence[Question], chosen: Sequence[Sequence[Passage]], who: str
    ) -> Sequence[int | None]:
        texts = [tuple(map(passage_text, passages)) for passages in chosen]
        return checks.counts(self.reader.context_tokens(texts), questions, who)


def _answer(
    reading: Reading, ranking: tuple[Ranked, ...], seconds: Mapping[str, float], original_tokens: int | None
) -> Answer:
    usage = replace(reading.usage, seconds={**reading.usage.seconds, **seconds})
    if original_tokens is not None:
        usage = replace(usage, context_text_tokens=original_tokens)
    return Answer(reading.text, ranking, usage, reading.status, reading.error, thinking=reading.thinking)
