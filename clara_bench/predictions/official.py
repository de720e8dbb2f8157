"""Inputs of the official scripts: HotpotQA's and 2WikiMultihopQA's object, MuSiQue's and KILT's JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clara_bench.errors import DataError
from clara_bench.predictions.files import Content, has_keys
from clara_bench.predictions.prediction import Form, Prediction, Reference, Sentence
from clara_bench.predictions.spellings import keys_of
from clara_bench.predictions.values import answer_of, passage_from, triples_of, truth_of

PARTS = ("answer", "sp", "evidence")


def _is_hotpotqa(content: Content) -> bool:
    whole = content.whole or {}
    tables = all(isinstance(whole.get(part, {}), dict) for part in PARTS)
    return bool(whole.keys() & PARTS) and tables and not keys_of(whole).ids


def _hotpotqa(content: Content) -> Iterator[Prediction]:
    """{"answer": {id: answer}, "sp": {id: [[title, sentence]]}, "evidence": {id: [[subject, relation, object]]}}."""
    whole = content.whole or {}
    strange = sorted(whole.keys() - set(PARTS))
    if strange:
        raise DataError(f"{content.path}: unknown key '{strange[0]}' beside {', '.join(sorted(whole.keys() & PARTS))}")
    answers, support, evidence = (whole.get(part, {}) for part in PARTS)
    for id in dict.fromkeys([*answers, *support, *evidence]):
        where = f"{content.path}: '{id}'"
        yield Prediction(
            where,
            (id,),
            answer=answer_of(answers.get(id), where, "answer"),
            support=_titled(support[id], where) if id in support else None,
            evidences=triples_of(evidence.get(id), where, "evidence"),
        )


def _titled(pairs: Any, where: str) -> tuple[Sentence, ...]:
    """Titles as they are: one that no passage has is wrong, as the script has it, and not refused."""
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise DataError(f"{where}: expected pairs of title and sentence at $.sp, got {str(pairs)[:80]}")
    return tuple(Sentence(Reference(title=title), number) for title, number in pairs)


def _is_pair(pair: Any) -> bool:
    return (
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)
        and isinstance(pair[1], int) and not isinstance(pair[1], bool) and pair[1] >= 0
    )  # fmt: skip


def _is_musique(content: Content) -> bool:
    return has_keys(content.first, "predicted_support_idxs") or has_keys(content.first, "predicted_answerable")


def _musique(content: Content) -> Iterator[Prediction]:
    """Rows of id, predicted_answer, predicted_support_idxs and predicted_answerable."""
    for where, row in content.rows:
        if not has_keys(row, "id"):
            raise DataError(f"{where}: expected an object with id, predicted_answer and predicted_support_idxs")
        yield Prediction(
            where,
            (str(row["id"]),),
            answer=answer_of(row.get("predicted_answer"), where, "predicted_answer"),
            support=_numbered(row.get("predicted_support_idxs"), where),
            answerable=truth_of(row.get("predicted_answerable"), where, "predicted_answerable"),
        )


def _numbered(numbers: Any, where: str) -> tuple[Sentence, ...] | None:
    """Paragraphs by their numbers, which the script takes as strings too."""
    if numbers is None:
        return None
    if not isinstance(numbers, list) or not all(_is_number(number) for number in numbers):
        raise DataError(f"{where}: expected numbers of paragraphs at $.predicted_support_idxs, got {str(numbers)[:80]}")
    return tuple(Sentence(Reference(number=int(number)), 0) for number in numbers)


def _is_number(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10
    )


def _is_kilt(content: Content) -> bool:
    return has_keys(content.first, "output") and isinstance(content.first["output"], list)


def _kilt(content: Content) -> Iterator[Prediction]:
    """Rows of id, input and output: [{"answer": ..., "provenance": [{"wikipedia_id": ..., "title": ...}]}]."""
    for where, row in content.rows:
        if not has_keys(row, "id", "output") or not isinstance(row["output"], list) or len(row["output"]) != 1:
            raise DataError(f"{where}: expected an object with id and exactly one output, as KILT's script does")
        [output] = row["output"]
        if not isinstance(output, Mapping):
            raise DataError(f"{where}: expected an object with answer and provenance at $.output")
        provenance = output.get("provenance")
        text = row.get("input")
        yield Prediction(
            where,
            (str(row["id"]),),
            text if isinstance(text, str) else None,
            answer=answer_of(output.get("answer"), where, "output.answer"),
            retrieved=None if provenance is None else tuple(_pages(provenance, where)),
        )


def _pages(provenance: Any, where: str) -> Iterator[Reference]:
    if not isinstance(provenance, list) or not all(isinstance(page, Mapping) for page in provenance):
        raise DataError(f"{where}: expected a list of objects at $.output.provenance")
    for page in provenance:
        yield passage_from(page, where, "output.provenance")


FORMS: Sequence[Form] = (
    Form("HotpotQA's or 2WikiMultihopQA's official predictions", _is_hotpotqa, _hotpotqa),
    Form("MuSiQue's official predictions", _is_musique, _musique),
    Form("KILT's predictions", _is_kilt, _kilt),
)
"""The forms of this module, the most telling first."""
