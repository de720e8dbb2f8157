"""A task's questions for a system in memory, for evaluation during training.

Nothing is written; use `clara-bench run` for results to publish.

    exam = Exam("hotpotqa", "distractor", world={"questions": 50, "passages": 1000})
    exam.take(system, ["em", "recall@5"])       {"em": 0.42, "recall@5": 0.9}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clara_bench.errors import BackendError
from clara_bench.reporting import scoring
from clara_bench.running.answering import answer_batch
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.candidates import freeze, refuse_setting, select
from clara_bench.tasks.first_stage import FirstStage
from clara_bench.tasks.sources import Source
from clara_bench.types import FAILURES, Record, Setting, System


def check(task: str, setting: Setting, world: Mapping[str, object] | None) -> None:
    """Refuse an exam that cannot be held, before its file is read or its world is made; None for a file.

    Raises:
        BenchError: an unknown task or option, a setting that the task cannot carry, a world that cannot be.
    """
    loaded = definitions.load(task)
    refuse_setting(loaded, setting)
    if world is not None:
        sources.world_config(loaded, {key: str(value) for key, value in world.items()})


class Exam:
    """The questions of one task under one setting, the same for every system that takes it."""

    def __init__(
        self,
        task: str,
        setting: Setting,
        data: str = "worlds",
        world: Mapping[str, object] | None = None,
        limit: int | None = None,
        seed: int = 0,
    ) -> None:
        """Load the questions and give each its candidates.

        Args:
            task: a task's name, or the path of its TOML.
            setting: which passages may be used.
            data: as `clara-bench run --data` takes it.
            world: options of the world generator.
            limit: a seeded sample of so many questions; None for all.
            seed: of the sample.

        Raises:
            BenchError: an unknown task or option, or a setting that the task or its data cannot carry.
        """
        self.task, self.setting = definitions.load(task), setting
        loaded = sources.load(self.task, Source(data, world={key: str(value) for key, value in (world or {}).items()}))
        self._frozen = freeze(loaded, select(loaded, limit, seed, complete_gold=False), setting, FirstStage())

    def __len__(self) -> int:
        """How many questions there are."""
        return len(self._frozen.examples)

    def take(self, system: System, metrics: Sequence[str] = (), batch: int = 32) -> dict[str, float]:
        """The means of some metrics, by name; one that the setting or the answers cannot have is left out.

        Args:
            system: is given the passages to index first.
            metrics: names; () for those of the task.
            batch: questions handed over at once.

        Raises:
            BackendError: a question failed.
        """
        examples = self._frozen.examples
        system.index(self._frozen.corpus)
        questions = [example.question for example in examples]
        answers = [
            scoring.with_status(answer)
            for start in range(0, len(questions), batch)
            for answer in answer_batch(system, questions[start : start + batch])
        ]
        failed = [answer for answer in answers if answer.status in FAILURES]
        if failed:
            raise BackendError(f"{len(failed)} of {len(answers)} questions failed, the first with: {failed[0].error}")
        records = [Record(question.id, answer) for question, answer in zip(questions, answers, strict=True)]
        names = metrics or self.task.metrics
        found = scoring.score(examples, records, names, self.task.answer_scorer, self.setting)
        return {name: summary.mean for name, summary in found.metrics.items() if summary.mean is not None}
