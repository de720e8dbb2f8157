"""Runs one system on one task and keeps every answer.

A run's directory is named by everything that could change an answer, so starting the same run
again continues it, and starting another never mixes with it. Questions go to the system in
fixed batches; each batch is written and synced before the next begins.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clara_bench import registry, results, scoring
from clara_bench.answering import answer_batch, as_recorded, plain
from clara_bench.cache import disk_errors
from clara_bench.candidates import NEEDS_FIRST_STAGE, Frozen, freeze, select
from clara_bench.errors import ConfigError
from clara_bench.log import RecordLog
from clara_bench.manifest import write_manifest
from clara_bench.provenance import provenance
from clara_bench.registry import Component, plugin_errors
from clara_bench.request import Request, label_of
from clara_bench.results import Run
from clara_bench.sources import TaskData
from clara_bench.systems.describe import describe
from clara_bench.types import (
    FAILURES,
    Answer,
    Example,
    IndexStats,
    Passage,
    Record,
    System,
    Traits,
)

Progress = Callable[[int, int], None]
"""Told how many questions are answered, and of how many; the command line draws bars with it."""


def silent(done: int, total: int) -> None:
    """Report nothing."""


def run(
    request: Request,
    data: TaskData,
    out: Path,
    progress: Progress = silent,
    retry_failed: bool = False,
    expected: Mapping[str, Any] | None = None,
) -> Run:
    """Answer every question not yet answered, then score.

    Args:
        request: what to run.
        data: the task's data, loaded from `request.source`.
        out: folder for runs; the run goes to <out>/<task>/<label>/<setting>-<identity>.
        progress: told after each batch.
        retry_failed: ask again the questions that failed before.
        expected: a manifest to repeat; the run is refused when the data differ from it.

    Returns:
        The finished run, with scores.json written.

    Raises:
        BenchError: something a user can mend; answers recorded before it stay.
    """
    out = out.absolute()  # a plug-in may change the working directory
    examples = select(data, request.limit, request.seed, request.complete_gold)
    frozen = freeze(data, examples, request.setting, request.first_stage)
    system = _build(request.system)
    with plugin_errors(f"system '{request.system.name}': what it says of itself cannot be recorded"):
        identity = _identity(request, data, frozen, system)
        manifest = _manifest(request, data, frozen, identity, system)
    if expected is not None:
        _refuse_other_data(expected["identity"], identity)
    path = out / data.task.name / label_of(request) / f"{request.setting}-{results.identity(identity)}"
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    with RecordLog(path) as log:
        missing = _missing(path, frozen, retry_failed)
        if missing:
            _session(request, frozen, manifest, system, missing, path, log, progress)
    finished = results.open_run(path)
    scoring.write_scores(finished, scoring.score_run(finished, seed=request.seed))
    return finished


def _session(
    request: Request,
    frozen: Frozen,
    manifest: Mapping[str, Any],
    system: System,
    missing: Sequence[Example],
    path: Path,
    log: RecordLog,
    progress: Progress,
) -> None:
    """Index, answer what is missing, and leave in the manifest what it took."""
    started = time.perf_counter()
    before = results.open_run(path).manifest["sessions"] if (path / "manifest.json").exists() else []
    if not before:
        results.write_questions(path, frozen.examples)
    corpus = MappingProxyType(frozen.corpus)  # the next run of a suite uses the same one
    with plugin_errors(f"system '{request.system.name}' cannot index"):
        stats = as_recorded(system.index(corpus), IndexStats, f"system '{request.system.name}': the value of index()")

    def note(**seconds: float) -> None:
        session = {"questions": len(missing), "index": plain(stats), **seconds, **provenance()}
        write_manifest(path / "manifest.json", {**manifest, "sessions": [*before, session]})

    note()
    answering = _answer_all(system, missing, frozen, request.batch, log, progress)
    note(seconds=time.perf_counter() - started, answering_seconds=answering)


def _build(chosen: Component) -> System:
    system: Any = registry.create("system", chosen)
    for verb in ("index", "answer"):
        with plugin_errors(f"system '{chosen.name}': its method '{verb}'"):
            there = callable(getattr(system, verb, None))
        if not there:
            raise ConfigError(f"system '{chosen.name}' has no method '{verb}': see clara-bench systems new")
    return system  # type: ignore[no-any-return]


def _missing(path: Path, frozen: Frozen, retry_failed: bool) -> list[Example]:
    records = results.read_records(path)
    done = {record.id for record in records if not (retry_failed and record.answer.status in FAILURES)}
    return [example for example in frozen.examples if example.question.id not in done]


def _answer_all(
    system: System, missing: Sequence[Example], frozen: Frozen, batch: int, log: RecordLog, progress: Progress
) -> float:
    """Answer what is missing, in the batches an undisturbed run would use; returns seconds inside the system."""
    waiting = {example.question.id for example in missing}
    total = len(frozen.examples)
    done, seconds = total - len(missing), 0.0
    progress(done, total)
    for start in range(0, total, batch):
        examples = [e for e in frozen.examples[start : start + batch] if e.question.id in waiting]
        if not examples:
            continue
        begun = time.perf_counter()
        answers = answer_batch(system, [example.question for example in examples])
        took = time.perf_counter() - begun
        share = took / len(examples)
        log.append([_record(e, a, frozen.corpus, share) for e, a in zip(examples, answers, strict=True)])
        seconds += took
        done += len(examples)
        progress(done, total)
    return seconds


def _record(example: Example, answer: Answer, corpus: Mapping[str, Passage], seconds: float) -> Record:
    for passage_id, _ in answer.retrieved or ():
        if passage_id not in corpus:
            raise ConfigError(
                f"question '{example.question.id}': retrieved '{passage_id}', which is no passage of the corpus"
            )
    ranks = scoring.answer_ranks(answer, example.gold, corpus)
    return Record(example.question.id, scoring.with_status(answer), ranks, seconds)


def _identity(request: Request, data: TaskData, frozen: Frozen, system: System) -> Any:
    """Everything that could change an answer or what counts as right, as plain values."""
    parts = {
        "task": data.task.name,
        "version": data.task.version,
        "setting": request.setting,
        "questions": frozen.questions_hash,
        "candidates": frozen.candidates_hash,
        "system": request.system.name,
        "options": registry.effective_options("system", request.system),
        "plugin": _plugin_hash(request.system.name),
        "models": describe(system),
        "seed": request.seed,
    }
    return plain(parts)


def _plugin_hash(name: str) -> str | None:
    path = Path(name.rpartition(":")[0])
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix == ".py" and path.is_file() else None


def _refuse_other_data(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    if changed:
        raise ConfigError(
            f"this run differs from its manifest in: {', '.join(changed)}. "
            "The same data (name them with --data and --corpus), models and plug-ins are needed"
        )


def _manifest(
    request: Request, data: TaskData, frozen: Frozen, identity: Mapping[str, Any], system: System
) -> dict[str, Any]:
    """What it takes to repeat the run."""
    task = data.task
    return {
        "request": plain(asdict(request)),
        "identity": identity,
        "task": {
            "name": task.name,
            "version": task.version,
            "answer_scorer": task.answer_scorer,
            "metrics": list(task.metrics),
            "main_metric": task.main_metric,
        },
        "setting": request.setting,
        "questions": {"count": len(frozen.examples), "of": len(data.examples), "hash": frozen.questions_hash},
        "data": {"provenance": plain(data.provenance), "hash": data.data_hash, "corpus_hash": data.corpus_hash},
        "candidates": {
            "hash": frozen.candidates_hash,
            "passages": len(frozen.corpus),
            "first_stage": str(request.first_stage.retriever) if request.setting in NEEDS_FIRST_STAGE else None,
        },
        "system": {"name": request.system.name, "label": label_of(request), "options": identity["options"]},
        "models": identity["models"],
        "traits": _traits(system),
    }


def _traits(system: System) -> dict[str, Any]:
    return asdict(as_recorded(getattr(system, "traits", Traits()), Traits, "the system's traits"))
