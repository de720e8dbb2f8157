"""Where a system's answers are lost: a ladder of runs with ever better evidence, and a cause for each wrong answer.

    closed-book        no passages
    candidates         passages at random from the same pool (`--control random`)
    retrieved          what the run read
    gold               exactly the supporting passages, through the same compressor
    gold uncompressed  the same passages as text

Rungs are runs of one folder over the same questions with the same backbone. Each step is the paired difference to the
rung below, so the steps add up. Causes come from the records: what was retrieved, what the answer holds, and whether
the question was answered from gold passages, compressed and not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from clara_bench.metrics.differences import Difference
from clara_bench.records.results import Run
from clara_bench.records.trainings import System, base
from clara_bench.reporting import comparison
from clara_bench.reporting.comparison import Verdict
from clara_bench.reporting.leaderboard import control_of, key_of
from clara_bench.reporting.scored import Scorer
from clara_bench.types import FAILURES, Example, Record

Cause = Literal[
    "right", "not retrieved", "lost in compression", "misread", "formatting", "failed", "undecided", "unscored"
]
CAUSES: tuple[Cause, ...] = (
    "right", "not retrieved", "lost in compression", "misread", "formatting", "failed", "undecided",
)  # fmt: skip
MEANINGS: Mapping[Cause, str] = {
    "not retrieved": "a supporting passage was not among those read",
    "lost in compression": "all were read; answered from the gold passages as text, not from them compressed",
    "misread": "all were read, and compression is not what lost them",
    "formatting": "the answer holds an accepted one as words, and more",
    "failed": "no answer: an error, a timeout, out of memory",
    "undecided": "all were read, and a gold run is missing that tells compression and reading apart; or the data name "
    "no passages",
}


@dataclass(frozen=True, slots=True)
class Rung:
    """A run on the ladder."""

    name: str
    run: Run | None
    """None where the folder holds none."""
    value: float | None = None
    step: Difference | None = None
    """To the nearest rung below that there is."""
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """How one question ended."""

    id: str
    cause: Cause
    hops: int | None
    kind: str | None


@dataclass(frozen=True, slots=True)
class Explained:
    """A run with its ladder and the fate of each question."""

    run: Run
    metric: str
    rungs: tuple[Rung, ...]
    fates: tuple[Fate, ...]


def explain(run: Run, siblings: Sequence[Run], metric: str, scorer: Scorer) -> Explained:
    """A run's ladder among its siblings, and the cause of each wrong answer.

    Args:
        run: what is explained.
        siblings: runs to find the other rungs among; those over other questions are passed over.
        metric: of the ladder; causes are those of EM 0.
        scorer: what scores a run.

    Raises:
        BenchError: see `comparison.compare_systems`.
    """
    near = [one for one in siblings if key_of(one) == key_of(run) and _backbone(one) == _backbone(run)]
    rungs = _rungs(run, near)
    return Explained(run, metric, _steps(rungs, metric, scorer), tuple(_fates(run, rungs, scorer)))


def judged(found: Sequence[Explained]) -> list[Explained]:
    """The same with a verdict on each step; all steps are one family."""
    steps = [rung.step for one in found for rung in one.rungs if rung.step is not None]
    verdicts = iter(comparison.verdicts(steps))
    return [
        replace(one, rungs=tuple(replace(r, verdict=next(verdicts)) if r.step is not None else r for r in one.rungs))
        for one in found
    ]


def _rungs(run: Run, near: Sequence[Run]) -> list[Rung]:
    plain = [one for one in near if not control_of(one)]
    gold = [one for one in plain if one.manifest["setting"] == "gold"]
    same = [one for one in near if _compressor(one) == _compressor(run)]
    places = {
        "closed-book": _best(run, [one for one in plain if one.manifest["setting"] == "closed"]),
        "candidates": _best(
            run, [one for one in same if control_of(one) == "random" and _setting(one) == _setting(run)]
        ),
        "retrieved": None if run.manifest["setting"] in ("gold", "closed") else run,
        "gold": _best(run, [one for one in gold if one in same]),
    }
    if _compressor(run)[0]:
        places["gold uncompressed"] = _best(run, [one for one in gold if not _compressor(one)[0]])
    return [Rung(name, found) for name, found in places.items()]


def _best(run: Run, fitting: Sequence[Run]) -> Run | None:
    """The one that is most like the run: itself, of its label or `gold-` and its label, of its training."""
    label = run.manifest["system"]["label"]

    def unlike(one: Run) -> tuple[bool, bool, bool, str]:
        other = one.manifest["system"]["label"]
        return one.path != run.path, other not in (label, f"gold-{label}"), base(other) != other, str(one.path)

    return min(fitting, key=unlike, default=None)


def _setting(run: Run) -> str:
    return run.manifest["setting"]


def _backbone(run: Run) -> tuple[Any, ...]:
    return (run.manifest["traits"].get("backbone"),)


def _compressor(run: Run) -> tuple[Any, ...]:
    traits = run.manifest["traits"]
    return traits.get("compressor") or "", traits.get("nominal_ratio")


def _steps(rungs: Sequence[Rung], metric: str, scorer: Scorer) -> tuple[Rung, ...]:
    found: list[Rung] = []
    below: System | None = None
    for rung in rungs:
        if rung.run is None:
            found.append(rung)
            continue
        system = System((rung.run,))
        summary = scorer(rung.run, [metric]).metrics.get(metric)
        step = comparison.compare_systems(below, system, [metric], scorer).get(metric) if below else None
        found.append(replace(rung, value=summary.mean if summary else None, step=step))
        below = system
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Answered:
    """EM of each question from gold passages; {} where there is no such run."""

    compressed: Mapping[str, float]
    text: Mapping[str, float]
    compresses: bool


def _fates(run: Run, rungs: Sequence[Rung], scorer: Scorer) -> list[Fate]:
    examples, records = run.answered()
    answered = {record.id: record for record in records}
    em, held = (_by_question(run, name, scorer) for name in ("em", "cover_sequence"))
    place = {rung.name: rung.run for rung in rungs}
    shortened, as_text = (_by_question(place.get(name), "em", scorer) for name in ("gold", "gold uncompressed"))
    gold = _Answered(shortened, as_text, bool(_compressor(run)[0]))
    return [
        Fate(
            one.question.id,
            _cause(one, answered.get(one.question.id), em, held, _read(run, one, answered.get(one.question.id)), gold),
            one.gold.hops,
            one.gold.kind,
        )
        for one in examples
    ]


def _by_question(run: Run | None, name: str, scorer: Scorer) -> dict[str, float]:
    """Values of the questions that count."""
    if run is None:
        return {}
    scored = scorer(run, [name])
    column = scored.column(name, run.manifest["task"]["answer_scorer"])
    told = zip(scored.ids, column.values.tolist(), column.weights.tolist(), strict=True)
    return {id: value for id, value, weight in told if weight}


def _cause(
    example: Example,
    record: Record | None,
    em: Mapping[str, float],
    held: Mapping[str, float],
    read: bool | None,
    gold: _Answered,
) -> Cause:
    id = example.question.id
    if id not in em:
        return "unscored"
    if em[id]:
        return "right"
    if record is None or record.answer.status in FAILURES:
        return "failed"
    if held.get(id):
        return "formatting"
    if read is None:
        return "undecided"
    return _from_passages(id, gold) if read else "not retrieved"


def _from_passages(id: str, gold: _Answered) -> Cause:
    """Why a question is wrong whose passages were all read."""
    if not gold.compresses:
        return "misread"
    if id not in gold.text or id not in gold.compressed:
        return "undecided"
    return "lost in compression" if gold.text[id] and not gold.compressed[id] else "misread"


def _read(run: Run, example: Example, record: Record | None) -> bool | None:
    """Whether all supporting passages were read, or one with an answer where the data name none; None if untold."""
    if run.manifest["setting"] == "gold" and not control_of(run):
        return True
    if run.manifest["setting"] == "closed" or record is None:
        return False
    ranking = record.answer.retrieved
    known = example.question.candidates if ranking is None else [ranked.passage_id for ranked in ranking]
    if known is None:
        return None
    k = run.manifest["system"]["options"].get("k")
    read = known[:k] if isinstance(k, int) else known
    if example.gold.supporting:
        return example.gold.supporting <= set(read)
    if record.answer_ranks is None:
        return None
    return any(rank <= len(read) for rank in record.answer_ranks)
