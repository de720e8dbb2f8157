"""Encoding: fill a store with the memories of documents in a file, in this process or in workers."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from clara_bench.io.progress import progress
from clara_bench.workers import Pool
from reference.data.documents import read_documents
from reference.memory.store import Built, Store
from reference.systems.serving import Weights

Group = dict[bytes, str]


def fill(
    checkpoint: str,
    documents: Path,
    folder: Path,
    precision: Any,
    part: tuple[int, int] = (1, 1),
    device: str = "auto",
    pool: Pool | None = None,
    shard_documents: int = 1024,
) -> tuple[Store, Built]:
    """Compress documents that the folder's store does not hold yet; reports progress on stderr.

    Args:
        checkpoint: folder, or name of one that ships.
        documents: JSONL of title and text, .gz too.
        folder: of the store, which is made if it is not there.
        precision: of the numbers in it.
        part: (1, 4) takes every fourth document from the first on.
        device: a torch device, or auto.
        pool: workers that compress, a shard's documents at a time; None to compress in this process.
        shard_documents: documents compressed and written at once; what a kill loses at most.

    Raises:
        ConfigError: no such checkpoint, or the store is another model's.
        DataError: the documents cannot be read.
        BackendError: the disk is full, or no worker is left.
    """
    first, parts = part
    model, done = Weights(checkpoint, ("compressor",), device if pool is None else "cpu").model, 0
    store = Store.create(folder, model, precision)
    total = -(-sum(1 for _ in read_documents(documents)) // parts)
    texts = islice(read_documents(documents), first - 1, None, parts)
    with progress("compressing", total, "documents") as advance:

        def told(count: int) -> None:
            nonlocal done
            advance(count - done)
            done = count

        if pool is None:
            return store, store.build(model, texts, told, shard_documents)
        del model
        load, begun = Loading(checkpoint, folder, precision, device), _Begun(store, texts, shard_documents)
        return store, _shared(begun, load, pool, told)


@dataclass(frozen=True, slots=True)
class Loading:
    """Loads the compressor in a worker, which then compresses a shard's documents and writes them."""

    checkpoint: str
    folder: Path
    precision: Any
    device: str

    def __call__(self) -> Callable[[Group], int]:
        """Load it.

        Raises:
            ConfigError: the store is another model's.
        """
        model = Weights(self.checkpoint, ("compressor",), self.device).model
        return functools.partial(Store.create(self.folder, model, self.precision).write, model)


@dataclass(slots=True)
class _Begun:
    """Groups that workers have; the same shards come about as in one process, since each document is in one group."""

    store: Store
    texts: Iterator[str]
    shard_documents: int
    counts: list[int] = field(default_factory=list)
    keys: dict[int, Group] = field(default_factory=dict)
    held: set[bytes] = field(default_factory=set)
    read: int = 0

    def groups(self) -> Iterator[Group]:
        """Groups to compress."""
        for read, group in self.store.groups(self.texts, self.shard_documents, self.held):
            self.read = read
            if group:
                self.keys[len(self.counts)] = group
                self.counts.append(self.read)
                self.held.update(group)
                yield group

    def done(self, place: int) -> int:
        """A group is stored; returns how many texts are dealt with, those before the first that is not."""
        self.store.refresh()
        self.held.difference_update(self.keys.pop(place))
        return self.counts[min(self.keys)] - len(self.keys[min(self.keys)]) if self.keys else self.read


def _shared(begun: _Begun, load: Loading, pool: Pool, told: Callable[[int], None]) -> Built:
    start, added, rebuilt = time.perf_counter(), 0, begun.store.mended()
    for place, count in pool.map(load, begun.groups()):
        added += count
        told(begun.done(place))
    told(begun.read)
    return Built(begun.read, added, rebuilt, time.perf_counter() - start)
