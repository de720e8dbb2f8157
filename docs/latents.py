"""Latent compressors with equal memory and training: docs/latents.svg and tables of docs/reference-results.md.

python docs/latents.py    from the runs published in results/latents (suites `latents` and `latents-seeds`)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import style
from matplotlib.axes import Axes
from numpy.typing import NDArray
from refresh import TASKS, filled

from clara_bench import metrics
from clara_bench.metrics.differences import Difference
from clara_bench.metrics.statistics import Summary
from clara_bench.records.results import Run, find_runs
from clara_bench.reporting.comparison import compare
from clara_bench.reporting.formats import cell, difference_cell
from clara_bench.reporting.inspection import questions
from clara_bench.reporting.scoring import score_run
from clara_bench.tasks import definitions

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "results" / "latents"
PAGE = ROOT / "docs" / "reference-results.md"
BASELINE = "salient"
PASSAGES = {"gold-": "gold passages", "": "five of 20 by BM25"}
COLOURS = (style.ORANGE, style.BLUE)
"""By what a run's label begins with."""
METHODS = {
    "salient": "CLaRa: salient pretraining",
    "cocom": "COCOM-like: reconstruction",
    "icae": "ICAE-like: reconstruction, frozen generator",
    "autocompressor": "AutoCompressor-like: recurrent",
    "pisco": "PISCO-like: distillation alone",
    "pooled": "mean-pooled states",
    "xrag": "xRAG-like: one projected vector",
}
SEEDS = ("", "-seed1", "-seed2")
"""What a run's label ends with, by the seed that its compressor was trained with."""
STUDENT, NORMAL = 4.303, 1.96
"""Half of a 95 % interval in standard errors, of three trainings (two degrees of freedom) and of many questions."""
Values = NDArray[np.float64]
PARTS = {
    "salient": "simple and complex questions, paraphrases, MSE",
    "salient-no-mse": "the same without MSE",
    "salient-simple": "simple questions alone",
}


class Result(NamedTuple):
    """EM of a method on a task, and how far that is from the baseline's."""

    em: Summary
    less: Difference


def results(prefix: str, methods: Mapping[str, str]) -> dict[str, dict[str, Result]]:
    """By method and task; a method counts where it was run."""
    runs = published()
    baseline = runs[prefix + BASELINE]
    return {
        name: {task: _result(baseline[task], run) for task, run in runs[prefix + name].items()}
        for name in methods
        if prefix + name in runs
    }


@cache
def published() -> dict[str, dict[str, Run]]:
    """By label and task."""
    runs: dict[str, dict[str, Run]] = {}
    for run in find_runs(RUNS):
        runs.setdefault(run.manifest["system"]["label"], {})[run.manifest["task"]["name"]] = run
    return runs


def _result(baseline: Run, run: Run) -> Result:
    return Result(score_run(run, ["em"]).metrics["em"], compare(baseline, run, ["em"])["em"])


def table(head: str, methods: Mapping[str, str], found: Mapping[str, Mapping[str, Result]]) -> str:
    """EM in percent; in parentheses the difference to the first row, and its paired 95 % CI."""
    names = _tasks(found)
    lines = [[head, *names], ["---", *["---:"] * len(names)]]
    for name, by_task in found.items():
        lines.append([methods[name], *(_cell(by_task[task], name == BASELINE) for task in names)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(result: Result, baseline: bool) -> str:
    metric = metrics.get("em")
    return cell(metric, result.em) if baseline else difference_cell(metric, *result)


def _tasks(found: Mapping[str, Mapping[str, Result]]) -> list[str]:
    return [name for name in definitions.names() if name in found[BASELINE]]


def seeds_table(head: str, prefix: str) -> str:
    """EM of the baseline, and what the others differ from its run of the same seed: means over trainings.

    In brackets the lowest and the highest training; the last column's interval is over trainings and questions.
    """
    names = [name for name in definitions.names() if name in published()[prefix + BASELINE]]
    lines = [[head, *names, "all four"], ["---", *["---:"] * (len(names) + 1)]]
    base_SLQ = _trainings(prefix + BASELINE, names)
    lines.append([METHODS[BASELINE], *_spans(base_SLQ, ""), f"{base_SLQ.mean():.1f}"])
    for name, said in METHODS.items():
        if name != BASELINE and all(prefix + name + seed in published() for seed in SEEDS):
            less_SLQ = _trainings(prefix + name, names) - base_SLQ
            lines.append([said, *_spans(less_SLQ, "+"), f"{less_SLQ.mean():+.1f} ±{_half(less_SLQ):.1f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _trainings(label: str, names: Sequence[str]) -> Values:
    """EM of every question in percent: S trainings, L tasks, Q questions."""
    return np.array([[_values(published()[label + seed][name]) for name in names] for seed in SEEDS])


def _values(run: Run) -> list[float]:
    """EM of every question of a run, in percent."""
    return [100 * (one.em or 0.0) for one in questions(run)]


def _spans(values_SLQ: Values, sign: str) -> list[str]:
    """Of each task the mean, the lowest and the highest training."""
    columns = values_SLQ.mean(axis=2).T
    return [f"{one.mean():{sign}.1f} ({one.min():{sign}.1f} to {one.max():{sign}.1f})" for one in columns]


def _half(less_SLQ: Values) -> float:
    """Half the 95 % interval of the mean: from how much trainings differ, and from how much questions do."""
    trainings, _, asked = less_SLQ.shape
    of_trainings = less_SLQ.mean(axis=(1, 2)).std(ddof=1) / math.sqrt(trainings)
    of_tasks = less_SLQ.mean(axis=0).std(axis=1, ddof=1) / math.sqrt(asked)
    return math.hypot(STUDENT * of_trainings, NORMAL * np.linalg.norm(of_tasks) / len(of_tasks))


def draw(panels: Mapping[str, Mapping[str, Mapping[str, Result]]], target: Path) -> None:
    """A panel a task; a line a method; a point for each kind of passages, with its 95 % interval over questions."""
    names = _tasks(next(iter(panels.values())))
    finding = "Salient pretraining, reconstruction and pooling do not differ beyond what another seed changes"
    with style.picture(target, finding, 3.4, len(names), sharey=True) as (figure, axes):
        for axis, task in zip(axes, names, strict=True):
            for colour, found in zip(COLOURS, panels.values(), strict=True):
                _points(axis, [by_task[task].em for by_task in found.values()], colour)
            _again(axis, task)
            axis.set(title=TASKS[task], xlabel="exact match, %", xlim=(0, 100))
        axes[0].set_yticks(range(len(METHODS)), list(METHODS.values()))
        axes[0].invert_yaxis()
        handles = [style.key(colour, label) for colour, label in zip(COLOURS, panels, strict=True)]
        handles.append(style.key(COLOURS[0], "other seeds, gold passages", marker="x"))
        figure.legend(handles=handles, loc="lower center", ncols=3)
        figure.tight_layout(rect=(0, 0.08, 1, 1))


def _points(axis: Axes, scores: Sequence[Summary], colour: str) -> None:
    means = [100 * (score.mean or 0.0) for score in scores]
    ends = [score.ci95 or (score.mean, score.mean) for score in scores]
    error = [
        [mean - 100 * low for mean, (low, _) in zip(means, ends, strict=True)],
        [100 * high - mean for mean, (_, high) in zip(means, ends, strict=True)],
    ]
    axis.errorbar(means, range(len(means)), xerr=error, fmt="o", ms=4, color=colour, elinewidth=0.8)


def _again(axis: Axes, task: str) -> None:
    """The gold-passage scores of other trainings of the same methods."""
    places, means = [], []
    for place, name in enumerate(METHODS):
        for seed in SEEDS[1:]:
            if f"gold-{name}{seed}" in published():
                places.append(place)
                means.append(np.mean(_values(published()[f"gold-{name}{seed}"][task])))
    axis.plot(means, places, "x", ms=5, color=COLOURS[0])


def tables() -> dict[str, str]:
    """What stands between the marks of the page, by the name of the mark."""
    gold, found = (results(prefix, METHODS) for prefix in PASSAGES)
    return {
        "latents": table("memories of gold passages", METHODS, gold),
        "latents-found": table("memories of five passages by BM25", METHODS, found),
        "latents-seeds": seeds_table("memories of gold passages, three trainings", "gold-"),
        "mixes": table("pretraining", PARTS, results("gold-", PARTS)),
    }


if __name__ == "__main__":
    draw({label: results(prefix, METHODS) for prefix, label in PASSAGES.items()}, ROOT / "docs" / "latents.svg")
    text = PAGE.read_text(encoding="utf-8")
    for part, content in tables().items():
        text = filled(text, part, content)
    PAGE.write_text(text, encoding="utf-8")
