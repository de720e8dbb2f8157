"""Rankings and judgements in TREC's formats: runs and qrels out, qrels in.

A TREC run comes in by `score TASK RUN.trec`, or as the retriever `run-file`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from clara_bench.errors import DataError
from clara_bench.io.opening import read_lines
from clara_bench.records.results import Run
from clara_bench.retrieve.runfile import run_text, word
from clara_bench.types import Example

Qrels = Mapping[str, Mapping[str, int]]
"""Of each question the grade of each passage that was judged; above 0 is relevant."""


def run_lines(run: Run) -> str:
    """A run's rankings, `question Q0 passage rank score tag`; a warning counts questions without one.

    Raises:
        DataError: the system does not search, or an id holds a blank.
    """
    records = run.records()
    rankings = {record.id: record.answer.retrieved for record in records if record.answer.retrieved}
    if not rankings:
        raise DataError(f"{run.path}: no answer has a ranking, so there is no TREC run. Export a system that searches")
    if len(rankings) < len(records):
        warnings.warn(f"{len(records) - len(rankings)} of {len(records)} questions have no ranking", stacklevel=2)
    return run_text(rankings, run.manifest["system"]["label"])


def qrels_lines(run: Run) -> str:
    """The gold passages of a run's questions, `question 0 passage 1`.

    Raises:
        DataError: no question has gold passages, or an id holds a blank.
    """
    golds = {example.question.id: sorted(example.gold.supporting) for example in run.examples}
    lines = [f"{word(id)} 0 {word(passage)} 1\n" for id, passages in golds.items() for passage in passages]
    if not lines:
        raise DataError(f"{run.path}: its data name no gold passages, so there are no qrels")
    return "".join(lines)


def read_qrels(path: Path) -> Qrels:
    """Judgements in TREC's four columns, or in BEIR's three below a head.

    Raises:
        DataError: a line is neither, or a passage is judged twice.
    """
    found: dict[str, dict[str, int]] = {}
    for number, fields in _fields(path):
        where = f"{path}: line {number}"
        if len(fields) not in (3, 4) or not fields[-1].lstrip("-").isdigit():
            raise DataError(f"{where}: expected 'question 0 passage grade', got '{' '.join(fields)[:80]}'")
        question, passage, grade = fields[0], fields[-2], int(fields[-1])
        if passage in found.setdefault(question, {}):
            raise DataError(f"{where}: question '{question}' has passage '{passage}' twice. Expected each once")
        found[question][passage] = grade
    if not found:
        raise DataError(f"{path}: no judgements. Expected lines 'question 0 passage grade'")
    return found


def _fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_lines(path), 1):
        fields = line.decode(errors="replace").split()
        head = number == 1 and len(fields) == 3 and not fields[-1].lstrip("-").isdigit()
        if fields and not head:
            yield number, fields


def with_qrels(examples: Sequence[Example], qrels: Qrels, where: str) -> list[Example]:
    """The questions with the relevant passages of some judgements in place of the data's own.

    Raises:
        DataError: the judgements are of other questions.
    """
    known = [example for example in examples if example.question.id in qrels]
    if not known:
        raise DataError(f"{where}: it judges none of the {len(examples)} questions, the first of which is "
                        f"'{examples[0].question.id}'. Check that it belongs to these data")  # fmt: skip
    if len(known) < len(examples):
        said = (
            f"{where}: {len(examples) - len(known)} of {len(examples)} questions are not judged: no ranking is scored"
        )
        warnings.warn(said, stacklevel=2)
    return [replace(example, gold=replace(example.gold, supporting=_relevant(example, qrels))) for example in examples]


def _relevant(example: Example, qrels: Qrels) -> frozenset[str]:
    return frozenset(id for id, grade in qrels.get(example.question.id, {}).items() if grade > 0)
