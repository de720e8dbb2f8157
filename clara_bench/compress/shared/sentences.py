"""Sentence splitting by rules: no model, any script, and also text without punctuation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clara_bench.compress.shared.spans import Span, kept_text, left, passage_text, words
from clara_bench.types import Passage

LONGEST = 80
"""Words after which a sentence is cut, so that text without full stops can be chosen from too."""
_CLOSING = "\"'”’»)\\]"
_END = re.compile(
    rf"(?:[.!?…؟۔।]++[{_CLOSING}]*+(?=\s)"  # a mark that ends a sentence where a blank follows,
    rf"|[。！？｡]+[{_CLOSING}」』）]*"  # and one that needs none
    r"|(?=\n))\s*"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘])(?:[^\W\d_]|[^\W\d_](?:\.[^\W\d_])+"  # an initial; U.S, p.m
    r"|Mr|Mrs|Ms|Dr|Prof|Rev|Hon|Gen|Col|Capt|Lt|Sgt|Gov|Sen|Rep|Pres|St|Ste|Mt|Ft|Jr|Sr|Inc|Ltd|Co|Corp|Bros"
    r"|vs|etc|ca|cf|al|approx|No|Nos|Vol|vol|pp|ed|eds|Fig|fig|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)\.$"
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, known by its words."""

    passage: int
    """Number of its passage, from 0."""
    words: tuple[Span, ...]
    """Places in the passage as `passage_text` writes it; at least one."""
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A passage and its parts."""

    text: str
    """As `passage_text` writes it."""
    title: tuple[Span, ...]
    """Words of the title; () where the title is all there is, for then it is a sentence."""
    sentences: tuple[Sentence, ...]


def split(text: str, start: int = 0) -> list[Span]:
    """Sentences of `text[start:]`, without the blanks around them.

    >>> text = "Dr. A. Smith left. He was 5.2 ft tall! 他走了。她没有。"
    >>> [text[span.start:span.end] for span in split(text)]
    ['Dr. A. Smith left.', 'He was 5.2 ft tall!', '他走了。', '她没有。']
    """
    found: list[Span] = []
    for match in _END.finditer(text, start):
        if _ends(text, start, match):
            found += _pieces(text, start, match.end())
            start = match.end()
    return found + _pieces(text, start, len(text))


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether a sentence ends here: no abbreviation before, and nothing that begins in lower case after."""
    mark = match.group().strip()
    if not mark.startswith("."):
        return True
    before = text[max(start, match.start() - 20) : match.start() + 1]
    return "\n" in match.group() or not (_ABBREVIATION.search(before) or text[match.end() : match.end() + 1].islower())


def _pieces(text: str, start: int, end: int) -> list[Span]:
    found = words(text, start, end)
    return [
        Span(found[first].start, found[min(first + LONGEST, len(found)) - 1].end)
        for first in range(0, len(found), LONGEST)
    ]


def documents(passages: Sequence[Passage]) -> list[Document]:
    """Every passage with its title apart from its sentences."""
    return [_document(number, passage) for number, passage in enumerate(passages)]


def _document(number: int, passage: Passage) -> Document:
    text = passage_text(passage)
    body = len(text) - len(passage.text)
    spans = split(text, body)
    if not spans:
        return Document(text, (), _sentences(number, text, split(text)))
    return Document(text, tuple(words(text, 0, body)), _sentences(number, text, spans))


def _sentences(number: int, text: str, spans: Iterable[Span]) -> tuple[Sentence, ...]:
    return tuple(Sentence(number, tuple(words(text, start, end)), text[start:end]) for start, end in spans)


def best(found: Sequence[Document], scores: Sequence[float], budget: int) -> tuple[str, ...]:
    """Sentences of the highest scores, of at most `budget` words in all, in the order of the text.

    Args:
        found: the passages.
        scores: one a sentence, over all passages in order.
        budget: words that may stay. A passage's title is kept, and counted, with the first sentence kept of
            it; the sentence that crosses the budget is cut.
    """
    sentences = [sentence for document in found for sentence in document.sentences]
    kept: dict[int, list[Span]] = {}
    for place in sorted(range(len(sentences)), key=lambda place: -scores[place]):
        sentence = sentences[place]
        title = () if sentence.passage in kept else found[sentence.passage].title
        taken = [*title, *sentence.words][:budget]
        if taken:
            kept.setdefault(sentence.passage, []).extend(taken)
        budget -= len(taken)
    return left(kept_text(found[number].text, kept[number]) for number in sorted(kept))


def chosen(found: Sequence[Document], keep: Sequence[bool]) -> tuple[str, ...]:
    """The sentences to keep, in the order of the text, each passage's under its title.

    Args:
        found: the passages.
        keep: one per sentence, over all passages in order.
    """
    answers = iter(keep)
    texts = []
    for document in found:
        kept = [sentence for sentence in document.sentences if next(answers)]
        spans = [span for sentence in kept for span in sentence.words]
        texts.append(kept_text(document.text, [*document.title, *spans]) if kept else "")
    return left(texts)


def total_words(found: Sequence[Document]) -> int:
    """Words of all passages, titles included."""
    return sum(len(words(document.text)) for document in found)
