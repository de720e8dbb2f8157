"""Memories of documents on disk: compressed once, read by training and serving.

    FOLDER/store.json               whose memories these are: compressor, rate, width, precision
    FOLDER/<digest>.safetensors     shards (see shards.py), each written atomically
    FOLDER/<digest>.cost.json       how many documents a shard holds, and how long compressing them took

A document is found by the SHA-256 of its text, the compressor's fingerprint and the rate: no ids to keep in step,
equal texts are kept once, and another model's memories are never found. A shard is named after its documents, so a
builder that was killed goes on with the first shard that is not there and writes the same bytes. Builders need no
lock: several may work on one store, best each on a slice of its own (`texts[rank::world_size]`).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor

from clara_bench import ConfigError, DataError
from clara_bench.io.cache import write_atomic
from clara_bench.io.parsing import read_json
from reference.memory import shards
from reference.memory.lookup import Identity, Index, Model, keyed
from reference.memory.shards import Precision, Shard

COST = ".cost.json"
"""Suffix of the file that says what a shard took to make."""
LEFTOVER_SECONDS = 3600
"""Age from which a half-written file is a killed builder's."""


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    precision: Precision
    identity: Identity


class _Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a shard took to make."""

    documents: int
    seconds: float


class Built(NamedTuple):
    """What building did."""

    texts: int
    """Texts given, duplicates included."""
    added: int
    """Documents compressed now; the others were stored already, or equal to another."""
    rebuilt: tuple[str, ...]
    """Files of shards that were damaged; their documents were compressed again where they were among the texts."""
    seconds: float


class Store:
    """Memories of documents, found by the documents' text."""

    def __init__(self, folder: Path | str) -> None:
        """Open a store; only the keys are read.

        Raises:
            DataError: there is no store in the folder, or its store.json is not readable.
        """
        self.folder = Path(folder)
        manifest = _manifest(self.folder)
        self.identity, self.precision = manifest.identity, manifest.precision
        self.damaged: dict[str, str] = {}
        """Shards that could not be opened, by file name, and why."""
        self._keyed = keyed(self.identity)
        self._forget()
        self.refresh()

    @classmethod
    def create(cls, folder: Path | str, model: Model | Identity, precision: Precision = "bfloat16") -> Store:
        """Open the folder's store, or start one there.

        Raises:
            ConfigError: the folder's store is another compressor's, or of another rate or precision.
        """
        identity = model if isinstance(model, Identity) else Identity.of(model)
        path = Path(folder) / "store.json"
        if not path.exists():
            content = msgspec.json.format(msgspec.json.encode(_Manifest(1, precision, identity)), indent=2)
            write_atomic(path, content)
        store = cls(folder)
        store.require(identity)
        if store.precision != precision:
            raise ConfigError(
                f"store {folder} keeps {store.precision}, not {precision}. Choose another folder, or delete this one"
            )
        return store

    def require(self, model: Model | Identity) -> None:
        """Make sure that these are this compressor's memories.

        Raises:
            ConfigError: they are not; says what differs.
        """
        wanted = model if isinstance(model, Identity) else Identity.of(model)
        ours, theirs = msgspec.structs.asdict(self.identity), msgspec.structs.asdict(wanted)
        differences = [f"{name} {ours[name]}, not {theirs[name]}" for name in ours if ours[name] != theirs[name]]
        if differences:
            raise ConfigError(
                f"store {self.folder} was built by another model: {'; '.join(differences)}. "
                "Encode the documents with this model into another folder"
            )

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, text: str) -> bool:
        return bool(self.find([text])[0] >= 0)

    @property
    def size_bytes(self) -> int:
        """Size of the shards on disk."""
        return sum(self._sizes)

    @property
    def bytes_per_document(self) -> float:
        """Bytes on disk per document, keys and checksums included; 0 for an empty store."""
        return self.size_bytes / len(self) if len(self) else 0.0

    @property
    def seconds_per_document(self) -> float | None:
        """Seconds that compressing a document took, on average and whenever that was; None where it was not kept."""
        files = [self._cost(path.name) for path in self._paths]
        if not files or not all(file.is_file() for file in files):
            return None
        costs = [read_json(file, _Cost) for file in files]
        return sum(cost.seconds for cost in costs) / max(1, sum(cost.documents for cost in costs))

    @property
    def files(self) -> list[Path]:
        """Its shards, each after the file that says what it took."""
        return [file for path in self._paths for file in (self._cost(path.name), path) if file.is_file()]

    def _cost(self, name: str) -> Path:
        return (self.folder / name).with_suffix(COST)

    def find(self, texts: Sequence[str]) -> np.ndarray:
        """Rows (texts,) int64 of documents, -1 where one is not stored; rows stay the same while the store is open."""
        return self._index.find([self._keyed(text) for text in texts])

    def rows(self, texts: Sequence[str]) -> np.ndarray:
        """Rows (texts,) int64 of documents, every one of them stored.

        Raises:
            DataError: a document is not.
        """
        rows = self.find(texts)
        if (rows < 0).any():
            first = texts[int((rows < 0).argmax())]
            damaged = f"; damaged: {', '.join(self.damaged)}" if self.damaged else ""
            raise DataError(
                f"store {self.folder}: {int((rows < 0).sum())} of {len(texts)} documents are not stored, such as "
                f"{first[:60]!r}{damaged}. Encode them first"
            )
        return rows

    def get(self, texts: Sequence[str], dtype: torch.dtype | None = None) -> list[Tensor]:
        """The memories of documents: one (vectors, width) tensor per text, on the CPU.

        Args:
            texts: as they were given to `build`.
            dtype: of the result; None for the precision of the store, float32 where that is int8.

        Raises:
            DataError: a document is not stored, or its shard is damaged.
        """
        return self.read(self.rows(texts), dtype)

    def read(self, rows: Iterable[int], dtype: torch.dtype | None = None) -> list[Tensor]:
        """The memories of rows that `find` gave."""
        return [self._read(int(row), dtype) for row in rows]

    def _read(self, row: int, dtype: torch.dtype | None) -> Tensor:
        number = int(np.searchsorted(self._ends, row, side="right"))
        shard = self._open.get(number)
        if shard is None:
            shard = self._open[number] = Shard(self._paths[number], self.identity.width, self.precision)
        return shard.read(row - (int(self._ends[number - 1]) if number else 0), dtype)

    def build(
        self,
        model: Model,
        texts: Iterable[str],
        progress: Callable[[int], None] | None = None,
        shard_documents: int = 1024,
        verify: bool = True,
    ) -> Built:
        """Compress the documents that are not stored yet.

        Args:
            model: the compressor.
            texts: documents as they will be asked for; may be a stream, and longer than memory.
            progress: called with the number of texts dealt with so far.
            shard_documents: documents compressed and written at once; what a kill loses at most.
            verify: read the complete store first, and recompute what is damaged.

        Raises:
            ConfigError: the store is another model's, or no document goes into a shard.
            DataError: a memory that the precision cannot hold.
            BackendError: the disk is full.
        """
        start = time.perf_counter()
        self.require(model)
        if shard_documents < 1:
            raise ConfigError(f"shard_documents is {shard_documents}, expected at least 1")
        rebuilt = self.mended() if verify else ()
        count, added = 0, 0
        for count, group in self.groups(texts, shard_documents):
            added += self.write(model, group) if group else 0
            if progress is not None:
                progress(count)
        return Built(count, added, rebuilt, time.perf_counter() - start)

    def groups(
        self, texts: Iterable[str], shard_documents: int = 1024, begun: Set[bytes] = frozenset()
    ) -> Iterator[tuple[int, dict[bytes, str]]]:
        """Documents to compress, by key, a shard at a time, with the number of texts that are dealt with by then.

        A group without documents tells of texts that are stored already.

        Args:
            texts: see `build`.
            shard_documents: documents of a group; the last may have fewer.
            begun: keys of documents that others are compressing.
        """
        count, stream = 0, iter(texts)
        group: dict[bytes, str] = {}
        while chunk := list(itertools.islice(stream, shard_documents - len(group))):
            group |= {key: text for key, text in self._missing(chunk).items() if key not in begun}
            count += len(chunk)
            if len(group) == shard_documents:
                yield count, group
                group = {}
            else:
                yield count - len(group), {}
        if group:
            yield count, group

    def _missing(self, texts: Sequence[str]) -> dict[bytes, str]:
        """Texts that are not stored, by key: without duplicates, in the order given."""
        keys = [self._keyed(text) for text in texts]
        rows = self._index.find(keys)
        return {key: text for key, text, row in zip(keys, texts, rows, strict=True) if row < 0}

    def write(self, model: Model, group: dict[bytes, str]) -> int:
        """Compress documents and write their shard, except those that another builder has stored in the meantime."""
        self.refresh()
        texts = list(self._missing(list(group.values())).items())
        if not texts:
            return 0
        keys = [key for key, _ in texts]
        start = time.perf_counter()
        memories = model.compress([text for _, text in texts])
        seconds = time.perf_counter() - start
        for (_, text), memory in zip(texts, memories, strict=True):
            if memory.ndim != 2 or len(memory) > self.identity.slots or memory.shape[1] != self.identity.width:
                raise DataError(
                    f"store {self.folder}: the model made a memory of shape {tuple(memory.shape)} of {text[:60]!r}, "
                    f"expected at most {self.identity.slots} x {self.identity.width}"
                )
        name = shards.name_of(keys) + shards.SUFFIX
        write_atomic(self._cost(name), msgspec.json.encode(_Cost(len(keys), seconds)))
        write_atomic(self.folder / name, shards.encode(keys, memories, self.precision))
        self.refresh()
        return len(keys)

    def check(self) -> list[str]:
        """Read everything and return the names of damaged shard files."""
        bad = set(self.damaged)
        for path in self._paths:
            try:
                shard = Shard(path, self.identity.width, self.precision)
                for document in range(len(shard)):
                    shard.check(document)
            except DataError as error:
                bad.add(path.name)
                self.damaged[path.name] = str(error)
        return sorted(bad)

    def mended(self) -> tuple[str, ...]:
        """Read everything, and remove what is damaged or half written; returns the names of damaged shard files."""
        self._sweep()
        return self._drop(self.check())

    def _drop(self, names: Sequence[str]) -> tuple[str, ...]:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
            self._cost(name).unlink(missing_ok=True)
        if names:
            self.damaged.clear()
            self._forget()
            self.refresh()
        return tuple(names)

    def _sweep(self) -> None:
        """Delete incomplete files of a killed builder."""
        for path in self.folder.glob(".*" + shards.SUFFIX + ".*"):
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                path.unlink(missing_ok=True)

    def _forget(self) -> None:
        self._paths: list[Path] = []
        self._sizes: list[int] = []
        self._ends = np.zeros(0, np.int64)
        self._open: dict[int, Shard] = {}
        self._index = Index()

    def refresh(self) -> None:
        """Add shards that were written since the store was opened."""
        known = {path.name for path in self._paths} | self.damaged.keys()
        found = (path for path in self.folder.glob("*" + shards.SUFFIX) if not path.name.startswith("."))
        fresh = sorted(path for path in found if path.name not in known)
        for path in fresh:
            try:
                keys = shards.read_keys(path)
            except DataError as error:
                self.damaged[path.name] = str(error)
                continue
            first_row = int(self._ends[-1]) if len(self._ends) else 0
            self._paths.append(path)
            self._sizes.append(path.stat().st_size)
            self._ends = np.append(self._ends, first_row + len(keys))
            self._index.add(keys, first_row)


def _manifest(folder: Path) -> _Manifest:
    path = folder / "store.json"
    return read_json(path, _Manifest, "Build the store first: clara-reference encode")
