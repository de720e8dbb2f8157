"""Runs one system on one task and stores every answer.

A run's directory is named by everything that could change an answer, so starting the same run
again continues it, a larger --limit adds questions to it, and starting another never mixes with
it. Questions go to the system in fixed batches. Each returned batch or answer is written and synced
immediately.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from clara_bench import judging, metrics
from clara_bench.components import seen
from clara_bench.components.identity import adapted, plain
from clara_bench.components.registry import Built, plugin_errors
from clara_bench.components.seen import Seen
from clara_bench.errors import ConfigError
from clara_bench.io.cache import disk_errors
from clara_bench.io.redaction import redacted
from clara_bench.judging.asking import ask
from clara_bench.metrics.plugin import is_judge
from clara_bench.records import results
from clara_bench.records.log import RecordLog
from clara_bench.records.manifest import Manifest
from clara_bench.records.prompts import PromptLog
from clara_bench.records.results import Run
from clara_bench.reporting import scoring
from clara_bench.running import run_identity
from clara_bench.running.answering import answers, as_recorded
from clara_bench.running.provenance import peaks, provenance
from clara_bench.running.run_config import Request, control_of, controlled, label_of
from clara_bench.running.run_folder import RunFolder
from clara_bench.tasks.candidates import Frozen, freeze, select
from clara_bench.tasks.sources import TaskData
from clara_bench.types import Answer, Example, IndexStats, Passage, Record, System

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
    prompts: bool | None = None,
) -> Run:
    """Answer every question not yet answered, then score.

    Args:
        request: what to run.
        data: the task's data, loaded from `request.source`.
        out: folder for runs; the run goes to <out>/<task>/<label>/<setting>-<identity>.
        progress: told whenever answers are kept.
        retry_failed: ask again all questions that failed before, and not only those that failed on the way.
        expected: a manifest to repeat; the run is refused when the data differ from it.
        prompts: whether to keep what the reader read; None up to `prompts.LARGEST` bytes.

    Returns:
        The finished run, with scores.json written.

    Raises:
        BenchError: something a user can mend; answers recorded before it stay.
    """
    out = out.absolute()  # a plug-in may change the working directory
    request = controlled(request)
    made = run_identity.prepare(request, data)
    asked = select(data, request.limit, request.seed, request.complete_gold, request.sampling)
    frozen = _freeze(made, data, asked)
    if expected is not None:
        run_identity.refuse_other(expected, made, frozen)
    path = out / data.task.name / label_of(request) / f"{request.setting}-{results.identity(made.identity)}"
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    with RecordLog(path) as log:
        folder = RunFolder(path)
        frozen = _freeze(made, data, folder.sample(data, request, asked), frozen)
        folder.refuse_other(frozen, request)
        wanted = {example.question.id for example in asked}
        examples = [example for example in frozen.examples if example.question.id in wanted]
        missing = folder.missing(examples, retry_failed)
        manifest = run_identity.manifest(made, data, frozen)
        if missing:
            asking = _Asking(made.system, request, frozen, examples, missing)
            with PromptLog(path, prompts) as kept:
                asking.session(folder, manifest, _Logs(log, kept), progress)
        else:
            folder.write(frozen, {**manifest, "sessions": folder.sessions})
    finished = results.open_run(path)
    judge_run(finished, request.metrics)
    scoring.write_scores(finished, scoring.score_run(finished, (*data.task.metrics, *request.metrics)))
    return finished


def judge_run(run: Run, names: Sequence[str]) -> None:
    """Ask the judges among some metrics for the verdicts on a run that are missing.

    Raises:
        BenchError: a judge cannot be asked; the verdicts that came before stay.
    """
    chosen = [metrics.get(name, run.manifest["task"]["answer_scorer"]) for name in dict.fromkeys(names)]
    judges = [metric for metric in chosen if is_judge(metric)]
    examples, records = run.answered() if judges else ([], [])
    for metric in judges:
        ask(metric, examples, records, run.path / judging.FILE)


def _freeze(
    made: run_identity.Account, data: TaskData, examples: Sequence[Example], frozen: Frozen | None = None
) -> Frozen:
    if frozen is not None and len(frozen.examples) == len(examples):
        return frozen
    request = made.request
    return freeze(data, examples, request.setting, request.first_stage, made.first_stage, control_of(request))


@dataclass(frozen=True, slots=True)
class _Asking:
    """A system and the questions that it is asked in this session."""

    built: Built
    request: Request
    frozen: Frozen
    examples: Sequence[Example]
    """In the order asked, answered ones among them, so that batches are those of an undisturbed run."""
    missing: Sequence[Example]

    def session(self, folder: RunFolder, manifest: Mapping[str, Any], logs: _Logs, progress: Progress) -> None:
        """Index, answer missing questions, and record the cost in the manifest."""
        started = time.perf_counter()
        stats, before = self._index(), folder.sessions

        def note(**more: Any) -> None:
            session = {"questions": len(self.missing), "index": plain(stats), **more, **provenance()}
            folder.write(self.frozen, {**manifest, "sessions": [*before, session]})

        note()
        answering = self._answer(logs, progress)
        found = adapted(self.built)
        seconds = {"seconds": time.perf_counter() - started, "answering_seconds": answering}
        note(**seconds, **peaks(), **({"adapted": redacted(found)} if found else {}))

    @property
    def system(self) -> System:
        """The system itself."""
        system: System = self.built.instance
        return system

    def _index(self) -> IndexStats:
        who = f"system '{self.request.system.name}'"
        with plugin_errors(f"{who} cannot index"):
            return as_recorded(self.system.index(self.frozen.corpus), IndexStats, f"{who}: the value of index()")

    def _answer(self, logs: _Logs, progress: Progress) -> float:
        """Answer batch by batch; returns seconds inside the system."""
        waiting = {example.question.id for example in self.missing}
        total, batch = len(self.examples), self.request.batch
        done, seconds = total - len(waiting), 0.0
        progress(done, total)
        for start in range(0, total, batch):
            examples = [e for e in self.examples[start : start + batch] if e.question.id in waiting]
            if not examples:
                continue
            begun = time.perf_counter()
            with seen.heard() as told:
                for pairs in answers(self.system, [example.question for example in examples]):
                    took = time.perf_counter() - begun
                    logs.append(
                        [self._record(examples[place], answer, took / len(pairs)) for place, answer in pairs], told
                    )
                    seconds += took
                    done += len(pairs)
                    progress(done, total)
                    begun = time.perf_counter()
        return seconds

    def _record(self, example: Example, answer: Answer, seconds: float) -> Record:
        return _record(example, answer, self.frozen.corpus, seconds)


class _Logs(NamedTuple):
    """Where answers go, and what was read for them."""

    records: RecordLog
    prompts: PromptLog

    def append(self, records: Sequence[Record], told: dict[str, Seen]) -> None:
        """Write records, then what was told of their questions, which is then forgotten."""
        self.records.append(records)
        self.prompts.append({record.id: told.pop(record.id) for record in records if record.id in told})


def _record(example: Example, answer: Answer, corpus: Mapping[str, Passage], seconds: float) -> Record:
    for passage_id, _ in answer.retrieved or ():
        if passage_id not in corpus:
            raise ConfigError(f"question '{example.question.id}': retrieved '{passage_id}', which is not in the corpus")
    ranks = scoring.answer_ranks(answer, example.gold, corpus)
    told = replace(scoring.with_status(answer), error=redacted(answer.error))
    return Record(example.question.id, told, ranks, seconds)
