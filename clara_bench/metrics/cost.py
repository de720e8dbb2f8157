"""Metrics of cost: tokens, compression, money and seconds.

A failed question has no cost, and an answer without counts (from a predictions file) has an unknown one:
both are left out of the mean and counted as `unscored`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from clara_bench.metrics.case import Case, Truth
from clara_bench.metrics.metric import Metric
from clara_bench.types import Usage

PHASES = ("retrieve", "compress", "prefill", "decode")


def _counted(usage: Usage) -> bool:
    """Whether tokens were counted: a real answer reads and writes at least one."""
    return bool(usage.prompt_tokens or usage.context_positions or usage.generated_tokens)


def _usage(attribute: str, case: Case) -> float | None:
    usage = case.record.answer.usage
    return float(getattr(usage, attribute)) if _counted(usage) else None


def _positions(case: Case) -> float:
    return float(case.record.answer.usage.context_positions)


def _evidence_tokens(case: Case) -> float | None:
    """The numerator of the ratio of sums; None where there was nothing to compress and nothing was given."""
    usage = case.record.answer.usage
    return float(usage.context_text_tokens) if usage.context_text_tokens else None


def _ratio(case: Case) -> float | None:
    """Text tokens per context token for one question; None if the reader was given nothing or counts are missing."""
    usage = case.record.answer.usage
    known = usage.context_text_tokens and usage.context_positions
    return usage.context_text_tokens / usage.context_positions if known else None


def _truncated(case: Case) -> float | None:
    answer = case.record.answer
    if answer.status == "truncated":
        return 1.0
    return 0.0 if _counted(answer.usage) else None


def _dollars(case: Case) -> float | None:
    usd = case.record.answer.usage.usd
    return None if usd is None else 1000 * usd


def _seconds(case: Case) -> float | None:
    if case.record.seconds is not None:
        return case.record.seconds
    phases = case.record.answer.usage.seconds
    return sum(phases.values()) if phases else None


def _phase_seconds(phase: str, case: Case) -> float | None:
    return case.record.answer.usage.seconds.get(phase)


def _answer_tokens(case: Case) -> float:
    return float(len(case.answer.tokens))


def _always(truth: Truth) -> bool:
    return True


def cost_metric(
    name: str,
    description: str,
    unit: str,
    measure: Callable[[Case], float | None],
    higher_is_better: bool = False,
    divisor: Callable[[Case], float] | None = None,
) -> Metric:
    """A metric that applies to every question and is not limited to [0, 1]."""
    return Metric(name, description, "", unit, higher_is_better, "cost", _always, measure, divisor)


_COUNTS = {
    "context_positions": "Context tokens: the evidence that the reader attends to, in tokens of text or memory tokens.",
    "context_text_tokens": "Tokens of the same evidence as plain text, in the reader's own tokenizer.",
    "prompt_tokens": "Everything the reader read, instructions and question included.",
    "generated_tokens": "Tokens the reader wrote.",
}


def metrics() -> Iterable[Metric]:
    """Every metric of cost."""
    for attribute, description in _COUNTS.items():
        yield cost_metric(attribute, description, "tokens", partial(_usage, attribute))
    yield cost_metric("answer_tokens", "Tokens of the answer after normalisation.", "tokens", _answer_tokens)
    yield cost_metric(
        "effective_ratio_micro",
        "Σ context_text_tokens / Σ context_positions over the questions: the compression the reader saw.",
        "ratio",
        _evidence_tokens,
        higher_is_better=True,
        divisor=_positions,
    )
    yield cost_metric(
        "effective_ratio_macro",
        "Mean of context_text_tokens / context_positions over the questions that were given a context.",
        "ratio",
        _ratio,
        higher_is_better=True,
    )
    yield cost_metric(
        "truncated",
        "1 if evidence, question or answer was cut to fit, by whichever part of the system.",
        "fraction",
        _truncated,
    )
    yield cost_metric(
        "usd_per_1000",
        "US dollars for 1,000 questions, at the prices that the reader was given.",
        "dollars",
        _dollars,
    )
    yield cost_metric(
        "seconds",
        "Wall-clock seconds for a question, measured from outside the system; else the sum of its phases.",
        "seconds",
        _seconds,
    )
    for phase in PHASES:
        description = f"Seconds of phase {phase}, where the system tells them."
        yield cost_metric(f"seconds_{phase}", description, "seconds", partial(_phase_seconds, phase))
