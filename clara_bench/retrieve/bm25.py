"""BM25 over stemmed words, by the bm25s library (Lù 2024, arXiv:2407.03618).

Passages and questions use the same tokenisation, `clara_bench.retrieve.words`. Indexing with a stemmer
and searching without one is an easy mistake that costs a large part of the question's words.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from clara_bench.components import identity
from clara_bench.errors import MissingDependency
from clara_bench.io.cache import cache_dir, digest
from clara_bench.io.progress import progress
from clara_bench.retrieve.index import Array, Rows, check_k, corpus_digest, ensure, folder_bytes, searchable_text
from clara_bench.retrieve.words import TWO_LETTERS, Words, analyzer_for
from clara_bench.text import composed
from clara_bench.types import IndexStats, Passage, Question, Ranked

try:
    import bm25s
    import Stemmer
except ModuleNotFoundError as error:
    raise MissingDependency("retriever 'bm25'", str(error.name), "retrieve") from error

FORMAT = "2"
"""Raised when the files in the cache change their meaning."""


class BM25:
    """Ranks passages by the words they share with the question."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `bm25`."""

        k1: float = 1.5
        """How slowly a repeated word's weight levels off."""
        b: float = 0.75
        """How much long passages are held back, from 0 (not at all) to 1."""
        method: Literal["robertson", "lucene", "atire", "bm25l", "bm25+"] = "lucene"
        """The variant of the formula."""
        stemmer: str | None = "english"
        """A Snowball stemmer by language, or none."""
        stopwords: str | None = "english"
        """Words left out, a list of bm25s by language, or none."""
        analyzer: Literal["auto", "latin", "unicode"] = "auto"
        """How texts are cut: latin as English is; unicode with vowel signs, and into pairs of characters where a script
        has no blanks; auto as the letters of the corpus ask for."""
        token_pattern: str | None = None
        r"""Regular expression of a word; none for the analyzer's own. \w+ keeps words of one letter."""
        title: bool = True
        """Index a passage's title with its text."""

        def __post_init__(self) -> None:
            if not 0 <= self.k1 < math.inf or not 0 <= self.b <= 1:
                raise ValueError(f"expected k1 >= 0 and 0 <= b <= 1, got k1={self.k1}, b={self.b}")
            if self.stemmer is not None and self.stemmer not in Stemmer.algorithms():
                raise ValueError(f"unknown stemmer '{self.stemmer}'. Known: {', '.join(Stemmer.algorithms())}, none")
            bm25s.tokenize([""], stopwords=self.stopwords, show_progress=False)  # ValueError for an unknown list
            Words(self.token_pattern or TWO_LETTERS)  # likewise

    def __init__(self, options: Options) -> None:
        self.options = options
        self._words: Words | None = None
        """None where bm25s cuts texts itself."""
        self._stemmer = None if options.stemmer is None else Stemmer.Stemmer(options.stemmer)
        self._rows = Rows({})
        self._engine: Any = None
        """The bm25s index; None while no passage has a word."""
        self._warned = False

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Count the words of every passage of the collection, or load the counts made before.

        The size is the passages' share of it.
        """
        start = time.perf_counter()
        collection = getattr(corpus, "collection", corpus) if corpus else {}
        self._rows = Rows(collection, corpus)
        self._words = self._cutting(collection)
        folder = cache_dir("index", "bm25") / self._key(collection)
        cached = ensure(folder, lambda scratch: self._build(collection, scratch))
        self._engine = _load(folder)
        if corpus and self._engine is None:
            self._warn(
                f"none of {len(collection)} passages has a word, so nothing will be found. "
                "See the options analyzer and token_pattern"
            )
        size = round(folder_bytes(folder) * len(corpus) / max(1, len(collection)))
        return IndexStats(len(corpus), time.perf_counter() - start, size, cached=cached)

    def retrieve(self, questions: Sequence[Question], k: int) -> list[list[Ranked]]:
        """The k passages with the highest scores; one that shares no word with the question is not among them.

        Raises:
            ConfigError: k is below 1.
            DataError: a candidate is not in the corpus.
        """
        check_k(k)
        asked = self._tokenize((question.text for question in questions), return_ids=False)
        return [self._ranking(question, own, k) for question, own in zip(questions, asked, strict=True)]

    def _cutting(self, corpus: Mapping[str, Passage]) -> Words | None:
        analyzer, pattern = self.options.analyzer, self.options.token_pattern
        if analyzer == "auto":
            analyzer = analyzer_for(searchable_text(passage, self.options.title) for passage in corpus.values())
        if analyzer == "latin" and pattern is None:
            return None
        return Words(pattern or TWO_LETTERS, pairs=analyzer == "unicode")

    def _warn(self, message: str) -> None:
        if not self._warned:
            warnings.warn(f"retriever 'bm25': {message}", stacklevel=2)
        self._warned = True

    def _ranking(self, question: Question, asked: list[str], k: int) -> list[Ranked]:
        rows = self._rows.allowed(question)
        known = [] if self._engine is None else self._engine.get_tokens_ids(asked)
        ranking = self._matching(known, rows, k) if known else []
        if not ranking and len(self._rows if rows is None else rows):
            self._warn(
                f"what is asked for question '{question.id}' shares no word with any passage, so nothing is found for "
                "it. Of others like it nothing is said. See the options analyzer, token_pattern, stopwords and stemmer"
            )
        return ranking

    def _matching(self, known: list[int], rows: Array | None, k: int) -> list[Ranked]:
        scores: Array = self._engine.get_scores_from_ids(known)
        least = self._unmatched(known)
        ranking = self._rows.ranking(scores if rows is None else scores[rows], rows, k)
        return [ranked for ranked in ranking if ranked.score > least]

    def _unmatched(self, known: list[int]) -> float:
        """The score of a passage with none of the words: 0, but for the variants that give it something too."""
        lifted = self._engine.nonoccurrence_array
        return 0.0 if lifted is None else float(lifted[known].sum())

    def _tokenize(self, texts: Iterable[str], return_ids: bool) -> Any:
        options, cut = self.options, self._words
        given: dict[str, Any] = {"stopwords": options.stopwords, "stemmer": self._stemmer, "return_ids": return_ids}
        if cut is None:
            return bm25s.tokenize(map(composed, texts), **given, show_progress=False)
        lines = ("\n".join(cut(text)) for text in texts)
        return bm25s.tokenize(lines, lower=False, token_pattern=r"[^\n]+", **given, show_progress=False)

    def _build(self, corpus: Mapping[str, Passage], folder: Path) -> None:
        counted = self._tokenize(self._texts(corpus), return_ids=True)
        if counted.vocab:
            options = self.options
            engine = bm25s.BM25(k1=options.k1, b=options.b, method=options.method)
            engine.index(counted, create_empty_token=False, show_progress=False)
            engine.save(folder, show_progress=False)

    def _texts(self, corpus: Mapping[str, Passage]) -> Iterator[str]:
        with progress("bm25 index", len(corpus)) as advance:
            for passage_id in self._rows.ids:
                yield searchable_text(corpus[passage_id], self.options.title)
                advance(1)

    def _key(self, corpus: Mapping[str, Passage]) -> str:
        made_by = identity.key(identity.own(type(self), self.options))
        versions = [version(name) for name in ("bm25s", "PyStemmer", "regex")]
        return digest([FORMAT, made_by, *versions, corpus_digest(corpus)])


def _load(folder: Path) -> Any:
    """The bm25s index in a folder, its arrays mapped into memory; None when no passage had a word."""
    if not (folder / "params.index.json").is_file():
        return None
    engine = bm25s.BM25.load(folder, mmap=True)
    # A plain view of the mapped pages: slicing np.memmap objects is many times slower.
    for name in ("data", "indices", "indptr"):
        engine.scores[name] = np.asarray(engine.scores[name])
    return engine
