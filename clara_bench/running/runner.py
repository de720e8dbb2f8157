"""Runs one system on one task and stores every answer.

A run's directory is named by everything that could change an answer, so starting the same run
again continues it, a larger --limit adds questions to it, and starting another never mixes with
it. Questions go to the system in fixed batches. Each returned batch or answer is written and synced
immediately.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from clara_bench import judging, metrics
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
from clara_bench.running import asking, run_identity
from clara_bench.running.asking import Heard, Portion
from clara_bench.running.run_config import Request, control_of, controlled, label_of
from clara_bench.running.run_folder import RunFolder
from clara_bench.sharding.shard import Shard, cut, divided
from clara_bench.tasks.candidates import Frozen, freeze, select
from clara_bench.tasks.sources import TaskData
from clara_bench.types import Answer, Example, Passage, Record
from clara_bench.workers import Pool

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
    shard: Shard | None = None,
    pool: Pool | None = None,
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
        shard: the part of the run to answer; None for all of it. A shard has a folder of its own.
        pool: workers that answer; None to answer in this process.

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
    manifest = run_identity.manifest(made, data, frozen)
    if shard is not None:
        frozen = cut(frozen, shard, request.batch)
        manifest = divided(manifest, frozen, shard)
    if expected is not None:
        run_identity.refuse_other(expected, made, frozen)
    name = f"{request.setting}-{results.identity(made.identity)}{shard.suffix if shard else ''}"
    path = out / data.task.name / label_of(request) / name
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    with RecordLog(path) as log:
        folder = RunFolder(path)
        wanted = {example.question.id for example in frozen.examples}
        if shard is None:
            frozen = _freeze(made, data, folder.sample(data, request, asked), frozen)
            manifest = run_identity.manifest(made, data, frozen)
        else:
            folder.refuse_other_shard(manifest)
        folder.refuse_other(frozen, request)
        examples = [example for example in frozen.examples if example.question.id in wanted]
        missing = folder.missing(examples, retry_failed)
        if missing:
            asked_now = _Asking(made, request, frozen, examples, missing, pool)
            with PromptLog(path, prompts) as kept:
                asked_now.session(folder, manifest, _Logs(log, kept), progress)
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

    made: run_identity.Account
    request: Request
    frozen: Frozen
    examples: Sequence[Example]
    """In the order asked, answered ones among them, so that batches are those of an undisturbed run."""
    missing: Sequence[Example]
    pool: Pool | None
    """Workers that ask copies of the system; None to ask it in this process."""

    def session(self, folder: RunFolder, manifest: Mapping[str, Any], logs: _Logs, progress: Progress) -> None:
        """Index, answer missing questions, and record the cost in the manifest."""
        started, before, answering = time.perf_counter(), folder.sessions, 0.0
        latest: dict[str, Heard] = {}

        def note(**more: Any) -> None:
            session = {"questions": len(self.missing), **asking.session(latest.values(), self.pool), **more}
            folder.write(self.frozen, {**manifest, "sessions": [*before, session]})

        batches, total = self._batches(), len(self.examples)
        done = total - len(self.missing)
        with contextlib.closing(self._asked(batches)) as asked:
            for heard in asked:
                first = not latest
                latest[heard.worker] = heard
                if first:
                    note()
                    progress(done, total)
                for portion in heard.portions:
                    logs.append(list(self._records(batches[heard.batch], portion)), portion.told)
                    answering += portion.seconds
                    done += len(portion.answers)
                    progress(done, total)
        note(seconds=time.perf_counter() - started, answering_seconds=answering)

    def _batches(self) -> list[list[Example]]:
        """The batches of an undisturbed run, without what is answered."""
        waiting, batch = {example.question.id for example in self.missing}, self.request.batch
        whole = (self.examples[start : start + batch] for start in range(0, len(self.examples), batch))
        left = ([example for example in examples if example.question.id in waiting] for examples in whole)
        return [examples for examples in left if examples]

    def _asked(self, batches: Sequence[Sequence[Example]]) -> Generator[Heard]:
        questions = [[example.question for example in examples] for examples in batches]
        made = self.made
        yield from asking.ask(made.system, made.identity["system"], self.frozen.corpus, questions, self.pool)

    def _records(self, examples: Sequence[Example], portion: Portion) -> Iterator[Record]:
        for place, answer in portion.answers:
            yield _record(examples[place], answer, self.frozen.corpus, portion.seconds / len(portion.answers))


class _Logs(NamedTuple):
    """Where answers go, and what was read for them."""

    records: RecordLog
    prompts: PromptLog

    def append(self, records: Sequence[Record], told: Mapping[str, Seen]) -> None:
        """Write records, then what was told of their questions."""
        self.records.append(records)
        self.prompts.append(told)


def _record(example: Example, answer: Answer, corpus: Mapping[str, Passage], seconds: float) -> Record:
    for passage_id, _ in answer.retrieved or ():
        if passage_id not in corpus:
            raise ConfigError(f"question '{example.question.id}': retrieved '{passage_id}', which is not in the corpus")
    ranks = scoring.answer_ranks(answer, example.gold, corpus)
    told = replace(scoring.with_status(answer), error=redacted(answer.error))
    return Record(example.question.id, told, ranks, seconds)
