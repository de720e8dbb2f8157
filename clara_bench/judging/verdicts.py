"""Verdicts on disk: one JSON line each in `verdicts.jsonl` beside the records, with prompt, reply and cost.

A verdict belongs to a judge, as its class, options and prompt make it, and to an answer by its text. A question that
was asked again is judged again; another prompt or model is another judge, whose verdicts stand in the same file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clara_bench.components import identity
from clara_bench.io.cache import digest
from clara_bench.io.opening import read_bytes
from clara_bench.io.parsing import decode_lines
from clara_bench.metrics.metric import Metric
from clara_bench.records.packs import located
from clara_bench.types import Answer, Finite, Id, Usage

FILE = "verdicts.jsonl"

Key = tuple[str, str, str]
"""Judge, question, digest of the answer."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file."""

    judge: str
    """See `key_of`."""
    metric: str
    """As it was asked for."""
    id: Id
    """Of the question."""
    answer: str
    """See `digest_of`."""
    value: Finite | None
    reply: str
    prompt: str
    error: str | None
    usage: Usage

    @property
    def key(self) -> Key:
        """What is judged, and by whom."""
        return self.judge, self.id, self.answer


def key_of(metric: Metric) -> str:
    """Twelve hex digits that differ whenever anything that could change a verdict differs."""
    assert metric.plugin is not None, f"{metric.name} is no plug-in"
    return identity.key(identity.of(metric.plugin))[:12]


def digest_of(answer: Answer) -> str:
    """Sixteen hex digits of an answer's text."""
    return digest([answer.text])[:16]


def read(file: Path) -> dict[Key, Line]:
    """The verdicts in a file, the latest on each answer; {} where there is no file. A last line cut short is left out.

    Raises:
        DataError: a line is no verdict.
    """
    place = located(file.parent) / file.name
    if not place.is_file():
        return {}
    lines = read_bytes(place).split(b"\n")[:-1]
    mend = "Take the line out, and the answer is judged again"
    return {line.key: line for _, line in decode_lines(lines, Line, str(file), mend)}
