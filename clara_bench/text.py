"""Text normalisation: how answers are normalised, tokenised and searched for.

Question answering uses two rules, and their scores differ: SQuAD's normalisation, which every answer scorer of
the four data sets uses, and DPR's words, which search passages for an answer. Nothing is cached between calls;
callers that compare one text with many normalise it once.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def composed(text: str) -> str:
    """The text with each letter and its accents as one character where there is one (Unicode NFC): for matching only.

    >>> len("é"), len("e\u0301"), composed("e\u0301") == "é"
    (1, 2, True)
    """
    return unicodedata.normalize("NFC", text)


def normalise(text: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single blanks, in this order.

    Source: the SQuAD v1.1 evaluation script (Rajpurkar et al. 2016). Other quotes and dashes
    stay, and what punctuation held apart is joined.

    >>> normalise("The  Well-known U.S. “Band”, a trio")
    'wellknown us “band” trio'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def normalise_keeping_articles(text: str) -> str:
    """As `normalise`, but a, an and the stay; 2WikiMultihopQA compares evidence triples so.

    >>> normalise_keeping_articles("The Who, 1964")
    'the who 1964'
    """
    return " ".join(text.lower().translate(_NO_PUNCTUATION).split())


def tokens(text: str) -> list[str]:
    """The normalised text cut at blanks, as SQuAD F1 counts it.

    >>> tokens("the New York New York Times")
    ['new', 'york', 'new', 'york', 'times']
    """
    return normalise(text).split()


def _part(code: int) -> str:
    """Replacement of one character before the text is split at blanks, by Unicode category."""
    character = chr(code)
    kind = unicodedata.category(character)[0]
    if kind in "LMN":
        return character
    return " " if kind in "ZC" else f" {character} "


class _Parts(dict[int, str]):
    """The translation table of `words`: ASCII is held, anything else looked up each time."""

    def __missing__(self, code: int) -> str:
        return _part(code)


_PARTS = _Parts((code, _part(code)) for code in range(128))


def words(text: str) -> str:
    """The text as lower-case words with one blank before, between and after them.

    Runs of letters, digits and marks are words, and so is every other visible character. One
    text's words hold another's as a contiguous sequence exactly when the one string is `in` the
    other. Source: the tokenizer DPR searches passages with (Karpukhin et al. 2020), after NFD.

    >>> words("Washington, D.C.")
    ' washington , d . c . '
    >>> words("no") in words("I do not know")
    False
    """
    return f" {' '.join(unicodedata.normalize('NFD', text).translate(_PARTS).lower().split())} "


def answer_words(answers: Iterable[str]) -> tuple[str, ...]:
    """`words` of each answer, without the answers that have none, for they are in every text.

    >>> answer_words(["Rome", "", "Roma"])
    (' rome ', ' roma ')
    """
    return tuple(found for found in map(words, answers) if found.strip())


def contains_answer(text: str, answers: Sequence[str]) -> bool:
    """Whether the text holds some answer as a contiguous sequence of words.

    Callers with many texts compare `words(text)` with `answer_words(answers)` themselves.

    >>> contains_answer("He moved to New York City.", ["Boston", "new york"])
    True
    >>> contains_answer("Knowing nothing", ["no", ""])
    False
    """
    searched = words(text)
    return any(answer in searched for answer in answer_words(answers))


def by_salience(words: Sequence[str]) -> list[int]:
    """Places of words, the most telling first: new names and numbers, other new words, all others; each in order.

    A name is what begins with a capital; English function words (bm25s's longer list), repetitions and what is no word
    come last. A rule of this project: it needs no model and no corpus, and serves languages that write names so.

    >>> by_salience("The capital of Norway is Oslo , in Norway since 1814".split())
    [3, 5, 10, 1, 9, 0, 2, 4, 6, 7, 8]
    """
    from bm25s.stopwords import STOPWORDS_EN_PLUS

    seen, ranks = set(STOPWORDS_EN_PLUS), []
    for word in words:
        core = word.strip().strip(string.punctuation)
        new = core[:1].isalnum() and core.lower() not in seen
        ranks.append(2 if not new else 1 if core[:1].islower() else 0)
        seen.add(core.lower())
    return sorted(range(len(words)), key=lambda place: ranks[place])
