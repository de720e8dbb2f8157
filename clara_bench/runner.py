"""Runs one system on one task and keeps every answer.

A run's directory is named by everything that could change an answer, so starting the same run
again continues it, a larger --limit adds questions to it, and starting another never mixes with
it. Questions go to the system in fixed batches; each batch is written and synced before the next
begins.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clara_bench import account, results, scoring
from clara_bench.answering import answer_batch, as_recorded
from clara_bench.cache import disk_errors
from clara_bench.candidates import Frozen, freeze, select
from clara_bench.errors import ConfigError
from clara_bench.identity import plain
from clara_bench.log import RecordLog
from clara_bench.manifest import Manifest, read_manifest, write_manifest
from clara_bench.provenance import provenance
from clara_bench.redaction import redacted
from clara_bench.registry import plugin_errors
from clara_bench.request import Request, label_of
from clara_bench.results import Run
from clara_bench.sources import TaskData
from clara_bench.types import FAILURES, Answer, Example, IndexStats, Passage, Record, System

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
    expected: Manifest | None = None,
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
    made = account.prepare(request, data)
    asked = select(data, request.limit, request.seed, request.complete_gold, request.sampling)
    frozen = _freeze(made, data, asked)
    if expected is not None:
        account.refuse_other(expected, made, frozen)
    path = out / data.task.name / label_of(request) / f"{request.setting}-{results.identity(made.identity)}"
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    with RecordLog(path) as log:
        before = read_manifest(path / "manifest.json") if (path / "manifest.json").exists() else None
        frozen = _freeze(made, data, _extended(data, request, asked, before, path), frozen)
        _answer(made, data, frozen, asked, before, retry_failed, path, log, progress)
    finished = results.open_run(path)
    scoring.write_scores(finished, scoring.score_run(finished, seed=request.seed))
    return finished


def _freeze(made: account.Account, data: TaskData, examples: Sequence[Example], frozen: Frozen | None = None) -> Frozen:
    if frozen is not None and len(frozen.examples) == len(examples):
        return frozen
    return freeze(data, examples, made.request.setting, made.request.first_stage, made.first_stage)


def _extended(
    data: TaskData, request: Request, asked: tuple[Example, ...], before: Manifest | None, path: Path
) -> tuple[Example, ...]:
    """The questions asked for, with those of the run where it has more: its sample grows and never shrinks."""
    held = before["questions"]["count"] if before else 0
    if held <= len(asked):
        return asked
    warnings.warn(
        f"{path} holds {held} questions, --limit asks for {len(asked)} of them: its scores are of all {held}. "
        "Choose another --out for a smaller sample",
        stacklevel=3,
    )
    return select(data, held, request.seed, request.complete_gold, request.sampling)


def _answer(
    made: account.Account,
    data: TaskData,
    frozen: Frozen,
    asked: Sequence[Example],
    before: Manifest | None,
    retry_failed: bool,
    path: Path,
    log: RecordLog,
    progress: Progress,
) -> None:
    """Ask what is missing of the questions asked for; the files then say what the run holds."""
    manifest, sessions = account.manifest(made, data, frozen), before["sessions"] if before else []
    _refuse_other_candidates(path, frozen, made.request)
    wanted = {example.question.id for example in asked}
    examples = [example for example in frozen.examples if example.question.id in wanted]
    missing = _missing(path, examples, retry_failed)
    if missing:
        stats = _index(made.system.instance, frozen, made.request)

        def note(**seconds: float) -> None:
            session = {"questions": len(missing), "index": plain(stats), **seconds, **provenance()}
            _write(path, frozen, {**manifest, "sessions": [*sessions, session]}, before)

        started = time.perf_counter()
        note()
        answering = _answer_all(made.system.instance, examples, missing, frozen, made.request.batch, log, progress)
        note(seconds=time.perf_counter() - started, answering_seconds=answering)
    else:
        _write(path, frozen, {**manifest, "sessions": sessions}, before)


def _index(system: System, frozen: Frozen, request: Request) -> IndexStats:
    with plugin_errors(f"system '{request.system.name}' cannot index"):
        stats = system.index(frozen.corpus)
        return as_recorded(stats, IndexStats, f"system '{request.system.name}': the value of index()")


def _write(path: Path, frozen: Frozen, manifest: Mapping[str, Any], before: Manifest | None) -> None:
    """Leave in the folder what is asked; scores of a smaller sample are taken away first."""
    if {example.question.id for example in results.read_questions(path, manifest["setting"])} != {
        example.question.id for example in frozen.examples
    }:
        (path / "scores.json").unlink(missing_ok=True)
        results.write_questions(path, frozen.examples)
    if before is None or any(before.get(key) != value for key, value in manifest.items()):
        write_manifest(path / "manifest.json", manifest)


def _refuse_other_candidates(path: Path, frozen: Frozen, request: Request) -> None:
    """A question that was asked before must have the candidates that it had then.

    Raises:
        ConfigError: it has not: the first stage finds other passages each time, or the file was edited.
    """
    now = {example.question.id: example for example in frozen.examples}
    for example in results.read_questions(path, request.setting):
        if now.get(example.question.id, example) != example:
            raise ConfigError(
                f"{path}: question '{example.question.id}' is not what it was when it was asked: its candidates or its "
                "gold differ. Put questions.jsonl back as it was written, or choose another --out"
            )


def _missing(path: Path, examples: Sequence[Example], retry_failed: bool) -> list[Example]:
    records = results.read_records(path)
    done = {record.id for record in records if not (retry_failed and record.answer.status in FAILURES)}
    return [example for example in examples if example.question.id not in done]


def _answer_all(
    system: System,
    asked: Sequence[Example],
    missing: Sequence[Example],
    frozen: Frozen,
    batch: int,
    log: RecordLog,
    progress: Progress,
) -> float:
    """Answer what is missing, in the batches an undisturbed run would use; returns seconds inside the system."""
    waiting = {example.question.id for example in missing}
    done, seconds = len(asked) - len(missing), 0.0
    progress(done, len(asked))
    for start in range(0, len(asked), batch):
        examples = [e for e in asked[start : start + batch] if e.question.id in waiting]
        if not examples:
            continue
        begun = time.perf_counter()
        answers = answer_batch(system, [example.question for example in examples])
        took = time.perf_counter() - begun
        share = took / len(examples)
        log.append([_record(e, a, frozen.corpus, share) for e, a in zip(examples, answers, strict=True)])
        seconds += took
        done += len(examples)
        progress(done, len(asked))
    return seconds


def _record(example: Example, answer: Answer, corpus: Mapping[str, Passage], seconds: float) -> Record:
    for passage_id, _ in answer.retrieved or ():
        if passage_id not in corpus:
            raise ConfigError(
                f"question '{example.question.id}': retrieved '{passage_id}', which is no passage of the corpus"
            )
    ranks = scoring.answer_ranks(answer, example.gold, corpus)
    told = replace(scoring.with_status(answer), error=redacted(answer.error))
    return Record(example.question.id, told, ranks, seconds)
