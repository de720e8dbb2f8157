"""Scores, computed from what lies on disk: a run directory, or a stranger's file of answers."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from clara_bench import metrics
from clara_bench.cache import write_atomic
from clara_bench.datasets.files import plain_message
from clara_bench.errors import DataError
from clara_bench.manifest import json_bytes
from clara_bench.metrics import Metric
from clara_bench.metrics.statistics import Summary, summarise
from clara_bench.results import Run
from clara_bench.text import contains_answer
from clara_bench.types import FAILURES, Answer, Example, Fact, Gold, Passage, Ranked, Record, Triple


@dataclass(frozen=True, slots=True)
class Scores:
    """What scores.json holds."""

    metrics: Mapping[str, Summary]
    by_kind: Mapping[str, Mapping[str, Summary]]
    """The same metrics for each kind of question the data set tells apart."""
    statuses: Mapping[str, int]
    """How many questions ended how; `missing` were never answered."""
    scorer: str
    """Whose em and f1: squad, hotpotqa, musique or 2wiki."""
    seed: int


def score_run(run: Run, names: Sequence[str] = (), seed: int = 0) -> Scores:
    """Score a run from its own files.

    Args:
        run: the run directory.
        names: metrics; () for those of the task.
        seed: seed of the bootstrap.

    Raises:
        DataError: a file does not hold what it should.
        UnknownName: no such metric.
    """
    manifest = run.manifest
    task = manifest["task"]
    return score(
        run.examples,
        run.records(),
        names or task["metrics"],
        scorer=task["answer_scorer"],
        setting=manifest["setting"],
        seed=seed,
    )


def write_scores(run: Run, scores: Scores) -> None:
    """Write scores.json; the same records always give the same bytes, and a file that has them is left alone."""
    file, content = run.path / "scores.json", json_bytes({"schema": 1, **msgspec.to_builtins(scores)})
    if not file.is_file() or file.read_bytes() != content:
        write_atomic(file, content)


def score(
    examples: Sequence[Example],
    records: Sequence[Record],
    names: Sequence[str],
    scorer: str,
    setting: str,
    seed: int = 0,
) -> Scores:
    """Score records against the golds of the questions asked; the golds are the denominator.

    Raises:
        DataError: a record answers a question that was not asked.
        UnknownName: no such metric.
    """
    answered = _by_id(examples, records)
    chosen = applicable([metrics.get(name, scorer) for name in names], setting, records)
    golds = [example.gold for example in examples]
    found = [answered.get(example.question.id) for example in examples]
    kinds = sorted({gold.kind for gold in golds if gold.kind})
    return Scores(
        metrics=summarise(chosen, golds, found, seed),
        by_kind={kind: _of_kind(kind, chosen, golds, found, seed) for kind in kinds} if len(kinds) > 1 else {},
        statuses=_statuses(found),
        scorer=scorer,
        seed=seed,
    )


def applicable(chosen: Sequence[Metric], setting: str, records: Sequence[Record]) -> list[Metric]:
    """Leave out what a whole run cannot have, which is not the same as zero.

    No ranking is scored where nothing was retrieved by choice (closed, gold), and no support where
    the system predicts none for any question.
    """
    retrieves = setting not in {"closed", "gold"} and any(record.answer.retrieved for record in records)
    left_out = {
        "retrieval": not retrieves,
        "support": not any(record.answer.support is not None for record in records),
        "evidence": not any(record.answer.evidences is not None for record in records),
    }
    return [metric for metric in chosen if not left_out.get(_needs(metric), False)]


def _needs(metric: Metric) -> str:
    return "evidence" if metric.name.startswith("evidence") else metric.family


def _by_id(examples: Sequence[Example], records: Sequence[Record]) -> dict[str, Record]:
    known = {example.question.id for example in examples}
    for record in records:
        if record.id not in known:
            raise DataError(f"an answer to question '{record.id}', which was not asked")
    return {record.id: record for record in records}


def _of_kind(
    kind: str, chosen: Sequence[Metric], golds: Sequence[Gold], found: Sequence[Record | None], seed: int
) -> dict[str, Summary]:
    kept = [index for index, gold in enumerate(golds) if gold.kind == kind]
    return summarise(chosen, [golds[i] for i in kept], [found[i] for i in kept], seed)


def _statuses(found: Sequence[Record | None]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for record in found:
        status = record.answer.status if record else "missing"
        counts[status] = counts.get(status, 0) + 1
    return counts


def num_failed(statuses: Mapping[str, int]) -> int:
    """Questions that failed or were never answered."""
    return sum(count for status, count in statuses.items() if status in FAILURES or status == "missing")


def answer_ranks(answer: Answer, gold: Gold, corpus: Mapping[str, Passage]) -> tuple[int, ...] | None:
    """Ranks, from 1, of the retrieved passages whose title or text holds an accepted answer.

    None when nothing was retrieved. Kept in the record because the passages are not.
    """
    if not answer.retrieved:
        return None
    return tuple(
        rank
        for rank, ranked in enumerate(answer.retrieved, 1)
        if contains_answer(f"{corpus[ranked.passage_id].title} {corpus[ranked.passage_id].text}", gold.answers)
    )


class ForeignRow(msgspec.Struct, forbid_unknown_fields=True):
    """One row of a stranger's jsonl."""

    answer: str
    id: str | int | None = None
    question: str | None = None
    retrieved: list[str | int] | None = None
    """Ids of the passages, best first; a title or (MuSiQue) a paragraph index is understood too."""
    support: list[tuple[str, int]] | None = None
    evidences: list[tuple[str, str, str]] | None = None


def read_foreign(path: Path, examples: Sequence[Example], corpus: Mapping[str, Passage]) -> list[Record]:
    """Records from a jsonl of `id` (or `question`), `answer` and, if there are any, `retrieved` and `support`.

    Raises:
        DataError: no such file, a row of the wrong shape, a question that is not in the data, or one answered twice.
    """
    by_id = {example.question.id: example for example in examples}
    by_text = {example.question.text: example for example in examples}
    titles = _unique_titles(corpus)
    records: dict[str, Record] = {}
    for number, line in enumerate(_foreign_bytes(path).split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{path}: row {number}"
        row = _foreign_row(line, where)
        example = _asked(row, by_id, by_text, where)
        if example.question.id in records:
            raise DataError(f"{where}: a second answer to question '{example.question.id}'")
        records[example.question.id] = _foreign_record(row, example, corpus, titles, where)
    if not records:
        raise DataError(f"{path}: no rows. Expected jsonl rows of id and answer")
    return list(records.values())


def _foreign_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(codecs.BOM_UTF8)  # a pipe will do
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. Expected a file of jsonl rows of id and answer") from error


def _foreign_row(line: bytes, where: str) -> ForeignRow:
    try:
        return msgspec.json.decode(line, type=ForeignRow, strict=False)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8: {error}. Save the file as UTF-8") from error
    except msgspec.DecodeError as error:
        raise DataError(
            f"{where}: {plain_message(error)}. Expected id, answer, and optionally retrieved, support, evidences"
        ) from error


def _asked(row: ForeignRow, by_id: Mapping[str, Example], by_text: Mapping[str, Example], where: str) -> Example:
    if row.id is None and row.question is None:
        raise DataError(f"{where}: neither id nor question")
    named = row.question if row.id is None else str(row.id)
    example = (by_text if row.id is None else by_id).get(named or "")
    if example is None:
        raise DataError(f"{where}: question '{named}' is not in the data scored against")
    if row.question not in (None, example.question.text):
        raise DataError(f"{where}: id '{row.id}' is the question '{example.question.text}', not '{row.question}'")
    return example


def _foreign_record(
    row: ForeignRow, example: Example, corpus: Mapping[str, Passage], titles: Mapping[str, str], where: str
) -> Record:
    given = row.retrieved or []
    ids = [_passage_id(str(name), example.question.candidates, corpus, titles, where) for name in given]
    answer = Answer(
        text=row.answer,
        retrieved=tuple(Ranked(pid, float(-rank)) for rank, pid in enumerate(ids)),
        status="ok" if row.answer.strip() else "empty",
        support=None if row.support is None else tuple(Fact(*fact) for fact in row.support),
        evidences=None if row.evidences is None else tuple(Triple(*triple) for triple in row.evidences),
    )
    return Record(example.question.id, answer, answer_ranks(answer, example.gold, corpus))


def _passage_id(
    name: str, candidates: Sequence[str], corpus: Mapping[str, Passage], titles: Mapping[str, str], where: str
) -> str:
    if name in corpus:
        return name
    own = [pid for pid in candidates if corpus[pid].title == name]
    if len(own) == 1:
        return own[0]
    if re.fullmatch("[0-9]{1,9}", name) and int(name) < len(candidates):
        return candidates[int(name)]
    if name in titles:
        return titles[name]
    raise DataError(f"{where}: retrieved passage '{name}' is no passage id and no unique title of the corpus")


def _unique_titles(corpus: Mapping[str, Passage]) -> dict[str, str]:
    titles: dict[str, str] = {}
    twice: set[str] = set()
    for passage in corpus.values():
        if passage.title in titles:
            twice.add(passage.title)
        titles[passage.title] = passage.id
    return {title: pid for title, pid in titles.items() if title not in twice}


def with_status(answer: Answer) -> Answer:
    """The answer, marked `empty` when it says nothing."""
    return replace(answer, status="empty") if answer.status == "ok" and not answer.text.strip() else answer
