"""No passages at all: what the backbone knows by heart, the floor under every other row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clara_bench.components import checks
from clara_bench.components.registry import Component, create
from clara_bench.systems.describe import reading
from clara_bench.types import Answer, IndexStats, Passage, Question, Reader, Traits


class ClosedBook:
    """Asks the reader the question alone, whatever passages there are."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `closed-book`."""

        reader: Component = Component("hf")
        """The language model that answers."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.reader: Reader = create("reader", options.reader)

    @property
    def traits(self) -> Traits:
        """Columns of the leaderboard."""
        return reading(self.reader)

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Nothing to prepare."""
        return IndexStats(passages=0, seconds=0.0, bytes=0)

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """One answer a question, from the question alone."""
        who = f"reader '{self.options.reader.name}'"
        readings = checks.readings(self.reader.read(questions, [()] * len(questions)), questions, who)
        return [Answer(r.text, usage=r.usage, status=r.status, error=r.error) for r in readings]
