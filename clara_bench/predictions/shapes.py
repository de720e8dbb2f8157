"""Shapes of rows: JSON lines and arrays, tables, objects of rows or of columns, {id: answer}, pairs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from clara_bench.predictions.files import Content, Row, has_keys
from clara_bench.predictions.prediction import Form, Prediction, Reading
from clara_bench.predictions.rows import read_rows
from clara_bench.predictions.spellings import IDS, QUESTIONS, keys_of, plain
from clara_bench.predictions.values import answer_of


def _is_row(value: Any) -> bool:
    """Whether an object is a row: its keys say what is asked, or what is predicted and nothing else."""
    if not isinstance(value, dict):
        return False
    keys = keys_of(value)
    named = (*keys.ids, *filter(None, (keys.question,)))
    if not named:
        return keys.answer is not None and isinstance(value[keys.answer], str)
    return not any(isinstance(value[key], dict | list) for key in named)


def _are_rows(content: Content) -> bool:
    return not content.lines and _is_row(content.first)


def _is_table(content: Content) -> bool:
    return bool(content.lines) and _is_row(content.first) and keys_of(content.first).predicts


def _numbered(content: Content, rows: Iterable[Any]) -> list[Row]:
    return [Row(f"{content.path}: row {number}", row) for number, row in enumerate(rows, 1)]


def _within(content: Content) -> list[Row]:
    """The rows of {"predictions": [...]}, or of {"id": [...], "answer": [...]}."""
    whole = content.whole or {}
    lists = [value for value in whole.values() if isinstance(value, list) and value and _is_row(value[0])]
    return _numbered(content, lists[0] if len(lists) == 1 else _of_columns(whole))


def _of_columns(whole: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Rows of columns, which are lists or pandas' {"id": {"0": ...}, "answer": {"0": ...}}; none if it is no table."""
    keys, columns = keys_of(whole), list(whole.values())
    if not (keys.ids or keys.question) or not keys.predicts:
        return []
    if all(isinstance(column, dict) for column in columns):
        places = dict.fromkeys(place for column in columns for place in column)
        return [{key: column.get(place) for key, column in whole.items()} for place in places]
    if all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        return [dict(zip(whole, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return []


def _by_id(content: Content) -> Mapping[str, Any]:
    """The object itself, or the only object in it."""
    whole = content.whole or {}
    inner = [value for value in whole.values() if isinstance(value, dict)]
    return inner[0] if len(inner) == 1 and len(whole) == 1 else whole


def _all(content: Content, fits: Callable[[Any], bool]) -> bool:
    found = _by_id(content)
    return bool(found) and all(map(fits, found.values()))


def _is_answer(value: Any) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, list) and _are_strings(value, 1))


def _are_strings(values: Sequence[Any], number: int) -> bool:
    return len(values) == number and all(isinstance(value, str) for value in values)


def _answers_by_id(content: Content) -> Iterator[Prediction]:
    for id, answer in _by_id(content).items():
        where = f"{content.path}: '{id}'"
        yield Prediction(where, (id,), answer=answer_of(answer, where, id))


def _rows_by_id(content: Content) -> Reading:
    return read_rows([Row(f"{content.path}: '{id}'", {"id": id} | row) for id, row in _by_id(content).items()])


def _first_of_several(content: Content) -> Reading:
    found = []
    for id, answers in _by_id(content).items():
        where = f"{content.path}: '{id}'"
        found.append(Prediction(where, (id,), answer=answer_of(answers[0].get("text"), where, "text")))
    return Reading(found, ("of each question's answers the first is scored",))


def _in_order(content: Content) -> Iterator[Prediction]:
    for place, (where, answer) in enumerate(content.rows):
        yield Prediction(where, answer=answer_of(answer, where, "answer"), place=place)


def _pairs(content: Content) -> list[Row]:
    """[id, answer], {id: answer}, or lines of two fields; none if any row is something else."""
    if content.lines:
        return _lines_of_two(content)
    found = [Row(where, next(iter(value.items())) if _is_one(value) else value) for where, value in content.rows]
    return found if all(isinstance(pair, list | tuple) and _are_strings(pair, 2) for _, pair in found) else []


def _is_one(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1


def _lines_of_two(content: Content) -> list[Row]:
    lines = [(number, line) for number, line in enumerate(content.lines, 1) if line.strip()]
    if plain(lines[0][1].replace(",", "\t").partition("\t")[0]) in (*IDS, *QUESTIONS):  # a head
        return []
    if all(line.count("\t") == 1 for _, line in lines):
        return [Row(f"{content.path}: row {number}", line.split("\t")) for number, line in lines]
    fields = list(csv.reader(line for _, line in lines))
    found = [Row(f"{content.path}: row {n}", cells) for (n, _), cells in zip(lines, fields, strict=False)]
    return found if len(found) == len(lines) and all(len(cells) == 2 for cells in fields) else []


def _read_pairs(content: Content) -> Iterator[Prediction]:
    for where, (id, answer) in _pairs(content):
        yield Prediction(where, (id.strip(),), answer=answer.strip())


def _is_map_of(fits: Callable[[Any], bool]) -> Callable[[Content], bool]:
    return lambda content: not keys_of(_by_id(content)).predicts and _all(content, fits)


FORMS: Sequence[Form] = (
    Form("a table with a head", _is_table, lambda content: read_rows(content.rows)),
    Form("pairs of id and answer", lambda content: len(_pairs(content)) > 1, _read_pairs),
    Form("rows", _are_rows, lambda content: read_rows(content.rows)),
    Form("an object of rows or columns", lambda content: bool(_within(content)), lambda c: read_rows(_within(c))),
    Form("answers by id", _is_map_of(_is_answer), _answers_by_id),
    Form("rows by id", _is_map_of(lambda value: isinstance(value, dict) and keys_of(value).predicts), _rows_by_id),
    Form(
        "several answers by id, as SQuAD's nbest_predictions.json",
        _is_map_of(lambda value: isinstance(value, list) and bool(value) and has_keys(value[0], "text")),
        _first_of_several,
    ),
    Form("answers in the data's order", lambda content: _are_all_strings(content.rows), _in_order),
)
"""The forms of this module, the most telling first."""


def _are_all_strings(rows: Sequence[Row]) -> bool:
    return bool(rows) and all(isinstance(value, str) for _, value in rows)
