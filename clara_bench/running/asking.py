"""Asks a system batch by batch: in this process, or as copies of it in workers.

A worker gets the system's name and options, the passages and the questions, builds the system itself, and refuses if
that is not the system whose run it is: other models or packages on another machine, for instance. It never sees gold.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from clara_bench.components import identity, registry, seen
from clara_bench.components.identity import adapted, plain
from clara_bench.components.registry import Built, Component, plugin_errors
from clara_bench.components.seen import Seen
from clara_bench.errors import ConfigError
from clara_bench.io.redaction import redacted
from clara_bench.records.manifest import differences
from clara_bench.running.answering import answers, as_recorded
from clara_bench.running.provenance import peaks, provenance
from clara_bench.types import Answer, Corpus, IndexStats, Question
from clara_bench.workers import Pool

Batch = Sequence[Question]


class Portion(NamedTuple):
    """Answers that a system has handed over at once."""

    answers: list[tuple[int, Answer]]
    """Each with its question's place in the batch."""
    seconds: float
    """That the system took for them."""
    told: dict[str, Seen]
    """What was read for them, by question."""


class Account(NamedTuple):
    """What a process says of itself and of its system."""

    indexing: IndexStats
    provenance: dict[str, Any]
    peaks: dict[str, int]
    adapted: list[str]


class Heard(NamedTuple):
    """Answers to a batch, or some of them."""

    batch: int
    portions: Sequence[Portion]
    worker: str
    """The process that answered."""
    account: Callable[[], Account]
    """What it says of itself; it takes a while to say."""


class Loaded:
    """A system that has indexed its passages."""

    def __init__(self, built: Built, corpus: Corpus) -> None:
        """Let the system index.

        Raises:
            BenchError: it cannot.
        """
        self.built = built
        who = f"system '{built.chosen.name}'"
        with plugin_errors(f"{who} cannot index"):
            self.indexing = as_recorded(built.instance.index(corpus), IndexStats, f"{who}: the value of index()")

    def __call__(self, batch: Batch) -> tuple[list[Portion], str, Account]:
        """Answer a batch, as a worker does."""
        return [_rendered(portion) for portion in self.portions(batch)], _this_process(), self.account()

    def portions(self, batch: Batch) -> Iterator[Portion]:
        """The answers as they come."""
        begun = time.perf_counter()
        with seen.heard() as told:
            for pairs in answers(self.built.instance, batch):
                took = time.perf_counter() - begun
                ids = [batch[place].id for place, _ in pairs]
                yield Portion(pairs, took, {id: told.pop(id) for id in ids if id in told})
                begun = time.perf_counter()

    def account(self) -> Account:
        """What is to be said of this process now."""
        return Account(self.indexing, provenance(), peaks(), redacted(adapted(self.built)))


@dataclass(frozen=True, slots=True)
class Loading:
    """Builds a system and lets it index, in the process in which it is called."""

    system: Component
    corpus: Corpus
    identity: Mapping[str, Any]
    """Of the system whose run it is."""
    folder: Path
    """From which the paths in options start."""

    def __call__(self) -> Loaded:
        """Load the system.

        Raises:
            BenchError: it cannot be built or index, or is not the same system here.
        """
        if self.folder.is_dir():
            os.chdir(self.folder)
        built = registry.build("system", self.system)
        changed = list(differences(self.identity, redacted(plain(identity.of(built)))))
        if changed:
            raise ConfigError(
                f"system '{self.system.name}' is another one in a worker. It differs in: {', '.join(changed)}. "
                "The same packages, models and number of threads (OMP_NUM_THREADS) are needed there"
            )
        return Loaded(built, self.corpus)


def ask(
    built: Built, made_of: Mapping[str, Any], corpus: Corpus, batches: Sequence[Batch], pool: Pool | None
) -> Iterator[Heard]:
    """Answers to batches as they come; the first comes when the system has indexed, and may hold none.

    Args:
        built: the system.
        made_of: its identity.
        corpus: the passages that it indexes.
        batches: the questions.
        pool: workers that ask copies of it; None to ask it here.

    Raises:
        BenchError: from the system, or because no worker is left.
    """
    if pool is None:
        loaded = Loaded(built, corpus)
        yield Heard(0, (), _this_process(), loaded.account)
        for number, batch in enumerate(batches):
            for portion in loaded.portions(batch):
                yield Heard(number, [portion], _this_process(), loaded.account)
        return
    load = Loading(built.chosen, corpus, made_of, Path.cwd())
    for number, (portions, worker, account) in pool.map(load, batches):
        yield Heard(number, portions, worker, lambda told=account: told)  # type: ignore[misc]


def _this_process() -> str:
    return f"{platform.node()}:{os.getpid()}"


def _rendered(portion: Portion) -> Portion:
    """With prompts as text: a function that makes one stays in its process."""
    return portion._replace(told={id: Seen(one.text, one.context) for id, one in portion.told.items()})


def session(latest: Iterable[Heard], pool: Pool | None) -> dict[str, Any]:
    """What the manifest keeps of a session, from what was heard last of each of its processes."""
    told = [heard.account() for heard in latest]
    fresh = next((one.indexing for one in told if not one.indexing.cached), told[0].indexing)
    found = list(dict.fromkeys(text for one in told for text in one.adapted))
    return {
        "index": plain(fresh),
        **told[0].provenance,
        **_summed([one.peaks for one in told]),
        **({"adapted": found} if found else {}),
        **({} if pool is None else {"workers": len(told)}),
    }


def _summed(peaks: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Memory of all processes together; threads are those of each."""
    names = dict.fromkeys(name for one in peaks for name in one)
    return {name: (max if name == "threads" else sum)(one.get(name, 0) for one in peaks) for name in names}
