"""HotpotQA: distractor, fullwiki and train files, and the hub's columns.

A passage is a Wikipedia introduction; its sentences carry their own leading blank and are joined
with nothing. In the fullwiki file the paragraphs are those of the official retrieval, so gold
passages may be absent: they are looked for in the corpus by title.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from clara_bench.datasets.base import Aliases, Layout, PassagePool, join_kind, unique
from clara_bench.text import composed
from clara_bench.types import Example, Fact, Gold, Question


class Context(Struct):
    """Paragraphs by columns, as the hub has them."""

    title: list[str]
    sentences: list[list[str]]

    def __post_init__(self) -> None:
        if len(self.title) != len(self.sentences):
            raise ValueError(f"{len(self.title)} titles for {len(self.sentences)} paragraphs")


class Facts(Struct):
    """Supporting sentences by columns, as the hub has them."""

    title: list[str]
    sent_id: list[int]

    def __post_init__(self) -> None:
        if len(self.title) != len(self.sent_id):
            raise ValueError(f"{len(self.title)} titles for {len(self.sent_id)} sentence indices")


class Row(Struct):
    """One question; `_id` in the official files is `id` on the hub."""

    question: str
    answer: str
    supporting_facts: list[tuple[str, int]] | Facts
    context: list[tuple[str, list[str]]] | Context
    official_id: str | None = field(name="_id", default=None)
    id: str | None = None
    type: str | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        if not (self.official_id or self.id):
            raise ValueError("missing required field _id")


def paragraphs(context: list[tuple[str, list[str]]] | Context) -> list[tuple[str, list[str]]]:
    """Title and sentences of each paragraph, from either form."""
    if isinstance(context, Context):
        return list(zip(context.title, context.sentences, strict=True))
    return context


def facts(supporting: list[tuple[str, int]] | Facts) -> tuple[Fact, ...]:
    """Supporting sentences, each once, from either form."""
    pairs = zip(supporting.title, supporting.sent_id, strict=True) if isinstance(supporting, Facts) else supporting
    return tuple(dict.fromkeys(Fact(title, sentence) for title, sentence in pairs))


def by_title(titles: Sequence[str], own_titles: Sequence[str], ids: Sequence[str], pool: PassagePool) -> frozenset[str]:
    """The passages with these titles: the row's own, else the corpus's, else missing."""
    own = dict(zip(map(composed, reversed(own_titles)), reversed(ids), strict=True))
    return frozenset(own.get(composed(title)) or pool.titled(title) for title in titles)


def _passages(row: Row, pool: PassagePool) -> list[str]:
    return [pool.add(title, "".join(sentences)) for title, sentences in paragraphs(row.context)]


def _example(row: Row, ids: Sequence[str], pool: PassagePool, aliases: Aliases) -> Example:
    supporting = facts(row.supporting_facts)
    own_titles = [title for title, _ in paragraphs(row.context)]
    gold = Gold(
        answers=(row.answer,),
        supporting=by_title([fact.title for fact in supporting], own_titles, ids, pool),
        facts=supporting,
        hops=2,
        kind=join_kind(row.type, row.link),
    )
    return Example(Question(row.official_id or row.id or "", row.question, unique(ids)), gold)


LAYOUTS = (Layout(frozenset({"question", "answer", "supporting_facts", "context"}), Row, _passages, _example),)
