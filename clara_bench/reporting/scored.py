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

import msgspec

import clara_bench
from clara_bench import metrics
from clara_bench.errors import BackendError, BenchError
from clara_bench.io.cache import cache_dir, digest, write_atomic
from clara_bench.io.parsing import read_json
from clara_bench.metrics.statistics import Column, Summary, columns
from clara_bench.records.results import Run, content
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

OLD_SECONDS = 30 * 24 * 3600
"""After this long without use, what other code has scored is deleted."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The data of a run that a leaderboard needs."""

    metrics: Mapping[str, Summary]
    failed: int
    offered: Offered | None
    """Fewest and most passages that a question could use; None where all could be searched."""
    totals: Mapping[str, float]
    """See `scoring.totals`."""
    values: Mapping[str, tuple[float | None, ...]]
    """Of each question the value of each fraction, for paired tests; None where it does not count."""


class Scorer:
    """Scores runs from their files, without a cache."""

    def __init__(self) -> None:
        self._task = functools.cache(installed)

    def __call__(self, run: Run, names: Sequence[str]) -> Scored:
        """The run's scores.

        Raises:
            BenchError: see `scoring.score_run`.
        """
        refuse_other_scorer(run, self._task)
        examples, records = run.answered()
        manifest = run.manifest
        scorer, found = manifest["task"]["answer_scorer"], in_order(examples, records)
        chosen = applicable([metrics.get(name, scorer) for name in names], manifest["setting"], records)
        measured = columns(chosen, [example.gold for example in examples], found, contrasts(examples))
        counts = [len(e.question.candidates) for e in examples if e.question.candidates is not None]
        offered = (min(counts), max(counts)) if counts else None
        return Scored(
            metrics={name: column.summary() for name, column in measured.items()},
            failed=num_failed(statuses(found)),
            offered=offered,
            totals=totals(records),
            values={name: _values(column) for name, column in measured.items() if column.metric.unit == "fraction"},
        )


def _values(column: Column) -> tuple[float | None, ...]:
    pairs = zip(column.values.tolist(), column.denominators, strict=True)
    return tuple(value if weight else None for value, weight in pairs)


class CachedScorer(Scorer):
    """Scores runs once for each content of their files."""

    def __init__(self) -> None:
        super().__init__()
        code = code_digest()
        self._code, self._folder, self._told = code, cache_dir("scores", code), False
        _forget_old(self._folder)

    def __call__(self, run: Run, names: Sequence[str]) -> Scored:
        """See `Scorer`."""
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
        held = [content(run.path / name) for name in ("manifest.json", "questions.jsonl", "records.jsonl")]
        return digest([self._code, str(len(names)), *names, *held])


def code_digest() -> str:
    """SHA-256 (hex) over everything of ours that a score could depend on: all code, all tasks, numpy's version."""
    package = Path(clara_bench.__file__).parent
    sources = sorted(package.rglob("*.py"))
    tasks = sorted((file for file in files("clara_bench_tasks").iterdir() if file.name.endswith(".toml")), key=str)
    parts = [(str(file.relative_to(package)), file.read_bytes()) for file in sources]
    parts += [(file.name, file.read_bytes()) for file in tasks]
    return digest([version("numpy"), *(part for pair in parts for part in pair)])


def _forget_old(kept: Path) -> None:
    for folder in kept.parent.iterdir():
        if folder != kept and folder.stat().st_mtime < time.time() - OLD_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
