"""A table of questions as rows of your own task; answers are optional."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from clara_bench.documents.tables import text_of
from clara_bench.errors import DataError

COLUMNS: Mapping[str, Sequence[str]] = {
    "id": ("id", "qid", "question_id", "query_id", "_id"),
    "question": ("question", "query", "question_text", "user_input", "prompt", "input"),
    "answers": ("answers", "answer", "reference", "reference_answer", "ground_truth", "expected_answer", "gold_answer",
                "golden_answers", "gold", "target"),
    "supporting": ("supporting", "supporting_ids", "passages", "passage_ids"),
    "kind": ("kind", "type", "category"),
}  # fmt: skip
"""Accepted names of each column, preferred names first."""


def question_rows(rows: Sequence[Mapping[str, Any]], where: str) -> list[dict[str, Any]]:
    """Rows of id, question, answers, supporting and kind, of which only the question must be there.

    Raises:
        DataError: no column holds questions, or a cell is of no use.
    """
    columns = _columns(rows, where) if rows else {}
    return [_row(row, columns, f"{where}: question {number}") for number, row in enumerate(rows, 1)]


def _columns(rows: Sequence[Mapping[str, Any]], where: str) -> dict[str, str]:
    """The column of each kind; other columns are reported."""
    there = {key.strip().lower().replace(" ", "_"): key for row in rows for key in row}
    found = {
        kind: next((there[name] for name in names if name in there), None) for kind, names in COLUMNS.items()
    }  # fmt: skip
    chosen = {kind: key for kind, key in found.items() if key is not None}
    if "question" not in chosen:
        raise DataError(f"{where}: no column of questions. Expected 'question'; found {', '.join(there) or 'none'}")
    unread = [key for key in there.values() if key not in chosen.values()]
    if unread:
        warnings.warn(f"{where}: columns left unread: {', '.join(unread)}", stacklevel=3)
    return chosen


def _row(row: Mapping[str, Any], columns: Mapping[str, str], where: str) -> dict[str, Any]:
    texts = {kind: _texts(row.get(key), f"{where}: {key}") for kind, key in columns.items()}
    found: dict[str, Any] = {kind: texts[kind] for kind in ("answers", "supporting") if texts.get(kind)}
    for kind in ("id", "question", "kind"):
        if texts.get(kind):
            found[kind] = texts[kind][0]
    return {"question": ""} | found


def _texts(cell: Any, where: str) -> list[str]:
    """A cell's texts: none for an empty one, several where it holds a list."""
    if isinstance(cell, str) and cell.strip().startswith("["):
        cell = _listed(cell.strip()) or [cell]
    if isinstance(cell, list | tuple):
        return [text for item in cell for text in _texts(item, where)]
    text = text_of(cell)
    if text is None:
        raise DataError(f"{where}: expected text, got {type(cell).__name__}")
    return [text] if text else []


def _listed(cell: str) -> list[Any] | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's own, on what looks odd in a literal
            found = ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, list) else None
