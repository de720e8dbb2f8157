"""A finding, and what every check is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from clara_bench.records.results import Run
from clara_bench.types import Example, Passage, Record

SHOWN = 3
"""Ids that a finding names."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is likely wrong."""

    check: str
    where: str
    """The run or the task."""
    what: str
    """With how many it concerns."""
    fix: str
    count: int | None = None
    """Questions that it concerns; None where it concerns the run."""
    of: int | None = None
    questions: tuple[str, ...] = ()
    """Ids of the first of them."""

    @property
    def line(self) -> str:
        """The finding in one line."""
        named = f", such as {', '.join(self.questions)}" if self.questions else ""
        number = "" if self.count is None else f"{self.count} of {self.of} "
        return f"{self.where}: {self.check}: {number}{self.what}{named}. {self.fix}"


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions with their passages, of a task or a run."""

    where: str
    examples: Sequence[Example]
    passages: Mapping[str, Passage] = field(default_factory=dict)
    """{} where they are not at hand; checks that need them find nothing then."""
    train: Sequence[str] = ()
    """Questions that something was trained on."""

    def found(self, check: str, concerned: Iterable[Example], what: str, fix: str, of: int | None = None) -> Finding:
        """A finding about some of the questions."""
        ids = [example.question.id for example in concerned]
        return Finding(
            check, self.where, what, fix, len(ids), len(self.examples) if of is None else of, (*ids[:SHOWN],)
        )


@dataclass(frozen=True, slots=True)
class Answered:
    """A run with its answers."""

    run: Run
    asked: Asked
    records: Mapping[str, Record]
    """By question."""

    @property
    def pairs(self) -> list[tuple[Example, Record]]:
        """Each answered question with its answer."""
        return [(e, self.records[e.question.id]) for e in self.asked.examples if e.question.id in self.records]

    @property
    def control(self) -> str:
        """The control; "" for none."""
        return self.run.manifest["request"].get("control") or ""
