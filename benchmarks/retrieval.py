"""Overhead of the harness on BM25: indexing and searching, compared with calling bm25s directly.

Run as a script it prints the numbers; `make perf` puts them into its table.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import bm25s
import Stemmer

from clara_bench.retrieve.bm25 import BM25
from clara_bench.types import Passage, Question

PASSAGES, WORDS, QUESTIONS, WORDS_ASKED, K, REPEATS = 20_000, 80, 500, 12, 20, 5


def measure() -> dict[str, float]:
    """Seconds of both on the same synthetic texts, and their ratio (the promise: at most 1.2).

    They take turns and the fastest turn of each counts, because other work on the machine only adds time. Ours
    includes what direct use does not do: hashing the corpus, writing, checking and loading the
    cached index.
    """
    corpus, questions = _material(random.Random(0))
    ours, direct = [], []
    for _ in range(REPEATS):
        direct.append(_seconds_direct(corpus, questions))
        ours.append(_seconds_ours(corpus, questions))
    return {
        "bm25_seconds": min(ours),
        "bm25s_seconds": min(direct),
        "bm25_over_bm25s": min(ours) / min(direct),
    }


def _material(rng: random.Random) -> tuple[dict[str, Passage], list[Question]]:
    """Passages and questions whose words are as unevenly frequent as in English (Zipf's law)."""
    vocabulary = ["".join(rng.choices("abcdefghiklmnoprstuvy", k=rng.randint(3, 10))) for _ in range(50_000)]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(vocabulary) + 1)))

    def text(length: int) -> str:
        return " ".join(rng.choices(vocabulary, cum_weights=weights, k=length))

    corpus = {f"p{number}": Passage(f"p{number}", text(2), text(WORDS)) for number in range(PASSAGES)}
    return corpus, [Question(f"q{number}", text(WORDS_ASKED)) for number in range(QUESTIONS)]


def _seconds_direct(corpus: dict[str, Passage], questions: Sequence[Question]) -> float:
    start = time.perf_counter()
    stemmer = Stemmer.Stemmer("english")
    texts = [f"{passage.title} {passage.text}" for passage in corpus.values()]
    engine = bm25s.BM25()
    engine.index(bm25s.tokenize(texts, stemmer=stemmer, show_progress=False), show_progress=False)
    asked = bm25s.tokenize([question.text for question in questions], stemmer=stemmer, show_progress=False)
    engine.retrieve(asked, k=K, show_progress=False)
    return time.perf_counter() - start


def _seconds_ours(corpus: dict[str, Passage], questions: Sequence[Question]) -> float:
    with _empty_cache():
        start = time.perf_counter()
        retriever = BM25(BM25.Options())
        retriever.index(corpus)
        retriever.retrieve(questions, K)
        return time.perf_counter() - start


@contextlib.contextmanager
def _empty_cache() -> Iterator[None]:
    before = os.environ.get("CLARA_BENCH_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CLARA_BENCH_CACHE"] = str(Path(folder))
        try:
            yield
        finally:
            del os.environ["CLARA_BENCH_CACHE"]
            if before is not None:
                os.environ["CLARA_BENCH_CACHE"] = before


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:<20} {value:8.3f}")
