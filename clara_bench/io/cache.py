"""The user's cache folder, and atomic writes: a kill leaves no partial file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import platformdirs

from clara_bench.errors import BackendError
from clara_bench.io.unfinished import unfinished


def cache_dir(*parts: str) -> Path:
    """A folder under the user's cache (or $CLARA_BENCH_CACHE), made if it is not there."""
    root = os.environ.get("CLARA_BENCH_CACHE") or platformdirs.user_cache_dir("clara-bench")
    path = Path(root).joinpath(*parts)
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def digest(parts: Iterable[str | bytes]) -> str:
    """SHA-256 (hex) over length-prefixed parts, so that ("ab", "c") and ("a", "bc") differ."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


DISK = frozenset({
    errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOSPC,
    errno.ENOTDIR, errno.EPERM, errno.EROFS, errno.EEXIST,
})  # fmt: skip
"""What only a disk or a path can be at fault for, unlike a lost connection."""


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into a BackendError that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK or error.errno is None:  # numpy tells of a full disk in words alone
            raise BackendError(
                f"cannot write {path}: {error.strerror or error}. Free some space or choose another folder"
            ) from error
        raise


def write_atomic(path: Path, data: str | bytes, synced: bool = True) -> None:
    """Write a file atomically: to a temporary file on the same disk, then rename it.

    Args:
        path: the file.
        data: what it is to hold.
        synced: wait for the disk, as for all but what can be made again.

    Raises:
        BackendError: the disk is full or cannot be written to.
    """
    content = data.encode() if isinstance(data, str) else data
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(path) as name:
            with name.open("wb") as file:
                file.write(content)
                file.flush()
                if synced:
                    os.fsync(file.fileno())
            name.replace(path)


@contextlib.contextmanager
def building(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes `target` when the block ends well; another process may win the race."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(target), unfinished(target) as scratch:
        scratch.mkdir()
        yield scratch
        try:
            scratch.replace(target)
        except OSError:
            if not target.exists():  # else another process was first, with the same content
                raise


def lock(file: int, folder: Path) -> None:
    """Hold an open file for this process alone until it is closed; a warning where the system or the disk cannot.

    Raises:
        BackendError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        warnings.warn(f"this system cannot lock {folder}: let no other process write to it", stacklevel=3)
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            said = f"another process is writing to {folder}. Wait for it or choose another --out"
            raise BackendError(said) from None
        warnings.warn(f"{folder} cannot be locked ({error.strerror}): let no other process write to it", stacklevel=3)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """In the block no other process that asks so writes to a folder, which is made if it is not there.

    Raises:
        BackendError: another process does, or the folder cannot be written to.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    try:
        lock(file, folder)
        yield
    finally:
        os.close(file)
