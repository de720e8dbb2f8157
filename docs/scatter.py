"""Accuracy against context length, from the published runs: docs/headline.svg, real.svg, worlds.svg and results.svg.

python docs/scatter.py
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import style
from matplotlib.axes import Axes
from refresh import TASKS, by_system, published, seen_forms

from clara_bench import metrics
from clara_bench.reporting.leaderboard import Row

DOCS = Path(__file__).parent
TEXT, MEMORIES, SHORTENED, KEPT = style.BLUE, style.ORANGE, style.GREEN, style.PURPLE
FAMILIES = {TEXT: "full text", MEMORIES: "CLaRa memories (latent)", SHORTENED: "text compressors"}
NAMES = {
    "closed-book": "closed-book",
    "text": "text",
    "bm25-text": "BM25",
    "dense-text": "MiniLM",
    "trained-text": "trained MiniLM",
    "hybrid-text": "BM25 + MiniLM",
    "iterative-text": "two searches",
    "clara-8x": "8x",
    "clara-16x": "16x",
    "clara-32x": "32x",
    "text-control-last": "last passage alone",
    "clara-8x-control-last": "last passage alone",
    "clara-8x-control-random": "five random",
    "bm25-text-control-random": "five random",
    "recomp-4x": "RECOMP",
    "truncate-4x": "truncation",
}
"""What the labels of points say; others stay without."""


class Point(NamedTuple):
    """A system in one setting."""

    setting: str
    name: str
    """Its label, without what says that it was given the gold passages."""
    tokens: float
    score: float
    half: float
    """Half the width of the 95 % interval of `score`; both in percent."""

    @property
    def colour(self) -> str:
        """That of its family."""
        if self.name.startswith("clara"):
            return MEMORIES
        return TEXT if self.name in NAMES and not self.name.endswith("-4x") else SHORTENED

    @property
    def control(self) -> bool:
        """Whether the system read other evidence than what it found or was given."""
        return "-control-" in self.name

    @property
    def marker(self) -> str:
        """Diamonds search twice."""
        return "D" if self.name == "iterative-text" else "o"


def collect(part: str, metric: str, tasks: Sequence[str]) -> list[Point]:
    """The systems of a table, each a mean over tasks."""
    boards = seen_forms() if part == "headline" else published(part)
    found = by_system(boards, metrics.get(metric))
    return [_point(setting, label, [rows[task] for task in tasks], metric) for (setting, label), rows in found.items()]


def _point(setting: str, label: str, rows: Sequence[Row], metric: str) -> Point:
    scores = [row.metrics[metric] for row in rows]
    halves = [(one.ci95[1] - one.ci95[0]) / 2 for one in scores if one.ci95]
    tokens = fmean(row.metrics["context_positions"].mean or 0.0 for row in rows)
    mean = fmean(one.mean or 0.0 for one in scores)
    return Point(setting, label.removeprefix("gold-"), tokens, 100 * mean, 100 * math.hypot(*halves) / len(rows))


def scatter(
    panel: Axes, found: Sequence[Point], offsets: Mapping[str, tuple[float, float]], ticks: Sequence[int]
) -> None:
    """Points by family, the rates of a family joined; names where `offsets` says."""
    for one in found:
        hollow = one.setting == "gold"
        style.points(panel, [one.tokens], [one.score], [one.half], one.colour, hollow=hollow, marker=one.marker)
        if one.name in offsets:
            style.label(panel, NAMES[one.name], (one.tokens, one.score), offsets[one.name], one.colour)
    for setting in ("gold", "distractor"):
        memories = [p for p in found if p.colour == MEMORIES and p.setting == setting and not p.control]
        rates = [(p.tokens, p.score) for p in memories]
        if rates:
            panel.plot(*zip(*sorted(rates), strict=True), color=MEMORIES, lw=1.2, zorder=0.8)
    panel.set_xscale("symlog", linthresh=10)
    panel.set_xticks(ticks, map(str, ticks))
    panel.minorticks_off()
    panel.set_xlabel("context tokens per question")


BESIDE = ("-control-shuffled", "-control-first", "-then-clara-8x")
"""What the picture leaves out: it lies beside others."""


def headline(found: Sequence[Point], target: Path) -> None:
    """Gold and retrieved passages of worlds of version 3 with their controls, means over the four tasks."""
    finding = (
        "Memories with a quarter of the tokens: no difference from text that stands; the search loses 29 to 34 points"
    )
    titles = {"gold": "Gold passages given", "distractor": "Five passages, retrieved from 20 candidates"}
    sides = {"text": (0, 12), "clara-8x": (0, 13), "text-control-last": (8, -6), "clara-8x-control-last": (8, -6)}
    found_sides = sides | {"bm25-text": (0, 13), "dense-text": (0, -13)}
    found_sides |= {"clara-8x-control-random": (0, -12), "bm25-text-control-random": (0, -12)}
    shown = [one for one in found if not one.name.endswith(BESIDE)]
    with style.picture(target, finding, 4.0, 2, sharey=True) as (figure, panels):
        for panel, (setting, title) in zip(panels, titles.items(), strict=True):
            here = [one for one in shown if one.setting == setting]
            scatter(panel, here, sides if setting == "gold" else found_sides, (10, 30, 100, 300, 1000))
            panel.set(title=title, xlim=(20, 1500), ylim=(0, 100))
        panels[0].set_ylabel("exact match, %, mean of four tasks, 95 % CI")
        handles = [style.key(colour, name) for colour, name in list(FAMILIES.items())[:2]]
        figure.legend(handles=handles, loc="lower center", ncols=2)
        figure.tight_layout(rect=(0, 0.07, 1, 1))


REAL = {
    "text": ("text", (0, 12), TEXT),
    "bm25-text": ("text of BM25's five", (0, -13), TEXT),
    "clara-4x": ("CLaRa", (-8, 6), MEMORIES),
    "words-4x": ("its words alone", (-8, -5), MEMORIES),
    "untrained-words-4x": ("untrained words", (-8, 0), MEMORIES),
    "clara-4x-control-shuffled": ("CLaRa, another question's passages", (-8, 9), MEMORIES),
    "untrained-pooled-4x": ("untrained, pooled", (-8, 0), MEMORIES),
    "truncate-4x": ("truncation", (8, 4), SHORTENED),
    "recomp-extractive-4x": ("RECOMP", (8, 0), SHORTENED),
    "kv-streaming-llm-4x": ("StreamingLLM", (13, 1), KEPT),
    "kv-random-4x": ("random positions", (8, -5), KEPT),
}
"""Of each system on real questions: what it is called, where its name stands, its colour."""


def real(found: Sequence[Point], target: Path) -> None:
    """Real questions, read by the tuned reader, means over the four tasks; closed-book is a line."""
    finding = "Real questions: at a quarter of the tokens none keeps more than 70 % of F1 of text"
    families = {TEXT: "text", SHORTENED: "text compressors", KEPT: "keys and values", MEMORIES: "CLaRa's memories"}
    with style.picture(target, finding, 4.2, 1) as (figure, [panel]):
        for one in found:
            if one.name in REAL:
                name, side, colour = REAL[one.name]
                style.points(panel, [one.tokens], [one.score], [one.half], colour, hollow=one.setting == "gold")
                style.label(panel, name, (one.tokens, one.score), side, colour)
            elif one.setting == "closed":
                panel.axhline(one.score, color=style.INK, lw=1, ls=":")
                style.label(panel, "closed-book", (560, one.score), (0, 8), style.INK)
        panel.set_xscale("log")
        panel.set_xticks((30, 100, 300, 1000), ("30", "100", "300", "1000"))
        panel.minorticks_off()
        panel.set(xlim=(20, 1500), ylim=(0, 60), xlabel="context tokens per question")
        panel.set_ylabel("F1, %, mean of four tasks, 95 % CI")
        hollow = style.key(style.INK, "gold passages given", markerfacecolor="none")
        handles = [style.key(colour, name) for colour, name in families.items()]
        figure.legend(handles=[*handles, hollow], loc="lower center", ncols=5)
        figure.tight_layout(rect=(0, 0.07, 1, 1))


def by_task(part: str, metric: str, finding: str, families: Mapping[str, str], target: Path) -> None:
    """A panel a task."""
    with style.picture(target, finding, 3.2, len(TASKS), sharey=True) as (figure, panels):
        for panel, (task, title) in zip(panels, TASKS.items(), strict=True):
            found = collect(part, metric, [task])
            scatter(panel, found, {"clara-8x": (-6, 8), "closed-book": (5, 9)}, (0, 10, 100, 1000))
            style.pareto(panel, [(one.tokens, one.score) for one in found if one.setting not in ("gold", "closed")])
            panel.set(title=title, xlim=(-2, 1500), ylim=(0, None))
        panels[0].set_ylabel({"em": "exact match, %, 95 % CI", "f1": "F1, %, 95 % CI"}[metric])
        handles = [style.key(colour, name) for colour, name in families.items()]
        if any(one.marker == "D" for one in found):
            handles.insert(1, style.key(TEXT, "text, two searches", marker="D"))
        hollow = style.key(style.INK, "gold passages given", markerfacecolor="none")
        figure.legend(handles=[*handles, hollow, style.PARETO], loc="lower center", ncols=len(handles) + 2)
        figure.tight_layout(rect=(0, 0.09, 1, 1))


if __name__ == "__main__":
    headline(collect("headline", "em", list(TASKS)), DOCS / "headline.svg")
    real(collect("real", "f1", list(TASKS)), DOCS / "real.svg")
    by_task(
        "worlds",
        "em",
        "Two searches lead; with one, 8x memories and the text of a trained retriever are level",
        FAMILIES | {TEXT: "text, one search", MEMORIES: "CLaRa, 8x to 32x"},
        DOCS / "worlds.svg",
    )
    by_task(
        "results",
        "f1",
        "Real questions: five retrieved passages give 4.5 to 10.5 points of F1 less than the gold ones",
        {TEXT: "text: closed-book, or five passages by BM25, MiniLM or both"},
        DOCS / "results.svg",
    )
