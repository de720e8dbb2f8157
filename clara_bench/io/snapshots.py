"""The fingerprint of a model in the Hugging Face hub's cache: its commit, and what was changed there since.

The cache links the files of a commit to blobs, each named after its content. A file that is no such link, or whose
blob was written after it was linked and has other content than its name says, counts by its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from clara_bench.io.cache import digest, file_digest


def fingerprint(name: str, folder: Path, files: Sequence[Path]) -> str:
    """`hub:ID@COMMIT`, followed by the SHA-256 of the files that may not be the hub's.

    Args:
        name: the model's id.
        folder: its snapshot, which the cache names after the commit.
        files: those of its files that count.
    """
    own = [file for file in files if not _as_fetched(file, folder.parent.parent / "blobs")]
    changed = digest(text for file in own for text in (file.relative_to(folder).as_posix(), file_digest(file)))
    return f"hub:{name}@{folder.name}{f'+sha256:{changed}' if own else ''}"


def _as_fetched(file: Path, blobs: Path) -> bool:
    blob = file.resolve()
    if not file.is_symlink() or blob.parent != blobs.resolve():
        return False
    written_before = blob.stat().st_mtime <= file.lstat().st_mtime
    return written_before or blob.name in (file_digest(blob), _git_digest(blob))


def _git_digest(file: Path) -> str:
    """A file's SHA-1 as Git computes it, after which the hub names files that are not large."""
    state = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
    with file.open("rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            state.update(piece)
    return state.hexdigest()
