"""MuSiQue-Full's grouped metrics: answers of question pairs, answerable and unanswerable.

A question is asked twice, with its support and with some of it removed. If the system classifies both
as answerable or not correctly, the pair scores what the answerable question scores, otherwise 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from clara_bench.metrics.answer import Scorer, best_overlap, exact_match
from clara_bench.metrics.case import Case, Truth
from clara_bench.metrics.metric import Metric, Part, failed
from clara_bench.metrics.support import support


def told_apart(case: Case) -> bool:
    """Whether the question is predicted answerable, and the same question without its support is not."""
    contrast = None if failed(case.contrast) else case.contrast
    return case.record.answer.answerable is True and contrast is not None and contrast.answer.answerable is False


def _if_told_apart(measure: Callable[[Case], float], case: Case) -> float:
    return measure(case) if told_apart(case) else 0.0


def _f1(scorer: Scorer, case: Case) -> float:
    return best_overlap(scorer, case).f1


def _support_part(scorer: Scorer, part: str, case: Case) -> float:
    return float(getattr(support(scorer, case), part))


def _is_asked_both_ways(truth: Truth) -> bool:
    return truth.scorable and truth.contrast is not None and not truth.contrast.answerable


_MUSIQUE = "MuSiQue evaluate_v1.0.py, metrics/group_{}_sufficiency.py (Trivedi et al. 2022)"


def metrics(scorer: Scorer) -> Iterable[Metric]:
    """The grouped metrics, em and f1 as the given scorer has them."""
    measures: dict[str, tuple[Part, dict[str, Callable[[Case], float]]]] = {
        "answer": ("answer", {"em": exact_match, "f1": partial(_f1, scorer)}),
        "support": ("support", {part: partial(_support_part, scorer, part) for part in ("em", "f1")}),
    }
    for name, (need, parts) in measures.items():
        for part, measure in parts.items():
            plain = part if name == "answer" else f"support_{part}"
            yield Metric(
                f"group_{name}_sufficiency_{part}",
                f"{plain} of the answerable question of a pair, 0 unless both are told for what they are, "
                "answerable and not.",
                _MUSIQUE.format(name),
                "fraction",
                True,
                "support",
                _is_asked_both_ways,
                partial(_if_told_apart, measure),
                needs=frozenset({need, "answerable"}),
            )
