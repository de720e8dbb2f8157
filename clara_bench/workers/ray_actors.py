"""Workers as actors of a Ray cluster.

Ray restarts an actor that was lost, which loads again, and does its jobs once more; after some restarts its jobs go to
others. Each actor holds few jobs at a time, so that results that nobody has taken yet do not pile up.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clara_bench.errors import BackendError, MissingDependency
from clara_bench.workers import R, T
from clara_bench.workers.outcome import Outcome, outcome, unpacked
from clara_bench.workers.waiting import Waiting

RESTARTS = 2
"""Of each actor, and retries of each job on it."""
HELD = 2
"""Jobs that an actor has at a time: one that it does, and the next."""


@dataclass(frozen=True, slots=True)
class RayActors:
    """A pool of actors."""

    address: str
    """Of the cluster; `auto` for the one that this machine belongs to, `local` for one that ends with the command."""
    count: int | None = None
    """None for one a GPU, or on CPUs as many as have cores for their threads."""

    def map(self, load: Callable[[], Callable[[T], R]], jobs: Iterable[T]) -> Iterator[tuple[int, R]]:
        """See `Pool.map`."""
        with cluster(self.address, self.count) as ray:
            gpus = int(ray.cluster_resources().get("GPU", 0))
            cores = int(ray.cluster_resources().get("CPU", 1))
            count = self.count or gpus or max(1, cores // (_threads() or 1))
            yield from _Crew(ray, load, count, gpu=gpus >= count).work(jobs)


class _Actor:
    """What an actor does."""

    def __init__(self, load: Callable[[], Callable[[Any], Any]], threads: int | None) -> None:
        if threads:
            os.environ["OMP_NUM_THREADS"] = str(threads)  # Ray gives each actor one; rounding depends on it
        self.loaded = outcome(load)

    def ready(self) -> Outcome:
        """How loading went."""
        return self.loaded._replace(value=None) if self.loaded.what == "done" else self.loaded

    def do(self, job: Any) -> Outcome:
        """Do a job; what could not load refuses it."""
        return self.loaded if self.loaded.what != "done" else outcome(functools.partial(self.loaded.value, job))


class _Crew:
    def __init__(self, ray: Any, load: Callable[[], Callable[[Any], Any]], count: int, gpu: bool) -> None:
        self.ray, self.count = ray, count
        options = {"max_restarts": RESTARTS, "max_task_retries": RESTARTS, "scheduling_strategy": "SPREAD"}
        self.actor = ray.remote(_Actor).options(**options, **({"num_gpus": 1} if gpu else {}))
        self.load = ray.put(load)
        self.flying: dict[Any, tuple[tuple[int, Any], Any]] = {}
        """By reference of a result: the job with its place, and the actor."""

    def work(self, jobs: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Results as they come."""
        first = self.actor.remote(self.load, _threads())
        self._load(first)
        crew = [first, *(self.actor.remote(self.load, _threads()) for _ in range(self.count - 1))]
        waiting = Waiting(jobs)
        while self.flying or not waiting.empty():
            self._give(crew, waiting)
            [done], _ = self.ray.wait(list(self.flying), num_returns=1)
            job, actor = self.flying.pop(done)
            try:
                found = self.ray.get(done)
            except self.ray.exceptions.RayActorError as error:
                waiting.again(job)
                self._lose(crew, actor, error)
                continue
            yield job[0], unpacked(found)

    def _load(self, actor: Any) -> None:
        try:
            unpacked(self.ray.get(actor.ready.remote()))
        except self.ray.exceptions.RayActorError as error:
            raise BackendError(f"a Ray actor cannot load the system: {_first_line(error)}") from error

    def _give(self, crew: Sequence[Any], waiting: Waiting) -> None:
        for _ in range(HELD):
            for actor in crew:
                if sum(one is actor for _, one in self.flying.values()) < HELD and not waiting.empty():
                    job = waiting.next()
                    self.flying[actor.do.remote(job[1])] = (job, actor)

    def _lose(self, crew: list[Any], actor: Any, error: Exception) -> None:
        if actor not in crew:  # it held another job too
            return
        crew.remove(actor)
        if not crew:
            raise BackendError(
                f"all {self.count} Ray actors were lost, the last with: {_first_line(error)}. Nothing that was written "
                "is lost, and the same command goes on. If memory ran out, give fewer --workers or a smaller --batch"
            )
        warnings.warn(f"a Ray actor was lost ({_first_line(error)}): {len(crew)} go on with its batches", stacklevel=2)


@contextlib.contextmanager
def cluster(address: str, count: int | None) -> Iterator[Any]:
    """Ray, connected; what was started here ends with the block.

    Raises:
        MissingDependency: Ray is not installed.
        BackendError: there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent that nobody asked for
    try:
        import ray
    except ImportError as error:
        raise MissingDependency("--ray", "ray", "ray") from error
    if ray.is_initialized():
        yield ray
        return
    local: dict[str, Any] = {"num_cpus": count, "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except Exception as error:  # Ray raises many kinds, some of them plain
        said = f"no Ray cluster at '{address}': {_first_line(error)}"
        raise BackendError(f"{said}. Start one with `ray start --head`, or use --ray local") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _threads() -> int | None:
    """Threads that torch computes with in this process; None where it does not."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else None


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).split("\n") if line.strip()), type(error).__name__)
