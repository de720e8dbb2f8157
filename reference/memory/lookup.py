"""Lookup of documents in a store by text, and the identity of the store's compressor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
from torch import Tensor

from reference.memory.shards import KEY_BYTES


class Model(Protocol):
    """The part of `Clara` that the store uses."""

    config: Any
    memory: Any

    def fingerprint(self, role: Any) -> str:
        """Fingerprint of everything that affects the role's memory of a text."""
        ...

    def compress(self, texts: Sequence[str]) -> list[Tensor]:
        """One (vectors, width) memory per text."""
        ...


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The properties that memories must share to be comparable."""

    fingerprint: str
    """Of the compressor: backbone, adapter, memory embeddings."""
    rate: int
    slots: int
    """Maximum number of vectors per document."""
    width: int
    """Numbers in a vector."""

    @classmethod
    def of(cls, model: Model) -> Identity:
        """The identity of this model's compressor."""
        memory = model.config.memory
        return cls(model.fingerprint("compressor"), memory.rate, memory.slots, model.memory.shape[1])


class Index:
    """Rows by key: sorted arrays for most, a dictionary for the latest."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, f"S{KEY_BYTES}")
        self._rows = np.zeros(0, np.int64)
        self._latest: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._keys) + len(self._latest)

    def add(self, keys: Sequence[bytes], first_row: int) -> None:
        """Add keys of consecutive rows; a known key keeps its row."""
        for row, (key, known) in enumerate(zip(keys, self.find(keys), strict=True), first_row):
            if known < 0:
                self._latest.setdefault(key, row)
        if len(self._latest) > max(1 << 16, len(self._keys)):
            self._settle()

    def _settle(self) -> None:
        keys = np.concatenate([self._keys, np.array(list(self._latest), self._keys.dtype)])
        rows = np.concatenate([self._rows, np.array(list(self._latest.values()), np.int64)])
        order = np.argsort(keys)
        self._keys, self._rows, self._latest = keys[order], rows[order], {}

    def find(self, keys: Sequence[bytes]) -> np.ndarray:
        """Rows (keys,) int64, -1 for unknown keys."""
        rows = np.array([self._latest.get(key, -1) for key in keys], np.int64)
        if len(self._keys) and len(keys):
            wanted = np.array(keys, self._keys.dtype)
            places = np.searchsorted(self._keys, wanted).clip(max=len(self._keys) - 1)
            rows = np.where(self._keys[places] == wanted, self._rows[places], rows)
        return rows


def keyed(identity: Identity) -> Callable[[str], bytes]:
    """From a text to its key under this compressor."""
    name = f"{identity.fingerprint}\n{identity.rate}".encode()
    prefix = hashlib.sha256(len(name).to_bytes(8, "little") + name)

    def key(text: str) -> bytes:
        state = prefix.copy()
        state.update(text.encode("utf-8", "surrogatepass"))
        return state.digest()

    return key
