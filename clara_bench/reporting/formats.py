"""Formatting of values, and leaderboards for programs: CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from clara_bench.io.escaping import for_csv, for_json
from clara_bench.metrics import Metric
from clara_bench.metrics.differences import Difference
from clara_bench.metrics.statistics import Summary
from clara_bench.reporting.leaderboard import Board, Row

INDEX = "index_bytes"
"""Name of the column of bytes by passage."""
RATIO = "effective_ratio_micro"
"""Name of the column of the ratio reached, beside which the nominal one stands."""
HEADS = {"context_positions": "context tokens", RATIO: "ratio", INDEX: "index bytes"}
"""What people see of a column that has another name in files."""
LOPSIDED = 1.25
"""How much longer one side of an interval is before both ends are written out."""


def named(column: str) -> str:
    """The metric or trait that a column of this name shows: `ratio` is as good as `effective_ratio_micro`.

    >>> named("context_tokens"), named("em")
    ('context_positions', 'em')
    """
    return {shown.replace(" ", "_"): name for name, shown in HEADS.items()}.get(column.replace(" ", "_"), column)


def head(name: str) -> str:
    """What stands above a column."""
    return HEADS.get(name, name)


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "question"), counted(2000, "question")
    ('1 question', '2,000 questions')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def index_cell(row: Row) -> str:
    """Bytes of the index by passage; – where there are no passages."""
    return "–" if row.index_bytes is None else f"{row.index_bytes:.0f}"


def with_nominal(text: str, traits: Mapping[str, Any]) -> str:
    """A ratio with the nominal one of the compressor, where it was asked for one.

    >>> with_nominal("8.34", {"nominal_ratio": 16.0}), with_nominal("1.00", {"nominal_ratio": None})
    ('8.34 (16 nominal)', '1.00')
    """
    nominal = traits.get("nominal_ratio")
    return text if text == "–" or nominal is None else f"{text} ({nominal:g} nominal)"


def cell(metric: Metric, summary: Summary | None) -> str:
    """A mean with its interval, percentages for fractions; – where the metric does not apply.

    The interval is half its width where it is about as long on both sides, else its two ends; left out where it is as
    narrow as the decimals that are shown.
    """
    if summary is None or summary.mean is None:
        return "–"
    scale, digits = _scale(metric, summary.mean)
    text = f"{scale * summary.mean:.{digits}f}"
    if summary.ci95 is None:
        return text
    low, high = summary.ci95
    if _lopsided(low, summary.mean, high):
        return f"{text} ({scale * low:.{digits}f}–{scale * high:.{digits}f})"
    half = f"{scale * (high - low) / 2:.{digits}f}"
    return f"{text} ±{half}" if float(half) else text


def _lopsided(low: float, mean: float, high: float) -> bool:
    """Whether one side of an interval is a quarter longer than the other."""
    sides = mean - low, high - mean
    return max(sides) > LOPSIDED * min(sides)


def difference_cell(metric: Metric, summary: Summary, less: Difference) -> str:
    """A mean, and in brackets how far it is from a baseline's, with the paired interval; – as in `cell`."""
    text = cell(metric, replace(summary, ci95=None))
    if summary.mean is None or less.mean is None or less.ci95 is None:
        return text
    scale, digits = _scale(metric, summary.mean)
    mean, low, high = (f"{scale * value:+.{digits}f}" for value in (less.mean, *less.ci95))
    return f"{text} ({mean}, {low} to {high})"


def plain(metric: Metric, value: float | None) -> str:
    """A value without an interval; – for none."""
    return cell(metric, None if value is None else Summary(value, None, 1, 0, 0))


def mean_cell(metric: Metric, mean: float | None, traits: Mapping[str, Any]) -> str:
    """A mean over tasks without an interval; a ratio with the nominal one."""
    return with_nominal(plain(metric, mean), traits if metric.name == RATIO else {})


def signed(metric: Metric, value: float | None, beside: float | None) -> str:
    """A difference with its sign, and as many decimals as the value that it belongs to; – for none."""
    if value is None:
        return "–"
    scale, digits = _scale(metric, value if beside is None else beside)
    return f"{scale * value:+.{digits}f}"


def p_cell(value: float | None) -> str:
    """A p-value; – for none."""
    return "–" if value is None else "<.001" if value < 0.001 else f"{value:.3f}"


def _scale(metric: Metric, mean: float) -> tuple[float, int]:
    """Scale and decimals of a displayed value."""
    return (100.0, 1) if metric.unit == "fraction" else (1.0, _digits(abs(mean)))


def _digits(size: float) -> int:
    """Decimals that leave a number at least two figures that say something."""
    if size >= 100:
        return 0
    return 4 if 0 < size < 0.1 else 2


def trait_cell(value: Any) -> str:
    """A declared trait as a leaderboard shows it."""
    return "–" if value in (None, "") else {True: "yes", False: "no"}.get(value, str(value))


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV, the head among them; text in no cell is taken for a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in rows:
        writer.writerow([for_csv(cell) if isinstance(cell, str) else cell for cell in row])
    return buffer.getvalue()


def to_csv(found: Sequence[Board]) -> str:
    """One line a run and metric: unrounded, with interval and counts."""
    return csv_text(_csv_rows(found))


def _csv_rows(found: Sequence[Board]) -> Iterator[list[Any]]:
    head = ["task", "version", "questions_hash", "setting", "candidates_hash", "system", "metric"]
    seeds = ["seeds", "lowest_seed", "highest_seed", "ci95_seeds_low", "ci95_seeds_high"]
    yield [*head, "mean", "ci95_low", "ci95_high", "n", "unscored", "failed", "path", *seeds]
    for board in found:
        for section in board.sections:
            for row in section.rows:
                for name, s in row.metrics.items():
                    low, high = s.ci95 or ("", "")
                    identity = [board.task, board.version, board.questions_hash, section.setting]
                    measured = ["" if s.mean is None else s.mean, low, high, s.n, s.unscored, s.failed]
                    over = row.spread.get(name)
                    spread = [over.lowest, over.highest, *over.ci95] if over else [""] * 4
                    yield [*identity, section.candidates_hash, row.label, name, *measured, row.path, row.seeds, *spread]


def to_json(found: Sequence[Board]) -> str:
    """The boards as they are."""
    return for_json(msgspec.json.format(msgspec.json.encode(list(found)), indent=2).decode()) + "\n"
