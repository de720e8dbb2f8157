"""Two-way questions: those that a coin answers right half the time.

Of a question only its text, its gold answer and the data set's own type are looked at.
"""

from __future__ import annotations

import re

from clara_bench.text import normalise
from clara_bench.types import Example

COMPARISONS = ("comparison", "bridge_comparison")
"""Types of HotpotQA, 2WikiMultihopQA and the synthetic worlds that ask which of two, or whether two are alike."""
YES_NO = ("yes", "no")

_OR = re.compile(r",?\s+or\s+", re.IGNORECASE)


def options(example: Example) -> tuple[str, str] | None:
    """The right and the wrong answer of a two-way question; None for a question that asks for a value.

    A question is two-way if its gold answer is yes or no; if its type is a comparison and it names two options with
    `or`, or its answer; or if it names two options with `or` and one of them is the answer. The wrong option is ""
    where the question does not say where it begins.
    """
    if not example.gold.answers:
        return None
    answer, question = normalise(example.gold.answers[0]), example.question.text
    if answer in YES_NO:
        return (answer, "no" if answer == "yes" else "yes")
    named = _named(question)
    compared = str(example.gold.kind).startswith(COMPARISONS)
    if named and (compared or _beside(answer, *named)):
        return example.gold.answers[0], _other(answer, *named)
    return (example.gold.answers[0], "") if compared and answer and answer in normalise(question) else None


def _named(question: str) -> tuple[str, str] | None:
    """What stands before and behind the last `or`."""
    *before, behind = _OR.split(question.rstrip(" ?"))
    return (before[-1], behind) if before else None


def _beside(answer: str, before: str, behind: str) -> bool:
    """Whether one side is the answer, or the side before ends with it.

    >>> _beside("rome", "Which city is older, Rome", "Paris")
    True
    """
    return bool(answer) and (normalise(behind) == answer or f" {normalise(before)}".endswith(f" {answer}"))


def _other(answer: str, before: str, behind: str) -> str:
    """The option that is not the answer; "" where it is not known where it begins."""
    if normalise(behind) != answer and f" {normalise(before)}".endswith(f" {answer}"):
        return behind
    begins = re.split(r"[,:]\s+|\bbetween\s+", before)
    return begins[-1].strip() if normalise(behind) == answer and len(begins) > 1 else ""
