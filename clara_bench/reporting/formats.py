"""Leaderboards as text: Markdown, LaTeX, CSV and JSON, and the cells that all tables share."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from clara_bench import metrics
from clara_bench.io.escaping import for_csv, for_json, for_latex, for_markdown
from clara_bench.metrics import Metric
from clara_bench.metrics.statistics import Difference, Summary
from clara_bench.reporting.leaderboard import COLUMNS, TRAITS, Board, Row

INDEX = "index_bytes"
"""Head of the column of bytes by passage."""


def shown_metrics(board: Board, names: Sequence[str] = ()) -> list[Metric]:
    """The columns that at least one row has, in the order asked for; by default no rankings without gold passages."""
    found = [item for section in board.sections for row in section.rows for item in row.metrics.items()]
    had, counted = {name for name, _ in found}, {name for name, summary in found if summary.mean is not None}
    if names:
        return [metrics.get(name) for name in names if name in had]
    shown = [metrics.get(name) for name in COLUMNS if name in had]
    return [metric for metric in shown if metric.family != "retrieval" or metric.name in counted]


def shown_traits(board: Board) -> list[str]:
    """The traits that at least one row declares."""
    rows = [row for section in board.sections for row in section.rows]
    return [trait for trait in TRAITS if any(row.traits.get(trait) not in (None, "") for row in rows)]


def shows_index(board: Board) -> bool:
    """Whether any row says how large its index is."""
    return any(row.index_bytes is not None for section in board.sections for row in section.rows)


def index_cell(row: Row) -> str:
    """Bytes of the index by passage; – where there are no passages."""
    return "–" if row.index_bytes is None else f"{row.index_bytes:.0f}"


def cell(metric: Metric, summary: Summary | None) -> str:
    """A mean with half its interval's width, percentages for shares; – where the metric does not apply."""
    if summary is None or summary.mean is None:
        return "–"
    scale, digits = _scale(metric, summary.mean)
    text = f"{scale * summary.mean:.{digits}f}"
    if summary.ci95 is None:
        return text
    return f"{text} ±{scale * (summary.ci95[1] - summary.ci95[0]) / 2:.{digits}f}"


def difference_cell(metric: Metric, summary: Summary, less: Difference) -> str:
    """A mean, and in brackets how far it is from a baseline's, with the paired interval; – as in `cell`."""
    text = cell(metric, replace(summary, ci95=None))
    if summary.mean is None or less.mean is None or less.ci95 is None:
        return text
    scale, digits = _scale(metric, summary.mean)
    mean, low, high = (f"{scale * value:+.{digits}f}" for value in (less.mean, *less.ci95))
    return f"{text} ({mean}, {low} to {high})"


def _scale(metric: Metric, mean: float) -> tuple[float, int]:
    """What a value is shown times, and its decimals."""
    return (100.0, 1) if metric.unit == "fraction" else (1.0, _digits(abs(mean)))


def _digits(size: float) -> int:
    """Decimals that leave a number at least two figures that say something."""
    if size >= 100:
        return 0
    return 4 if 0 < size < 0.1 else 2


def table(board: Board, names: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Head and rows as text; the same for every format."""
    shown, traits, indexed = shown_metrics(board, names), shown_traits(board), shows_index(board)
    head = ["setting", "candidates", "system", *(metric.name for metric in shown), *traits, *[INDEX] * indexed]
    rows = [
        [
            section.setting,
            section.candidates_hash[:8],
            f"{row.label} †{row.failed}" if row.failed else row.label,
            *(cell(metric, row.metrics.get(metric.name)) for metric in shown),
            *(trait_cell(row.traits.get(trait)) for trait in traits),
            *[index_cell(row)] * indexed,
        ]
        for section in board.sections
        for row in section.rows
    ]
    return head, rows


def trait_cell(value: Any) -> str:
    """A declared trait as a leaderboard shows it."""
    return "–" if value in (None, "") else {True: "yes", False: "no"}.get(value, str(value))


def title(board: Board) -> str:
    """One line above a table."""
    return f"{board.task} {board.version} · {board.source} · {board.questions} questions · {board.questions_hash[:8]}"


NOTE = "mean ± half of a 95 % bootstrap interval; † failed questions, counted as 0; rank only within equal candidates"


def markdown(found: Sequence[Board], names: Sequence[str] = ()) -> str:
    """GitHub tables."""
    parts = []
    for board in found:
        head, rows = table(board, names)
        lines = [head, ["---"] * len(head), *rows]
        parts.append(
            f"### {for_markdown(title(board))}\n\n"
            + "\n".join(f"| {' | '.join(map(for_markdown, line))} |" for line in lines)
        )
    return "\n\n".join([*parts, f"*{NOTE}*"]) + "\n"


def latex(found: Sequence[Board], names: Sequence[str] = ()) -> str:
    """One tabular (booktabs) a board."""
    parts = []
    for board in found:
        head, rows = table(board, names)
        body = [" & ".join(map(for_latex, line)) + r" \\" for line in rows]
        columns = "lll" + "r" * (len(head) - 3)
        top = [
            f"% {for_latex(title(board))}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(for_latex, head)) + r" \\",
        ]
        parts.append("\n".join([*top, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]))
    return "\n\n".join([*parts, f"% {NOTE}"]) + "\n"


def to_csv(found: Sequence[Board], names: Sequence[str] = ()) -> str:
    """One line a run and metric: unrounded, with interval and counts."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head = ["task", "version", "questions_hash", "setting", "candidates_hash", "system", "metric"]
    writer.writerow([*head, "mean", "ci95_low", "ci95_high", "n", "unscored", "failed", "path"])
    for board in found:
        for section in board.sections:
            for row in section.rows:
                for name, s in row.metrics.items():
                    low, high = s.ci95 or ("", "")
                    identity = [board.task, board.version, board.questions_hash, section.setting]
                    measured = ["" if s.mean is None else s.mean, low, high, s.n, s.unscored, s.failed]
                    cells = [*identity, section.candidates_hash, row.label, name, *measured, row.path]
                    writer.writerow([for_csv(cell) if isinstance(cell, str) else cell for cell in cells])
    return buffer.getvalue()


def to_json(found: Sequence[Board], names: Sequence[str] = ()) -> str:
    """The boards as they are."""
    return for_json(msgspec.json.format(msgspec.json.encode(list(found)), indent=2).decode()) + "\n"


FORMATS: Mapping[str, Callable[..., str]] = {
    "markdown": markdown,
    "csv": to_csv,
    "latex": latex,
    "json": to_json,
}
