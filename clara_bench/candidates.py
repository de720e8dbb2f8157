"""Which passages a question may use under each setting, frozen so that every system gets the same.

The first stage runs once per (corpus, questions, retriever, depth); its ranking is kept as a
TREC run file with a checksum, and a hash of what every question was given goes into the manifest.
Rows with different hashes are never ranked together.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, unquote

import msgspec

from clara_bench import returned
from clara_bench.cache import cache_dir, digest
from clara_bench.errors import ConfigError
from clara_bench.registry import Component, create, effective_options, plugin_errors
from clara_bench.results import questions_hash
from clara_bench.sources import TaskData
from clara_bench.tasks import Task
from clara_bench.types import Example, Passage, Question, Ranked, Setting

Rankings = Mapping[str, Sequence[Ranked]]

RUN_FILE = "run.trec.gz"
NEEDS_FIRST_STAGE: frozenset[str] = frozenset({"injected", "retrieved"})


@dataclass(frozen=True, slots=True)
class FirstStage:
    """The retriever that fills the candidate lists of `retrieved` (CLaRa: Normal) and `injected` (CLaRa: Oracle)."""

    retriever: Component = Component("bm25")
    depth: int = 20
    """Candidates a question; 20 in the CLaRa paper."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """The questions of a run, each with the passages it may use."""

    examples: tuple[Example, ...]
    corpus: Mapping[str, Passage]
    """The passages a system indexes: none when closed, the candidates' union, or the whole corpus."""
    questions_hash: str
    """Over ids, texts and golds: what was asked and what counts as right."""
    candidates_hash: str
    """Over what each question may use, in order."""
    run_file: Path | None = None


def select(data: TaskData, limit: int | None, seed: int, complete_gold: bool) -> tuple[Example, ...]:
    """The questions of a run: all, or a seeded sample of `limit`, in the data's order.

    Args:
        data: the loaded task.
        limit: how many questions at most; None for all.
        seed: seed of the sample.
        complete_gold: keep only questions all of whose gold passages are at hand.

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
    kept = sorted(random.Random(seed).sample(range(len(examples)), limit))
    return tuple(examples[index] for index in kept)


def freeze(data: TaskData, examples: Sequence[Example], setting: Setting, first_stage: FirstStage) -> Frozen:
    """Give every question the candidates that the setting allows.

    Raises:
        ConfigError: the task cannot carry the setting, or this data lacks what it needs.
    """
    refuse_impossible(data, examples, setting)
    run_file: Path | None = None
    rankings: Rankings = {}
    if setting in NEEDS_FIRST_STAGE:
        run_file, rankings = first_stage_run(data, examples, first_stage)
    placed = tuple(_place(example, setting, rankings) for example in examples)
    corpus = _visible(data.corpus, placed, setting)
    return Frozen(
        examples=placed,
        corpus=corpus,
        questions_hash=questions_hash(placed),
        candidates_hash=_candidates_hash(placed, setting, data.corpus_hash if corpus is data.corpus else None, corpus),
        run_file=run_file,
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


def first_stage_run(
    data: TaskData, examples: Sequence[Example], stage: FirstStage
) -> tuple[Path, dict[str, tuple[Ranked, ...]]]:
    """The first stage's ranking over the whole corpus, from its stored run file or made now.

    Raises:
        ConfigError: depth below 1.
    """
    from clara_bench.retrieve.index import ensure
    from clara_bench.retrieve.runfile import read_run, write_run

    if stage.depth < 1:
        raise ConfigError(f"--depth must be at least 1, got {stage.depth}")
    questions = [replace(example.question, candidates=None) for example in examples]
    retriever = create("retriever", stage.retriever)
    with plugin_errors(f"retriever '{stage.retriever.name}'"):
        models = retriever.describe() if hasattr(retriever, "describe") else {}
    chosen = msgspec.json.encode((effective_options("retriever", stage.retriever), models), order="deterministic")
    key = digest(
        [data.corpus_hash, stage.retriever.name, chosen, str(stage.depth), *(f"{q.id}\n{q.text}" for q in questions)]
    )
    who = f"retriever '{stage.retriever.name}'"

    def build(folder: Path) -> None:
        with plugin_errors(who):
            retriever.index(MappingProxyType(data.corpus))
            found = retriever.retrieve(questions, stage.depth)
        rankings = returned.rankings(found, questions, stage.depth, data.corpus, who)
        named = {_written(q.id): _renamed(one, _written) for q, one in zip(questions, rankings, strict=True)}
        write_run(folder / RUN_FILE, named, tag=_written(stage.retriever.name))

    folder = cache_dir("candidates") / key
    ensure(folder, build)
    stored = {unquote(id): _renamed(ranking, unquote) for id, ranking in read_run(folder / RUN_FILE).items()}
    found = [stored.get(question.id, ()) for question in questions]  # a run has no line for what found nothing
    rankings = returned.rankings(found, questions, stage.depth, data.corpus, str(folder / RUN_FILE))
    return folder / RUN_FILE, {q.id: ranking for q, ranking in zip(questions, rankings, strict=True)}


def _written(id: str) -> str:
    """An id as a run file can hold it: blanks are percent-encoded, and the percent sign.

    >>> _written("New York")
    'New%20York'
    """
    return re.sub(r"[%\s]", lambda match: quote(match[0], safe=""), id)


def _renamed(ranking: Sequence[Ranked], name: Callable[[str], str]) -> tuple[Ranked, ...]:
    return tuple(Ranked(name(passage_id), score) for passage_id, score in ranking)


def _place(example: Example, setting: Setting, rankings: Rankings) -> Example:
    question = example.question
    found = tuple(ranked.passage_id for ranked in rankings.get(question.id, ()))
    candidates: tuple[str, ...] | None = {
        "closed": (),
        "corpus": None,
        "distractor": question.candidates,
        "gold": _gold_order(example),
        "retrieved": found,
        "injected": _inject(question, example.gold.supporting, found),
    }[setting]
    return replace(example, question=replace(question, candidates=candidates))


def _gold_order(example: Example) -> tuple[str, ...]:
    """Gold passages in the data's own order where it has one, else by id."""
    gold, given = example.gold.supporting, example.question.candidates or ()
    return tuple(pid for pid in given if pid in gold) if gold <= set(given) else tuple(sorted(gold))


def _inject(question: Question, gold: frozenset[str], found: tuple[str, ...]) -> tuple[str, ...]:
    """The retrieved passages with absent gold in place of the worst ones, in an order that tells nothing."""
    absent = sorted(gold - set(found))
    others = [pid for pid in found if pid not in gold]
    kept = set(found) - set(others[max(0, len(others) - len(absent)) :])
    return tuple(sorted(kept | gold, key=lambda pid: digest([question.id, pid])))


def _visible(corpus: Mapping[str, Passage], examples: Sequence[Example], setting: Setting) -> Mapping[str, Passage]:
    if setting == "closed":
        return {}
    if setting == "corpus":
        return corpus
    used = dict.fromkeys(pid for example in examples for pid in example.question.candidates or ())
    return {pid: corpus[pid] for pid in used}


def _candidates_hash(
    examples: Sequence[Example], setting: Setting, corpus_hash: str | None, corpus: Mapping[str, Passage]
) -> str:
    if corpus_hash is None:
        corpus_hash = digest(part for p in corpus.values() for part in (p.id, p.title, p.text))
    offered = (f"{e.question.id} {' '.join(e.question.candidates or ())}" for e in examples)
    return digest([setting, corpus_hash, *offered])
