"""Metrics of predicted evidence: supporting sentences or paragraphs, triples, and joint scores.

A question without predicted support counts 0, as in the official scripts. The caller detects a run
that predicts no support at all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from clara_bench.metrics.answer import Scorer, best_overlap, exact_match, official_match, official_overlap
from clara_bench.metrics.case import Case, Overlap, Truth, normal_triple
from clara_bench.metrics.metric import Metric, Part
from clara_bench.types import Fact, Triple


class Agreement(NamedTuple):
    """How far a predicted set is the gold one, each in [0, 1]."""

    em: float
    f1: float
    precision: float
    recall: float


NO_AGREEMENT = Agreement(0.0, 0.0, 0.0, 0.0)


def harmonic(precision: float, recall: float) -> float:
    """F1 of a precision and a recall; 0 where both are.

    >>> harmonic(0.5, 1.0)
    0.6666666666666666
    """
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def agreement(predicted: Sequence[Hashable], gold: Sequence[Hashable]) -> Agreement:
    """Compare two lists of distinct things, as hotpot_evaluate_v1.py does.

    >>> agreement(["a", "b"], ["b", "c"])
    Agreement(em=0.0, f1=0.5, precision=0.5, recall=0.5)
    """
    hits = sum(item in gold for item in predicted)
    missed = sum(item not in predicted for item in gold)
    precision = hits / len(predicted) if predicted else 0.0
    recall = hits / (hits + missed) if gold else 0.0
    return Agreement(float(hits == len(predicted) and not missed), harmonic(precision, recall), precision, recall)


def support(scorer: Scorer, case: Case) -> Agreement:
    """Predicted against gold supporting sentences; against gold passages where the data set has only those.

    A passage is named by its id in the place of a Fact's title, and its sentence is not looked at.
    """
    predicted = case.record.answer.support
    if predicted is None:
        return NO_AGREEMENT
    gold = case.truth.gold
    if not gold.facts:
        return agreement(list({fact.title for fact in predicted}), list(gold.supporting))
    return agreement(_distinct(predicted, scorer), _distinct(gold.facts, scorer))


def _distinct(facts: Iterable[Fact], scorer: Scorer) -> list[tuple[str, int]]:
    """Duplicates go before titles are lowered, so titles that differ in case alone stay two (2Wiki v1.1)."""
    return [(title.lower() if scorer.lowers_titles else title, sentence) for title, sentence in set(facts)]


Credit = Callable[[Iterable[Triple], Sequence[frozenset[Triple]]], int]
"""How many of the predicted triples match the steps."""


def evidence(case: Case, credit: Credit) -> Agreement:
    """Predicted triples against the steps of evidence, where `credit` says how many of them match."""
    predicted = frozenset(map(normal_triple, case.record.answer.evidences or ()))
    steps = case.truth.steps
    matched = credit(predicted, steps)
    precision = matched / len(predicted) if predicted else 0.0
    recall = matched / len(steps)
    return Agreement(
        float(matched == len(predicted) == len(steps)), harmonic(precision, recall), precision, recall
    )  # fmt: skip


def matched_once(predicted: Iterable[Triple], steps: Sequence[frozenset[Triple]]) -> int:
    """How many triples match when a step takes one of them only: the largest matching of triples to steps."""
    taken: dict[int, Triple] = {}

    def place(triple: Triple, tried: set[int]) -> bool:
        for index, spellings in enumerate(steps):
            if triple in spellings and index not in tried:
                tried.add(index)
                if index not in taken or place(taken[index], tried):
                    taken[index] = triple
                    return True
        return False

    return sum(place(triple, set()) for triple in predicted)


def matched_official(predicted: Iterable[Triple], steps: Sequence[frozenset[Triple]]) -> int:
    """How many triples are a spelling of some step, several of one step included: recall can pass 1."""
    return sum(any(triple in spellings for spellings in steps) for triple in predicted)


def joint(scorer: Scorer, case: Case) -> tuple[float, float]:
    """(EM, F1) of answer and support together, and of evidence where the scorer has it: products of their parts."""
    return _product(scorer, case, exact_match(case), best_overlap(scorer, case), matched_once)


def official_joint(scorer: Scorer, case: Case) -> tuple[float, float]:
    """The same as the script has it, its faults included."""
    return _product(scorer, case, official_match(case), official_overlap(scorer, case), matched_official)


def _product(scorer: Scorer, case: Case, em: float, words: Overlap, credit: Credit) -> tuple[float, float]:
    found = [support(scorer, case)]
    if scorer.joins_evidence and case.truth.steps:
        found.append(evidence(case, credit))
    precision, recall = words.precision, words.recall
    for part in found:
        em, precision, recall = em * part.em, precision * part.precision, recall * part.recall
    return em, harmonic(precision, recall)


def _support_part(scorer: Scorer, part: str, case: Case) -> float:
    return float(getattr(support(scorer, case), part))


def _evidence_part(credit: Credit, part: str, case: Case) -> float:
    return float(getattr(evidence(case, credit), part))


def _joint_part(joined: Callable[[Scorer, Case], tuple[float, float]], scorer: Scorer, index: int, case: Case) -> float:
    return joined(scorer, case)[index]


def _has_support(truth: Truth) -> bool:
    """Not where support was taken away: what is left of it is nothing to find (MuSiQue's script)."""
    return truth.gold.answerable and bool(truth.gold.facts or truth.gold.supporting)


def _has_both(truth: Truth) -> bool:
    return truth.scorable and _has_support(truth)


def _has_evidence(truth: Truth) -> bool:
    return bool(truth.gold.evidences)


_HOTPOTQA = "hotpot_evaluate_v1.py (Yang et al. 2018)"
_2WIKI = "2wikimultihop_evaluate_v1.1.py (Ho et al. 2020)"
_PARTS = {
    "em": "1 if the predicted and the gold {things} are the same set, else 0",
    "f1": "Harmonic mean of precision and recall of the predicted {things}",
    "precision": "|predicted ∩ gold| / |predicted|, {things}",
    "recall": "|predicted ∩ gold| / |gold|, {things}",
}


def support_metric(
    name: str,
    description: str,
    citation: str,
    relevant: Callable[[Truth], bool],
    measure: Callable[[Case], float],
    *needs: Part,
) -> Metric:
    """A fraction of the support family."""
    return Metric(name, description, citation, "fraction", True, "support", relevant, measure, needs=frozenset(needs))


def metrics(scorer: Scorer) -> Iterable[Metric]:
    """Every metric of support and evidence, titles and joint scores as the given scorer has them."""
    things = "supporting sentences (MuSiQue: passages; 2wiki: titles in lower case)"
    for part, description in _PARTS.items():
        text = f"{description.format(things=things)}."
        citation = f"{_HOTPOTQA}; MuSiQue metrics/support.py; {_2WIKI}"
        measure = partial(_support_part, scorer, part)
        yield support_metric(f"support_{part}", text, citation, _has_support, measure, "support")
    yield from _joint_metrics(scorer)
    yield from _evidence_metrics()


def _joint_metrics(scorer: Scorer) -> Iterable[Metric]:
    needs: tuple[Part, ...] = ("answer", "support", "evidence") if scorer.joins_evidence else ("answer", "support")
    texts = (
        "em × support_em (2wiki: × evidence_em).",
        "Harmonic mean of the product of the precisions and the product of the recalls of what joint_em joins.",
    )
    for index, (part, text) in enumerate(zip(("em", "f1"), texts, strict=True)):
        measure = partial(_joint_part, joint, scorer, index)
        yield support_metric(f"joint_{part}", text, f"{_HOTPOTQA}; {_2WIKI}, mended", _has_both, measure, *needs)
        text = f"joint_{part} as the script has it, of em_official or f1_official and evidence_{part}_official."
        measure = partial(_joint_part, official_joint, scorer, index)
        yield support_metric(f"joint_{part}_official", text, f"{_HOTPOTQA}; {_2WIKI}", _has_both, measure, *needs)


def _evidence_metrics() -> Iterable[Metric]:
    things = "evidence triples (any spelling of a step counts, a step counts once)"
    for part, description in _PARTS.items():
        text = f"{description.format(things=things)}."
        measure = partial(_evidence_part, matched_once, part)
        yield support_metric(f"evidence_{part}", text, f"{_2WIKI}, mended", _has_evidence, measure, "evidence")
    for part in ("em", "f1"):
        text = f"evidence_{part} with the official fault: two spellings of one step count as two, so recall can pass 1."
        measure = partial(_evidence_part, matched_official, part)
        yield support_metric(f"evidence_{part}_official", text, _2WIKI, _has_evidence, measure, "evidence")
