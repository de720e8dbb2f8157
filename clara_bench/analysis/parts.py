"""Part of a run's questions as a run of its own: its kinds, two-way and value questions, or seen and unseen forms.

Everything that reads runs (leaderboards, comparisons, chance lines) then works on the part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from clara_bench.analysis.two_way import options
from clara_bench.errors import BenchError, ConfigError
from clara_bench.io.cache import digest
from clara_bench.records.manifest import Manifest
from clara_bench.records.results import Questions, Run
from clara_bench.types import Example, Record

By = Literal["kind", "two-way", "form"]
TWO_WAY, VALUE, NO_KIND = "two-way questions", "value questions", "no kind"
SEEN, UNSEEN = "seen forms", "unseen forms"


@dataclass(frozen=True, slots=True)
class Part(Run):
    """A run, over some of its questions; its manifest and its path name the part. No file lies at that path."""

    whole: Run
    kept: frozenset[str]
    """Ids of the questions."""

    @property
    def examples(self) -> list[Example]:
        """The questions of the part, in the order asked."""
        return [example for example in self.whole.examples if example.question.id in self.kept]

    @property
    def folder(self) -> Path:
        """See `Run`."""
        return self.whole.folder

    @property
    def key(self) -> str:
        """See `Run`; of parts of one run by the questions."""
        return digest([self.whole.key, *sorted(self.kept)])

    def answered(self, questions: Questions | None = None) -> tuple[list[Example], list[Record]]:
        """The questions of the part, and the answers to them."""
        examples, records = self.whole.answered(questions)
        return (
            [example for example in examples if example.question.id in self.kept],
            [record for record in records if record.id in self.kept],
        )


def parts(runs: Sequence[Run], by: By, left_out: Callable[[BenchError], None] | None = None) -> list[Run]:
    """The parts of runs, run by run; a part that a run has no question of is left out.

    Args:
        runs: runs.
        by: what divides their questions.
        left_out: told of each run whose questions cannot be read, which is then left out; None to raise.

    Raises:
        ConfigError: no run has more than one part.
        BenchError: the questions of a run cannot be read.
    """
    naming = _NAMING[by]
    found: list[Run] = []
    divided = False
    for run in runs:
        ids: dict[str, list[str]] = {}
        try:
            for example in run.examples:
                ids.setdefault(naming(example), []).append(example.question.id)
        except BenchError as error:
            if left_out is None:
                raise
            left_out(error)
        divided = divided or len(ids) > 1
        found += [_part(run, name, ids[name]) for name in sorted(ids)]
    if not divided:
        raise ConfigError(f"--by {by}: the questions are all of one part. Leave --by out")
    return found


def _way(example: Example) -> str:
    return VALUE if options(example) is None else TWO_WAY


def _kind(example: Example) -> str:
    return example.gold.kind or NO_KIND


def _form(example: Example) -> str:
    """Worlds from version 2 on end the kind of a question with `unseen` if no train question is worded like it."""
    return UNSEEN if _kind(example).endswith("unseen") else SEEN


_NAMING: Mapping[By, Callable[[Example], str]] = {"kind": _kind, "two-way": _way, "form": _form}


def _part(run: Run, name: str, ids: Sequence[str]) -> Part:
    manifest = run.manifest
    asked = {**manifest["questions"], "count": len(ids), "hash": digest([manifest["questions"]["hash"], name])}
    task = {**manifest["task"], "name": f"{manifest['task']['name']}, {name}"}
    told = cast(Manifest, {**manifest, "questions": asked, "task": task})
    return Part(run.path.with_name(f"{run.path.name} ({name})"), told, run, frozenset(ids))
