"""Draws docs/results.svg from results/: F1 against what the reader attended to, one panel a task.

python docs/figure.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from clara_bench.leaderboard import Board, Row, boards
from clara_bench.results import find_runs

ROOT = Path(__file__).parent.parent
MARKERS = "osD^vP*X"


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


if __name__ == "__main__":
    draw(boards(find_runs(ROOT / "results")), ROOT / "docs" / "results.svg")
