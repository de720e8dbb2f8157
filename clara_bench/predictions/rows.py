"""Predictions from rows with any of the usual keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clara_bench.errors import DataError
from clara_bench.predictions.files import EXPECTED, ODD, Row, has_keys
from clara_bench.predictions.prediction import Prediction, Reading
from clara_bench.predictions.spellings import Keys, checked, keys_of
from clara_bench.predictions.values import (
    answer_of,
    passages_of,
    sentences_of,
    triples_of,
    truth_of,
)


def read_rows(rows: Sequence[Row]) -> Reading:
    """Predictions from rows that share their keys.

    Raises:
        DataError: a row of the wrong shape, or keys that mean nothing.
    """
    for where, value in rows:
        if not isinstance(value, dict):
            raise DataError(f"{where}: expected an object, got {type(value).__name__}. {EXPECTED}")
        if ODD in value:
            raise DataError(f"{where}: {value[ODD]}")
    found = dict.fromkeys(key for _, value in rows for key in value)
    own = [key for key in found if any(_are_marked(value.get(key)) for _, value in rows)]
    keys = checked(keys_of(found, own), rows[0].where)
    nameless = not keys.ids and keys.question is None
    read = [_prediction(where, value, keys, place if nameless else None) for place, (where, value) in enumerate(rows)]
    return Reading(read, _notes(keys))


MARKS = ("supporting", "is_supporting", "isgold")
"""Keys by which the data sets mark the needed ones of a question's own passages, which nobody retrieved."""


def _are_marked(value: Any) -> bool:
    passages = value if isinstance(value, list) else []
    return any(isinstance(passage, dict) and any(mark in passage for mark in MARKS) for passage in passages)


def _prediction(where: str, row: Mapping[str, Any], keys: Keys, place: int | None) -> Prediction:
    ids = tuple(str(row[key]) for key in keys.ids if isinstance(row.get(key), str | int) and row[key] != "")
    question = row.get(keys.question) if keys.question else None
    if not ids and not isinstance(question, str) and place is None:
        raise DataError(f"{where}: neither id nor question")
    if keys.answer and has_keys(row.get(keys.answer), "text", "status", "usage"):
        raise DataError(f"{where}: a record of a run. Score the folder of the run: clara-bench score FOLDER")
    return Prediction(
        where,
        ids,
        question if isinstance(question, str) else None,
        place=place,
        answer=answer_of(row.get(keys.answer), where, keys.answer) if keys.answer else None,
        retrieved=passages_of(row.get(keys.retrieved), where, keys.retrieved) if keys.retrieved else None,
        support=sentences_of(row.get(keys.support), where, keys.support) if keys.support else None,
        evidences=triples_of(row.get(keys.evidences), where, keys.evidences) if keys.evidences else None,
        answerable=truth_of(row.get(keys.answerable), where, keys.answerable) if keys.answerable else None,
    )


def _notes(keys: Keys) -> tuple[str, ...]:
    meant = {"answer": keys.answer, "retrieved": keys.retrieved, "support": keys.support,
             "evidences": keys.evidences, "answerable": keys.answerable}  # fmt: skip
    taken = [f"'{key}' as {name}" for name, key in meant.items() if key not in (None, name)]
    notes = [f"took {', '.join(taken)}"] if taken else []
    if keys.unread:
        notes.append(f"left unread: {', '.join(keys.unread)}")
    return tuple(notes)
