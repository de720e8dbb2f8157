"""Temporary folders for what is being written.

Each is locked while its process lives. What a killed process has left is removed by the next one that writes there.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".unfinished-clara-bench"


@contextlib.contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A path for what will be renamed to `target`, in a folder beside it that the end of the block removes."""
    sweep(target.parent)
    folder, lock = _made(target)
    try:
        yield folder / "content"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@functools.cache  # what this process leaves is locked, and a folder may hold many files
def sweep(parent: Path) -> None:
    """Remove what killed processes have left unfinished in a folder."""
    left: list[str] = []
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        left = [entry.path for entry in entries if entry.name.endswith(SUFFIX)]
    for folder in map(Path, left):
        with contextlib.suppress(OSError):  # its process lives, another one was faster, or it is somebody else's
            lock = _locked(folder, wait=False)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _made(target: Path) -> tuple[Path, int | None]:
    """A new folder and its lock; None where the system or the disk cannot lock it, so that it stays after a kill."""
    while True:
        folder = Path(tempfile.mkdtemp(SUFFIX, f".{target.name[:40]}.", target.parent))
        try:
            lock = _locked(folder, wait=True)
        except FileNotFoundError:  # another process found it not yet locked
            continue
        except OSError:
            return folder, None
        if folder.exists():
            return folder, lock
        if lock is not None:
            os.close(lock)


def _locked(folder: Path, wait: bool) -> int | None:
    """A folder's descriptor, locked; None where the system has no such locks.

    Raises:
        OSError: the folder is gone, another process holds it, or the disk has no locks.
    """
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
