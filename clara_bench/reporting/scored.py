"""A cache of scores, keyed by the content of a run's files, the metrics and the scoring code.

    <cache>/scores/<code>/<key>.json

Only the cache is written; it can be deleted at any time.
"""

from __future__ import annotations

import functools
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import msgspec

import clara_bench
from clara_bench import judging, metrics
from clara_bench.errors import BackendError, BenchError
from clara_bench.io.cache import cache_dir, digest, write_atomic
from clara_bench.io.parsing import in_bulk, read_json
from clara_bench.metrics.case import Truth
from clara_bench.metrics.metric import Metric
from clara_bench.metrics.statistics import Column, Summary, joined, measured, truths_of
from clara_bench.records.results import Questions, Run
from clara_bench.reporting.captions import Offered
from clara_bench.reporting.scoring import (
    applicable,
    contrasts,
    in_order,
    installed,
    num_failed,
    refuse_other_scorer,
    statuses,
    totals,
)
from clara_bench.types import Example

OLD_SECONDS = 30 * 24 * 3600
"""After this long without use, what other code has scored is deleted."""


class Values(NamedTuple):
    """A metric of every question, as `Column` holds it, its numbers as bytes: many runs fit into memory."""

    numerators: bytes
    denominators: bytes
    n: int
    failed: int
    batches: bytes | None

    def column(self, name: str, scorer: str = "squad", shared: Sequence[int] | None = None) -> Column:
        """The metric of every question; those with the same number in `shared` count as one observation."""
        import numpy as np

        clusters = None if self.batches is None else np.frombuffer(self.batches, np.int64).tolist()
        if shared is not None:
            clusters = joined([*([clusters] if clusters else []), shared])
        sums, weights = np.frombuffer(self.numerators), np.frombuffer(self.denominators)
        return Column(metrics.get(name, scorer), sums, weights, self.n, self.failed, clusters)


def packed(column: Column) -> Values:
    """A column as it is kept."""
    import numpy as np

    batches = None if column.clusters is None else np.asarray(column.clusters, np.int64).tobytes()
    return Values(column.sums.tobytes(), column.weights.tobytes(), column.n, column.failed, batches)


@dataclass(frozen=True, slots=True)
class Scored:
    """The data of a run that leaderboards and comparisons need."""

    metrics: Mapping[str, Summary]
    failed: int
    offered: Offered | None
    """Fewest and most passages that a question could use; None where all could be searched."""
    totals: Mapping[str, float]
    """See `scoring.totals`."""
    ids: tuple[str, ...]
    """Of the questions."""
    shared: tuple[int, ...]
    """Of each question a number that it has in common with those that need a passage that it needs."""
    values: Mapping[str, Values]

    def column(self, name: str, scorer: str, by_passage: bool = False) -> Column:
        """A metric of every question.

        Args:
            name: of a metric that was scored.
            scorer: of the task.
            by_passage: whether questions that need the same passage count as one observation.
        """
        return self.values[name].column(name, scorer, self.shared if by_passage else None)


class Scorer:
    """Scores runs from their files, without a cache."""

    def __init__(self) -> None:
        self._task = functools.cache(installed)
        self._questions, self._asked = Questions(), _Asked((), (), {}, (), (), ())

    @in_bulk()
    def __call__(self, run: Run, names: Sequence[str]) -> Scored:
        """The run's scores.

        Raises:
            BenchError: see `scoring.score_run`.
        """
        refuse_other_scorer(run, self._task)
        examples, records = run.answered(self._questions)
        manifest = run.manifest
        scorer, found = manifest["task"]["answer_scorer"], in_order(examples, records)
        chosen = applicable([metrics.get(name, scorer) for name in names], manifest["setting"], records)
        chosen = judging.bound(chosen, examples, run.folder / judging.FILE)
        asked = self._of(examples, chosen)
        columns = measured(chosen, asked.truths, found, asked.contrasts)
        counts = [len(e.question.candidates) for e in examples if e.question.candidates is not None]
        return Scored(
            metrics={name: column.summary() for name, column in columns.items()},
            failed=num_failed(statuses(found)),
            offered=(min(counts), max(counts)) if counts else None,
            totals=totals(records),
            ids=asked.ids,
            shared=asked.shared,
            values={name: packed(column) for name, column in columns.items()},
        )

    def _of(self, examples: Sequence[Example], chosen: Sequence[Metric]) -> _Asked:
        """The golds of the questions, normalised once for runs that share them."""
        names = tuple(metric.name for metric in chosen)
        if self._asked.examples is not examples or self._asked.names != names:
            pairs = contrasts(examples)
            truths = truths_of(chosen, [example.gold for example in examples], pairs)
            ids = tuple(example.question.id for example in examples)
            self._asked = _Asked(examples, names, pairs, truths, ids, tuple(_shared(examples)))
        return self._asked


class _Asked(NamedTuple):
    """Questions that were scored last, and by which metrics."""

    examples: Sequence[Example]
    names: tuple[str, ...]
    contrasts: Mapping[int, int]
    truths: Sequence[Truth]
    ids: tuple[str, ...]
    shared: tuple[int, ...]
    """See `Scored`."""


class Remembering(Scorer):
    """Asks another scorer once for each run and choice of metrics."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self._scorer = scorer
        self._known: dict[tuple[Path, tuple[str, ...]], Scored] = {}

    def __call__(self, run: Run, names: Sequence[str]) -> Scored:
        """See `Scorer`."""
        key = run.path, tuple(names)
        if key not in self._known:
            self._known[key] = self._scorer(run, names)
        return self._known[key]


def _shared(examples: Sequence[Example]) -> list[int]:
    """Numbers of questions that need a common passage, or are linked by such."""
    first: dict[str, int] = {}
    parents = list(range(len(examples)))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = place = parents[parents[place]]
        return place

    for place, example in enumerate(examples):
        for passage_id in example.gold.supporting:
            parents[root(place)] = root(first.setdefault(passage_id, place))
    return [root(place) for place in range(len(examples))]


class CachedScorer(Scorer):
    """Scores runs once for each content of their files."""

    def __init__(self) -> None:
        super().__init__()
        self._is_plugin = functools.cache(_is_plugin)
        code = code_digest()
        self._code, self._folder, self._told = code, cache_dir("scores", code), False
        _forget_old(self._folder)

    def __call__(self, run: Run, names: Sequence[str]) -> Scored:
        """See `Scorer`."""
        if any(map(self._is_plugin, names)):  # whose code and verdicts no key covers
            return super().__call__(run, names)
        file = self._folder / f"{self._key(run, names)}.json"
        if file.is_file():
            try:
                return read_json(file, Scored)
            except BenchError:  # cut short or edited: made again
                pass
        scored = super().__call__(run, names)
        try:
            write_atomic(file, msgspec.json.encode(scored), synced=False)
        except BackendError as error:
            if not self._told:
                warnings.warn(f"scores are not kept: {error}", stacklevel=2)
            self._told = True
        return scored

    def _key(self, run: Run, names: Sequence[str]) -> str:
        return digest([self._code, str(len(names)), *names, run.key])


def code_digest() -> str:
    """SHA-256 (hex) over everything of ours that a score could depend on: all code, all tasks, numpy's version."""
    package = Path(clara_bench.__file__).parent
    sources = sorted(package.rglob("*.py"))
    tasks = sorted((file for file in files("clara_bench_tasks").iterdir() if file.name.endswith(".toml")), key=str)
    parts = [(str(file.relative_to(package)), file.read_bytes()) for file in sources]
    parts += [(file.name, file.read_bytes()) for file in tasks]
    return digest([version("numpy"), *(part for pair in parts for part in pair)])


def _is_plugin(name: str) -> bool:
    return metrics.get(name).plugin is not None


def _forget_old(kept: Path) -> None:
    for folder in kept.parent.iterdir():
        if folder != kept and folder.stat().st_mtime < time.time() - OLD_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
