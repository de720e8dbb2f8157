"""Merges stores that were filled on machines without a common disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clara_bench import ConfigError, DataError
from clara_bench.io.cache import write_atomic
from reference.memory.store import Store


def merge(folders: Sequence[Path], out: Path) -> Store:
    """Copy the shards of stores into one, which is made if it is not there.

    A document that several stores hold is found once. A shard is copied as it is, so the merged store of parts is the
    store that one process would have filled, document by document.

    Raises:
        ConfigError: a store is another compressor's, or of another rate or precision; or it is `out` itself.
        DataError: there is no store in a folder, or it is damaged.
        BackendError: the disk is full.
    """
    stores = [_whole(folder, out) for folder in folders]
    for store in stores:
        Store.create(out, store.identity, store.precision)  # refuses a foreign one before anything is copied
    for store in stores:
        for path in store.files:
            write_atomic(out / path.name, path.read_bytes())
    return Store(out)


def _whole(folder: Path, out: Path) -> Store:
    if folder.resolve() == out.resolve():
        raise ConfigError(f"store {folder} is the one that the others go into. Leave it out: what it holds stays")
    store = Store(folder)
    damaged = store.check()
    if damaged:
        said = f"{len(damaged)} shards are damaged, such as {damaged[0]}"
        raise DataError(f"store {folder}: {said}. Encode the documents there again: what is damaged is made anew")
    return store
