"""Word labels for a token classifier, derived from questions that need the passage.

LLMLingua-2 learns from GPT-4's compressions (Pan et al. 2024, arXiv:2403.12968, section 3). Labels from questions need
no such model, and differ in kind: a word is kept if it, or another form of it, occurs in an accepted answer or in a
question that needs the passage. They encode what people ask about, not how to write concisely.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from clara_bench.compress.shared.spans import passage_text, words
from clara_bench.errors import DataError
from clara_bench.types import Example, Passage

HELD_OUT = 10
"""One question in so many is held out, by the hash of its text: the same ones whatever else there is."""

Asked = Iterable[tuple[Example, Mapping[str, Passage]]]
"""Questions, each with the corpus that its passages are in."""


class Labelled(NamedTuple):
    """A passage and what should stay of it."""

    text: str
    kept: tuple[bool, ...]
    """Of each of its `words`."""


class Split(NamedTuple):
    """Passages to learn from, and others to judge by: no question of theirs labels one to learn from."""

    train: list[Labelled]
    held_out: list[Labelled]


def split(asked: Asked) -> Split:
    """Every passage that some question needs, labelled; those of held-out questions that no other one needs apart.

    Raises:
        DataError: no question says which passages it needs, or there are too few for both parts.
    """
    parts: tuple[list[Any], list[Any]] = ([], [])
    for example, corpus in asked:
        parts[held_out(example.question.text)].append((example, corpus))
    train, judged = map(label, parts)
    known = {row.text for row in train}
    found = Split(train, [row for row in judged if row.text not in known])
    if not any(any(row.kept) for row in found.train) or not any(any(row.kept) for row in found.held_out):
        raise DataError(
            f"{len(found.train)} passages to learn from and {len(found.held_out)} to judge by: too few to hold "
            "words of questions that need them. Expected more questions, with their supporting passages"
        )
    return found


def held_out(question: str) -> bool:
    """Whether a question is only judged by."""
    return int(hashlib.sha256(question.encode()).hexdigest(), 16) % HELD_OUT == 0


def label(asked: Asked) -> list[Labelled]:
    """Every passage that some question needs, each once, with the words that all those questions and answers hold."""
    terms: dict[str, set[str]] = {}
    for example, corpus in asked:
        said = content(" ".join([example.question.text, *example.gold.answers]))
        for passage_id in example.gold.supporting:
            terms.setdefault(passage_text(corpus[passage_id]), set()).update(said)
    return [Labelled(text, _kept(text, wanted)) for text, wanted in sorted(terms.items())]


def _kept(text: str, terms: set[str]) -> tuple[bool, ...]:
    return tuple(bool(content(text[start:end]) & terms) for start, end in words(text))


def content(text: str) -> set[str]:
    """The stems of its words and numbers, function words left out.

    >>> sorted(content("Who directed the films of 1965?"))
    ['1965', 'direct', 'film']
    """
    stem, left_out = _english()
    return {stem(word) for word in re.findall(r"\w+", text.lower()) if word not in left_out}


@cache
def _english() -> tuple[Callable[[str], str], frozenset[str]]:
    """The stemmer, and stop words: the library's and common question openings."""
    from bm25s.stopwords import STOPWORDS_EN
    from Stemmer import Stemmer

    opening = "who whom whose what which when where why how did does do was were is are has had"
    return Stemmer("english").stemWord, frozenset([*STOPWORDS_EN, *opening.split()])
