"""Values of a row: an answer, passages, supporting sentences, triples."""

from __future__ import annotations

import ast
import warnings
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from clara_bench.errors import DataError
from clara_bench.io.parsing import decode
from clara_bench.predictions.prediction import Reference, Sentence
from clara_bench.types import Triple

PASSAGE_IDS = ("id", "_id", "docid", "doc_id", "docno", "pid", "passage_id", "psg_id", "wikipedia_id")
PASSAGE_TITLES = ("title", "wikipedia_title")
PASSAGE_TEXTS = ("text", "contents", "content", "passage_text", "paragraph_text", "page_content", "passage", "body")

WORDS_OF_A_TEXT = 9
"""A string of so many words is a passage's text, and not its id or title."""


def answer_of(value: Any, where: str, key: str) -> str | None:
    """An answer; None for null, which is none.

    Raises:
        DataError: it is no string, or several.
    """
    if isinstance(value, list):
        if len(value) > 1:
            raise DataError(f"{where}: {len(value)} answers at $.{key}. Expected one; keep the one to be scored")
        value = value[0] if value else None
    if value is None or isinstance(value, str):
        return value
    raise DataError(f"{where}: expected str at $.{key}, got {type(value).__name__}")


def passages_of(value: Any, where: str, key: str) -> tuple[Reference, ...] | None:
    """Passages, best first: ids, titles, texts or objects in a list, or an object of ids and scores.

    Raises:
        DataError: one that names no passage.
    """
    found = literal(value, where, key)
    if isinstance(found, dict):
        return tuple(Reference(name=str(name)) for name in by_score(found, where, key))
    if found is None or isinstance(found, list):
        return None if found is None else tuple(_passage_of(item, where, key) for item in found)
    raise DataError(f"{where}: expected a list of passages at $.{key}, got {type(found).__name__}")


def _passage_of(item: Any, where: str, key: str) -> Reference:
    if isinstance(item, list) and item:  # with its score
        item = item[0]
    if isinstance(item, str):
        is_text = len(item.split()) >= WORDS_OF_A_TEXT
        return Reference(name=item, text=item) if is_text else Reference(name=item)
    if isinstance(item, int) and not isinstance(item, bool):
        return Reference(name=str(item))
    if isinstance(item, dict):
        return passage_from(item, where, key)
    raise DataError(f"{where}: expected a passage's id, title or text at $.{key}, got {type(item).__name__}")


def passage_from(item: Mapping[str, Any], where: str, key: str) -> Reference:
    """A passage from an object with an id, a title or a text.

    Raises:
        DataError: it has none of them.
    """
    id, title, text = (_first(item, names) for names in (PASSAGE_IDS, PASSAGE_TITLES, PASSAGE_TEXTS))
    if "contents" in item and title is None and text is not None and text.startswith('"'):
        title, _, text = text.partition("\n")  # FlashRAG, Pyserini: the title in quotes, then the text
        title = title.strip('"')
    if id is None and title is None and text is None:
        raise DataError(
            f"{where}: a passage at $.{key} without id, title or text: it has {', '.join(item) or 'nothing'}"
        )
    return Reference(id=id, title=title, text=text)


def _first(item: Mapping[str, Any], names: Sequence[str]) -> str | None:
    values = (item[name] for name in names if isinstance(item.get(name), str | int) and item[name] != "")
    return next((str(value) for value in values), None)


def by_score(scores: Mapping[str, Any], where: str, key: str) -> list[str]:
    """The keys, highest score first, as trec_eval ranks: by single-precision scores, of equal ones the later id first.

    Raises:
        DataError: a score that is no number.
    """
    for name, score in scores.items():
        if not isinstance(score, int | float) or isinstance(score, bool):
            raise DataError(f"{where}: the score of '{name}' at $.{key} is no number")
    single = dict(zip(scores, array("f", map(float, scores.values())), strict=True))
    return sorted(sorted(scores, reverse=True), key=lambda name: -single[name])


def sentences_of(value: Any, where: str, key: str) -> tuple[Sentence, ...] | None:
    """Supporting sentences: pairs of a passage and the sentence's number, or passages alone.

    Raises:
        DataError: something else.
    """
    found = literal(value, where, key)
    if found is None:
        return None
    if not isinstance(found, list):
        raise DataError(
            f"{where}: expected a list of pairs of title and sentence at $.{key}, got {type(found).__name__}"
        )
    return tuple(_sentence_of(item, where, key) for item in found)


def _sentence_of(item: Any, where: str, key: str) -> Sentence:
    if isinstance(item, dict):
        number = next((item[name] for name in ("sent_id", "sentence", "sentence_id", "idx") if name in item), 0)
        item = [item.get("title", item.get("id")), number]
    name, number = item if isinstance(item, list) and len(item) == 2 else (item, 0)
    if not _is_name(name) or not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise DataError(f"{where}: expected a title and the number of a sentence at $.{key}, got {str(item)[:80]}")
    return Sentence(Reference(name=str(name)), number)


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def triples_of(value: Any, where: str, key: str) -> tuple[Triple, ...] | None:
    """Evidence triples.

    Raises:
        DataError: something else.
    """
    found = literal(value, where, key)
    if found is None:
        return None
    if not isinstance(found, list) or not all(is_triple(item) for item in found):
        raise DataError(f"{where}: expected lists of subject, relation and object at $.{key}")
    return tuple(Triple(*item) for item in found)


def is_triple(item: Any) -> bool:
    """Whether it is a list of three strings."""
    return isinstance(item, list) and len(item) == 3 and all(isinstance(part, str) for part in item)


def truth_of(value: Any, where: str, key: str) -> bool | None:
    """True or false, from a boolean, 0, 1, or either word.

    Raises:
        DataError: something else.
    """
    known = {"true": True, "false": False, "1": True, "0": False, "": None, "none": None}
    plain = str(value).strip().lower()
    if plain not in known:
        raise DataError(f"{where}: expected true or false at $.{key}, got {str(value)[:80]}")
    return known[plain]


def literal(value: Any, where: str, key: str) -> Any:
    """A list in a table's cell: JSON, or Python's notation.

    Raises:
        DataError: neither.
    """
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return decode(value, Any, where)
    except DataError:
        pass
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's own, on what looks odd in a literal
            return _as_json(ast.literal_eval(value.strip()))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise DataError(f'{where}: expected a list at $.{key}, such as ["a", "b"], got \'{value[:80]}\'') from error


def _as_json(value: Any) -> Any:
    return [_as_json(item) for item in value] if isinstance(value, list | tuple) else value
