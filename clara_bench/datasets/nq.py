"""Natural Questions, open: the official jsonl, the form with passages, and topic lists.

None has question ids, so they are made of the question's text. The form with passages is DPR's
(`ctxs`), with the gold passage as lost-in-the-middle marks it: `isgold` on a passage, or
`nq_annotated_gold` where the gold passage is not among the row's own. `hasanswer` says only
that an answer's string occurs, and is not taken as gold.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from clara_bench.datasets.base import Aliases, Layout, PassagePool, join_kind, paired, question_id, unique
from clara_bench.types import Example, Gold, Question


class OpenRow(Struct):
    """NQ-open (google-research-datasets/natural-questions, nq_open); the hub and topic lists have the same columns."""

    question: str
    answer: list[str]


class Context(Struct):
    """A passage of about 100 words."""

    title: str
    text: str
    isgold: bool = False


class AnnotatedGold(Struct):
    """The gold passage, wherever the row's own passages came from."""

    title: str
    chunked_long_answer: str


class PassagesRow(Struct):
    """DPR's form as nelson-liu/lost-in-the-middle publishes it."""

    question: str
    answers: list[str]
    ctxs: list[Context]
    nq_annotated_gold: AnnotatedGold | None = None
    id: str | None = None
    link: str | None = None


def _no_passages(row: OpenRow, pool: PassagePool) -> list[str]:
    return []


def _open_example(row: OpenRow, ids: Sequence[str], pool: PassagePool, aliases: Aliases) -> Example:
    gold = Gold(answers=unique(row.answer), hops=1)
    return Example(Question(question_id("nq", row.question), row.question), gold)


def _passages(row: PassagesRow, pool: PassagePool) -> list[str]:
    return [pool.add(context.title, context.text) for context in row.ctxs]


def _passages_example(row: PassagesRow, ids: Sequence[str], pool: PassagePool, aliases: Aliases) -> Example:
    supporting = paired(ids, (context.isgold for context in row.ctxs))
    if not supporting and row.nq_annotated_gold:
        annotated = row.nq_annotated_gold
        supporting = frozenset({pool.add(annotated.title, annotated.chunked_long_answer)})
    question = Question(row.id or question_id("nq", row.question), row.question, unique(ids))
    return Example(question, Gold(unique(row.answers), supporting, hops=1, kind=join_kind(None, row.link)))


LAYOUTS = (
    Layout(frozenset({"question", "answers", "ctxs"}), PassagesRow, _passages, _passages_example),
    Layout(frozenset({"question", "answer"}), OpenRow, _no_passages, _open_example),
)
