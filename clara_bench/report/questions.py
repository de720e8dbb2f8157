"""The questions of a table as a page holds them: a few numbers of every question, and all about some of them.

asked      ids, texts, kinds and hops of all questions
outcomes   three bytes a row and question: EM, the main metric in steps of 0.005, the cause of a wrong answer
chunks     passages and answers of the questions that are shown in full, `CHUNK` of them together
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clara_bench.analysis.explain import CAUSES, Explained
from clara_bench.io.cache import digest
from clara_bench.metrics.statistics import Column
from clara_bench.records.prompts import Line, read_prompts
from clara_bench.records.results import Run
from clara_bench.report.columns import bytes_of, packed, packed_json, steps, text, texts
from clara_bench.types import Example, Passage, Record

CHUNK = 25
DEPTH = 10
"""Passages of a ranking that are shown."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The questions of a table, ready for a page."""

    asked: str
    outcomes: str
    chunks: tuple[str, ...]
    detailed: int
    """Questions in the chunks."""


@dataclass
class Questions:
    """Gathers what the rows of one table say of its questions."""

    examples: Sequence[Example]
    most: int
    """Questions that are shown in full."""
    corpus: Mapping[str, Passage]
    _outcomes: list[bytes] = field(default_factory=list)
    _answers: dict[str, dict[int, Any]] = field(default_factory=dict)
    _named: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for example in sample(self.examples, self.most):
            self._answers[example.question.id] = {}
            self._named[example.question.id] = set(example.gold.supporting)

    def add(self, run: Run, em: Column | None, main: Column, explained: Explained) -> None:
        """Add the next row, by the run that stands for it."""
        cause = {fate.id: fate.cause for fate in explained.fates}
        causes = [cause.get(example.question.id, "unscored") for example in self.examples]
        self._outcomes += [
            bytes_of(_values(em, len(self.examples), 1)),
            steps(_values(main, len(self.examples), None)),
            bytes_of(None if one == "unscored" else CAUSES.index(one) for one in causes),
        ]
        self._add_answers(run)

    def _add_answers(self, run: Run) -> None:
        place = len(self._outcomes) // 3 - 1
        examples, records = run.answered()
        offered = {example.question.id: example.question.candidates for example in examples}
        read = read_prompts(run.path) if self._answers else {}
        k = run.manifest["system"]["options"].get("k")
        for record in records:
            if record.id in self._answers:
                told = _answer(record, offered[record.id], read.get(record.id), k if isinstance(k, int) else None)
                self._answers[record.id][place] = told
                self._named[record.id].update(told["ranked"])

    def packed(self) -> Packed:
        """All of it, compressed."""
        full = [example for example in self.examples if example.question.id in self._answers]
        chunks = [full[start : start + CHUNK] for start in range(0, len(full), CHUNK)]
        chunk_of = {example.question.id: number for number, chunk in enumerate(chunks) for example in chunk}
        return Packed(
            packed_json(_asked(self.examples, chunk_of)),
            packed(b"".join(self._outcomes)),
            tuple(packed_json(self._chunk(chunk)) for chunk in chunks),
            len(full),
        )

    def _chunk(self, examples: Sequence[Example]) -> dict[str, Any]:
        named = sorted({id for example in examples for id in self._named[example.question.id]})
        return {
            "passages": {
                id: [text(self.corpus[id].title), text(self.corpus[id].text)] for id in named if id in self.corpus
            },
            "questions": {
                example.question.id: {
                    "gold": texts(example.gold.answers),
                    "supporting": sorted(example.gold.supporting),
                    "rows": {str(row): told for row, told in self._answers[example.question.id].items()},
                }
                for example in examples
            },
        }


def sample(examples: Sequence[Example], most: int) -> list[Example]:
    """At most so many questions, the same ones whenever the questions are the same, in their order."""
    if len(examples) <= most:
        return list(examples)
    drawn = sorted(examples, key=lambda example: digest([example.question.id]))[:most]
    kept = {example.question.id for example in drawn}
    return [example for example in examples if example.question.id in kept]


def _values(column: Column | None, count: int, whole: int | None) -> list[Any]:
    """Of each question; None where it does not count. EM of several trainings is right where most are."""
    if column is None:
        return [None] * count
    told = zip(column.values.tolist(), column.weights.tolist(), strict=True)
    return [(round(value) if whole else max(0.0, value)) if weight else None for value, weight in told]


def _asked(examples: Sequence[Example], chunk_of: Mapping[str, int]) -> dict[str, Any]:
    kinds = sorted({example.gold.kind for example in examples if example.gold.kind})
    return {
        "ids": [text(example.question.id) for example in examples],
        "texts": [text(example.question.text) for example in examples],
        "kinds": texts(kinds),
        "kind": [kinds.index(example.gold.kind) if example.gold.kind else None for example in examples],
        "hops": [example.gold.hops for example in examples],
        "chunk": [chunk_of.get(example.question.id) for example in examples],
    }


def _answer(record: Record, offered: Sequence[str] | None, read: Line | None, k: int | None) -> dict[str, Any]:
    answer, usage = record.answer, record.answer.usage
    ranked = list(offered or ()) if answer.retrieved is None else [one.passage_id for one in answer.retrieved]
    told = {
        "answer": text(answer.text),
        "status": answer.status,
        "error": text(answer.error or ""),
        "thinking": text(answer.thinking),
        "ranked": ranked[:DEPTH],
        "more": max(0, len(ranked) - DEPTH),
        "k": k,
        "tokens": usage.context_positions,
        "text_tokens": usage.context_text_tokens,
        "read": texts(read.context) if read else None,
    }
    return {key: value for key, value in told.items() if value not in ("", None, 0)}
