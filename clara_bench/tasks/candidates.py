"""The candidates of each question under each setting, frozen so that every system gets the same.

A hash of all candidates goes into the manifest. Rows with different hashes are never ranked together.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from clara_bench.components.registry import Built, build
from clara_bench.errors import ConfigError
from clara_bench.io.cache import digest
from clara_bench.records.results import questions_hash
from clara_bench.tasks import controls, first_stage
from clara_bench.tasks.controls import Controlled, gold_as_given, ring
from clara_bench.tasks.definitions import Task
from clara_bench.tasks.first_stage import FirstStage, Rankings
from clara_bench.tasks.sources import TaskData
from clara_bench.types import Corpus, Example, Passage, Question, Setting

NEEDS_FIRST_STAGE: frozenset[str] = frozenset({"injected", "retrieved"})


@dataclass(frozen=True, slots=True)
class Frozen:
    """The questions of a run, each with the passages it may use."""

    examples: tuple[Example, ...]
    corpus: Corpus
    """The passages a system indexes: none when closed, the candidates' union, or the whole corpus."""
    questions_hash: str
    """Over ids, texts and golds: what was asked and what counts as right."""
    candidates_hash: str
    """Over what each question may use, in order."""


Sampling = Literal["order", "draw"]
"""How some of the questions are chosen: the first of a seeded order, of which a higher limit takes more; or all in one
draw, as the first version did, whose runs can still be repeated."""


def select(
    data: TaskData, limit: int | None, seed: int, complete_gold: bool, sampling: Sampling = "order"
) -> tuple[Example, ...]:
    """The questions of a run: all, or a seeded sample of `limit`, in the data's order.

    Args:
        data: the loaded task.
        limit: how many questions at most; None for all.
        seed: seed of the sample.
        complete_gold: keep only questions all of whose gold passages are at hand.
        sampling: how the sample is chosen.

    Raises:
        ConfigError: the limit is below 1 or nothing is left.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit must be at least 1, got {limit}")
    examples = [e for e in data.examples if not (complete_gold and e.question.id in data.missing_gold)]
    if not examples:
        raise ConfigError(f"{data.task.name}: no question is left, none has all its gold passages in the corpus")
    if limit is None or limit >= len(examples):
        return tuple(examples)
    if sampling == "draw":
        kept = random.Random(seed).sample(range(len(examples)), limit)
    else:
        kept = ring(examples, seed)[:limit]
    return tuple(examples[index] for index in sorted(kept))


def freeze(
    data: TaskData,
    examples: Sequence[Example],
    setting: Setting,
    stage: FirstStage,
    retriever: Built | None = None,
    control: Controlled | None = None,
) -> Frozen:
    """Give every question the candidates that the setting allows, or a control in their place.

    Args:
        data: the loaded task.
        examples: the questions.
        setting: which passages may be used.
        stage: what fills the candidates of `retrieved` and `injected`.
        retriever: that of the stage, where it is built already.
        control: what takes the place of the setting's candidates.

    Raises:
        ConfigError: the task cannot carry the setting or the control, or this data lacks what it needs.
    """
    refuse_impossible(data, examples, setting)
    others: dict[str, Example] = {}
    if control is not None:
        controls.refuse_control(control, data, examples, setting)
        others = controls.partners(control, data, examples, setting) if control.control == "shuffled" else {}
    rankings: Rankings = {}
    if setting in NEEDS_FIRST_STAGE:
        asked = [*{e.question.id: e for e in (*examples, *others.values())}.values()]
        rankings = first_stage.rank(data, asked, retriever or build("retriever", stage.retriever), stage.depth)
    placed = tuple(_place(example, setting, rankings) for example in examples)
    if control is not None:
        theirs = {id: _place(other, setting, rankings) for id, other in others.items()}
        evidence = controls.Evidence(control, data, setting, theirs)
        placed = tuple(evidence(example, own) for example, own in zip(examples, placed, strict=True))
    corpus = _visible(data.corpus, placed)
    return Frozen(
        examples=placed,
        corpus=Corpus(corpus, data.corpus if corpus else {}),
        questions_hash=questions_hash(placed),
        candidates_hash=_candidates_hash(
            placed,
            [setting, *([control.control] if control else [])],
            data.corpus_hash if corpus is data.corpus else None,
            corpus,
        ),
    )


def refuse_impossible(data: TaskData, examples: Sequence[Example], setting: Setting) -> None:
    """Say why a setting cannot be carried by this task or this data.

    Raises:
        ConfigError: always with the way out.
    """
    task = data.task
    refuse_setting(task, setting)
    if setting == "distractor":
        bare = sum(not example.question.candidates for example in examples)
        if bare:
            raise ConfigError(
                f"{task.name}: {bare} of {len(examples)} questions have no candidate passages of their own, "
                "so setting 'distractor' is not possible with this data. Use --setting corpus or retrieved"
            )
    if setting in {"gold", "injected"}:
        unmarked = sum(not e.gold.supporting or e.question.id in data.missing_gold for e in examples)
        if unmarked:
            raise ConfigError(
                f"{task.name}: the gold passages of {unmarked} of {len(examples)} questions are not in the data, "
                f"so setting '{setting}' is not possible. Add --corpus FILE, or --complete-gold to leave them out"
            )
    if setting in {"retrieved", "corpus", "injected"} and not data.corpus:
        raise ConfigError(f"{task.name}: setting '{setting}' searches a corpus and there is none. Add --corpus FILE")


def refuse_setting(task: Task, setting: Setting) -> None:
    """Refuse a setting that the task does not declare.

    Raises:
        ConfigError: with the settings it can carry.
    """
    if setting not in task.settings:
        raise ConfigError(f"task '{task.name}' cannot carry setting '{setting}'. It can: {', '.join(task.settings)}")


def _place(example: Example, setting: Setting, rankings: Rankings) -> Example:
    question = example.question
    found = tuple(ranked.passage_id for ranked in rankings.get(question.id, ()))
    candidates: tuple[str, ...] | None = {
        "closed": (),
        "corpus": None,
        "distractor": question.candidates,
        "gold": gold_as_given(example),
        "retrieved": found,
        "injected": _inject(question, example.gold.supporting, found),
    }[setting]
    return replace(example, question=replace(question, candidates=candidates))


def _inject(question: Question, gold: frozenset[str], found: tuple[str, ...]) -> tuple[str, ...]:
    """The retrieved passages with absent gold in place of the worst ones, in an order that tells nothing."""
    absent = sorted(gold - set(found))
    others = [pid for pid in found if pid not in gold]
    kept = set(found) - set(others[max(0, len(others) - len(absent)) :])
    return tuple(sorted(kept | gold, key=lambda pid: digest([question.id, pid])))


def _visible(corpus: Mapping[str, Passage], examples: Sequence[Example]) -> Mapping[str, Passage]:
    if any(example.question.candidates is None for example in examples):
        return corpus
    used = dict.fromkeys(pid for example in examples for pid in example.question.candidates or ())
    return {pid: corpus[pid] for pid in used}


def _candidates_hash(
    examples: Sequence[Example], setting: Sequence[str], corpus_hash: str | None, corpus: Mapping[str, Passage]
) -> str:
    if corpus_hash is None:
        corpus_hash = digest(part for p in corpus.values() for part in (p.id, p.title, p.text))
    offered = (f"{e.question.id} {' '.join(e.question.candidates or ())}" for e in examples)
    return digest([*setting, corpus_hash, *offered])
