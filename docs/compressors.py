"""F1 and seconds of text compressors on real questions: docs/compressors.svg.

python docs/compressors.py    from the published runs of the suite `compressors`
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import refresh
import style
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from clara_bench import metrics
from clara_bench.records.results import open_run
from clara_bench.reporting.comparison import compare
from clara_bench.reporting.leaderboard import Row

DOCS = Path(__file__).parent
TITLES = {"gold": "Gold passages", "corpus": "Five retrieved passages"}
KINDS = {
    "no language model": {
        "truncate": style.BLUE,
        "random-drop": style.RED,
        "llmlingua2-style": style.GREEN,
        "recomp-extractive": style.ORANGE,
    },
    "with a language model": {
        "selective-context": style.BLUE,
        "llmlingua": style.GREEN,
        "longllmlingua": style.PURPLE,
        "exit": style.RED,
        "recomp-abstractive": style.ORANGE,
    },
}
MARKERS = "os^vD"
TICKS = (0.3, 0.5, 1, 2, 4)
RATE = re.compile(r"-[\d.]+x?$")
"""What a label ends with after the method's name."""


class Point(NamedTuple):
    """A compressor at one rate: means over the tasks."""

    seconds: float
    """Per question, for compressing and answering."""
    gained: float
    """F1 minus that with the full passages, in points."""
    half: float
    """Half-width of the 95 % CI of `gained`: the tasks' paired intervals combined, as they are independent."""


class Panel(NamedTuple):
    """One setting."""

    full: float
    """Seconds per question for the full passages."""
    methods: Mapping[str, Sequence[Point]]
    """By compressor, the faster rate first."""


def panels() -> dict[str, Panel]:
    """By setting, from the runs that the page's table shows."""
    rows = refresh.by_system(refresh.published("compressors"), metrics.get("f1"))
    whole = refresh.PARTS["compressors"].against
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
    gained = fmean(one.mean for one in found if one.mean is not None)
    return Point(_seconds(rows), 100 * gained, 100 * math.hypot(*halves) / len(halves))


def _seconds(rows: Mapping[str, Row]) -> float:
    return fmean(row.metrics["seconds"].mean or 0.0 for row in rows.values())


def draw(found: Mapping[str, Panel], target: Path) -> None:
    """A row for each kind of passages; in one column the methods without a language model, in the other those with."""
    finding = "No compressor is significantly better than truncation; with a language model, most save no time"
    with style.picture(target, finding, 6.2, 2, rows=2, sharex=True, sharey=True) as (figure, panels):
        for place, (setting, panel) in enumerate(found.items()):
            for axis, (kind, names) in zip(panels[2 * place : 2 * place + 2], KINDS.items(), strict=True):
                _lines(axis, panel, names)
                axis.set(title=f"{TITLES[setting]}: {kind}")
                if not place:
                    axis.legend(handles=_keys(names), loc="lower right" if axis is panels[0] else "lower left")
        for axis in panels[2:]:
            axis.set_xlabel("seconds per question, compressing and answering")
        for axis in panels[::2]:
            axis.set_ylabel("F1 minus full text, 95 % CI")
        full = style.key(style.INK, "full passages", marker="*", ms=9)
        figure.legend(handles=[full], loc="lower center")
        figure.tight_layout(rect=(0, 0.03, 1, 1))


def _keys(names: Mapping[str, str]) -> list[Line2D]:
    return [
        style.key(colour, name, marker=marker) for marker, (name, colour) in zip(MARKERS, names.items(), strict=False)
    ]


def _lines(axis: Axes, panel: Panel, names: Mapping[str, str]) -> None:
    for place, (name, colour) in enumerate(names.items()):
        seconds, gained, halves = zip(*panel.methods[name], strict=True)
        style.points(axis, seconds, gained, halves, colour, marker=MARKERS[place], ls="-")
    axis.plot(panel.full, 0, "*", color=style.INK, ms=10)
    axis.axvline(panel.full, color=style.INK, lw=0.8, ls="--")
    axis.axhline(0, color=style.INK, lw=0.8, ls="--")
    axis.set_xscale("log")
    axis.set_xticks(TICKS, map(str, TICKS))
    axis.minorticks_off()
    axis.set_xlim(0.25, 8)


if __name__ == "__main__":
    draw(panels(), DOCS / "compressors.svg")
