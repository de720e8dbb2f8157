"""From raw rows to a data set, whatever the layout: detect, check, match passages, refuse what is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clara_bench.datasets import generic, hotpotqa, ircot, musique, nq, wikimultihop
from clara_bench.datasets.base import MISSING, Aliases, Dataset, Layout, PassagePool, unique
from clara_bench.errors import DataError, UnknownName
from clara_bench.io.parsing import converter, refusing
from clara_bench.types import Example, Passage

LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "nq": (*nq.LAYOUTS, ircot.layout("nq")),
    "hotpotqa": (*hotpotqa.LAYOUTS, ircot.layout("hotpotqa")),
    "musique": (*musique.LAYOUTS, ircot.layout("musique")),
    "2wikimultihopqa": (*wikimultihop.LAYOUTS, ircot.layout("2wikimultihopqa")),
    "generic": generic.LAYOUTS,
}
"""The raw forms that each reader takes, the most telling first."""


def read(
    reader: str,
    rows: Sequence[Mapping[str, Any]],
    where: str,
    corpus: Mapping[str, Passage] | None = None,
    aliases: Aliases | None = None,
) -> Dataset:
    """Raw rows of any known layout, detected from the first row's keys.

    `where` is the file's name, for messages.

    Raises:
        UnknownName: no such reader.
        DataError: no rows, an unknown layout, a field of the wrong type, an empty question or answer, an id twice.
    """
    layout = detect(reader, rows, where)
    raw = layout.prepare(_checked(layout, rows, where))
    pool = PassagePool(corpus, where)
    own = [layout.passages(row, pool) for row in raw]
    examples = [layout.example(row, ids, pool, aliases or {}) for row, ids in zip(raw, own, strict=True)]
    _check(examples, where, layout.answers_may_be_missing)
    missing = frozenset(
        example.question.id for example in examples if any(id.startswith(MISSING) for id in example.gold.supporting)
    )
    listed = {
        example.question.id: _numbered(layout, row, ids) for example, row, ids in zip(examples, raw, own, strict=True)
    }
    steps = {
        example.question.id: unique(layout.steps(row, ids))
        for example, row, ids in zip(examples, raw, own, strict=True)
        if layout.steps is not None
    }
    return Dataset(tuple(examples), pool.corpus, missing, listed, steps)


def _numbered(layout: Layout, row: Any, ids: Sequence[str]) -> dict[int, str]:
    numbers = range(len(ids)) if layout.numbers is None else layout.numbers(row)
    return dict(zip(numbers, ids, strict=True))


def _checked(layout: Layout, rows: Sequence[Mapping[str, Any]], where: str) -> list[Any]:
    converted: Callable[[Any], Any] = converter(layout.row)
    found = []
    for number, row in enumerate(rows, 1):
        with refusing(f"{where}: row {number}"):
            found.append(converted(row))
    return found


def detect(reader: str, rows: Sequence[Mapping[str, Any]], where: str) -> Layout:
    """The layout of the rows, detected from the keys of the first.

    Raises:
        UnknownName: no such reader.
        DataError: no rows, or keys that no layout has.
    """
    if reader not in LAYOUTS:
        raise UnknownName("reader", reader, LAYOUTS, where=where)
    if not rows:
        raise DataError(f"{where}: no questions. Expected at least one row")
    for layout in LAYOUTS[reader]:
        if layout.keys <= rows[0].keys():
            return layout
    expected = " or ".join(", ".join(sorted(layout.keys)) for layout in LAYOUTS[reader])
    found = ", ".join(sorted(map(str, rows[0]))) or "none"
    raise DataError(f"{where}: not a known format of {reader}: expected the keys {expected}; row 1 has {found}")


def _check(examples: Sequence[Example], where: str, may_be_missing: bool) -> None:
    seen: dict[str, int] = {}
    for number, example in enumerate(examples, 1):
        question, answers = example.question, example.gold.answers
        if not question.id.strip():
            raise DataError(f"{where}: row {number}: the id is empty")
        if not question.text.strip():
            raise DataError(f"{where}: row {number}: the question is empty")
        if not all(answer.strip() for answer in answers):
            raise DataError(f"{where}: row {number}: an answer is empty")
        if not answers and not may_be_missing:
            raise DataError(f"{where}: row {number}: there is no answer")
        if question.id in seen:
            raise DataError(
                f"{where}: rows {seen[question.id]} and {number} have the same id '{question.id}'. Give each its own"
            )
        seen[question.id] = number
