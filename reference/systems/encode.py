"""Encoding: fill a store with the memories of documents in a file."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from clara_bench.io.progress import progress
from reference.data.documents import read_documents
from reference.memory.store import Built, Store
from reference.systems.serving import Weights


def fill(
    checkpoint: str, documents: Path, folder: Path, precision: Any, part: tuple[int, int] = (1, 1), device: str = "auto"
) -> tuple[Store, Built]:
    """Compress documents that the folder's store does not hold yet; reports progress on stderr.

    Args:
        checkpoint: folder, or name of one that ships.
        documents: JSONL of title and text, .gz too.
        folder: of the store, which is made if it is not there.
        precision: of the numbers in it.
        part: (1, 4) takes every fourth document from the first on.
        device: a torch device, or auto.

    Raises:
        ConfigError: no such checkpoint, or the store is another model's.
        DataError: the documents cannot be read.
        BackendError: the disk is full.
    """
    first, parts = part
    model, done = Weights(checkpoint, ("compressor",), device).model, 0
    store = Store.create(folder, model, precision)
    total = -(-sum(1 for _ in read_documents(documents)) // parts)
    with progress("compressing", total, "documents") as advance:

        def told(count: int) -> None:
            nonlocal done
            advance(count - done)
            done = count

        return store, store.build(model, islice(read_documents(documents), first - 1, None, parts), told)
