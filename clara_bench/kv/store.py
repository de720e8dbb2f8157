"""Where compressed passages stay: in memory, or in a folder that later runs read.

FOLDER/<digest>.safetensors     keys and values of a passage; the digest is that of its tokens and of all that made it
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from clara_bench.errors import ConfigError, DataError
from clara_bench.io.cache import cache_dir, digest, write_atomic
from clara_bench.kv.passages import Pressed

SUFFIX = ".safetensors"


def opened(where: str, needed: int, identity: Sequence[str]) -> Memory | Folder:
    """A store.

    Args:
        where: `memory`, `cache` for the user's cache, or a folder.
        needed: bytes that it will take.
        identity: of all that decides what is kept of a passage's tokens.

    Raises:
        ConfigError: the memory is too small.
    """
    if where != "memory":
        return Folder(cache_dir("kv") if where == "cache" else Path(where).expanduser(), identity)
    if needed > (most := memory_bytes() // 2):
        raise ConfigError(
            f"the compressed passages take {needed / 1e9:.1f} GB, more than half of this machine's memory "
            f"({most / 1e9:.1f} GB). Set store to a folder or to none, or raise rate"
        )
    return Memory()


def memory_bytes() -> int:
    """The machine's memory; 8 GB where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 << 30


class Memory:
    """Compressed passages by their tokens, in memory."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, ...], Pressed] = {}
        self.made = 0
        """Passages that were not there when they were asked for."""

    def get(self, ids: Sequence[int], make: Callable[[], Pressed]) -> Pressed:
        """What is kept of a passage, made if it is not there."""
        key = tuple(ids)
        if key not in self._held:
            self._held[key] = make()
            self.made += 1
        return self._held[key]


class Facts(msgspec.Struct, frozen=True):
    """What a file says of its passage."""

    length: int
    tokens: int
    seconds: float


class Folder:
    """Compressed passages by their tokens, in files; a folder may hold those of several models and presses."""

    def __init__(self, folder: Path, identity: Sequence[str]) -> None:
        """Open or start one.

        Args:
            folder: where.
            identity: of all that decides what is kept of a passage's tokens.
        """
        self._folder, self._identity = folder, digest(identity)
        self.made = 0
        """Passages that were not there when they were asked for."""

    def get(self, ids: Sequence[int], make: Callable[[], Pressed]) -> Pressed:
        """What is kept of a passage, read from its file, or made and written.

        Raises:
            DataError: the file is damaged.
            BackendError: the disk is full.
        """
        path = self._folder / (digest([self._identity, *map(str, ids)])[:32] + SUFFIX)
        if path.is_file():
            return _read(path)
        made = make()
        write_atomic(path, _encoded(made), synced=False)
        self.made += 1
        return made


def _encoded(passage: Pressed) -> bytes:
    from safetensors.torch import save

    facts = Facts(passage.length, passage.tokens, passage.seconds)
    tensors = {"keys": passage.keys_LHMD, "values": passage.values_LHMD}
    whole = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    return bytes(save(whole, {name: str(value) for name, value in msgspec.structs.asdict(facts).items()}))


def _read(path: Path) -> Pressed:
    with _opened(path) as file:
        facts = msgspec.convert(file.metadata(), Facts, strict=False)
        return Pressed(file.get_tensor("keys"), file.get_tensor("values"), facts.length, facts.tokens, facts.seconds)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, msgspec.ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: damaged: {reason}. Delete it; the passage is then compressed again") from error
