"""Matching of predictions to questions, by id or by text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clara_bench.datasets.base import UNANSWERABLE
from clara_bench.errors import DataError
from clara_bench.predictions.prediction import Prediction
from clara_bench.text import composed
from clara_bench.types import Example


class Matched(NamedTuple):
    """Predictions by the place of the question that they answer."""

    by_place: Mapping[int, Prediction]
    notes: tuple[str, ...]


def match(predictions: Sequence[Prediction], examples: Sequence[Example]) -> Matched:
    """The question of each prediction.

    A file with one row a question in the data's order is taken in that order, so that questions which share an id or
    a text, as MuSiQue-Full's pairs do, are told apart as the official script tells them.

    Raises:
        DataError: a question that is not in the data, one answered twice, or a row that fits several.
    """
    if predictions and predictions[0].place is not None:
        return _in_order(predictions, examples)
    told_apart = any(id.endswith(UNANSWERABLE) for prediction in predictions for id in prediction.ids)
    asked = _Asked(examples, told_apart)
    fits = [asked.places(prediction) for prediction in predictions]
    if len(fits) == len(examples) and all(place in found for place, found in enumerate(fits)):
        return Matched(dict(enumerate(predictions)), ())
    found: dict[int, Prediction] = {}
    for prediction, places in zip(predictions, fits, strict=True):
        place = _only(prediction, places, examples)
        if place in found:
            raise DataError(f"{prediction.where}: a second answer to question '{examples[place].question.id}'")
        found[place] = prediction
    return Matched(found, ())


def _in_order(predictions: Sequence[Prediction], examples: Sequence[Example]) -> Matched:
    if len(predictions) != len(examples):
        raise DataError(
            f"{predictions[0].where}: neither id nor question, and {len(predictions)} rows for {len(examples)} "
            "questions. Expected an id with each, or one a question in the data's order"
        )
    return Matched(dict(enumerate(predictions)), ("answers are taken in the data's order",))


def _only(prediction: Prediction, places: Sequence[int], examples: Sequence[Example]) -> int:
    if len(places) > 1:
        ids = " and ".join(f"'{examples[place].question.id}'" for place in places[:2])
        raise DataError(
            f"{prediction.where}: fits {len(places)} questions, {ids}. Give each row its id, "
            "or one row a question in the data's order"
        )
    return places[0]


class _Asked:
    """The questions by each of their names."""

    def __init__(self, examples: Sequence[Example], told_apart: bool) -> None:
        """`told_apart` says that the two questions of a pair have ids of their own in the file, as they have here."""
        self._texts = [example.question.text for example in examples]
        self._by_id: dict[str, list[int]] = {}
        self._by_text: dict[str, list[int]] = {}
        for place, example in enumerate(examples):
            id = example.question.id
            for name in {id} if told_apart else {id, id.removesuffix(UNANSWERABLE)}:
                self._by_id.setdefault(name, []).append(place)
            self._by_text.setdefault(plain(example.question.text), []).append(place)

    def places(self, prediction: Prediction) -> list[int]:
        """The questions that a prediction may answer.

        Raises:
            DataError: there is none, or its id and its text name different ones.
        """
        by_id = next((self._by_id[id] for id in prediction.ids if id in self._by_id), None)
        text = prediction.question if prediction.question is not None else prediction.prompt
        by_text = None if text is None else self._with_text(text)
        if by_id is not None:
            self._refuse_another(prediction, by_id, by_text)
            return by_id
        if by_text is None and text is None:
            by_text = next(filter(None, map(self._with_text, prediction.ids)), None)
        if by_text is None:
            named = prediction.ids[0] if prediction.ids else text
            raise DataError(f"{prediction.where}: question '{str(named)[:200]}' is not in the data scored against")
        return by_text

    def _refuse_another(self, prediction: Prediction, by_id: list[int], by_text: list[int] | None) -> None:
        is_other = prediction.question is not None or by_text is not None
        if is_other and not set(by_id) & set(by_text or ()):
            id = next(id for id in prediction.ids if id in self._by_id)
            ours = self._texts[by_id[0]]
            said = prediction.question if prediction.question is not None else prediction.prompt or ""
            raise DataError(f"{prediction.where}: id '{id}' is the question '{ours[:200]}', not '{said[:200]}'")

    def _with_text(self, text: str) -> list[int] | None:
        """Those with this very text, else those that differ in case, blanks and the sign at the end."""
        near = self._by_text.get(plain(text))
        return near and ([place for place in near if self._texts[place] == text] or near)


def plain(text: str) -> str:
    """A question as two copies of it are compared: spelling of accents, case, blanks and the sign at its end aside.

    >>> plain("Who wrote  Emma?") == plain("who wrote emma")
    True
    """
    return " ".join(composed(text).split()).rstrip(" ?.!").casefold()
