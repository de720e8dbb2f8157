"""Dense retrieval: cosine similarity of sentence embeddings, searched with FAISS."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from clara_bench.components import cuts
from clara_bench.components.codebase import of_component
from clara_bench.components.registry import OPERATIONAL
from clara_bench.io.cache import cache_dir, digest
from clara_bench.retrieve.embeddings import embed
from clara_bench.retrieve.encoder import MINILM, Encoder
from clara_bench.retrieve.index import Array, Rows, check_k, searchable_text
from clara_bench.retrieve.nearest import Search, nothing, searcher
from clara_bench.text import composed
from clara_bench.types import IndexStats, Passage, Question, Ranked

MARGIN = 16
"""Passages looked at beyond the k asked for, so that ties and rounding at the edge come out right."""
DECIMALS = 6
"""Digits kept of a cosine, so that equal passages score the same in any order of summation."""


class Dense:
    """Ranks passages by the cosine of their embedding and the question's."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `dense`."""

        model: str = field(default=MINILM, metadata=OPERATIONAL)
        """Hub id or folder of a sentence-transformers model with safetensors weights."""
        index: Literal["flat", "hnsw", "ivf"] = "flat"
        """`flat` compares with every passage; the others are approximate, for corpora of millions."""
        query_prefix: str | None = None
        """Put before each question; none for the model's own prompt, if it has one."""
        passage_prefix: str | None = None
        """Put before each passage; likewise."""
        title: bool = True
        """Encode a passage's title with its text."""
        max_seq: int | None = None
        """Tokens after which a text is cut; none for the model's own limit."""
        batch_size: int = field(default=32, metadata=OPERATIONAL)
        """Passages encoded at once; questions are always encoded one by one."""
        device: str | None = field(default=None, metadata=OPERATIONAL)
        """Where the encoder runs: cpu, cuda, ...; none for a GPU where there is one."""

        def __post_init__(self) -> None:
            if self.batch_size < 1 or (self.max_seq is not None and self.max_seq < 1):
                raise ValueError(f"batch_size and max_seq must be at least 1, got {self.batch_size} and {self.max_seq}")

    def __init__(self, options: Options) -> None:
        self.options = options
        self._rows = Rows({})
        self._vectors: Array = np.empty((0, 0), np.float32)
        """(passages, dimension) float32, each of length 1, in the order of the rows."""
        self._search: Search = nothing

    @cached_property
    def _encoder(self) -> Encoder:
        options = self.options
        return Encoder(
            options.model,
            options.query_prefix,
            options.passage_prefix,
            options.max_seq,
            options.batch_size,
            options.device,
        )

    def describe(self) -> Mapping[str, Any]:
        """Description of the encoder for the manifest."""
        return {"model": self.options.model, **self._encoder.describe()}

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Encode every passage whose text this model has not encoded before.

        Raises:
            BackendError: the model cannot be loaded or the cache cannot be written to.
        """
        start = time.perf_counter()
        self._rows = Rows(corpus)
        texts = [searchable_text(corpus[passage_id], self.options.title) for passage_id in self._rows.ids]
        store = digest([self._encoder.passage_fingerprint, of_component(type(self)).key])
        embedded = embed(texts, self._encoder, cache_dir("index", "dense", store))
        self._vectors = embedded.vectors
        found = searcher(self.options.index, self._vectors, cache_dir("index", "faiss"))
        self._search = found.search
        cached = not embedded.encoded and found.cached
        seconds = time.perf_counter() - start + (0.0 if cached else embedded.earlier_seconds)
        size = self._vectors.nbytes + found.bytes
        return IndexStats(len(corpus), seconds, size, embedded.tokens, cached, embedded.cut, embedded.seconds)

    def retrieve(self, questions: Sequence[Question], k: int) -> list[list[Ranked]]:
        """The k passages with the highest cosines.

        Raises:
            ConfigError: k is below 1.
            DataError: a candidate is not in the corpus.
        """
        check_k(k)
        allowed = [self._rows.allowed(question) for question in questions]
        if not questions or not len(self._rows):
            return [[] for _ in questions]
        vectors = self._encoder.questions([composed(question.text) for question in questions])
        for question in questions:
            if self._encoder.cuts_question(composed(question.text)):
                cuts.tell(question.id)
        free = [number for number, rows in enumerate(allowed) if rows is None]
        near = dict(zip(free, self._search(vectors[free], k + MARGIN), strict=True)) if free else {}
        return [
            self._nearest(vectors[number], near[number], k) if rows is None else self._ranking(vectors[number], rows, k)
            for number, rows in enumerate(allowed)
        ]

    def _ranking(self, question: Array, rows: Array, k: int) -> list[Ranked]:
        return self._rows.ranking(self._cosines(question, rows), rows, k)

    def _cosines(self, question: Array, rows: Array) -> Array:
        """Cosines (len(rows),) float64 of a question's vector (dimension,) and passages."""
        return np.round(self._vectors[rows].astype(np.float64) @ question.astype(np.float64), DECIMALS)

    def _nearest(self, question: Array, near: Array, k: int) -> list[Ranked]:
        """The best k rows of the nearest ones, extending the search while ties may continue."""
        depth = k + MARGIN
        while True:
            rows = np.sort(near)
            cosines = self._cosines(question, rows)
            ranking = self._rows.ranking(cosines, rows, k)
            if depth >= len(self._rows) or cosines.min() < ranking[-1].score:
                return ranking
            depth *= 4
            near = self._search(question[None], depth)[0]
