"""How a query reasoner learns to select documents, by estimator: a picture and a table from the training logs.

python docs/curves.py [RUNS]    logs of the training folders RUNS/NAME and RUNS/NAME-seedN replace reference/curves.csv
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import style
from refresh import filled

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "reference" / "curves.csv"
PAGE = ROOT / "docs" / "reference-results.md"
NAMES = {"find": "straight-through", "gumbel": "Gumbel", "reinforce": "REINFORCE", "labels": "labels (supervised)"}
COLOURS = {"find": style.BLUE, "gumbel": style.PURPLE, "reinforce": style.ORANGE, "labels": style.GREEN}
WINDOW = 25
"""Steps that a figure is the mean of."""
ENOUGH = 0.95
WHOLE, PARTS = ("seed", "step"), ("seconds", "recall", "loss")


class Point(NamedTuple):
    """The mean of some steps of one run."""

    name: str
    seed: int
    step: int
    """The last of them."""
    seconds: float
    """From the first step of the run; a window counts as its median step does, so that interruptions do not."""
    recall: float
    loss: float


def collect(runs: Path) -> list[Point]:
    """The points of every run that is there."""
    found = []
    for name in NAMES:
        for folder in sorted([runs / name, *runs.glob(f"{name}-seed*")]):
            seed = int(folder.name.partition("-seed")[2] or 0)
            found += _points(name, seed, folder / "log.jsonl")
    return found


def _points(name: str, seed: int, log: Path) -> list[Point]:
    steps = [entry for entry in map(json.loads, log.read_text(encoding="utf-8").splitlines()) if "recall@1" in entry]
    points, seconds = [], 0.0
    for start in range(0, len(steps) - WINDOW + 1, WINDOW):
        part = steps[start : start + WINDOW]
        seconds += WINDOW * median(entry["seconds"] for entry in part)
        kept = ("recall@1", "loss" if name == "labels" else "cross_entropy")
        recall, loss = (sum(entry[key] for entry in part) / WINDOW for key in kept)
        points.append(Point(name, seed, start + WINDOW, round(seconds, 1), round(recall, 4), round(loss, 4)))
    return points


def write(points: Sequence[Point]) -> None:
    """Keep the points."""
    with KEPT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([Point._fields, *points])


def read() -> list[Point]:
    """The points that are kept."""
    with KEPT.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [Point(row["name"], *(int(row[key]) for key in WHOLE), *(float(row[key]) for key in PARTS)) for row in rows]


def table(points: Sequence[Point]) -> str:
    """Means over seeds, the lowest and the highest in brackets."""
    head = [
        "trained by", "seeds", "steps 1 to 25", "51 to 75", "226 to 250", "steps to 0.95", "seconds to 0.95", "a step",
    ]  # fmt: skip
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, runs in _by_run(points).items():
        spans = [_span([run[at].recall for run in runs]) for at in (0, 2, 9)]
        reached = [next(filter(lambda point: point.recall >= ENOUGH, run), None) for run in runs]
        there = [point for point in reached if point is not None]
        when = [_span([point.step for point in there], 0), _span([point.seconds for point in there], 0)]
        if len(there) < len(runs):
            when = [f"{cell}, {len(there)} of {len(runs)} seeds" for cell in when]
        each = _span([run[-1].seconds / run[-1].step for run in runs])
        lines.append([NAMES[name], str(len(runs)), *spans, *when, each])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _by_run(points: Sequence[Point]) -> dict[str, list[list[Point]]]:
    runs: dict[str, dict[int, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        runs[point.name][point.seed].append(point)
    return {name: list(by_seed.values()) for name, by_seed in runs.items()}


def _span(values: Sequence[float], digits: int = 2) -> str:
    mean = sum(values) / len(values)
    return f"{mean:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def draw(points: Sequence[Point], target: Path) -> None:
    """Recall by step and by time, and the loss that each lowers: a line a seed."""
    finding = "REINFORCE needs fewer steps than straight-through to select the right document; labels need the fewest"
    axes = {("step", "recall"): "recall@1 of 20", ("seconds", "recall"): "recall@1 of 20", ("step", "loss"): "loss"}
    with style.picture(target, finding, 3.3, 3) as (figure, panels):
        for panel, ((x, y), said) in zip(panels, axes.items(), strict=True):
            for name, runs in _by_run(points).items():
                for run in runs:
                    panel.plot([getattr(p, x) for p in run], [getattr(p, y) for p in run], color=COLOURS[name], lw=1.2)
            panel.set(xlabel="seconds, one core" if x == "seconds" else x, ylabel=said)
        panels[2].set_yscale("log")
        handles = [style.key(COLOURS[name], said, marker="", ls="-") for name, said in NAMES.items()]
        figure.legend(handles=handles, loc="lower center", ncols=4)
        figure.tight_layout(rect=(0, 0.08, 1, 1))


if __name__ == "__main__":
    if sys.argv[1:]:
        write(collect(Path(sys.argv[1])))
    points = read()
    draw(points, ROOT / "docs" / "curves.svg")
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(text, "curves", table(points)), encoding="utf-8")
