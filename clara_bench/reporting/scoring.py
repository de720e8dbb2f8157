"""Scoring of a run directory or of a predictions file."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from clara_bench import judging, metrics
from clara_bench.datasets.base import UNANSWERABLE
from clara_bench.errors import DataError
from clara_bench.io.cache import write_atomic
from clara_bench.io.parsing import in_bulk
from clara_bench.metrics import Metric
from clara_bench.metrics.metric import Part
from clara_bench.metrics.plugin import is_file
from clara_bench.metrics.statistics import Summary, summarise
from clara_bench.records.manifest import json_bytes
from clara_bench.records.packs import is_published
from clara_bench.records.results import Run
from clara_bench.tasks import definitions
from clara_bench.tasks.definitions import Task
from clara_bench.text import contains_answer
from clara_bench.types import FAILURES, Answer, Example, Gold, Passage, Record

SCHEMA = 2
"""Of scores.json. Files of schema 1 have bootstrap intervals, and the seed of those; all else is the same."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What scores.json holds."""

    metrics: Mapping[str, Summary]
    by_kind: Mapping[str, Mapping[str, Summary]]
    """The same metrics for each kind of question the data set tells apart."""
    statuses: Mapping[str, int]
    """How many questions ended how; `missing` were never answered."""
    scorer: str
    """Whose em and f1: squad, hotpotqa, musique or 2wiki."""


def installed(name: str) -> Task | None:
    """The task of that name, if one is installed."""
    return definitions.load(name) if name in definitions.names() else None


@in_bulk()
def score_run(run: Run, names: Sequence[str] = ()) -> Scores:
    """Score a run from its own files.

    Args:
        run: the run directory.
        names: metrics; () for those of the task.

    Raises:
        DataError: a file does not hold what it should.
        UnknownName: no such metric.
    """
    task = run.manifest["task"]
    refuse_other_scorer(run)
    examples, records = run.answered()
    chosen, verdicts = names or chosen_at(run), run.folder / judging.FILE
    return score(examples, records, chosen, task["answer_scorer"], run.manifest["setting"], verdicts=verdicts)


def chosen_at(run: Run) -> list[str]:
    """The metrics of a run's task, and those chosen when it was run; a warning names those that would run a file."""
    asked = run.manifest["request"].get("metrics", [])
    for name in unasked_files(run):
        said = f"{run.path}: the metric '{name}', chosen when it was run, is code in a file. Add -m to compute it"
        warnings.warn(said, stacklevel=3)
    return list(dict.fromkeys([*run.manifest["task"]["metrics"], *(name for name in asked if not is_file(name))]))


def unasked_files(run: Run) -> list[str]:
    """Metrics chosen when it was run that would run a file: nobody has asked for that now."""
    return [name for name in run.manifest["request"].get("metrics", []) if is_file(name)]


def refuse_other_scorer(run: Run, find_task: Callable[[str], Task | None] = installed) -> None:
    """A task that is installed has one scorer in each version, whatever a manifest says.

    Raises:
        DataError: the manifest says another.
    """
    task = run.manifest["task"]
    if run.manifest["request"]["task"] != task["name"]:
        return
    known = find_task(task["name"])
    if known and known.version == task["version"] and known.answer_scorer != task["answer_scorer"]:
        raise DataError(
            f"{run.path / 'manifest.json'}: task.answer_scorer is '{task['answer_scorer']}', that of version "
            f"{known.version} of {task['name']} is '{known.answer_scorer}'. Put the file back as it was"
        )


def write_scores(run: Run, scores: Scores) -> None:
    """Write scores.json; the same records always give the same bytes, and a file that has them is left alone.

    Nothing is written for a run in a pack, which stays as it was published.
    """
    if is_published(run.path):
        return
    file, content = run.path / "scores.json", json_bytes({"schema": SCHEMA, **msgspec.to_builtins(scores)})
    if not file.is_file() or file.read_bytes() != content:
        write_atomic(file, content)


def score(
    examples: Sequence[Example],
    records: Sequence[Record],
    names: Sequence[str],
    scorer: str,
    setting: str,
    without: frozenset[Part] = frozenset(),
    verdicts: Path | None = None,
) -> Scores:
    """Score records against the golds of the questions asked; the golds are the denominator.

    `without` is what the records do not predict although it looks so, such as the answers of a file of rankings;
    `verdicts` is the file of those that judges have given.

    Raises:
        DataError: a record answers a question that was not asked.
        UnknownName: no such metric.
    """
    chosen = applicable([metrics.get(name, scorer) for name in names], setting, records, without)
    chosen = judging.bound(chosen, examples, *([verdicts] if verdicts else []))
    golds, found = [example.gold for example in examples], in_order(examples, records)
    kinds = sorted({gold.kind for gold in golds if gold.kind})
    return Scores(
        metrics=summarise(chosen, golds, found, contrasts(examples)),
        by_kind={kind: _of_kind(kind, chosen, examples, found) for kind in kinds} if len(kinds) > 1 else {},
        statuses=statuses(found),
        scorer=scorer,
    )


def applicable(
    chosen: Sequence[Metric], setting: str, records: Sequence[Record], without: frozenset[Part] = frozenset()
) -> list[Metric]:
    """Leave out metrics that do not apply to the run; that is not the same as zero.

    No ranking is scored where there is nothing to choose (closed, gold) or the system searches for no question,
    and no support, evidence or answerability where it predicts none for any.
    """
    answers = [record.answer for record in records]
    retrieves = setting not in {"closed", "gold"} and any(answer.retrieved is not None for answer in answers)
    predicted: dict[Part, bool] = {
        "answer": True,
        "retrieval": retrieves,
        "passages": retrieves,
        "support": any(answer.support is not None for answer in answers),
        "evidence": any(answer.evidences is not None for answer in answers),
        "answerable": any(answer.answerable is not None for answer in answers),
    }
    there = {part for part, found in predicted.items() if found} - without
    return [metric for metric in chosen if metric.needs <= there]


def contrasts(examples: Sequence[Example]) -> dict[int, int]:
    """Place of each question to the place of the same question with support taken away, where both are asked."""
    places = {example.question.id: place for place, example in enumerate(examples)}
    pairs = ((place, places.get(id + UNANSWERABLE)) for id, place in places.items())
    return {place: other for place, other in pairs if other is not None}


def in_order(examples: Sequence[Example], records: Sequence[Record]) -> list[Record | None]:
    """The record of each question; None where there is none.

    Raises:
        DataError: a record answers a question that was not asked.
    """
    known = {example.question.id for example in examples}
    for record in records:
        if record.id not in known:
            raise DataError(f"an answer to question '{record.id}', which was not asked")
    answered = {record.id: record for record in records}
    return [answered.get(example.question.id) for example in examples]


def _of_kind(
    kind: str, chosen: Sequence[Metric], examples: Sequence[Example], found: Sequence[Record | None]
) -> dict[str, Summary]:
    kept = [index for index, example in enumerate(examples) if example.gold.kind == kind]
    asked = [examples[i] for i in kept]
    golds = [example.gold for example in asked]
    return summarise(chosen, golds, [found[i] for i in kept], contrasts(asked))


def statuses(found: Sequence[Record | None]) -> dict[str, int]:
    """How many questions ended how; `missing` were never answered."""
    counts: dict[str, int] = {}
    for record in found:
        status = record.answer.status if record else "missing"
        counts[status] = counts.get(status, 0) + 1
    return counts


def num_failed(statuses: Mapping[str, int]) -> int:
    """Questions that failed or were never answered."""
    return sum(count for status, count in statuses.items() if status in FAILURES or status == "missing")


def totals(records: Sequence[Record]) -> dict[str, float]:
    """What all answers of a run together cost, failed ones among them; dollars only where prices were given."""
    found = [record.answer.usage for record in records]
    paid = [usage.usd for usage in found if usage.usd is not None]
    tokens = {name: sum(getattr(usage, name) for usage in found) for name in ("prompt_tokens", "generated_tokens")}
    return {**tokens, **({"usd": math.fsum(paid)} if paid else {})}


def answer_ranks(answer: Answer, gold: Gold, corpus: Mapping[str, Passage]) -> tuple[int, ...] | None:
    """Ranks, from 1, of the retrieved passages whose title or text holds an accepted answer.

    None where there was no search. Kept in the record because the passages are not.
    """
    if answer.retrieved is None:
        return None
    return tuple(
        rank
        for rank, ranked in enumerate(answer.retrieved, 1)
        if contains_answer(f"{corpus[ranked.passage_id].title} {corpus[ranked.passage_id].text}", gold.answers)
    )


def with_status(answer: Answer) -> Answer:
    """The answer, marked `empty` when it says nothing."""
    return replace(answer, status="empty") if answer.status == "ok" and not answer.text.strip() else answer
