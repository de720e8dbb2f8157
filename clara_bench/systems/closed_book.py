"""The system `closed-book`: no passages, only what the backbone memorised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from clara_bench.components import checks
from clara_bench.components.registry import Component, create
from clara_bench.systems.describe import prepare, reading
from clara_bench.types import Answer, AnswerEach, IndexStats, Passage, Question, Reader, Traits


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
        """The reader loads its model; there is nothing to index."""
        prepare(self.reader)
        return IndexStats(passages=0, seconds=0.0, bytes=0)

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """One answer a question, from the question alone."""
        return checks.in_order(self._answer_each(questions))

    @property
    def answer_each(self) -> AnswerEach | None:
        """Answers one by one, if the reader returns its readings one by one."""
        return self._answer_each if hasattr(self.reader, "read_each") else None

    def _answer_each(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        who = f"reader '{self.options.reader.name}'"
        for place, read in checks.readings_each(self.reader, questions, [()] * len(questions), who):
            yield place, Answer(read.text, None, read.usage, read.status, read.error, thinking=read.thinking)
