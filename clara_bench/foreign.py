"""A stranger's file of answers, read as the records of a run would be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from clara_bench.errors import DataError
from clara_bench.opening import read_bytes
from clara_bench.parsing import decode
from clara_bench.scoring import answer_ranks
from clara_bench.types import Answer, Example, Fact, Passage, Ranked, Record, Triple

EXPECTED = "Expected jsonl rows of id, answer, and optionally retrieved, support, evidences"


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
    for number, line in enumerate(read_bytes(path, EXPECTED).split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{path}: row {number}"
        row = decode(line, ForeignRow, where, EXPECTED, strict=False)
        example = _asked(row, by_id, by_text, where)
        if example.question.id in records:
            raise DataError(f"{where}: a second answer to question '{example.question.id}'")
        records[example.question.id] = _foreign_record(row, example, corpus, titles, where)
    if not records:
        raise DataError(f"{path}: no rows. {EXPECTED}")
    return list(records.values())


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
    offered = example.question.candidates or ()
    ids = [_passage_id(str(name), offered, corpus, titles, where) for name in row.retrieved or ()]
    ranking = tuple(Ranked(pid, float(-rank)) for rank, pid in enumerate(ids))
    answer = Answer(
        text=row.answer,
        retrieved=None if row.retrieved is None else ranking,
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
