"""Which words of a passage should stay, learned from questions that need it: labels for a token classifier.

LLMLingua-2 learns from what GPT-4 left of a text (Pan et al. 2024, arXiv:2403.12968, section 3). Labels from questions
need no such model, and are another thing: a word is kept where it, or another form of it, stands in an accepted answer
or in a question that the passage is needed for. So they know what people ask about, not how to write tersely.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from clara_bench.compress.spans import passage_text, words
from clara_bench.errors import DataError
from clara_bench.types import Example, Passage

HELD_OUT = 10
"""One passage in so many is held out, by the hash of its text: the same ones whatever else there is."""


class Labelled(NamedTuple):
    """A passage and what should stay of it."""

    text: str
    kept: tuple[bool, ...]
    """Of each of its `words`."""


class Split(NamedTuple):
    """Passages to learn from, and others to judge by."""

    train: list[Labelled]
    held_out: list[Labelled]


def label(examples: Iterable[Example], corpus: Mapping[str, Passage]) -> list[Labelled]:
    """Every passage that some question needs, each once, with the words that those questions and answers hold.

    Raises:
        DataError: no question says which passages it needs, or none of their words occurs in them.
    """
    asked: dict[str, set[str]] = {}
    for example in examples:
        terms = content(" ".join([example.question.text, *example.gold.answers]))
        for passage_id in example.gold.supporting:
            asked.setdefault(passage_text(corpus[passage_id]), set()).update(terms)
    found = [Labelled(text, _kept(text, terms)) for text, terms in sorted(asked.items())]
    if not any(any(row.kept) for row in found):
        raise DataError("no question names passages that hold its words. Expected data with supporting passages")
    return found


def _kept(text: str, terms: set[str]) -> tuple[bool, ...]:
    return tuple(bool(content(text[start:end]) & terms) for start, end in words(text))


def content(text: str) -> set[str]:
    """The stems of its words and numbers, function words left out.

    >>> sorted(content("Who directed the films of 1965?"))
    ['1965', 'direct', 'film']
    """
    from bm25s.stopwords import STOPWORDS_EN
    from Stemmer import Stemmer

    stem = Stemmer("english").stemWord
    return {stem(word) for word in re.findall(r"\w+", text.lower()) if word not in _FUNCTION_WORDS.union(STOPWORDS_EN)}


_FUNCTION_WORDS = frozenset("who whom whose what which when where why how did does do was were is are has had".split())
"""Of questions: their answers are never among them."""


def split(rows: Sequence[Labelled]) -> Split:
    """Passages by the hash of their text.

    Raises:
        DataError: too few for both parts.
    """
    held = [int(hashlib.sha256(row.text.encode()).hexdigest(), 16) % HELD_OUT == 0 for row in rows]
    parts = Split(*([row for row, out in zip(rows, held, strict=True) if out is wanted] for wanted in (False, True)))
    if not parts.train or not parts.held_out:
        raise DataError(f"{len(rows)} passages cannot be split into some to learn from and others to judge by")
    return parts
