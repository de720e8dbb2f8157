"""A cache of passage vectors by content: each text is encoded once, whatever corpus it occurs in.

Each encoder has a folder of shards, safetensors files of at most 2,048 passages:

    keys     (n, 16) uint8     first half of the SHA-256 of the passage's text
    vectors  (n, dim) float32
    tokens   (n,) int32        tokens the encoder read
    seconds  (n,) float32      the passage's share of the time that encoding took

A shard's name is the SHA-256 of its bytes, so a damaged shard is detected and recomputed. Shards are
written atomically during encoding: a kill loses at most the one in progress.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import safetensors
import safetensors.numpy

from clara_bench.io.cache import file_digest, write_atomic
from clara_bench.io.progress import Advance, progress
from clara_bench.retrieve.index import Array

SHARD_PASSAGES = 2048
KEY_BYTES = 16


class PassageEncoder(Protocol):
    """What encodes passages; see `clara_bench.retrieve.encoder.Encoder`."""

    batch_size: int

    def passages(self, texts: Sequence[str]) -> Array:
        """Vectors (len(texts), dimension) float32."""
        ...

    def cuts_passages(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text is longer than what is read of it."""
        ...

    def passage_tokens(self, texts: Sequence[str]) -> Array:
        """Tokens read of each text, (len(texts),)."""
        ...


class Embedded(NamedTuple):
    """The vectors of some texts and what they cost, whenever that was."""

    vectors: Array
    """(number of texts, dimension) float32, one row a text."""
    tokens: int
    """Tokens the encoder read; a text that occurs twice was read once."""
    seconds: float
    """Encoding seconds of all vectors, whenever that was."""
    earlier_seconds: float
    """Encoding seconds of the cached vectors."""
    encoded: int
    """Texts that had to be encoded now."""
    cut: int
    """Texts whose end was not read."""


class _Place(NamedTuple):
    shard: Path
    row: int


def embed(texts: Sequence[str], encoder: PassageEncoder, folder: Path) -> Embedded:
    """The vector of each text, from the folder's shards or encoded now and added to them.

    Raises:
        BackendError: the disk is full or cannot be written to.
    """
    keys = [_key(text) for text in texts]
    held = _held(folder, set(keys))
    missing = [text for key, text in dict(zip(keys, texts, strict=True)).items() if key not in held]
    places = dict(held)
    with progress("dense index", len(missing)) as advance:
        for start in range(0, len(missing), SHARD_PASSAGES):
            places |= _write_shard(folder, missing[start : start + SHARD_PASSAGES], encoder, advance)
    found = _gather([places[key] for key in keys])
    once = list(dict(zip(keys, range(len(keys)), strict=True)).values())
    earlier = [row for row in once if keys[row] in held]
    return Embedded(
        vectors=found.vectors,
        tokens=int(found.tokens[once].sum()),
        seconds=float(found.seconds[once].sum()),
        earlier_seconds=float(found.seconds[earlier].sum()),
        encoded=len(missing),
        cut=_cut(texts, found.tokens, encoder),
    )


def _cut(texts: Sequence[str], tokens: Array, encoder: PassageEncoder) -> int:
    """How many texts are cut: those of which as much is read as of any may be."""
    most = max(tokens.tolist(), default=0)
    return sum(encoder.cuts_passages([text for text, read in zip(texts, tokens, strict=True) if read == most]))


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:KEY_BYTES]


def _held(folder: Path, wanted: set[bytes]) -> dict[bytes, _Place]:
    """Locations of the cached vectors among those wanted; damaged shards are removed."""
    held: dict[bytes, _Place] = {}
    for shard in sorted(folder.glob("*.safetensors")):
        try:
            places = {key: _Place(shard, row) for row, key in enumerate(_shard_keys(shard)) if key in wanted}
            whole = not places or file_digest(shard) == shard.stem
        except safetensors.SafetensorError:
            whole = False
        if whole:
            held |= places
        else:
            shard.unlink(missing_ok=True)
    return held


def _shard_keys(shard: Path) -> Iterator[bytes]:
    with safetensors.safe_open(shard, framework="numpy") as file:
        packed = file.get_tensor("keys").tobytes()
    return (packed[at : at + KEY_BYTES] for at in range(0, len(packed), KEY_BYTES))


def _write_shard(folder: Path, texts: Sequence[str], encoder: PassageEncoder, advance: Advance) -> dict[bytes, _Place]:
    texts = sorted(texts, key=len)  # texts of like length together, so that little is padding
    step = 4 * encoder.batch_size
    parts = [_encode(texts[start : start + step], encoder, advance) for start in range(0, len(texts), step)]
    packed = safetensors.numpy.save({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    shard = folder / f"{hashlib.sha256(packed).hexdigest()}.safetensors"
    write_atomic(shard, packed)
    return {_key(text): _Place(shard, row) for row, text in enumerate(texts)}


def _encode(texts: Sequence[str], encoder: PassageEncoder, advance: Advance) -> dict[str, Array]:
    start = time.perf_counter()
    vectors = encoder.passages(texts)
    seconds = time.perf_counter() - start
    advance(len(texts))
    tokens = encoder.passage_tokens(texts)
    return {
        "keys": np.frombuffer(b"".join(map(_key, texts)), dtype=np.uint8).reshape(-1, KEY_BYTES),
        "vectors": vectors,
        "tokens": tokens.astype(np.int32),
        "seconds": (seconds * tokens / max(1, tokens.sum())).astype(np.float32),
    }


class _Found(NamedTuple):
    vectors: Array
    tokens: Array
    seconds: Array


def _gather(places: Sequence[_Place]) -> _Found:
    """Vectors, tokens and seconds of the places, one row each."""
    rows_of: dict[Path, list[int]] = {}
    for row, place in enumerate(places):
        rows_of.setdefault(place.shard, []).append(row)
    vectors, tokens, seconds = np.empty((0, 0), np.float32), np.zeros(len(places), np.int64), np.zeros(len(places))
    for shard, rows in rows_of.items():
        there = [places[row].row for row in rows]
        with safetensors.safe_open(shard, framework="numpy") as file:
            part = file.get_tensor("vectors")
            if not len(vectors):
                vectors = np.empty((len(places), part.shape[1]), np.float32)
            vectors[rows] = part[there]
            tokens[rows] = file.get_tensor("tokens")[there]
            seconds[rows] = file.get_tensor("seconds")[there]
    return _Found(vectors, tokens, seconds)
