"""Runs side by side: one table for each set of questions, one section for each set of candidates.

Only rows of one section saw the same passages for the same questions and may be ranked; rows
with failures are marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clara_bench import metrics
from clara_bench.metrics.statistics import Summary
from clara_bench.records.results import Run
from clara_bench.reporting.scoring import num_failed, score_run
from clara_bench.types import SETTINGS

COLUMNS = (
    "em", "f1", "recall@1", "recall@2", "recall@5", "recall@10", "all_support@5",
    "context_positions", "effective_ratio_micro", "seconds",
)  # fmt: skip
"""Shown when the user names none; those that no row has are left out."""

TRAITS = ("backbone", "reader", "compressor", "offline", "query_dependent", "weights", "nominal_ratio")


@dataclass(frozen=True, slots=True)
class Row:
    """One run."""

    label: str
    questions: int
    failed: int
    metrics: Mapping[str, Summary]
    traits: Mapping[str, Any]
    path: str
    index_bytes: float | None = None
    """Size of the index by passage, memories included and the passages' text left out; None without passages."""


@dataclass(frozen=True, slots=True)
class Section:
    """Runs that saw the same passages, best first."""

    setting: str
    candidates_hash: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """All runs over one set of questions of one task."""

    task: str
    version: int
    source: str
    questions: int
    questions_hash: str
    main_metric: str
    sections: tuple[Section, ...]


class Key(NamedTuple):
    """What two runs must share to stand in one table."""

    task: str
    version: int
    questions_hash: str


def boards(runs: Iterable[Run], names: Sequence[str] = (), seed: int = 0) -> list[Board]:
    """Group runs into tables; every score is computed from the records anew.

    Raises:
        DataError, UnknownName: see `scoring.score_run`.
    """
    groups: dict[Key, list[Run]] = {}
    for run in runs:
        task = run.manifest["task"]
        key = Key(task["name"], task["version"], run.manifest["questions"]["hash"])
        groups.setdefault(key, []).append(run)
    return [_board(key, group, names or COLUMNS, seed) for key, group in sorted(groups.items())]


def _board(key: Key, runs: Sequence[Run], names: Sequence[str], seed: int) -> Board:
    first = runs[0].manifest
    main = first["task"]["main_metric"]
    sections: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        rank = SETTINGS.index(run.manifest["setting"])
        sections.setdefault((rank, run.manifest["candidates"]["hash"]), []).append(run)
    return Board(
        task=key.task,
        version=key.version,
        source=_source(first["data"]["provenance"]),
        questions=first["questions"]["count"],
        questions_hash=key.questions_hash,
        main_metric=main,
        sections=tuple(
            Section(SETTINGS[rank], candidates_hash, _ranked(group, names, main, seed))
            for (rank, candidates_hash), group in sorted(sections.items())
        ),
    )


def _ranked(runs: Sequence[Run], names: Sequence[str], main: str, seed: int) -> tuple[Row, ...]:
    rows = [_row(run, [*dict.fromkeys([*names, main])], seed) for run in runs]
    sign = -1 if metrics.get(main).higher_is_better else 1
    return tuple(sorted(rows, key=lambda row: (sign * _mean(row.metrics.get(main)), row.label, row.path)))


def _row(run: Run, names: Sequence[str], seed: int) -> Row:
    scores = score_run(run, names, seed)
    return Row(
        label=run.manifest["system"]["label"],
        questions=run.manifest["questions"]["count"],
        failed=num_failed(scores.statuses),
        metrics=scores.metrics,
        traits=run.manifest["traits"],
        path=str(run.path),
        index_bytes=_index_bytes(run.manifest["sessions"]),
    )


def _index_bytes(sessions: Sequence[Mapping[str, Any]]) -> float | None:
    """Bytes by passage, of the last session that says so."""
    told = [session["index"] for session in sessions if session.get("index", {}).get("passages")]
    return told[-1]["bytes"] / told[-1]["passages"] if told else None


def _mean(summary: Summary | None) -> float:
    return summary.mean if summary is not None and summary.mean is not None else float("-inf")


def _source(provenance: Mapping[str, Any]) -> str:
    return str(provenance["source"])
