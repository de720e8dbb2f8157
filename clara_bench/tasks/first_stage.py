"""First-stage rankings: computed once, cached per question, shared by all systems.

    <cache>/candidates/<key>/<questions>/run.trec.gz     a TREC run file, with a checksum beside it
                                         questions.json  which questions it covers, also those without results

The key is a hash of the data and the retriever's identity, so a larger sample reuses the rankings of a smaller one.
File names are digests, so no name from a user or a manifest decides where a file is written.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, unquote

import msgspec

from clara_bench.components import checks, identity
from clara_bench.components.registry import Built, Component, plugin_errors
from clara_bench.errors import ConfigError
from clara_bench.io.cache import cache_dir, digest
from clara_bench.io.parsing import read_json
from clara_bench.tasks.sources import TaskData
from clara_bench.types import Example, Ranked

Rankings = Mapping[str, Sequence[Ranked]]

RUN_FILE, QUESTIONS_FILE = "run.trec.gz", "questions.json"


@dataclass(frozen=True, slots=True)
class FirstStage:
    """The retriever that fills the candidate lists of `retrieved` (CLaRa: Normal) and `injected` (CLaRa: Oracle)."""

    retriever: Component = Component("bm25")
    depth: int = 20
    """Candidates a question; 20 in the CLaRa paper."""


def rank(data: TaskData, examples: Sequence[Example], stage: Built, depth: int) -> dict[str, tuple[Ranked, ...]]:
    """The first stage's ranking over the corpus for each question, cached or computed now.

    Raises:
        ConfigError: depth below 1, or the retriever returned what is no ranking.
    """
    if depth < 1:
        raise ConfigError(f"--depth must be at least 1, got {depth}")
    who = f"retriever '{stage.chosen.name}'"
    questions = [replace(example.question, candidates=None) for example in examples]
    with plugin_errors(f"{who}: what it says of itself cannot be recorded"):
        made_of = identity.key(identity.of(stage))
    folder = cache_dir("candidates", digest([data.data_hash, data.corpus_hash, made_of, str(depth)])[:32])
    kept = _kept(folder)
    missing = [question for question in questions if question.id not in kept]
    if missing:
        with plugin_errors(who):
            stage.instance.index(MappingProxyType(data.corpus))
            found = stage.instance.retrieve(missing, depth)
        rankings = checks.rankings(found, missing, depth, data.corpus, who)
        _keep(folder, {q.id: ranking for q, ranking in zip(missing, rankings, strict=True)})
        kept = _kept(folder)
    stored = [kept[question.id] for question in questions]
    checked = checks.rankings(stored, questions, depth, data.corpus, str(folder))
    return {question.id: ranking for question, ranking in zip(questions, checked, strict=True)}


def _keep(folder: Path, rankings: Rankings) -> None:
    from clara_bench.retrieve.index import ensure
    from clara_bench.retrieve.runfile import write_run

    def build(scratch: Path) -> None:
        named = {_written(id): _renamed(ranking, _written) for id, ranking in rankings.items()}
        write_run(scratch / RUN_FILE, named, tag="first-stage")
        (scratch / QUESTIONS_FILE).write_bytes(msgspec.json.encode(list(rankings)))

    ensure(folder / digest(rankings)[:32], build)


def _kept(folder: Path) -> dict[str, tuple[Ranked, ...]]:
    """The rankings in a folder, by question; damaged ones are removed and recomputed."""
    from clara_bench.retrieve.index import intact
    from clara_bench.retrieve.runfile import read_run

    found: dict[str, tuple[Ranked, ...]] = {}
    for part in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        if not intact(part):
            shutil.rmtree(part, ignore_errors=True)
            continue
        asked = read_json(part / QUESTIONS_FILE, list[str])
        ranked = {unquote(id): _renamed(ranking, unquote) for id, ranking in read_run(part / RUN_FILE).items()}
        found = {id: ranked.get(id, ()) for id in asked} | found
    return found


def _written(id: str) -> str:
    """An id as a run file can hold it: blanks are percent-encoded, and the percent sign.

    >>> _written("New York")
    'New%20York'
    """
    return re.sub(r"[%\s]", lambda match: quote(match[0], safe=""), id)


def _renamed(ranking: Sequence[Ranked], name: Callable[[str], str]) -> tuple[Ranked, ...]:
    return tuple(Ranked(name(passage_id), score) for passage_id, score in ranking)
