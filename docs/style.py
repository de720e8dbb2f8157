"""The style of all pictures: text as text, no background, mid-tones that are readable on white and on black."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

INK = "#6e7781"
"""Text, axes and baselines: 4.6 to 1 on white, 4.1 to 1 on GitHub's black."""
BLUE, ORANGE, GREEN, PURPLE, RED = "#3b82c4", "#d9731a", "#2e9d54", "#9a63d1", "#d6455d"
WIDTH = 9.2
"""Inches, at 96 pixels each as wide as GitHub shows a page."""
PARAMETERS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "clara-bench",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@contextmanager
def picture(
    target: Path, finding: str, height: float, columns: int, rows: int = 1, **shared: Any
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of panels to draw into, with a title that states the finding; written to `target` at the end."""
    with plt.rc_context(PARAMETERS):
        figure, panels = plt.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False, **shared)
        figure.suptitle(finding, fontsize=10.5, fontweight="bold", x=0.01, ha="left")
        yield figure, list(panels.flat)
        figure.savefig(target, metadata={"Date": None})
        target.write_text(described(target.read_text(encoding="utf-8"), finding, description(figure)), encoding="utf-8")
        plt.close(figure)


def description(figure: Figure) -> str:
    """What a figure shows, in words: axes and panels, the named points with their values, the legend."""
    panels = [panel for panel in figure.axes if panel.axison]
    axes = [_axes([panel.xaxis for panel in panels]), _axes([panel.yaxis for panel in panels])]
    named = [label for legend in figure.legends for label in (text.get_text() for text in legend.get_texts())]
    told = [f"Horizontal: {axes[0]}. Vertical: {axes[1]}.", *map(_panel, panels)]
    return " ".join(filter(None, [*told, f"Legend: {', '.join(named)}." if named else ""])).replace("\n", " ")


def _axes(axes: Sequence[Axis]) -> str:
    """The labels of axes, once each, or the names at the ticks where there are none."""
    labels = [axis.get_label_text() for axis in axes]
    names = [tick.get_text() for axis in axes for tick in axis.get_ticklabels()] if not any(labels) else labels
    return "; ".join(dict.fromkeys(filter(None, names)))


def _panel(panel: Axes) -> str:
    points = [one for one in panel.texts if isinstance(one, Annotation) and one.get_text()]
    values = [f"{one.get_text()} ({one.xy[0]:.3g}, {one.xy[1]:.3g})" for one in points]
    title, told = panel.get_title(), "; ".join(values)
    return f"{': '.join(filter(None, (title, told)))}." if title or told else ""


def described(svg: str, title: str, text: str) -> str:
    """An SVG whose title and description a screen reader reads out."""
    before, tag, after = svg.partition("<svg ")
    attributes, end, rest = after.partition(">")
    told = f'\n <title id="title">{escape(title)}</title>\n <desc id="desc">{escape(text)}</desc>'
    return f'{before}{tag}role="img" aria-labelledby="title desc" {attributes}{end}{told}{rest}'


def points(
    panel: Axes, x: Sequence[float], y: Sequence[float], half: Sequence[float], colour: str, **look: Any
) -> None:
    """Points with vertical 95 % intervals; `hollow=True` leaves the markers empty."""
    fill = "none" if look.pop("hollow", False) else colour
    style = {"marker": "o", "ms": 5.5, "ls": "", "lw": 1.2, "elinewidth": 0.8} | look
    panel.errorbar(x, y, yerr=half, color=colour, markerfacecolor=fill, **style)


def label(panel: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], colour: str) -> None:
    """A name next to a point, in its colour; the offset is in points and gives the side."""
    side = "left" if offset[0] > 0 else "right" if offset[0] < 0 else "center"
    panel.annotate(
        text, at, xytext=offset, textcoords="offset points", color=colour, ha=side, va="center", fontsize=8.5
    )


def pareto(panel: Axes, places: Iterable[tuple[float, float]]) -> None:
    """A dashed line through the points that none other beats with less on x and more on y."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(places, key=lambda place: (place[0], -place[1])):
        if not best or y > best[-1][1]:
            best.append((x, y))
    panel.plot(*zip(*best, strict=True), color=INK, lw=1, ls=(0, (4, 3)), zorder=0.5)


def key(colour: str, name: str, **look: Any) -> Line2D:
    """An entry of a legend."""
    style = {"marker": "o", "ls": "", "ms": 5.5, "markerfacecolor": colour} | look
    return Line2D([], [], color=colour, label=name, **style)


PARETO = key(INK, "Pareto front", marker="", ls=(0, (4, 3)), lw=1)
