"""Validation of answers: the same rules apply when a record is written and when it is read."""

from __future__ import annotations

from clara_bench.components import checks
from clara_bench.errors import ConfigError
from clara_bench.types import FAILURES, Answer, Question, Record


def check_answer(answer: Answer, question: Question, who: str) -> None:
    """Refuse an answer that contradicts itself or its question.

    Args:
        answer: with values of the right types, each within its range.
        question: what was asked; None for `candidates` where it is not known what was offered.
        who: whose answer it is, to begin the message with.

    Raises:
        ConfigError: says what contradicts what.
    """
    checks.check_ranking(answer.retrieved or (), question, who)
    if answer.error is not None and answer.status not in FAILURES:
        raise ConfigError(f"{who} has status '{answer.status}' and an error. Expected an error where it failed alone")
    if answer.status == "empty" and answer.text.strip():
        raise ConfigError(f"{who} has status 'empty' and a text. Expected 'ok'")


def check_record(record: Record, who: str) -> None:
    """Refuse a record that contradicts itself.

    Raises:
        ConfigError: see `check_answer`; also ranks that its ranking has not.
    """
    answer, ranks = record.answer, record.answer_ranks
    check_answer(answer, Question(record.id, ""), who)
    if answer.status == "ok" and not answer.text.strip():
        raise ConfigError(f"{who} has status 'ok' and no text. Expected 'empty'")
    if (ranks is None) != (answer.retrieved is None):
        raise ConfigError(f"{who} has {'no ' if ranks is None else ''}answer_ranks. Expected them where it searched")
    if ranks and (list(ranks) != sorted(set(ranks)) or ranks[-1] > len(answer.retrieved or ())):
        raise ConfigError(f"{who} has answer_ranks {list(ranks)[:20]}. Expected rising places of its ranking")
