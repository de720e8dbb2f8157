"""Workers: the same thing loaded in several processes, here or on a Ray cluster, each taking the next job.

In: what to load, and jobs. Out: the job's place and its result, as each is done; a lost worker's job goes to another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Pool(Protocol):
    """Workers that are started for some jobs and end with them."""

    def map(self, load: Callable[[], Callable[[T], R]], jobs: Iterable[T]) -> Iterator[tuple[int, R]]:
        """Pairs of a job's place and its result, in the order in which they are done.

        Args:
            load: called once in each worker; what it returns does the jobs there. The first worker has loaded before
                others begin, so that they find the caches that it fills.
            jobs: what to do, in the order in which it is begun; each is asked for when a worker is free.

        Raises:
            BenchError: from loading or a job; or because no worker is left.
        """
        ...
