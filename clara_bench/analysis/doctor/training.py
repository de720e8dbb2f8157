"""Near-duplicates between test and training questions.

A training question is a near-duplicate of a test question if it holds words that weigh 90 % of the test question. A
word weighs its inverse document frequency: questions of one wording about different names are not duplicates.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from clara_bench.datasets import read_rows
from clara_bench.documents.questions import COLUMNS
from clara_bench.errors import DataError
from clara_bench.text import tokens

ALIKE = 0.9
RAREST = 3
"""Words of a question by which others are looked up: near-duplicates share the rare ones."""


def read_questions(path: Path) -> list[str]:
    """The questions in a file of training rows: JSON or JSON lines with a question in each row, or topics.

    Raises:
        DataError: no such file, or a row without a question.
    """
    found = []
    for number, row in enumerate(read_rows(path), 1):
        text = next((row[name] for name in COLUMNS["question"] if isinstance(row.get(name), str)), None)
        if text is None:
            raise DataError(
                f"{path}: row {number} has no question. Expected one of the keys {', '.join(COLUMNS['question'])}"
            )
        found.append(text)
    return found


def near_duplicates(asked: Sequence[str], train: Sequence[str]) -> set[int]:
    """Places of the questions asked that are in the training questions, or nearly."""
    ours, theirs = ([frozenset(tokens(text)) for text in texts] for texts in (asked, train))
    times = Counter(word for text in (*ours, *theirs) for word in text)
    weights = {word: math.log((1 + len(ours) + len(theirs)) / count) for word, count in times.items()}
    by_word: dict[str, list[frozenset[str]]] = defaultdict(list)
    for text in set(theirs):
        for word in text:
            by_word[word].append(text)
    return {place for place, text in enumerate(ours) if _is_there(text, by_word, weights)}


def _is_there(
    text: frozenset[str], by_word: Mapping[str, Sequence[frozenset[str]]], weights: Mapping[str, float]
) -> bool:
    rare = sorted(text, key=lambda word: (-weights[word], word))[:RAREST]
    return any(_alike(text, other, weights) for word in rare for other in by_word.get(word, ()))


def _alike(asked: frozenset[str], train: frozenset[str], weights: Mapping[str, float]) -> bool:
    shared, all_of_it = (sum(weights[word] for word in found) for found in (asked & train, asked))
    return shared >= ALIKE * all_of_it
