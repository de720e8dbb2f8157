"""Time of scoring: every answer and retrieval metric over as many questions as 2WikiMultihopQA's dev set has.

Scores are kept: `comparing_seconds` is what `compare` takes from kept scores, `scoring_both_seconds` what it takes from
records alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import msgspec

from clara_bench.metrics import get, names
from clara_bench.metrics.differences import difference, differences
from clara_bench.metrics.metric import Metric
from clara_bench.metrics.statistics import columns, summarise
from clara_bench.reporting.scored import Values, packed
from clara_bench.types import Answer, Gold, Ranked, Record

NUM_QUESTIONS = 12_576
CUTOFFS = (1, 2, 5, 10)
WORDS = "of river King Anna 1887 film-maker Saint “North” Zürich U.S. yes born album and Kyōto director no".split()


def measure() -> dict[str, float]:
    """Seconds to score a run and to compare two: the fastest of three, since other work only adds time."""
    metrics = answer_and_retrieval_metrics()
    golds, records = synthetic_run(NUM_QUESTIONS)
    others = records[1:] + records[:1]
    ids = [record.id for record in records]
    kept = [
        msgspec.json.encode({name: packed(column) for name, column in columns(metrics, golds, found).items()})
        for found in (records, others)
    ]
    return {
        "scoring_seconds": min(_seconds(lambda: summarise(metrics, golds, records)) for _ in range(3)),
        "scoring_both_seconds": min(_seconds(lambda: differences(metrics, golds, records, others)) for _ in range(3)),
        "comparing_seconds": min(_seconds(lambda: _compare_kept(kept, ids)) for _ in range(3)),
    }


def _compare_kept(kept: Sequence[bytes], ids: Sequence[str]) -> None:
    before, after = (msgspec.json.decode(one, type=dict[str, Values]) for one in kept)
    for name in before:
        difference(before[name].column(name), after[name].column(name), ids)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def answer_and_retrieval_metrics() -> list[Metric]:
    spelt = [name.replace("@k", f"@{k}") for name in names() for k in (CUTOFFS if "@k" in name else (0,))]
    return [metric for metric in map(get, spelt) if metric.family in {"answer", "retrieval"}]


def synthetic_run(size: int) -> tuple[list[Gold], list[Record]]:
    """Questions with one to five references, two to four of 20 candidates supporting, and an answer each."""
    dice = random.Random(0)
    golds, records = [], []
    for number in range(size):
        answers = tuple(_phrase(dice, 1, 4) for _ in range(dice.choice((1, 1, 1, 2, 5))))
        passages = [f"{number}-{place}" for place in range(20)]
        golds.append(Gold(answers, supporting=frozenset(dice.sample(passages, dice.randint(2, 4)))))
        text = dice.choice((answers[0], _phrase(dice, 1, 12), f"It is {answers[-1]}."))
        retrieved = tuple(Ranked(name, -float(rank)) for rank, name in enumerate(dice.sample(passages, 20)))
        ranks = tuple(rank for rank in range(1, 21) if dice.random() < 0.1)
        records.append(Record(str(number), Answer(text, retrieved), ranks))
    return golds, records


def _phrase(dice: random.Random, fewest: int, most: int) -> str:
    return " ".join(dice.choices(WORDS, k=dice.randint(fewest, most)))


if __name__ == "__main__":
    print(" ".join(f"{name}={value:.3f}" for name, value in measure().items()))
