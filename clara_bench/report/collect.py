"""From runs to a report: each run is opened once, and everything is computed by what commands compute it with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from clara_bench import __version__, metrics
from clara_bench.analysis import costs
from clara_bench.analysis.explain import MEANINGS, Explained, explain, judged
from clara_bench.analysis.explain_tables import groups
from clara_bench.io.parsing import in_bulk
from clara_bench.metrics.differences import of_methods
from clara_bench.metrics.statistics import Column, Summary, averaged
from clara_bench.records.results import Questions as Asked
from clara_bench.records.results import Run, answered_again
from clara_bench.records.trainings import By, System, grouped
from clara_bench.report import model, words
from clara_bench.report.columns import text, texts
from clara_bench.report.curves import Log
from clara_bench.report.questions import Packed, Questions
from clara_bench.reporting import comparison, leaderboard
from clara_bench.reporting.formats import INDEX, head
from clara_bench.reporting.leaderboard import PARETO, TIE, Board
from clara_bench.reporting.scored import Remembering, Scored, Scorer
from clara_bench.reporting.views import SEEDS, titles
from clara_bench.types import Example, Passage, Record

DEPTHS = (1, 2, 3, 5, 10, 20)
RECALL = tuple(f"recall@{depth}" for depth in DEPTHS)
NAMES = ("em", "f1", "cover_sequence", *RECALL, "all_support@5", "context_positions", "effective_ratio_micro",
         "seconds", "truncated")  # fmt: skip
"""What is scored, beside the main metric of each task."""
SHOWN = ("em", "f1", "recall@1", "recall@5", "recall@10", "all_support@5", *NAMES[-4:])
"""What stands in the leaderboard, where each is tested."""
ANSWERS = 20_000
"""Answers of a table that are shown in full unasked; of larger tables a sample of the questions."""

Passages = Callable[[Run], Mapping[str, Passage]]


class Collected(NamedTuple):
    """A report, and the questions of each of its tables."""

    report: model.Report
    questions: tuple[Packed, ...]


@dataclass(frozen=True, slots=True)
class Opened(Run):
    """A run whose files are read once."""

    held: tuple[list[Example], list[Record]]

    @property
    def examples(self) -> list[Example]:
        """The questions."""
        return self.held[0]

    def answered(self, questions: Asked | None = None) -> tuple[list[Example], list[Record]]:
        """The questions and the answers."""
        return self.held

    def closed(self, run: Run, found: Explained) -> Explained:
        """What was found, without the files."""
        rungs = (replace(rung, run=run) if rung.run is self else rung for rung in found.rungs)
        return replace(found, run=run, rungs=tuple(rungs))


class Sharing(Scorer):
    """Scores each run once with all metrics, whichever are asked for."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self._scorer = Remembering(scorer)

    def __call__(self, run: Run, names: Sequence[str]) -> Scored:
        """See `Scorer`."""
        every = tuple(dict.fromkeys([*NAMES, run.manifest["task"]["main_metric"]]))
        if not set(names) <= set(every):
            return self._scorer(run, names)
        scored = self._scorer(run, every)
        return replace(
            scored,
            metrics={name: scored.metrics[name] for name in names if name in scored.metrics},
            values={name: scored.values[name] for name in names if name in scored.values},
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """How a report is to be made."""

    title: str
    by: By = "seed"
    questions: int | None = None
    """How many questions of each table are shown in full; None for as many as make `ANSWERS` answers."""


@in_bulk()
def collect(
    runs: Sequence[Run],
    wish: Wish,
    scorer: Scorer,
    passages: Passages,
    logs: Sequence[Log] = (),
    advance: Callable[[int], None] = lambda count: None,
) -> Collected:
    """Everything that a report shows.

    Args:
        runs: run directories.
        wish: how it is to be made.
        scorer: what scores a run.
        passages: the passages of a run, as far as they can be had.
        logs: of trainings.
        advance: told of each run that is done.
    """
    left_out: list[str] = []
    shared = Sharing(scorer)
    found = leaderboard.boards(runs, SHOWN, shared, lambda error: left_out.append(text(str(error))), wish.by)
    systems = {str(system.run.path): system for system in grouped(runs, wish.by)}
    tables, questions, explained = [], [], []
    for board, title in zip(found, titles(found), strict=True):
        building = _Building(board, [systems[row.path] for row in board.rows], shared)
        read = building.read(wish.questions, passages, advance)
        tables.append(building.table(title, read))
        questions.append(read.questions)
        explained.append(read.explained)
    tables = list(_with_ladders(tables, explained))
    told = model.Report(
        title=text(wish.title),
        headline=words.headline(tables),
        version=__version__,
        tables=tuple(tables),
        metrics=tuple(_said(tables)),
        causes=MEANINGS,
        curves=tuple(curve for log in logs for curve in log.curves),
        left_out=tuple(left_out),
        notes={"tie": TIE, "pareto": PARETO, "seeds": SEEDS},
    )
    return Collected(told, tuple(questions))


def _said(tables: Sequence[model.Table]) -> Iterator[model.MetricSaid]:
    names = dict.fromkeys(name for table in tables for row in table.rows for name in row.metrics)
    for metric in (metrics.get(name) for name in names if name != INDEX):
        family = metric.family
        yield model.MetricSaid(
            metric.name, head(metric.name), metric.unit, metric.higher_is_better, family, metric.description
        )

    yield model.MetricSaid(INDEX, head(INDEX), "bytes", False, "cost", "Bytes of the index by passage.")


def value(summary: Summary | None) -> model.Value:
    """A summary as a report holds it."""
    if summary is None:
        return (None, None, None)
    return (summary.mean, *(summary.ci95 or (None, None)))


class _Read(NamedTuple):
    """What the files of a table's runs hold."""

    questions: Packed
    explained: Sequence[Explained]
    spent: Sequence[costs.Costs]
    answered: Sequence[int]
    hops: Sequence[int | None]
    """Of each question."""


@dataclass(frozen=True, slots=True)
class _Building:
    """A table that is being made."""

    board: Board
    systems: Sequence[System]
    scorer: Scorer

    def read(self, most: int | None, passages: Passages, advance: Callable[[int], None]) -> _Read:
        """What needs the files of each run, which are read once."""
        main, siblings = self.board.main_metric, [run for system in self.systems for run in system.runs]
        full = most if most is not None else max(1, ANSWERS // len(self.systems))
        known = Asked()
        asked = Questions(
            answered_again(self.systems[0].run, known)[0], full, passages(self.systems[0].run) if full else {}
        )
        lost, spent, answered = [], [], []
        for system in self.systems:
            run = Opened(system.run.path, system.run.manifest, answered_again(system.run, known))
            columns = {name: averaged(found) for name, found in self._measured(system, ("em", main)).items()}
            lost.append(run.closed(system.run, explain(run, siblings, main, self.scorer)))
            asked.add(run, columns.get("em"), columns[main], lost[-1])
            spent.append(replace(costs.costs(run), run=system.run))
            answered.append(len(run.records()))
            advance(len(system.runs))
        return _Read(asked.packed(), lost, spent, answered, [example.gold.hops for example in asked.examples])

    def _measured(self, system: System, names: Sequence[str]) -> dict[str, list[Column]]:
        return comparison.measured(system, tuple(dict.fromkeys(names)), self.scorer)

    def table(self, title: str, read: _Read) -> model.Table:
        """The table, but for its ladders."""
        board, rows = self.board, tuple(self._rows(read.answered))
        sections = tuple(model.Section(s.setting, s.control, text(s.passages)) for s in board.sections)
        pairs = self._pairs()
        return model.Table(
            task=text(board.task),
            title=text(title),
            origin=text(board.origin),
            questions=board.questions,
            main_metric=board.main_metric,
            readers=tuple(dict.fromkeys(text(str(row.traits.get("backbone") or "–")) for row in board.rows)),
            sections=sections,
            rows=rows,
            pairs=pairs,
            lost={},
            recall=tuple(self._recall(rows, read.hops)),
            break_even=tuple(_break_even(read.spent)),
            choices=words.choices(rows, sections, pairs),
            detailed=read.questions.detailed,
            chunks=len(read.questions.chunks),
        )

    def _rows(self, answered: Sequence[int]) -> Iterator[model.Row]:
        systems, counts = iter(self.systems), iter(answered)
        for number, section in enumerate(self.board.sections):
            for row in section.rows:
                run = next(systems).run
                known = {name: metrics.get(name) for name in row.metrics}
                yield model.Row(
                    name=text(row.name),
                    label=text(row.label),
                    what=text(words.described(run.manifest)),
                    section=number,
                    family=family(run),
                    metrics={**{name: value(found) for name, found in row.metrics.items()},
                             INDEX: (row.index_bytes, None, None)},
                    traits=texts({key: held for key, held in row.traits.items() if held not in (None, "")}),
                    best=tuple(name for name, one in known.items() if row in leaderboard.best(section.rows, one)),
                    tied=tuple(name for name, one in known.items() if leaderboard.tied(row, one)),
                    pareto=row.pareto,
                    failed=row.failed,
                    answered=next(counts),
                    seeds=row.seeds,
                    path=text(row.path),
                    manifest=_shown(run),
                )  # fmt: skip

    def _pairs(self) -> model.Pairs:
        main = self.board.main_metric
        columns = [self._measured(system, (main,))[main] for system in self.systems]
        found = [of_methods(columns[first], columns[second]) for first, second in model.places(len(columns))]
        verdicts = comparison.verdicts(found)
        ends = [less.ci95 or (None, None) for less in found]
        return model.Pairs(
            metric=main,
            mean=[less.mean for less in found],
            low=[low for low, _ in ends],
            high=[high for _, high in ends],
            p_holm=[verdict.p_holm for verdict in verdicts],
            family=verdicts[0].family if verdicts else 0,
        )

    def _recall(self, rows: Sequence[model.Row], hops: Sequence[int | None]) -> Iterator[model.Recall]:
        import numpy as np

        parts = [part for part in sorted({one for one in hops if one is not None}) if len(set(hops)) > 1]
        for place, system in enumerate(self.systems):
            found = {name: averaged(columns) for name, columns in self._measured(system, RECALL).items()}
            for depth, name in zip(DEPTHS, RECALL, strict=True):
                if name not in found:
                    continue
                whole = found[name]
                known = rows[place].metrics.get(name)
                yield model.Recall(place, None, depth, known or value(whole.summary()), whole.n)
                for part in parts:
                    kept = np.flatnonzero([one == part for one in hops])
                    yield _of_part(place, part, depth, whole, kept)


def _of_part(place: int, hops: int, depth: int, whole: Column, kept: Any) -> model.Recall:
    weights = whole.weights[kept]
    part = Column(whole.metric, whole.sums[kept], weights, int((weights > 0).sum()), 0, None)
    return model.Recall(place, hops, depth, value(part.summary(with_interval=False)), part.n)


def family(run: Run) -> model.Family:
    """What a system gives its reader: nothing, text, text that a compressor has shortened, or vectors."""
    if run.manifest["setting"] == "closed":
        return "no passages"
    if not run.manifest["traits"].get("compressor"):
        return "full text"
    return "text compressor" if run.manifest["system"]["options"].get("compressor") else "latent compressor"


def _shown(run: Run) -> dict[str, Any]:
    """A manifest without what only programs need."""
    manifest: dict[str, Any] = {key: held for key, held in run.manifest.items() if key not in ("identity", "digest")}
    shown: dict[str, Any] = texts(manifest)
    return shown


def _break_even(spent: Sequence[costs.Costs]) -> Iterator[model.BreakEven]:
    plain = [one for one in spent if not leaderboard.control_of(one.run)]
    for text_run, compressed in costs.pairs(plain):
        for one in costs.break_even(text_run, compressed):
            names = text(one.text), text(one.compressed)
            yield model.BreakEven(*names, one.unit, one.saved, one.questions)


def _with_ladders(tables: Sequence[model.Table], found: Sequence[Sequence[Explained]]) -> Iterator[model.Table]:
    """The tables with the ladder of each row; all steps of a report are one family."""
    told = iter(judged([one for each in found for one in each]))
    for table, each in zip(tables, found, strict=True):
        yield replace(table, lost={place: _lost(next(told)) for place in range(len(each))})


def _lost(one: Explained) -> model.Lost:
    counted = {
        name: {said: _counts([fate.cause for fate in fates]) for said, fates in parts.items()}
        for name, parts in groups(one.fates).items()
    }
    return model.Lost(tuple(_rungs(one)), counted)


def _counts(causes: Sequence[str]) -> dict[str, int]:
    return {cause: causes.count(cause) for cause in dict.fromkeys(causes)}


def _rungs(one: Explained) -> Iterator[model.Rung]:
    for rung in one.rungs:
        step = rung.step
        ends: model.Value = (None, None, None) if step is None else (step.mean, *(step.ci95 or (None, None)))
        label = "" if rung.run is None else text(rung.run.manifest["system"]["label"])
        yield model.Rung(rung.name, label, rung.value, ends, rung.verdict.p_holm if rung.verdict else None)
