"""Predictions files in common formats, read as the records of a run.

    predictions = read_predictions(Path("pred.json"), data)
    predictions.form       # "HotpotQA's or 2WikiMultihopQA's official predictions"
    predictions.records    # one a question that the file answers

The format is detected from the content and reported; entries that do not match the data are errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clara_bench.errors import DataError, UnknownName
from clara_bench.metrics.metric import Part
from clara_bench.predictions import harnesses, official, rankings, shapes
from clara_bench.predictions.files import EXPECTED, Content, read_content
from clara_bench.predictions.matching import match
from clara_bench.predictions.passages import UNKNOWN, WAYS, Finder, NamedBy
from clara_bench.predictions.prediction import Form, Prediction, Reading
from clara_bench.predictions.rows import read_rows
from clara_bench.reporting.scoring import answer_ranks
from clara_bench.tasks.sources import TaskData
from clara_bench.types import Answer, Example, Fact, Passage, Ranked, Record

__all__ = ["FORMS", "WAYS", "NamedBy", "Predictions", "read_predictions"]

FORMS: Sequence[Form] = (*official.FORMS, *harnesses.FORMS, *shapes.FORMS, *rankings.FORMS)
"""Every form that is known, the most telling first."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """A file of predictions, as records of the questions that it answers."""

    form: str
    records: Sequence[Record]
    without: frozenset[Part]
    """Fields that the file predicts for no question, so that they are not scored as wrong."""
    notes: Sequence[str]
    """Notes for the user on how the file was read."""


def read_predictions(
    path: Path, data: TaskData, named_by: NamedBy | None = None, variant: str | None = None
) -> Predictions:
    """A file in any known form, as records.

    Args:
        path: the file, .gz or plain.
        data: what is asked, all of it, so that a file for the whole data can be told from one for other data.
        named_by: what a bare name of a passage is, where it could be several things.
        variant: which answer is meant, where the file holds several to a question.

    Raises:
        DataError: the file has no known form, or names what the data do not have.
        UnknownName: it holds no such variant.
    """
    content = read_content(path)
    form, (predictions, notes) = _read(content)
    chosen, more = _of_variant(predictions, variant, path)
    by_place, order = match(chosen, data.examples)
    reader = _Reader(data, named_by)
    records = [reader.record(data.examples[place], prediction) for place, prediction in sorted(by_place.items())]
    said = [record for record in records if record is not None]
    without = _without(chosen) | reader.without
    return Predictions(form.name, said, without, (*notes, *more, *order, *reader.notes(path, records)))


def _read(content: Content) -> tuple[Form, Reading]:
    for form in FORMS:
        if form.fits(content):
            found = form.read(content)
            return form, found if isinstance(found, Reading) else Reading(list(found))
    if isinstance(content.first, dict):
        return FORMS[0], read_rows(content.rows)  # which says what is missing
    raise DataError(f"{content.path}: unknown format. {EXPECTED}")


def _of_variant(
    predictions: Sequence[Prediction], variant: str | None, path: Path
) -> tuple[list[Prediction], tuple[str, ...]]:
    """The predictions of the variant asked for, or of the only one there is."""
    there = list(dict.fromkeys(one.variant for one in predictions if one.variant is not None))
    if variant is not None:
        if variant not in there:
            raise UnknownName("variant", variant, there, where=str(path))
        return [one for one in predictions if one.variant == variant], ()
    if len(there) > 1:
        listed = ", ".join(f"'{name}'" for name in there[:20])
        raise DataError(f"{path}: several answers per question: {listed}. Choose one with --variant '{there[0]}'")
    return list(predictions), ()


def _without(predictions: Iterable[Prediction]) -> frozenset[Part]:
    """`answer`, if no prediction has one; records show the other missing fields."""
    said = any(one.answer is not None or one.error is not None for one in predictions)
    return frozenset() if said else frozenset({"answer"})


class _Reader:
    """Turns predictions into records, and counts events to report."""

    def __init__(self, data: TaskData, named_by: NamedBy | None) -> None:
        self._finder = Finder(data.corpus, data.listed, named_by)
        self._retrieved: dict[str, Passage] = {}
        self._repeated = self._copied = 0
        self._facts: list[Fact] = []

    def record(self, example: Example, prediction: Prediction) -> Record | None:
        """The record; None where the file says nothing of the question but its id."""
        where, support = prediction.where, prediction.support
        facts = None if support is None else tuple(self._finder.support(one, example, where) for one in support)
        self._facts += facts or ()
        self._copied += prediction.answer in example.gold.answers[:1]
        answer = Answer(
            text=prediction.answer or "",
            retrieved=self._ranking(prediction, example),
            status="error" if prediction.error else "ok" if (prediction.answer or "").strip() else "empty",
            error=prediction.error,
            support=facts,
            evidences=prediction.evidences,
            answerable=prediction.answerable,
        )
        said = (prediction.answer, prediction.error, answer.retrieved, facts, answer.evidences, answer.answerable)
        if all(part is None for part in said):
            return None
        return Record(example.question.id, answer, answer_ranks(answer, example.gold, self._retrieved))

    def _ranking(self, prediction: Prediction, example: Example) -> tuple[Ranked, ...] | None:
        """Each passage once, at its first rank."""
        if prediction.retrieved is None:
            return None
        passages = [self._finder.retrieved(one, example, prediction.where) for one in prediction.retrieved]
        once = {passage.id: passage for passage in passages}
        self._retrieved |= once
        self._repeated += len(once) < len(passages)
        return tuple(Ranked(id, float(-rank)) for rank, id in enumerate(once))

    @property
    def _unknown(self) -> int:
        return sum(id.startswith(UNKNOWN) for id in self._retrieved)

    @property
    def without(self) -> frozenset[Part]:
        """Passages of the data, where none was retrieved: the file may speak of another cut of the same text."""
        return frozenset({"passages"}) if self._retrieved and self._unknown == len(self._retrieved) else frozenset()

    def notes(self, path: Path, records: Sequence[Record | None]) -> list[str]:
        """What was not found.

        Raises:
            DataError: no supporting passage or sentence is in the data, so that all would count as wrong.
        """
        if self._facts and not any(map(self._finder.knows, self._facts)):
            raise DataError(
                f"{path}: none of its {len(self._facts)} supporting passages is in the data, the first is "
                f"'{self._facts[0].title[:200]}'. Check that the file belongs to these data"
            )
        silent = sum(record is None for record in records)
        copied = len(records) if self._copied == len(records) > 4 else 0
        consequence = "it is not known which are needed" if self.without else "they count as passages not needed"
        told = {
            f"each of the {copied} answers is the data's own, to the letter: is this the data set itself?": copied,
            f"{silent} rows say nothing of their question: it counts as not answered": silent,
            f"{self._repeated} rankings list a passage twice: it counts where it first stands": self._repeated,
            f"{self._unknown} of {len(self._retrieved)} retrieved passages are not in the data: {consequence}. "
            "--corpus names what was searched": self._unknown,
        }
        return [note for note, number in told.items() if number]
