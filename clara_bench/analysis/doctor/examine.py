"""Examines tasks and runs: every check, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from clara_bench.analysis.chance import Chance
from clara_bench.analysis.doctor import answers, questions, rows
from clara_bench.analysis.doctor.findings import Answered, Asked, Finding
from clara_bench.records.results import Run
from clara_bench.tasks.sources import TaskData
from clara_bench.types import Passage

Passages = Callable[[Run], Mapping[str, Passage]]
"""The passages of a run; {} where they are not at hand."""


def task(data: TaskData, train: Sequence[str] = ()) -> list[Finding]:
    """What is likely wrong with a task's questions.

    Args:
        data: the task's data.
        train: questions that a system was trained on.
    """
    asked = Asked(data.task.name, data.examples, data.corpus, train)
    return [f for check in (*questions.OF_QUESTIONS, *questions.OF_PASSAGES) for f in check(asked)]


def runs(found: Sequence[Run], passages: Passages, train: Sequence[str] = ()) -> list[Finding]:
    """What is likely wrong with runs.

    Args:
        found: the runs; those of one system are looked at together.
        passages: of a run.
        train: questions that a system was trained on.

    Raises:
        BenchError: a file of a run cannot be read.
    """
    examined = [_answered(run, passages(run), train) for run in found]
    chance = Chance()
    return [
        *_of_questions(examined),
        *(f for one in examined for check in answers.CHECKS for f in check(one)),
        *(f for one in examined for f in rows.beside_chance(one, chance)),
        *rows.one_training(examined),
    ]


def _answered(run: Run, passages: Mapping[str, Passage], train: Sequence[str]) -> Answered:
    examples, records = run.answered()
    place = "/".join(run.path.parts[-3:])
    return Answered(run, Asked(place, examples, passages, train), {record.id: record for record in records})


def _of_questions(examined: Sequence[Answered]) -> Iterator[Finding]:
    """Checks of questions, once for those that several runs share; a control's passages are not examined."""
    seen: set[str] = set()
    for one in examined:
        asked, offered = (one.run.manifest[part]["hash"] for part in ("questions", "candidates"))
        checks = [*(questions.OF_QUESTIONS if asked not in seen else ())]
        checks += questions.OF_PASSAGES if offered not in seen and not one.control else ()
        seen |= {asked, offered}
        yield from (finding for check in checks for finding in check(one.asked))
