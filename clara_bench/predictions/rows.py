"""Rows with any of the usual keys: JSON lines, arrays, objects of rows or of columns, tables, {id: answer}."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from clara_bench.errors import DataError
from clara_bench.predictions.files import EXPECTED, ODD, Content, Row, has_keys
from clara_bench.predictions.prediction import Form, Prediction, Reading
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
            raise DataError(
                f"{where}: {value[ODD]} fields, the head names {len(value) - 1}. Quote fields that hold a delimiter"
            )
    found = dict.fromkeys(key for _, value in rows for key in value)
    keys = checked(keys_of(found), rows[0].where)
    return Reading([_prediction(where, value, keys) for where, value in rows], _notes(keys, rows))


def _prediction(where: str, row: Mapping[str, Any], keys: Keys) -> Prediction:
    ids = tuple(str(row[key]) for key in keys.ids if isinstance(row.get(key), str | int) and row[key] != "")
    question = row.get(keys.question) if keys.question else None
    if not ids and not isinstance(question, str):
        raise DataError(f"{where}: neither id nor question")
    return Prediction(
        where,
        ids,
        question if isinstance(question, str) else None,
        answer=answer_of(row.get(keys.answer), where, keys.answer) if keys.answer else None,
        retrieved=passages_of(row.get(keys.retrieved), where, keys.retrieved) if keys.retrieved else None,
        support=sentences_of(row.get(keys.support), where, keys.support) if keys.support else None,
        evidences=triples_of(row.get(keys.evidences), where, keys.evidences) if keys.evidences else None,
        answerable=truth_of(row.get(keys.answerable), where, keys.answerable) if keys.answerable else None,
    )


def _notes(keys: Keys, rows: Sequence[Row]) -> tuple[str, ...]:
    meant = {"answer": keys.answer, "retrieved": keys.retrieved, "support": keys.support,
             "evidences": keys.evidences, "answerable": keys.answerable}  # fmt: skip
    taken = [f"'{key}' as {name}" for name, key in meant.items() if key not in (None, name)]
    notes = [f"took {', '.join(taken)}"] if taken else []
    if keys.unread:
        notes.append(f"left unread: {', '.join(keys.unread)}")
    return tuple(notes)


# What follows brings the other shapes into rows.


def _is_row(value: Any) -> bool:
    """Whether an object is a row: its keys say what is asked and what is predicted, and its values are no tables."""
    if not isinstance(value, dict):
        return False
    keys = keys_of(value)
    named = (*keys.ids, *filter(None, (keys.question,)))
    return bool(named) and not any(isinstance(value[key], dict | list) for key in named)


def _wrapped(whole: Mapping[str, Any] | None) -> list[Any] | None:
    """The rows of {"predictions": [...]}, under any name that stands alone."""
    lists = [value for value in (whole or {}).values() if isinstance(value, list) and value and _is_row(value[0])]
    return lists[0] if len(lists) == 1 else None


def _columns(whole: Mapping[str, Any] | None) -> list[Mapping[str, Any]] | None:
    """The rows of {"id": [...], "answer": [...]}, or of pandas' {"id": {"0": ...}, "answer": {"0": ...}}."""
    if not whole:
        return None
    keys = keys_of(whole)
    if not (keys.ids or keys.question) or not keys.predicts:
        return None
    if all(isinstance(column, dict) for column in whole.values()):
        places = dict.fromkeys(place for column in whole.values() for place in column)
        return [{key: column.get(place) for key, column in whole.items()} for place in places]
    columns = list(whole.values())
    if all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        return [dict(zip(whole, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return None


def _numbered(path: Any, rows: Iterable[Any]) -> list[Row]:
    return [Row(f"{path}: row {number}", row) for number, row in enumerate(rows, 1)]


def _read_object(content: Content) -> Reading:
    return read_rows(_numbered(content.path, _wrapped(content.whole) or _columns(content.whole) or ()))


def _answers_by_id(content: Content) -> Iterator[Prediction]:
    for id, answer in (content.whole or {}).items():
        where = f"{content.path}: '{id}'"
        yield Prediction(where, (id,), answer=answer_of(answer, where, id))


def _is_answers_by_id(content: Content) -> bool:
    return not keys_of(content.whole or {}).predicts and _all_are(
        content.whole, lambda value: value is None or isinstance(value, str) or _is_one_string(value)
    )


def _is_one_string(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1 and isinstance(value[0], str)


def _all_are(whole: Mapping[str, Any] | None, fits: Any) -> bool:
    return bool(whole) and all(fits(value) for value in (whole or {}).values())


def _rows_by_id(content: Content) -> Reading:
    whole = content.whole or {}
    return read_rows([Row(f"{content.path}: '{id}'", {"id": id} | row) for id, row in whole.items()])


def _is_rows_by_id(content: Content) -> bool:
    return _all_are(content.whole, lambda value: isinstance(value, dict) and keys_of(value).predicts)


def _is_ranked_answers(content: Content) -> bool:
    return _all_are(content.whole, lambda value: isinstance(value, list) and value and has_keys(value[0], "text"))


def _ranked_answers(content: Content) -> Reading:
    found = []
    for id, answers in (content.whole or {}).items():
        where = f"{content.path}: '{id}'"
        found.append(Prediction(where, (id,), answer=answer_of(answers[0].get("text"), where, "text")))
    return Reading(found, ("of each question's answers the first is scored",))


def _is_id_and_answer(content: Content) -> bool:
    lines = [line for line in content.lines if line.strip()]
    return bool(lines) and all(line.count("\t") == 1 for line in lines)


def _id_and_answer(content: Content) -> Iterator[Prediction]:
    for number, line in enumerate(content.lines, 1):
        if line.strip():
            id, answer = line.split("\t")
            yield Prediction(f"{content.path}: row {number}", (id.strip(),), answer=answer.strip())


def _has_head(content: Content) -> bool:
    return bool(content.lines) and _is_row(content.first) and keys_of(content.first).predicts


def _answers_in_order(content: Content) -> Iterator[Prediction]:
    for place, (where, answer) in enumerate(content.rows):
        yield Prediction(where, answer=answer_of(answer, where, "answer"), place=place)


FORMS: Sequence[Form] = (
    Form("rows", lambda content: not content.lines and _is_row(content.first), lambda content: read_rows(content.rows)),
    Form("a table with a head", _has_head, lambda content: read_rows(content.rows)),
    Form("an object of rows or columns", lambda c: bool(_wrapped(c.whole) or _columns(c.whole)), _read_object),
    Form("answers by id", _is_answers_by_id, _answers_by_id),
    Form("rows by id", _is_rows_by_id, _rows_by_id),
    Form("several answers by id, as SQuAD's nbest_predictions.json", _is_ranked_answers, _ranked_answers),
    Form(
        "answers in the data's order",
        lambda content: bool(content.rows) and all(isinstance(value, str) for _, value in content.rows),
        _answers_in_order,
    ),
    Form("lines of id, tab and answer, as Fusion-in-Decoder writes them", _is_id_and_answer, _id_and_answer),
)
"""The forms of this module, the most telling first."""
