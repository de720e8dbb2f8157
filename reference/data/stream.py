"""The order of training rows by step and rank; resuming does not change it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

import numpy as np

from clara_bench import ConfigError
from reference.data.row import Row


class Source(Protocol):
    """Rows by position; the same position always gives the same row."""

    @property
    def size(self) -> int | None:
        """The number of rows; None for an endless source."""
        ...

    def __getitem__(self, position: int) -> Row:
        """The row at a position from 0."""
        ...


class Held:
    """Rows in memory."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = tuple(rows)
        self.size = len(self._rows)

    def __getitem__(self, position: int) -> Row:
        return self._rows[position]


class Stream:
    """The rows of each optimiser step; they depend on the seed only, not on interruptions or the number of ranks.

    A step's rows are sorted by length before they are dealt out in micro-batches, so that little is padded;
    which rows make up a step does not depend on that. A finite source is reshuffled for each pass over it.
    """

    def __init__(
        self, source: Source, batch: int, micro_batch: int, seed: int = 0, rank: int = 0, ranks: int = 1
    ) -> None:
        """Args: see `batch`; `micro_batch` rows go through the model at once on each of `ranks` ranks.

        Raises:
            ConfigError: a batch that does not divide evenly.
        """
        if batch % (micro_batch * ranks):
            raise ConfigError(
                f"batch is {batch}, expected a multiple of micro_batch x ranks ({micro_batch} x {ranks}): "
                "change either, or the number of processes"
            )
        self.source, self.batch, self.micro_batch = source, batch, micro_batch
        self.seed, self.rank, self.ranks = seed, rank, ranks
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def __getitem__(self, step: int) -> list[list[Row]]:
        """This rank's micro-batches of a step, from 0."""
        rows = self.rows(step)
        starts = range(self.rank * self.micro_batch, self.batch, self.ranks * self.micro_batch)
        return [rows[start : start + self.micro_batch] for start in starts]

    def rows(self, step: int) -> list[Row]:
        """All ranks' rows of a step, longest first, so that a step that exceeds memory fails at once."""
        positions = range(step * self.batch, (step + 1) * self.batch)
        rows = [self.source[self._place(position)] for position in positions]
        return sorted(rows, key=lambda row: -row.length)

    def _place(self, position: int) -> int:
        size = self.source.size
        if size is None:
            return position
        return int(self._order(position // size)[position % size])

    def _shuffled(self, epoch: int) -> np.ndarray:
        # RandomState's stream is frozen for good, unlike that of numpy's newer generators
        size = self.source.size or 0
        return np.random.RandomState([self.seed % 2**32, epoch]).permutation(size)
