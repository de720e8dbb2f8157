"""Checks of the values that components return, since any component may be a plug-in.

Rankings of a retriever or a first stage, texts of a compressor, readings of a reader. An invalid value is an error
that names the component; surplus entries are cut off.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import pairwise
from operator import ge, index, itemgetter
from typing import Any, SupportsFloat, SupportsIndex, TypeVar

from clara_bench.errors import ConfigError
from clara_bench.types import Question, Ranked, Reader, Reading, Usage

T = TypeVar("T")


def rankings(
    found: Any, questions: Sequence[Question], k: int, corpus: Container[str], who: str
) -> list[tuple[Ranked, ...]]:
    """A retriever's rankings, one a question, at most k passages each.

    Args:
        found: what `retrieve` returned.
        questions: what it was asked.
        k: how many passages it was asked for.
        corpus: ids of the passages that were indexed.
        who: as messages call it, such as "retriever 'bm25'".

    Raises:
        ConfigError: not one ranking a question, an entry that is no passage id with a finite score, a passage that is
            not in the corpus; also see `check_ranking`.
    """
    given = one_each(found, questions, "ranking", who)
    return [_ranking(one, q, k, corpus, f"question '{q.id}': {who}") for q, one in zip(questions, given, strict=True)]


def _ranking(found: Any, question: Question, k: int, corpus: Container[str], who: str) -> tuple[Ranked, ...]:
    if not _is_list(found):
        raise ConfigError(f"{who} returned a ranking of type {type(found).__name__}, expected a list of Ranked")
    ranking = tuple(_ranked(entry, who) for entry in found[:k])
    check_ranking(ranking, question, who)
    for passage_id, _ in ranking:
        if passage_id not in corpus:
            raise ConfigError(f"{who} ranks passage '{passage_id}', which is not in the corpus")
    return ranking


def _ranked(entry: Any, who: str) -> Ranked:
    match entry:
        case (str(passage_id), SupportsFloat() as score) if math.isfinite(score):
            return Ranked(passage_id, float(score))
    raise ConfigError(f"{who} ranks {entry!r:.100}, expected a passage id and a finite score")


def check_ranking(ranking: Sequence[Ranked], question: Question, who: str) -> None:
    """Refuse a ranking with a repeated passage, a passage outside the candidates, or rising scores.

    Raises:
        ConfigError: names the passage.
    """
    offered = None if question.candidates is None else frozenset(question.candidates)
    ids, scores = [one.passage_id for one in ranking], [one.score for one in ranking]
    if len(set(ids)) == len(ids) and (offered is None or offered.issuperset(ids)) and all(map(ge, scores, scores[1:])):
        return
    seen: set[str] = set()
    for passage_id in ids:
        if passage_id in seen:
            raise ConfigError(f"{who} ranks passage '{passage_id}' twice. Expected each once")
        if offered is not None and passage_id not in offered:
            raise ConfigError(f"{who} ranks passage '{passage_id}', which is not among the question's candidates")
        seen.add(passage_id)
    for better, worse in pairwise(ranking):
        if worse.score > better.score:
            raise ConfigError(
                f"{who} ranks passage '{worse.passage_id}' with score {worse.score} behind '{better.passage_id}' with "
                f"{better.score}. Expected the best first, and for it the highest score"
            )


def texts(found: Any, who: str) -> tuple[str, ...]:
    """The texts that a compressor made of one question's passages, without empty ones.

    Raises:
        ConfigError: neither a str nor a list of them.
    """
    given = (found,) if isinstance(found, str) else found
    if not _is_list(given) or not all(isinstance(text, str) for text in given):
        raise ConfigError(f"{who} returned {found!r:.100}, expected a str or a list of them")
    return tuple(text for text in given if text)


def readings(found: Any, questions: Sequence[Question], who: str) -> list[Reading]:
    """A reader's readings, one a question.

    Raises:
        ConfigError: another number, or something other than a Reading with its text and usage.
    """
    given = one_each(found, questions, "Reading", who)
    return [_reading(one, question, who) for question, one in zip(questions, given, strict=True)]


def readings_each(
    reader: Reader, questions: Sequence[Question], contexts: Sequence[Sequence[str]], who: str
) -> Iterator[tuple[int, Reading]]:
    """A reader's readings with the places of their questions, as it hands them over: one by one or all together.

    Raises:
        ConfigError: see `readings`.
    """
    one_by_one = getattr(reader, "read_each", None)
    if one_by_one is None:
        yield from enumerate(readings(reader.read(questions, contexts), questions, who))
        return
    for place, one in each(one_by_one(questions, contexts), questions, "Reading", who):
        yield place, _reading(one, questions[place], who)


def _reading(found: Any, question: Question, who: str) -> Reading:
    match found:
        case Reading(text=str(), usage=Usage()):
            return found
    raise ConfigError(f"question '{question.id}': {who} returned {found!r:.100}, expected a Reading")


def counts(found: Any, questions: Sequence[Question], who: str) -> list[int]:
    """A reader's token counts, one per question.

    Raises:
        ConfigError: another number of them, or something other than a whole number from 0.
    """
    given = one_each(found, questions, "number", who)
    for question, count in zip(questions, given, strict=True):
        if not isinstance(count, SupportsIndex) or index(count) < 0:
            raise ConfigError(f"question '{question.id}': {who} counts {count!r:.100} tokens, expected a whole number")
    return [index(count) for count in given]


def one_each(found: Any, questions: Sequence[Question], noun: str, who: str) -> list[Any]:
    """What was returned for some questions, as a list.

    Raises:
        ConfigError: no list, or another number.
    """
    given = list(found) if _is_list(found) else None
    if given is None or len(given) != len(questions):
        got = type(found).__name__ if given is None else f"{len(given)} {noun}s"
        raise ConfigError(f"{who} returned {got} for {len(questions)} questions; expected one {noun} a question")
    return given


def each(found: Any, questions: Sequence[Question], noun: str, who: str) -> Iterator[tuple[int, Any]]:
    """Results that arrive one by one: pairs of a question's index and its result.

    Raises:
        ConfigError: something else, a place that there is not or that was there before, or a question left out.
    """
    places: set[int] = set()
    for entry in found:
        match entry:
            case (SupportsIndex() as place, one) if index(place) in range(len(questions)) and place not in places:
                places.add(index(place))
                yield index(place), one
            case _:
                raise ConfigError(
                    f"{who} handed over {entry!r:.100}, expected the place of one of {len(questions)} questions, each "
                    f"once, and its {noun}"
                )
    if len(places) < len(questions):
        got = f"{len(places)} {noun}s for {len(questions)} questions"
        raise ConfigError(f"{who} handed over {got}; expected one {noun} a question")


def in_order(pairs: Iterable[tuple[int, T]]) -> list[T]:
    """What came with its place, as it was asked for.

    >>> in_order([(1, "b"), (0, "a")])
    ['a', 'b']
    """
    return [one for _, one in sorted(pairs, key=itemgetter(0))]


def _is_list(found: Any) -> bool:
    return isinstance(found, Sequence) and not isinstance(found, str | bytes)
