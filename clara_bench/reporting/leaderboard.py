"""Leaderboards: one table per set of questions, one section per set of candidates.

Only rows of one section saw the same passages for the same questions and may be ranked; rows
with failures are marked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from clara_bench import metrics
from clara_bench.errors import BenchError, UnknownName
from clara_bench.metrics import Metric
from clara_bench.metrics.statistics import Summary, averaged
from clara_bench.records.results import Run
from clara_bench.records.trainings import By, System, grouped
from clara_bench.reporting import captions
from clara_bench.reporting.scored import Scored, Scorer
from clara_bench.statistics.significance import LEVEL, holm, sign_flip
from clara_bench.statistics.trainings import Spread, spread
from clara_bench.types import CONTROLS, SETTINGS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

COLUMNS = (
    "em", "f1", "recall@1", "recall@2", "recall@5", "recall@10", "all_support@5",
    "context_positions", "effective_ratio_micro", "seconds", "truncated",
)  # fmt: skip
"""Scored when the user names none; those that no row has are left out."""

TRAITS = ("backbone", "reader", "compressor", "offline", "query_dependent", "weights", "nominal_ratio", "token_counts")


@dataclass(frozen=True, slots=True)
class Row:
    """One system: a run, or several that differ in a seed alone."""

    label: str
    questions: int
    failed: int
    metrics: Mapping[str, Summary]
    traits: Mapping[str, Any]
    path: str
    index_bytes: float | None = None
    """Size of the index by passage, memories included and the passages' text left out; None without passages."""
    difference: str = ""
    """What tells it from other rows of its section with the same label."""
    totals: Mapping[str, float] = field(default_factory=dict)
    """See `scoring.totals`."""
    p_best: Mapping[str, float] = field(default_factory=dict)
    """By metric the p-value of a paired test against the best row of the section, after Holm over its rows."""
    pareto: tuple[str, ...] = ()
    """The costs of which no row of the section needs less for at least as much of the main metric."""
    seeds: int = 1
    """How many runs that differ in a seed alone the row is the mean of; intervals of `metrics` are over questions."""
    spread: Mapping[str, Spread] = field(default_factory=dict)
    """By metric how far these runs spread; {} for one."""

    @property
    def approximate(self) -> bool:
        """Whether its evidence was counted approximately."""
        return bool(self.traits.get("token_counts"))

    @property
    def name(self) -> str:
        """The label, with what tells it from its namesakes, marked where questions failed or counts are approximate."""
        seeds = f"{self.seeds} seeds" if self.seeds > 1 else ""
        apart = ", ".join(filter(None, (self.difference, seeds)))
        told = f"{self.label} ({apart})" if apart else self.label
        return f"{told}{' ‡' * self.approximate}{f' †{self.failed}' if self.failed else ''}"


@dataclass(frozen=True, slots=True)
class Guess:
    """What a guess that reads nothing, or nothing in particular, would score in a section."""

    label: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Section:
    """Runs that saw the same passages, best first."""

    setting: str
    candidates_hash: str
    rows: tuple[Row, ...]
    passages: str = ""
    """Which passages, in words; no two sections of a board say the same."""
    control: str = ""
    """The control that took the place of the setting's passages; "" for none."""
    guesses: tuple[Guess, ...] = ()
    """Chance lines, where they were asked for."""


@dataclass(frozen=True, slots=True)
class Board:
    """All runs over one set of questions of one task."""

    task: str
    version: int
    source: str
    """worlds, hub or files."""
    questions: int
    questions_hash: str
    main_metric: str
    sections: tuple[Section, ...]
    origin: str = ""
    """Where the questions come from, in words."""

    @property
    def rows(self) -> list[Row]:
        """Those of all sections."""
        return [row for section in self.sections for row in section.rows]


class Key(NamedTuple):
    """The key that runs of one table share."""

    task: str
    version: int
    questions_hash: str


def key_of(run: Run) -> Key:
    """The table of a run."""
    task = run.manifest["task"]
    return Key(task["name"], task["version"], run.manifest["questions"]["hash"])


def control_of(run: Run) -> str:
    """The control that took the place of a run's passages; "" for none."""
    return run.manifest["request"].get("control") or ""


_CONTROLS = ("", *CONTROLS)


class _Scored(NamedTuple):
    """A run and what it scored."""

    run: Run
    scored: Scored


class _Found(NamedTuple):
    """A system and what its runs scored."""

    system: System
    runs: Sequence[Scored]
    metrics: Mapping[str, Summary]
    values: Mapping[str, Sequence[float | None] | Vector]
    """Of each question the value of each fraction, for paired tests; nothing (None, NaN) where it does not count."""
    spread: Mapping[str, Spread]


def boards(
    runs: Iterable[Run],
    names: Sequence[str] = (),
    scorer: Scorer | None = None,
    left_out: Callable[[BenchError], None] | None = None,
    by: By = "seed",
) -> list[Board]:
    """Group runs into tables.

    Args:
        runs: run directories.
        names: metrics, beside the main one of each task; () for `COLUMNS`.
        scorer: what scores a run; by default recomputed from its records.
        left_out: told of each run whose files cannot be read, which is then left out; None to raise.
        by: which runs are one row, see `trainings.By`.

    Raises:
        BenchError: see `scoring.score_run`.
    """
    score = scorer or Scorer()
    groups: dict[Key, list[_Scored]] = {}
    for run in runs:
        try:
            scored = score(run, [*dict.fromkeys([*(names or COLUMNS), run.manifest["task"]["main_metric"]])])
        except UnknownName:  # of a metric, which is no fault of the run
            raise
        except BenchError as error:
            if left_out is None:
                raise
            left_out(error)
        else:
            groups.setdefault(key_of(run), []).append(_Scored(run, scored))
    ordered = sorted(groups.items())
    origins = captions.sources([group[0].run.manifest for _, group in ordered])
    return [_board(key, group, by, origin) for (key, group), origin in zip(ordered, origins, strict=True)]


def _board(key: Key, found: Sequence[_Scored], by: By, origin: str) -> Board:
    first = found[0].run.manifest
    main = first["task"]["main_metric"]
    sections: dict[tuple[int, int, str], list[_Scored]] = {}
    for one in found:
        ranks = SETTINGS.index(one.run.manifest["setting"]), _CONTROLS.index(control_of(one.run))
        sections.setdefault((*ranks, one.run.manifest["candidates"]["hash"]), []).append(one)
    ordered = [group for _, group in sorted(sections.items())]
    manifests = [[one.run.manifest for one in group] for group in ordered]
    words = [captions.passages(told, group[0].scored.offered) for told, group in zip(manifests, ordered, strict=True)]
    told = captions.told_apart(words, [group[0] for group in manifests])
    return Board(
        task=key.task,
        version=key.version,
        source=str(first["data"]["provenance"]["source"]),
        questions=first["questions"]["count"],
        questions_hash=key.questions_hash,
        main_metric=main,
        sections=tuple(_section(group, main, by, said) for group, said in zip(ordered, told, strict=True)),
        origin=origin,
    )


def _section(given: Sequence[_Scored], main: str, by: By, passages: str) -> Section:
    scored = {id(one.run): one.scored for one in given}
    found = [
        _found(system, [scored[id(run)] for run in system.runs]) for system in grouped([one.run for one in given], by)
    ]
    first = given[0].run.manifest
    told = captions.differences([one.system.run for one in found])
    rows = _on_fronts(_tested([_row(one, said) for one, said in zip(found, told, strict=True)], found), main)
    return Section(
        setting=first["setting"],
        candidates_hash=first["candidates"]["hash"],
        rows=tuple(ranked(rows, metrics.get(main))),
        passages=passages,
        control=control_of(given[0].run),
    )


def _found(system: System, runs: Sequence[Scored]) -> _Found:
    import numpy as np

    scorer = system.run.manifest["task"]["answer_scorer"]
    names = [name for name in runs[0].values if all(name in one.values for one in runs)]
    columns = {name: [one.column(name, scorer) for one in runs] for name in names}
    whole = {name: averaged(found) for name, found in columns.items()}
    alone = len(runs) == 1
    means = {name: [mean for one in found if (mean := one.mean()) is not None] for name, found in columns.items()}
    return _Found(
        system,
        runs,
        runs[0].metrics if alone else {name: column.summary() for name, column in whole.items()},
        {
            name: np.where(column.weights > 0, column.values, np.nan)
            for name, column in whole.items()
            if column.metric.unit == "fraction"
        },
        {} if alone else {name: spread(found) for name, found in means.items() if len(found) == len(runs)},
    )


def ranked(rows: Iterable[Row], metric: Metric) -> list[Row]:
    """Best first; those without a value last."""
    sign = -1 if metric.higher_is_better else 1

    def place(row: Row) -> tuple[bool, float, str, str]:
        mean = _mean(row.metrics.get(metric.name))
        return mean is None, sign * (mean or 0.0), row.label, row.path

    return sorted(rows, key=place)


def best(rows: Sequence[Row], metric: Metric) -> list[Row]:
    """The rows with the best value of a metric of quality; none where there is nothing to rank.

    Costs have no best: a system that reads nothing is the cheapest.
    """
    means = [mean for row in rows if (mean := _mean(row.metrics.get(metric.name))) is not None]
    if metric.family == "cost" or len(means) < 2:
        return []
    top = max(means) if metric.higher_is_better else min(means)
    return [row for row in rows if _mean(row.metrics.get(metric.name)) == top]


TIE = "tied with the best of its section: a paired test of the two is not significant at 0.05 after Holm over its rows"
"""The rule of `tied`, as tables say it."""
PARETO = "no row of the section has as much of the main metric for less of this"
"""The rule of `Row.pareto`, as tables say it."""
COSTS = ("context_positions", "seconds", "index_bytes")


def tied(row: Row, metric: Metric) -> bool:
    """Whether a row is not separable from the best one of its section."""
    return row.p_best.get(metric.name, 0.0) >= LEVEL


def _tested(rows: Sequence[Row], found: Sequence[_Found]) -> list[Row]:
    """The rows, tested against the best of each metric."""
    told: list[dict[str, float]] = [{} for _ in rows]
    for name in dict.fromkeys(name for row in rows for name in row.metrics):
        top = best(rows, metrics.get(name))
        values = {place: one.values[name] for place, one in enumerate(found) if name in one.values}
        others = [place for place in values if rows[place] not in top] if top else []
        tests = [_paired(values[place], values[rows.index(top[0])]) for place in others]
        for place, p in zip(others, holm(tests), strict=True):
            told[place][name] = p
    return [replace(row, p_best=one) for row, one in zip(rows, told, strict=True)]


def _paired(values: Sequence[float | None] | Vector, others: Sequence[float | None] | Vector) -> float:
    import numpy as np

    less = np.array(values, dtype=np.float64) - np.array(others, dtype=np.float64)  # None is NaN: counts in one alone
    return sign_flip(less[~np.isnan(less)])


def _on_fronts(rows: Sequence[Row], main: str) -> list[Row]:
    """The rows, marked where they are on the Pareto front of the main metric and a cost that differs."""
    sign = 1 if metrics.get(main).higher_is_better else -1
    gains = [_mean(row.metrics.get(main)) for row in rows]
    fronts: list[tuple[str, ...]] = [() for _ in rows]
    for cost in COSTS:
        prices = [row.index_bytes if cost == "index_bytes" else _mean(row.metrics.get(cost)) for row in rows]
        points = [
            (sign * g, -p) if g is not None and p is not None else None for g, p in zip(gains, prices, strict=True)
        ]
        known = {point for point in points if point is not None}
        if len({price for _, price in known}) > 1:
            on = {one for one in known if not any(o != one and o[0] >= one[0] and o[1] >= one[1] for o in known)}
            fronts = [(*old, cost) if point in on else old for old, point in zip(fronts, points, strict=True)]
    return [replace(row, pareto=front) for row, front in zip(rows, fronts, strict=True)]


def _row(found: _Found, difference: str) -> Row:
    run, runs = found.system.run, found.runs
    keys = [key for key in runs[0].totals if all(key in one.totals for one in runs)]
    return Row(
        label=found.system.label,
        questions=run.manifest["questions"]["count"],
        failed=sum(one.failed for one in runs),
        metrics=found.metrics,
        traits=run.manifest["traits"],
        path=str(run.path),
        index_bytes=_index_bytes(run.manifest["sessions"]),
        difference=difference,
        totals={key: sum(one.totals[key] for one in runs) for key in keys},
        seeds=len(runs),
        spread=found.spread,
    )


def _index_bytes(sessions: Sequence[Mapping[str, Any]]) -> float | None:
    """Bytes by passage, of the last session that says so."""
    told = [session["index"] for session in sessions if session.get("index", {}).get("passages")]
    return told[-1]["bytes"] / told[-1]["passages"] if told else None


def _mean(summary: Summary | None) -> float | None:
    return None if summary is None else summary.mean
