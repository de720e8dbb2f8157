"""Metrics of the ranking of gold passages.

Passages are identified by id. A passage listed twice counts once, at its first rank, and later passages
move up. Only `answer_recall` looks for the answer's text instead.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import log2
from typing import NamedTuple

from clara_bench.metrics.answer import VERDICTS
from clara_bench.metrics.case import Case, Truth
from clara_bench.metrics.metric import Metric, Part


def _hits(case: Case, k: int) -> int:
    return bisect_right(case.gold_ranks, k)


def recall(k: int, case: Case) -> float:
    """Share of the supporting passages that are among the first k."""
    return _hits(case, k) / len(case.truth.gold.supporting)


def precision(k: int, case: Case) -> float:
    """Share of the k places that hold a supporting passage; a shorter list leaves places empty."""
    return _hits(case, k) / k


def hit(k: int, case: Case) -> float:
    """1 if the first k hold some supporting passage."""
    return float(_hits(case, k) > 0)


def all_support(k: int, case: Case) -> float:
    """1 if the first k hold every supporting passage."""
    return float(_hits(case, k) == len(case.truth.gold.supporting))


def reciprocal_rank(k: int | None, case: Case) -> float:
    """1 / rank of the first supporting passage; 0 if there is none, or none among the first k."""
    ranks = case.gold_ranks
    return 1 / ranks[0] if ranks and (k is None or ranks[0] <= k) else 0.0


def ndcg(k: int, case: Case) -> float:
    """Discounted gain 1 / log2(rank + 1) of the supporting passages, over that of the best list there could be."""
    best = sum(1 / log2(rank + 1) for rank in range(1, min(k, len(case.truth.gold.supporting)) + 1))
    return sum(1 / log2(rank + 1) for rank in case.gold_ranks if rank <= k) / best


def answer_recall(k: int, case: Case) -> float | None:
    """1 if one of the first k holds an accepted answer; None where the record does not say which do."""
    ranks = case.record.answer_ranks
    if ranks is None:
        return None if case.record.answer.retrieved else 0.0
    return float(any(rank <= k for rank in ranks))


def _has_support(truth: Truth) -> bool:
    return bool(truth.gold.supporting)


def _is_in_text(truth: Truth) -> bool:
    """Yes and no are answers that no passage contains as an answer."""
    return truth.scorable and any(r.tokens and r.text not in VERDICTS for r in truth.references)


class AtK(NamedTuple):
    """A metric that is one once its cutoff is given."""

    measure: Callable[[int, Case], float | None]
    description: str
    citation: str
    relevant: Callable[[Truth], bool] = _has_support


_TREC = "as trec_eval"
AT_K: Mapping[str, AtK] = {
    "recall": AtK(recall, "|first k ∩ gold| / |gold|, passages by id.", _TREC),
    "precision": AtK(precision, "|first k ∩ gold| / k, however short the list.", _TREC),
    "hit": AtK(hit, "1 if a gold passage is among the first k.", "success in trec_eval"),
    "all_support": AtK(all_support, "1 if all gold passages are among the first k: what multi-hop questions need.", ""),
    "mrr": AtK(reciprocal_rank, "1 / rank of the first gold passage if that is ≤ k, else 0.", _TREC),
    "ndcg": AtK(
        ndcg,
        "Σ 1/log2(rank + 1) of the gold passages among the first k, over the largest this sum could be.",
        f"{_TREC}, ndcg_cut (Järvelin and Kekäläinen 2002)",
    ),
    "answer_recall": AtK(
        answer_recall,
        "1 if a passage among the first k contains an accepted answer (cover_sequence). Not for yes/no questions.",
        "top-k accuracy of DPR (Karpukhin et al. 2020)",
        _is_in_text,
    ),
}


def at(family: str, k: int) -> Metric:
    """The metric `family@k`."""
    measure, description, citation, relevant = AT_K[family]
    return _retrieval_metric(f"{family}@{k}", description, citation, relevant, partial(measure, k))


def metrics() -> Iterable[Metric]:
    """The metrics of the ranking that have no cutoff."""
    description = "1 / rank of the first gold passage, 0 if it was not retrieved."
    measure = partial(reciprocal_rank, None)
    yield _retrieval_metric("mrr", description, "recip_rank in trec_eval", _has_support, measure)


def _retrieval_metric(
    name: str,
    description: str,
    citation: str,
    relevant: Callable[[Truth], bool],
    measure: Callable[[Case], float | None],
) -> Metric:
    needs: frozenset[Part] = frozenset({"retrieval"} if name.startswith("answer_recall") else {"retrieval", "passages"})
    return Metric(name, description, citation, "fraction", True, "retrieval", relevant, measure, needs=needs)
