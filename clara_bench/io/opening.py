"""Reading of files as bytes, plain or gzip, with a size limit.

An untrusted file may be an endless pipe or a gzip bomb, so reading stops at a limit, and every error names the file.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast
from unicodedata import category

from clara_bench.errors import BenchError, DataError

LARGEST = 32 << 30
"""Bytes of a file, unpacked; all of Wikipedia in passages of 100 words has 13 GB."""
LARGEST_PIPE = 1 << 30
"""Bytes of what has no size, such as a pipe."""
UNPACKED = 1 << 26
"""Bytes that a .gz of any size may hold; a larger one `RATIO` times its own at most, which no text comes near."""
RATIO = 200
LONGEST_LINE = 1 << 28

_CHUNK = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TooLarge(ValueError):
    """There is more than may be read."""


def read_bytes(path: Path, mend: str = "Check the path", error: type[BenchError] = DataError) -> bytes:
    """The bytes of a file, unpacked where its name ends in .gz, without a byte order mark.

    Args:
        path: a file or a pipe.
        mend: what to do when it cannot be read, for the message.
        error: what to raise.

    Raises:
        BenchError: of the kind asked for; it cannot be read, is no whole gzip file, or is too large.
    """
    return b"".join(_pieces(path, _CHUNK, mend, error)).removeprefix(_BYTE_ORDER_MARK)


def read_lines(path: Path, mend: str = "Check the path", error: type[BenchError] = DataError) -> Iterator[bytes]:
    """The lines of a file with their ends, one after the other, else as `read_bytes`.

    Raises:
        BenchError: see `read_bytes`; also a line that is too long.
    """
    first = True
    for line in _pieces(path, None, mend, error):
        yield line.removeprefix(_BYTE_ORDER_MARK) if first else line
        first = False


def _pieces(path: Path, size: int | None, mend: str, error: type[BenchError]) -> Iterator[bytes]:
    """Chunks of a size, or lines."""
    total = 0
    if any(category(character) == "Cs" for character in str(path)):  # as which Python passes on bytes of no text
        raise error(f"{path}: its name is not UTF-8. Rename it")
    with _errors(path, mend, error), path.open("rb") as file:
        largest = _largest(file, path.suffix == ".gz")
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if path.suffix == ".gz" else file
        while piece := stream.readline(LONGEST_LINE) if size is None else stream.read(size):
            total += len(piece)
            if total > largest:
                raise TooLarge(f"it holds more than the {largest:,} bytes that are read")
            if len(piece) == LONGEST_LINE:
                raise TooLarge(f"a line has more than the {LONGEST_LINE:,} bytes that are read")
            yield piece


def _largest(file: IO[bytes], packed: bool) -> int:
    """Maximum number of bytes to read from an open file."""
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        return LARGEST_PIPE
    if found.st_size > LARGEST:
        raise TooLarge(f"it has {found.st_size:,} bytes, more than the {LARGEST:,} that are read")
    return min(LARGEST, max(UNPACKED, RATIO * found.st_size)) if packed else LARGEST


@contextlib.contextmanager
def _errors(path: Path, mend: str, error: type[BenchError]) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as raised:
        raise error(f"{path}: not a whole gzip file ({raised}). Fetch it again") from raised
    except TooLarge as raised:
        raise error(f"{path}: {raised}. {mend}") from raised
    except (OSError, ValueError) as raised:  # a ValueError: the path holds a zero byte
        reason = getattr(raised, "strerror", None) or str(raised)
        raise error(f"{path}: cannot be read: {reason}. {mend}") from raised
