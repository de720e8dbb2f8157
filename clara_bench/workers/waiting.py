"""Jobs that no worker has yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Waiting:
    """Jobs with their places: those that a lost worker had, then those of a stream that is read no further."""

    def __init__(self, jobs: Iterable[Any]) -> None:
        self._stream = enumerate(jobs)
        self._first: list[tuple[int, Any]] = []

    def empty(self) -> bool:
        """Whether nothing is left; reads the next of the stream to know."""
        if not self._first:
            self._first += [job for job in [next(self._stream, None)] if job is not None]
        return not self._first

    def next(self) -> tuple[int, Any]:
        """The next job and its place, where there is one."""
        assert not self.empty(), "no job is left"
        return self._first.pop()

    def again(self, job: tuple[int, Any]) -> None:
        """The job of a lost worker comes next."""
        self._first.append(job)
