"""Pretraining data written by a language model: concurrent over documents, resumable.

Beside the rows there is a journal, one line for each document and kind as soon as it is done, dropped ones too.
The rows are written from it at the end, in the order of the documents, so they do not depend on what was done when.
Documents and results are held in memory: cut a corpus of millions into several files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import msgspec

from reference.data.row import Row, Turn
from reference.data.row_files import write_pretrain
from reference.synthesis.parts import WHOLE, Part, journal_of, merge
from reference.synthesis.progress import Done, Header, digest, note, resume
from reference.synthesis.prompts import Kind
from reference.synthesis.teacher import Settings, Teacher, Written

Count = Callable[[str], int]


class _Job(NamedTuple):
    number: int
    document: str
    kind: Kind


class Statistics(msgspec.Struct):
    """What was written of one kind, as in the paper's Table 8."""

    kind: Kind
    examples: int = 0
    dropped: int = 0
    pairs: int = 0
    """Questions with answers, over all examples; for paraphrases the texts."""
    rejected: int = 0
    """Pairs or texts that were judged wrong."""
    rounds: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    """Read by the teacher, as its server counts."""
    completion_tokens: int = 0
    input_length: int = 0
    """Of the kept documents together, in the unit of the count."""
    output_length: int = 0
    """Of their questions and answers, or of the paraphrases."""


def words(text: str) -> int:
    """Words between blanks, as a count of length that needs no tokenizer."""
    return len(text.split())


def synthesize(
    documents: Iterable[str],
    out: Path,
    settings: Settings,
    progress: Callable[[Written], None] | None = None,
    count: Count = words,
    part: Part = WHOLE,
    merged: int = 0,
) -> list[Statistics]:
    """Write a pretraining file for some documents, or go on with one that was broken off.

    Args:
        documents: the same, in the same order, each time that it is taken up again; there may be more at the end.
        out: where the rows go once all is done; the journal lies beside it.
        settings: which model writes, and how.
        progress: called with each result as it comes in.
        count: measures lengths for the statistics; `words`, or a tokenizer's count.
        part: of the documents, which goes into a file of its own beside `out`.
        merged: how many parts, all written, become the file; 0 to write it here.

    Raises:
        BackendError: the server cannot be reached or refuses all; what is done stays in the journal.
        ConfigError: the journal is of a run with other settings.
        DataError: the journal is of other documents, or a part is missing or unfinished.
    """
    held = list(documents)
    header = Header(settings.model, settings.rounds, settings.temperature, settings.max_tokens)
    wanted = [(number, kind) for number in range(len(held)) if part.holds(number) for kind in settings.kinds]
    if merged:
        merge(out, merged, header, Done, _settled, ((number, (number, kind)) for number, kind in wanted))
    out = part.file(out)
    path = journal_of(out)
    done = resume(path, header, held)
    jobs = (_Job(number, held[number], kind) for number, kind in wanted if (number, kind) not in done)
    teacher = Teacher(settings)
    with path.open("ab") as journal:
        for number, written in _work(teacher, jobs, settings.concurrency):
            note(journal, Done(number, digest(held[number]), written))
            done[number, written.kind] = written
            if progress is not None:
                progress(written)
    results = [(held[number], done[number, kind]) for number, kind in wanted]
    write_pretrain(_rows(results), out)
    return [_statistics(kind, results, count) for kind in settings.kinds]


def _settled(one: Done) -> tuple[int, Kind]:
    return one.number, one.written.kind


def _work(teacher: Teacher, jobs: Iterator[_Job], concurrency: int) -> Iterator[tuple[int, Written]]:
    """Results as they come in; on an error those that are there come first."""
    pending: dict[Future[Written], int] = {}
    with ThreadPoolExecutor(concurrency) as pool:
        try:
            for job in jobs:
                pending[pool.submit(teacher.write, job.kind, job.document)] = job.number
                while len(pending) >= 2 * concurrency:
                    yield from _collect(pending)
            while pending:
                yield from _collect(pending)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _collect(pending: dict[Future[Written], int]) -> Iterator[tuple[int, Written]]:
    ready = wait(pending, return_when=FIRST_COMPLETED).done
    for future in sorted(ready, key=lambda one: one.exception() is not None):
        yield pending.pop(future), future.result()


def _rows(results: Iterable[tuple[str, Written]]) -> Iterator[Row]:
    for document, written in results:
        if not written.dropped:
            questions = written.questions or [""]
            turns = tuple(Turn(*pair) for pair in zip(questions, written.answers, strict=True))
            name = f"{digest(document)}-{written.kind}"
            yield Row(name, (document,), turns, "paraphrase" if written.kind == "paraphrase" else "qa")


def _statistics(kind: Kind, results: Iterable[tuple[str, Written]], count: Count) -> Statistics:
    found = Statistics(kind)
    for document, written in results:
        if written.kind != kind:
            continue
        for name in ("rejected", "rounds", "calls", "prompt_tokens", "completion_tokens"):
            setattr(found, name, getattr(found, name) + getattr(written, name))
        if written.dropped:
            found.dropped += 1
            continue
        found.examples += 1
        found.pairs += len(written.answers)
        found.input_length += count(document)
        found.output_length += sum(map(count, (*written.questions, *written.answers)))
    return found


def table(statistics: list[Statistics]) -> str:
    """The statistics in the rows of the paper's Table 8, and what they cost.

    >>> print(table([Statistics("simple", examples=2, pairs=9, input_length=100)]).splitlines()[2])
    pairs per document            4.50
    """

    def mean(total: int, number: int) -> str:
        return f"{total / number:.2f}" if number else "-"

    lines: list[tuple[str, list[str]]] = [
        ("", [one.kind for one in statistics]),
        ("examples", [str(one.examples) for one in statistics]),
    ]
    per_example = {"pairs per document": "pairs", "input length": "input_length", "output length": "output_length"}
    for name, field in per_example.items():
        lines.append((name, [mean(getattr(one, field), one.examples) for one in statistics]))
    lines.append(("documents dropped", [str(one.dropped) for one in statistics]))
    lines.append(("pairs rejected", [str(one.rejected) for one in statistics]))
    for name in ("rounds", "calls", "prompt_tokens", "completion_tokens"):
        means = [mean(getattr(one, name), one.examples + one.dropped) for one in statistics]
        lines.append((f"{name.replace('_', ' ')} each", means))
    return "\n".join(f"{name:<22}" + "".join(f"{cell:>12}" for cell in cells) for name, cells in lines)
