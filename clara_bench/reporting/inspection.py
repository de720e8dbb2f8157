"""Inspection of single questions: the question, retrieved passages, the answer, the gold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from clara_bench import metrics
from clara_bench.errors import UnknownName
from clara_bench.records.prompts import Line, read_prompts
from clara_bench.records.results import Run
from clara_bench.types import FAILURES, Example, Passage, Record


@dataclass(frozen=True, slots=True)
class Shown:
    """One question with everything known of it."""

    example: Example
    record: Record | None
    em: float | None
    f1: float | None
    scorable: bool
    """Whether there is an answer to be right about."""
    read: Line | None = None
    """What the reader read, where it was kept."""

    @property
    def failed(self) -> bool:
        """Never answered, or an error, a timeout, out of memory."""
        return self.record is None or self.record.answer.status in FAILURES


def questions(run: Run, only: str = "all", question_id: str | None = None) -> list[Shown]:
    """The run's questions in order.

    Args:
        run: the run directory.
        only: all, wrong (EM 0, or failed, where there is an answer to be right about), right or failed.
        question_id: this one alone.

    Raises:
        UnknownName: no such question in the run.
    """
    records = {record.id: record for record in run.records()}
    scorer = run.manifest["task"]["answer_scorer"]
    read = read_prompts(run.path)
    shown = [
        replace(_shown(example, records.get(example.question.id), scorer), read=read.get(example.question.id))
        for example in run.examples
    ]
    if question_id is not None:
        shown = [one for one in shown if one.example.question.id == question_id]
        if not shown:
            raise UnknownName("question", question_id, records)
    kept: dict[str, Callable[[Shown], bool]] = {
        "all": lambda one: True,
        "wrong": lambda one: one.scorable and not one.em,
        "right": lambda one: bool(one.em),
        "failed": lambda one: one.failed,
    }
    return list(filter(kept[only], shown))


def holding(runs: Sequence[Run], question_id: str) -> list[Run]:
    """The runs that asked a question.

    Raises:
        UnknownName: none did.
    """
    found = [run for run in runs if any(example.question.id == question_id for example in run.examples)]
    if not found:
        raise UnknownName("question", question_id, [example.question.id for run in runs for example in run.examples])
    return found


def _shown(example: Example, record: Record | None, scorer: str) -> Shown:
    em, f1 = (metrics.get(name, scorer) for name in ("em", "f1"))
    scorable = em.applies(example.gold)
    if record is None or record.answer.status in FAILURES or not scorable:
        return Shown(example, record, None, None, scorable)
    return Shown(example, record, em.score(example.gold, record), f1.score(example.gold, record), scorable)


def ranked_lines(shown: Shown, depth: int, corpus: Mapping[str, Passage]) -> list[tuple[int, bool, str, str]]:
    """(rank, is gold, passage id, title and text if available) of the best `depth`."""
    retrieved = shown.record.answer.retrieved if shown.record else None
    offered = shown.example.question.candidates or ()
    listed: Sequence[str] = offered if retrieved is None else [ranked.passage_id for ranked in retrieved]
    gold = shown.example.gold.supporting
    return [(rank, pid in gold, pid, _text(corpus.get(pid))) for rank, pid in enumerate(listed[:depth], 1)]


def _text(passage: Passage | None) -> str:
    return "" if passage is None else f"{passage.title} · {passage.text}"
