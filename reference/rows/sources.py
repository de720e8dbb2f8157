"""The files that a recipe names: questions of the data sets, their passages, plain Wikipedia text, topic lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clara_bench import DataError
from clara_bench.datasets import read_rows
from reference.rows.example import Example, PassageText, passage, words
from reference.rows.single_hops import as_question

Raw = Mapping[str, Any]
SHORT = 6
"""Words of the longest answer of a pretraining file that is taken."""


def raw_rows(folder: Path, path: str) -> list[dict[str, Any]]:
    """The rows of a file below the folder of data.

    Raises:
        DataError: it is not there or cannot be read.
    """
    return read_rows(folder / path)


def passages(folder: Path, paths: Iterable[str], longest: int) -> list[PassageText]:
    """All passages of some files, without duplicates and without those that are too short or too long."""
    found = (text for path in paths for row in raw_rows(folder, path) for text in passages_of(row, path))
    return [text for text in dict.fromkeys(found) if 12 <= words(text) <= longest]


def passages_of(row: Raw, where: str) -> Iterator[PassageText]:
    """The passages of one row: a question's own, or an article's paragraphs.

    Raises:
        DataError: a row of a form that is not known.
    """
    if "context" in row:
        yield from (passage(title, _joined(parts)) for title, parts in row["context"])
    elif "paragraphs" in row:
        yield from (passage(one["title"], one["paragraph_text"]) for one in row["paragraphs"])
    elif "contents" in row:
        title, _, text = row["contents"].partition("\n")
        yield passage(title.strip('"'), text)
    elif "wikipedia_title" in row:
        paragraphs = (text.strip() for text in row["text"])
        yield from (passage(row["wikipedia_title"], text) for text in paragraphs if not text.startswith("Section::"))
    elif "extract" in row:
        yield passage(row["title"], row["extract"])
    elif "text" in row:
        yield passage(row.get("title", ""), row["text"])
    else:
        raise DataError(f"{where}: a row with the keys {', '.join(row)} holds no passage that is known")


def _joined(sentences: Iterable[str]) -> str:
    return " ".join(sentence.strip() for sentence in sentences)


def questions_of(row: Raw) -> Iterator[str]:
    """The question of a row, and its single hops."""
    if "question" in row:
        yield str(row["question"])
    elif "question_text" in row:
        yield str(row["question_text"])
    for step in row.get("question_decomposition", ()):
        yield as_question(step["question"])


def gold_of(row: Raw) -> Iterator[PassageText]:
    """The gold passages of a row's question."""
    titles = {fact[0] for fact in row.get("supporting_facts", ())}
    yield from (passage(title, _joined(parts)) for title, parts in row.get("context", ()) if title in titles)
    for one in row.get("paragraphs", ()):
        if one["is_supporting"]:
            yield passage(one["title"], one["paragraph_text"])
    yield from (passage(one["title"], one["text"]) for one in row.get("ctxs", ()) if one.get("isgold"))
    for one in row.get("contexts", ()):
        if one["is_supporting"]:
            yield passage(one["title"], one["paragraph_text"])


def whole_questions(source: str, rows: Iterable[Raw]) -> Iterator[Example]:
    """An official file's questions with their gold passages and their distractors."""
    for number, row in enumerate(rows):
        gold = tuple(gold_of(row))
        others = tuple(text for text in passages_of(row, source) if text not in gold)
        key = str(row.get("id") or row.get("_id") or number)
        if gold:
            yield Example(source, key, row["question"], row["answer"], gold, others, key)


def studies(source: str, rows: Iterable[Raw]) -> Iterator[Example]:
    """The short answers of a pretraining file (CLaRa's), each with its document."""
    for number, row in enumerate(rows):
        if row.get("data_type", "qa") == "qa":
            document = " ".join(row["docs"][0].split())
            pairs = zip(row["question"], row["answers"], strict=True)
            for turn, (question, answer) in enumerate(pairs, 1):
                key, short = f"{number}/{turn}", answer.rstrip(".")
                if words(answer) <= SHORT:
                    yield Example(source, key, question, short, (document,), group=f"{source}/{number}")


def listed(rows: Iterable[Raw]) -> list[tuple[str, list[str]]]:
    """Questions with their accepted answers."""
    return [(row["question"], list(row.get("answer") or row["answers"])) for row in rows]
