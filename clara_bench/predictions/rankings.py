"""Rankings without answers: TREC runs, BEIR's results, MS MARCO's and ColBERT's lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from clara_bench.errors import DataError
from clara_bench.predictions.files import Content, has_keys
from clara_bench.predictions.prediction import Form, Prediction, Reading, Reference
from clara_bench.predictions.values import by_score, passages_of


def _fields(content: Content) -> list[list[str]]:
    return [line.split() for line in content.lines[:20] if line.strip()]


def _is_trec(content: Content) -> bool:
    fields = _fields(content)
    return bool(fields) and all(len(line) == 6 and _is_number(line[3]) and _is_float(line[4]) for line in fields)


def _is_float(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _trec(content: Content) -> Reading:
    """Question Q0 passage rank score tag, in trec_eval's order, which is by score."""
    scores: dict[str, dict[str, float]] = {}
    ranks: dict[str, dict[str, int]] = {}
    for number, line in enumerate(content.lines, 1):
        if not line.strip():
            continue
        where = f"{content.path}: row {number}"
        id, name, rank, score = _trec_line(line, where)
        if name in scores.setdefault(id, {}):
            raise DataError(f"{where}: question '{id}' has passage '{name}' twice. Expected each once")
        scores[id][name] = score
        ranks.setdefault(id, {})[name] = rank
    rankings = {id: by_score(found, str(content.path), "score") for id, found in scores.items()}
    disagree = sum(not _rises(ranks[id], scores[id]) for id in scores)
    note = f"in {disagree} of {len(rankings)} questions ranks and scores disagree: scores count, as in trec_eval"
    return Reading([_ranked(content, id, ranking) for id, ranking in rankings.items()], (note,) if disagree else ())


def _trec_line(line: str, where: str) -> tuple[str, str, int, float]:
    fields = line.split()
    if len(fields) != 6 or not _is_number(fields[3]) or not _is_float(fields[4]):
        raise DataError(f"{where}: expected 'question Q0 passage rank score tag', got '{line[:80]}'")
    return fields[0], fields[2], int(fields[3]), float(fields[4])


def _rises(ranks: dict[str, int], scores: dict[str, float]) -> bool:
    """Whether no passage with a higher score has a worse rank."""
    found = [ranks[name] for name in sorted(ranks, key=lambda name: (-scores[name], ranks[name]))]
    return found == sorted(found)


def _ranked(content: Content, id: str, ranking: Sequence[str]) -> Prediction:
    references = tuple(Reference(id=name) for name in ranking)
    return Prediction(f"{content.path}: question '{id}'", (id,), retrieved=references)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _is_ranked_lines(content: Content) -> bool:
    fields = _fields(content)
    return bool(fields) and all(len(line) in (3, 4) and _is_number(line[2]) for line in fields)


def _ranked_lines(content: Content) -> Iterator[Prediction]:
    """Question passage rank (MS MARCO), and a score behind them (ColBERT)."""
    rankings: dict[str, dict[int, str]] = {}
    for number, line in enumerate(content.lines, 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) not in (3, 4) or not _is_number(fields[2]):
            raise DataError(f"{content.path}: row {number}: expected question, passage and rank, got '{line[:80]}'")
        ranking = rankings.setdefault(fields[0], {})
        rank = int(fields[2])
        if rank in ranking:
            raise DataError(f"{content.path}: row {number}: question '{fields[0]}' has rank {rank} twice")
        ranking[rank] = fields[1]
    for id, ranking in rankings.items():
        yield _ranked(content, id, [ranking[rank] for rank in sorted(ranking)])


def _is_beir(content: Content) -> bool:
    whole = content.whole or {}
    return bool(whole) and all(isinstance(scores, dict) and _are_scores(scores.values()) for scores in whole.values())


def _are_scores(values: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _beir(content: Content) -> Iterator[Prediction]:
    """{question: {passage: score}}, as BEIR and pytrec_eval have it."""
    for id, scores in (content.whole or {}).items():
        yield _ranked(content, id, by_score(scores, f"{content.path}: question '{id}'", id))


def _is_passages_by_question(content: Content) -> bool:
    whole = content.whole or {}
    return bool(whole) and all(isinstance(found, list) and _are_passages(found) for found in whole.values())


def _are_passages(found: Sequence[Any]) -> bool:
    return all(has_keys(item, "id") or has_keys(item, "contents") or has_keys(item, "docid") for item in found)


def _passages_by_question(content: Content) -> Iterator[Prediction]:
    """{question: [{"id": ..., "contents": ..., "score": ...}]}, as FlashRAG's retrieval cache."""
    for name, found in (content.whole or {}).items():
        where = f"{content.path}: question '{name}'"
        yield Prediction(where, (name,), retrieved=passages_of(found, where, name))


FORMS: Sequence[Form] = (
    Form("a TREC run", _is_trec, _trec),
    Form("lines of question, passage and rank", _is_ranked_lines, _ranked_lines),
    Form("passages and scores by question, as BEIR has them", _is_beir, _beir),
    Form("passages by question", _is_passages_by_question, _passages_by_question),
)
"""The forms of this module, the most telling first."""
