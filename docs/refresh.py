"""Draws docs/results.svg and docs/worlds.svg and rewrites the tables of both READMEs, all from published runs.

python docs/refresh.py
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from clara_bench import metrics
from clara_bench.cache import write_atomic
from clara_bench.formats import cell
from clara_bench.leaderboard import Board, Row, boards
from clara_bench.results import find_runs

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "reference"
COLUMNS = (
    "em", "f1", "cover_substring", "recall@1", "recall@2", "recall@5", "recall@10", "all_support@5",
    "context_positions", "seconds",
)  # fmt: skip
MADE_UP = ("em", "f1", "recall@1", "recall@5", "all_support@5", "context_positions", "effective_ratio_micro", "seconds")
ABLATED = ("em", "f1", "recall@1", "recall@5", "all_support@5")
MARKERS = "osD^vP*X"


class Part(NamedTuple):
    """A table between <!-- name --> and <!-- /name --> on a page."""

    page: Path
    runs: Path
    columns: Sequence[str]
    made_up: bool = True
    """Whether its questions are about worlds, or real."""
    picture: str = ""
    """In docs/; "" for none."""


PARTS = {
    "results": Part(ROOT / "README.md", ROOT / "results", COLUMNS, made_up=False, picture="results.svg"),
    "worlds": Part(ROOT / "README.md", ROOT / "results", MADE_UP, picture="worlds.svg"),
    "ablations": Part(REFERENCE / "README.md", REFERENCE / "ablations", ABLATED),
}


def draw(found: list[Board], target: Path) -> None:
    """One panel a board; x the evidence in the prompt, y F1 with its 95 % interval."""
    plt.rcParams.update({"svg.hashsalt": "clara-bench", "font.size": 9, "axes.spines.top": False})
    figure, panels = plt.subplots(1, len(found), figsize=(3.1 * len(found), 3.0), sharey=True, squeeze=False)
    labels = sorted({row.label for board in found for section in board.sections for row in section.rows})
    style = {label: (MARKERS[i % len(MARKERS)], f"C{i}") for i, label in enumerate(labels)}
    for panel, board in zip(panels[0], found, strict=True):
        for section in board.sections:
            for row in section.rows:
                _point(panel, row, *style[row.label])
        panel.set_title(f"{board.task} (n={board.questions})", fontsize=9)
        panel.set_xlabel("context positions per question")
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("F1, %")
    handles, names = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=len(names), frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(target, metadata={"Date": None})


def _point(panel: plt.Axes, row: Row, marker: str, colour: str) -> None:
    f1, positions = row.metrics["f1"], row.metrics["context_positions"]
    if f1.mean is None or positions.mean is None:
        return
    low, high = f1.ci95 or (f1.mean, f1.mean)
    error = [[100 * (f1.mean - low)], [100 * (high - f1.mean)]]
    panel.errorbar(positions.mean, 100 * f1.mean, yerr=error, fmt=marker, color=colour, capsize=2, label=row.label)


def table(found: list[Board], columns: Sequence[str]) -> str:
    """All boards as one Markdown table; shares in per cent, with half their 95 % interval."""
    chosen = [metrics.get(name) for name in columns]
    head = ["task", "passages", "system", *(metric.name for metric in chosen)]
    rows = [
        [board.task, section.setting, row.label, *(cell(metric, row.metrics.get(metric.name)) for metric in chosen)]
        for board in found
        for section in board.sections
        for row in section.rows
    ]
    lines = [head, ["---"] * 3 + ["---:"] * len(chosen), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def published(part: str) -> list[Board]:
    """The boards that a part shows."""
    chosen = PARTS[part]
    return [board for board in _boards(chosen.runs) if (board.source == "worlds") == chosen.made_up]


@cache
def _boards(runs: Path) -> list[Board]:
    """All boards of a folder, with every part's columns: each run is scored from its records once."""
    return boards(find_runs(runs), list(dict.fromkeys(name for part in PARTS.values() for name in part.columns)))


def filled(text: str, part: str, content: str) -> str:
    """A text with new content between the marks of a part."""
    before, begin, rest = text.partition(f"<!-- {part} -->\n")
    _, end, after = rest.partition(f"<!-- /{part} -->")
    return before + begin + content + end + after


if __name__ == "__main__":
    for name, part in PARTS.items():
        found = published(name)
        if part.picture:
            draw(found, ROOT / "docs" / part.picture)
        text = part.page.read_text(encoding="utf-8")
        write_atomic(part.page, filled(text, name, table(found, part.columns)))
