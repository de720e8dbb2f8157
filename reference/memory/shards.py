"""The file format of the store: a shard holds some documents' memories, and enough to tell when it is damaged.

A shard is a safetensors file with

    keys      (N, 32) uint8    SHA-256 digests, one a document; their own digest is the shard's name
    counts    (N,) int32       memory vectors of each document
    checks    (N,) int64       CRC-32 of each document's memories as they lie on disk
    memories  (S, H)           all vectors, end to end: float32, bfloat16, float16 or int8
    scales    (S,) float32     int8 only: what a vector is multiplied by

so that one document is read and checked without touching the others (read with the file mapped into memory).

Shapes: N documents of a shard, S their memory vectors, M those of one document, H hidden.
"""

from __future__ import annotations

import contextlib
import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from clara_bench import DataError

Precision = Literal["float32", "bfloat16", "float16", "int8"]
KEY_BYTES = 32
SUFFIX = ".safetensors"


def name_of(keys: Sequence[bytes]) -> str:
    """The name of the shard that holds these documents, in this order."""
    return hashlib.sha256(b"".join(keys)).hexdigest()[:32]


def encode(keys: Sequence[bytes], memories: Sequence[Tensor], precision: Precision) -> bytes:
    """The bytes of a shard; the same documents give the same bytes.

    Args:
        keys: one per document.
        memories: one (M, H) per document.
        precision: how a number is kept; int8 has a scale a vector, its largest magnitude / 127.

    Raises:
        DataError: a memory that the precision cannot hold.
    """
    from safetensors.torch import save

    values_SH, scales_S = _pack(torch.cat([memory.detach().cpu() for memory in memories]), precision)
    counts = torch.tensor([len(memory) for memory in memories], dtype=torch.int32)
    tensors = {
        "keys": torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8).view(-1, KEY_BYTES),
        "counts": counts,
        "memories": values_SH,
    }
    if scales_S is not None:
        tensors["scales"] = scales_S
    ends = counts.cumsum(0).tolist()
    spans = zip([0, *ends[:-1]], ends, strict=True)
    tensors["checks"] = torch.tensor([_crc(values_SH, scales_S, start, end) for start, end in spans])
    return bytes(save(tensors))


def _pack(states_SH: Tensor, precision: Precision) -> tuple[Tensor, Tensor | None]:
    kept_SH = states_SH.to(torch.float32 if precision == "int8" else getattr(torch, precision))
    if not kept_SH.isfinite().all():
        raise DataError(
            f"a memory holds a number that {precision} cannot. Choose bfloat16 or float32, or check the model"
        )
    if precision != "int8":
        return kept_SH, None
    scales_S = kept_SH.abs().amax(1) / 127
    values_SH = kept_SH / scales_S.clamp(min=torch.finfo(torch.float32).tiny)[:, None]
    return values_SH.round().to(torch.int8), scales_S


def _crc(values_SH: Tensor, scales_S: Tensor | None, start: int, end: int) -> int:
    check = zlib.crc32(_bytes(values_SH[start:end]))
    return check if scales_S is None else zlib.crc32(_bytes(scales_S[start:end]), check)


def _bytes(tensor: Tensor) -> Any:
    return tensor.contiguous().view(torch.uint8).numpy()


def read_keys(path: Path) -> list[bytes]:
    """The keys of a shard.

    Raises:
        DataError: the file is damaged.
    """
    with _opened(path) as file:
        content = file.get_tensor("keys").numpy().tobytes()
    keys = [content[start : start + KEY_BYTES] for start in range(0, len(content), KEY_BYTES)]
    if name_of(keys) != path.stem:
        raise DataError(f"{path}: damaged: its keys are not those it is named after")
    return keys


class Shard:
    """A shard open for reading; nothing is read before it is asked for."""

    def __init__(self, path: Path, width: int, precision: Precision) -> None:
        """Map the file.

        Raises:
            DataError: the file is damaged, or holds something else than this width and precision.
        """
        self.path = path
        with _opened(path) as file:
            counts = file.get_tensor("counts").to(torch.int64)
            self._starts = [0, *counts.cumsum(0).tolist()]
            self._checks = file.get_tensor("checks").tolist()
            self._scales_S = file.get_tensor("scales") if precision == "int8" else None
            self._memories = file.get_slice("memories")
            shape, dtype = list(self._memories.get_shape()), self._memories[:0].dtype
        if dtype != getattr(torch, precision) or shape != [self._starts[-1], width] or (counts < 0).any():
            raise DataError(f"{path}: damaged: memories of {shape} {dtype}, expected {self._starts[-1]} x {width}")

    def __len__(self) -> int:
        return len(self._checks)

    def read(self, document: int, dtype: torch.dtype | None = None) -> Tensor:
        """Read the memory (M, H) of a document to the CPU.

        Args:
            document: its place in the shard.
            dtype: of the result; None for as it is kept, float32 where that is int8.

        Raises:
            DataError: what is on disk is not what was written.
        """
        values_MH, scales_M = self.check(document)
        if scales_M is not None:
            return (values_MH.float() * scales_M[:, None]).to(dtype or torch.float32)
        return values_MH.to(dtype or values_MH.dtype, copy=True)  # a view of the file is not to be written to

    def check(self, document: int) -> tuple[Tensor, Tensor | None]:
        """What is on disk of a document: vectors (M, H), a view of the file, and scales (M,) where it has them.

        Raises:
            DataError: it is not what was written.
        """
        start, end = self._starts[document : document + 2]
        values_MH = self._memories[start:end]
        scales_M = None if self._scales_S is None else self._scales_S[start:end]
        if _crc(values_MH, scales_M, 0, end - start) != self._checks[document]:
            raise DataError(
                f"{self.path}: damaged: the memory of document {document + 1} of {len(self)} is not what was written. "
                "Build the store again: what is damaged is made anew"
            )
        return values_MH, scales_M


@contextlib.contextmanager
def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: damaged: {reason}. Build the store again: what is damaged is made anew") from error
