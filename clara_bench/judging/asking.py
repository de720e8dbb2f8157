"""Asks a judge for the verdicts that are missing, and writes each as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clara_bench.components import checks
from clara_bench.components.registry import plugin_errors
from clara_bench.errors import ConfigError
from clara_bench.io.progress import progress
from clara_bench.io.redaction import redacted
from clara_bench.judging import verdicts
from clara_bench.judging.binding import checked
from clara_bench.judging.verdicts import Key, Line, digest_of, key_of
from clara_bench.metrics.case import Truth
from clara_bench.metrics.metric import Metric, failed
from clara_bench.records.log import LineLog
from clara_bench.types import Answered, Example, Record, Verdict


@dataclass(frozen=True, slots=True)
class Account:
    """What a judge said of a run's answers, and what that cost over all calls."""

    judged: int
    """Answers with a value."""
    unparsed: int
    """Replies that are no verdict."""
    unanswered: int
    """Answers without a reply: the judge failed, or was not asked."""
    prompt_tokens: int
    generated_tokens: int
    usd: float | None
    """None where no price is known."""
    first_error: str = ""

    def __str__(self) -> str:
        """In one line."""
        paid = "" if self.usd is None else f", {self.usd:,.4f} US dollars"
        why = f" (first: {self.first_error})" if self.first_error else ""
        return (
            f"{self.judged} answers judged, {self.unparsed} replies that are no verdict, {self.unanswered} without a "
            f"reply{why}; {self.prompt_tokens:,} prompt tokens, {self.generated_tokens:,} generated tokens{paid}"
        )


def ask(metric: Metric, examples: Sequence[Example], records: Sequence[Record], file: Path) -> Account:
    """Judge each answer that has no verdict yet, or none but a failure.

    Args:
        metric: the judge.
        examples: the questions.
        records: their answers.
        file: where verdicts are kept.

    Raises:
        BenchError: the judge cannot be asked, or returns no verdicts; those that came before stay.
    """
    judge, answers = key_of(metric), _judgeable(metric, examples, records)
    with LineLog(file) as log:
        held = verdicts.read(file)
        waiting = [answer for answer in answers if _is_missing(held, judge, answer)]
        with progress("judging", len(waiting), "answers") as advance:
            for answered, verdict in _verdicts(metric, waiting):
                log.write([_line(metric, judge, answered, verdict)])
                advance(1)
    return account(metric, examples, records, file)


def account(metric: Metric, examples: Sequence[Example], records: Sequence[Record], file: Path) -> Account:
    """Count the verdicts on some answers; what was spent on earlier answers and failed calls counts too.

    Raises:
        DataError: the file of verdicts cannot be read.
    """
    judge, held = key_of(metric), verdicts.read(file)
    answers = _judgeable(metric, examples, records)
    found = [held.get(_key(judge, answer)) for answer in answers]
    replied = [line for line in found if line is not None and line.error is None]
    usages = [line.usage for line in held.values() if line.judge == judge]
    paid = [usage.usd for usage in usages if usage.usd is not None]
    errors = [line.error for line in found if line is not None and line.error is not None]
    return Account(
        judged=sum(line.value is not None for line in replied),
        unparsed=sum(line.value is None for line in replied),
        unanswered=len(answers) - len(replied),
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        generated_tokens=sum(usage.generated_tokens for usage in usages),
        usd=sum(paid) if paid else None,
        first_error=errors[0] if errors else "",
    )


def _judgeable(metric: Metric, examples: Sequence[Example], records: Sequence[Record]) -> list[Answered]:
    """The answers that say something to a question that counts."""
    answered = {record.id: record.answer for record in records if not failed(record) and record.answer.text.strip()}
    return [
        Answered(example.question, example.gold, answered[example.question.id])
        for example in examples
        if example.question.id in answered and metric.relevant(Truth(example.gold))
    ]


def _key(judge: str, answered: Answered) -> Key:
    return judge, answered.question.id, digest_of(answered.answer)


def _is_missing(held: Mapping[Key, Line], judge: str, answered: Answered) -> bool:
    line = held.get(_key(judge, answered))
    return line is None or line.error is not None


def _verdicts(metric: Metric, waiting: Sequence[Answered]) -> Iterator[tuple[Answered, Verdict]]:
    assert metric.plugin is not None, f"{metric.name} is no plug-in"
    who, questions = f"metric '{metric.name}'", [answered.question for answered in waiting]
    if not waiting:
        return
    with plugin_errors(f"{who} cannot judge"):
        for place, verdict in checks.each(metric.plugin.instance.judge(waiting), questions, "Verdict", who):
            if not isinstance(verdict, Verdict):
                raise ConfigError(f"{who} returned {verdict!r:.100}, expected a clara_bench.Verdict")
            yield waiting[place], verdict


def _line(metric: Metric, judge: str, answered: Answered, verdict: Verdict) -> Line:
    id = answered.question.id
    return Line(
        judge=judge,
        metric=str(redacted(metric.name)),
        id=id,
        answer=digest_of(answered.answer),
        value=checked(verdict.value, metric, id),
        reply=verdict.reply,
        prompt=verdict.prompt,
        error=None if verdict.error is None else str(redacted(verdict.error)),
        usage=verdict.usage,
    )
