"""What text compressors give and what they cost on real questions: docs/compressors.svg.

python docs/compressors.py    from the published runs of the suite `compressors`
"""

from __future__ import annotations

import math
import re
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from clara_bench import metrics
from clara_bench.records.results import open_run
from clara_bench.reporting.comparison import compare
from clara_bench.reporting.leaderboard import Row

DOCS = Path(__file__).parent
TITLES = {"gold": "the gold passages", "corpus": "five retrieved passages"}
MARKERS = "osD^vP*X<"
TICKS = (0.3, 0.5, 1, 2, 4)
RATE = re.compile(r"-[\d.]+x?$")
"""What a label ends with after the method's name."""


class Point(NamedTuple):
    """A compressor at one rate: means over the tasks."""

    seconds: float
    """A question, for compressing and answering."""
    less: float
    """F1 less that of the same passages whole, in points."""
    half: float
    """Half the 95 % interval of `less`: the tasks' paired intervals together, as they are independent."""


class Panel(NamedTuple):
    """What becomes of one kind of passages."""

    whole: float
    """Seconds a question when they are read whole."""
    methods: Mapping[str, Sequence[Point]]
    """By compressor, the quicker rate first."""


def panels() -> dict[str, Panel]:
    """By setting, from the runs that the page's table shows."""
    refresh: Any = runpy.run_path(str(DOCS / "refresh.py"))
    rows = refresh["by_system"](refresh["published"]("compressors"), metrics.get("f1"))
    whole = refresh["PARTS"]["compressors"].against
    return {
        setting: _panel(
            rows[setting, whole[setting]],
            {label: rows[where, label] for where, label in rows if where == setting and label != whole[setting]},
        )
        for setting in TITLES
    }


def _panel(whole: Mapping[str, Row], shortened: Mapping[str, Mapping[str, Row]]) -> Panel:
    methods: dict[str, list[Point]] = {}
    for label, rows in shortened.items():
        methods.setdefault(RATE.sub("", label.removeprefix("gold-")), []).append(_point(whole, rows))
    return Panel(_seconds(whole), {name: sorted(found) for name, found in methods.items()})


def _point(whole: Mapping[str, Row], rows: Mapping[str, Row]) -> Point:
    found = [
        compare(open_run(Path(whole[task].path)), open_run(Path(row.path)), ["f1"])["f1"] for task, row in rows.items()
    ]
    halves = [(high - low) / 2 for low, high in (one.ci95 for one in found if one.ci95)]
    less = fmean(one.mean for one in found if one.mean is not None)
    return Point(_seconds(rows), 100 * less, 100 * math.hypot(*halves) / len(halves))


def _seconds(rows: Mapping[str, Row]) -> float:
    return fmean(row.metrics["seconds"].mean or 0.0 for row in rows.values())


def draw(found: Mapping[str, Panel], target: Path) -> None:
    """A colour a method, its rates joined by a line."""
    plt.rcParams.update({"svg.hashsalt": "clara-bench", "font.size": 9, "axes.spines.top": False})
    names = sorted({name for panel in found.values() for name in panel.methods})
    figure, axes = plt.subplots(1, len(found), figsize=(9.5, 4.2), sharey=True)
    for axis, (setting, panel) in zip(axes, found.items(), strict=True):
        for place, name in enumerate(names):
            _line(axis, name, panel.methods.get(name, ()), f"C{place}", MARKERS[place % len(MARKERS)])
        axis.plot(panel.whole, 0, "k*", ms=11, label="passages whole")
        axis.axvline(panel.whole, color="k", lw=0.8, ls="--")
        axis.axhline(0, color="k", lw=0.8, ls="--")
        axis.set_xscale("log")
        axis.set_xticks(TICKS, map(str, TICKS))
        axis.minorticks_off()
        axis.set_title(TITLES[setting], fontsize=9)
        axis.set_xlabel("seconds a question, compressing and answering")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("F1 less that of the passages whole, points")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=5, frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(target, metadata={"Date": None})


def _line(axis: Axes, name: str, found: Sequence[Point], colour: str, marker: str) -> None:
    if found:
        seconds, less, halves = zip(*found, strict=True)
        axis.errorbar(
            seconds, less, yerr=halves, fmt=f"{marker}-", color=colour, label=name, ms=5, lw=1, elinewidth=0.6
        )


if __name__ == "__main__":
    draw(panels(), DOCS / "compressors.svg")
