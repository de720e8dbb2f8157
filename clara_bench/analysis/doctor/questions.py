"""Checks of questions and their passages, before or after anybody has answered."""

from __future__ import annotations

from collections.abc import Iterator

from clara_bench.analysis.doctor.findings import Asked, Finding
from clara_bench.analysis.doctor.training import near_duplicates
from clara_bench.analysis.two_way import options
from clara_bench.text import answer_words, normalise, words
from clara_bench.types import Example

FEW = 10
"""Questions below which shares say nothing."""
SPREAD = 2
"""Times as many candidates as gold passages there must be for their places to mean anything."""


def empty_references(asked: Asked) -> Iterator[Finding]:
    """References of which normalisation leaves nothing, so that no answer can match them."""
    bad = [e for e in asked.examples if any(not normalise(answer) for answer in e.gold.answers)]
    if bad:
        yield asked.found(
            "empty-references", bad, "questions have a reference of which normalisation leaves nothing",
            "EM and F1 cannot match it. Add a spelling with letters or digits, or leave the question out",
        )  # fmt: skip


def gold_first(asked: Asked) -> Iterator[Finding]:
    """Candidates in whose order the gold passages come first."""
    told = [e for e in asked.examples if len(e.question.candidates or ()) >= SPREAD * len(e.gold.supporting) > 0]
    bad = [e for e in told if set((e.question.candidates or ())[: len(e.gold.supporting)]) == e.gold.supporting]
    if len(told) >= FEW and 2 * len(bad) > len(told):
        yield asked.found(
            "gold-leak", bad, "questions list their gold passages before all other candidates",
            "The order tells which passages are gold. Shuffle the candidates", len(told),
        )  # fmt: skip


def answer_in_question(asked: Asked) -> Iterator[Finding]:
    """Questions for a value that hold their own answer."""
    valued = [e for e in asked.examples if e.gold.answers and options(e) is None]
    bad = [e for e in valued if any(answer in words(e.question.text) for answer in answer_words(e.gold.answers))]
    if bad:
        yield asked.found(
            "answer-in-question", bad, "value questions hold their own answer",
            "A system that copies from the question is right. Look at them, and report value questions without them",
            len(valued),
        )  # fmt: skip


def answer_nowhere(asked: Asked) -> Iterator[Finding]:
    """Value questions whose answer is in no passage that they have."""
    if not asked.passages:
        return
    valued = [e for e in asked.examples if e.gold.answers and e.gold.answerable and options(e) is None]
    told = [(e, _own_passages(e)) for e in valued]
    known = [(e, ids) for e, ids in told if any(id in asked.passages for id in ids)]
    bad = [e for e, ids in known if not _holds(asked, e, ids)]
    if bad:
        yield asked.found(
            "answer-nowhere", bad, "value questions have their answer in none of their gold and candidate passages",
            "No reader of these passages can copy it. Check the references' spellings, or the passages", len(known),
        )  # fmt: skip


def _own_passages(example: Example) -> list[str]:
    return [*example.gold.supporting, *(example.question.candidates or ())]


def _holds(asked: Asked, example: Example, ids: list[str]) -> bool:
    answers = answer_words(example.gold.answers)
    passages = (asked.passages[id] for id in dict.fromkeys(ids) if id in asked.passages)
    texts = (words(f"{passage.title} {passage.text}") for passage in passages)
    return any(answer in text for text in texts for answer in answers)


def trained_on(asked: Asked) -> Iterator[Finding]:
    """Questions that are also in the training rows, or nearly."""
    same = near_duplicates([example.question.text for example in asked.examples], asked.train)
    bad = [example for place, example in enumerate(asked.examples) if place in same]
    if bad:
        yield asked.found(
            "training-questions", bad, "questions are, word for word or nearly, among the training rows",
            "Take them out of the training rows, or score the others alone",
        )  # fmt: skip


OF_QUESTIONS = (empty_references, answer_in_question, trained_on)
OF_PASSAGES = (gold_first, answer_nowhere)
"""Those that depend on the passages offered."""
