"""Many runs in one file: published runs are packed, one file for each suite and task.

    results/nq.runs.tar.xz holds what lay below results/nq/

A path below `results/nq/` still names a run: `located` unpacks the file into the cache, once for each content.
A pack from somebody else is data: only the files of a run are taken out, and only so many bytes.
"""

from __future__ import annotations

import functools
import io
import lzma
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from clara_bench.errors import DataError
from clara_bench.io.cache import building, cache_dir, file_digest, write_atomic

SUFFIX = ".runs.tar.xz"
FILES = ("manifest.json", "scores.json", "questions.jsonl", "records.jsonl", "verdicts.jsonl", "prompts.jsonl")
OPTIONAL = ("verdicts.jsonl", "prompts.jsonl")
"""Of a run, verdicts only where it was judged; in this order, so that what is alike lies together, compressed well."""
LARGEST = 4 << 30
"""Bytes that a pack may hold."""


def located(path: Path) -> Path:
    """Where a path's content lies on disk: the path itself, or its place in the unpacked pack that holds it.

    Raises:
        DataError: there is a pack for it that is damaged, too large, or holds what no run holds.
        BackendError: the cache cannot be written to.
    """
    return path if path.is_file() or (path / "manifest.json").is_file() else (_packed(path) or path)


def places(root: Path) -> list[tuple[Path, Path]]:
    """Where the runs below a root lie: the root itself, the pack that holds it, and each pack below; shown and real.

    Raises:
        DataError, BackendError: see `located`.
    """
    packed = _packed(root)
    below = ((folder, unpacked(pack_of(folder))) for folder in folders(root))
    return [*([(root, packed)] if packed else []), *([(root, root)] if root.exists() else []), *below]


def _packed(path: Path) -> Path | None:
    """The place of a path in a pack; None if no pack holds it."""
    for folder in (path, *path.parents):
        if folder.name and pack_of(folder).is_file():
            place = unpacked(pack_of(folder)) / path.relative_to(folder)
            return place if place.exists() else None
    return None


def is_published(folder: Path) -> bool:
    """Whether a pack holds the run that a folder's path names.

    Raises:
        DataError, BackendError: see `located`.
    """
    return _packed(folder) is not None


def pack_of(folder: Path) -> Path:
    """The pack that would hold the runs below a folder."""
    return folder.parent / f"{folder.name}{SUFFIX}"


def folders(root: Path) -> list[Path]:
    """The folders that packs below a root represent, in order."""
    return sorted(pack.with_name(pack.name.removesuffix(SUFFIX)) for pack in root.rglob(f"*{SUFFIX}"))


def unpacked(pack: Path) -> Path:
    """The cache's folder with a pack's runs.

    Raises:
        DataError, BackendError: see `located`.
    """
    found = pack.stat()
    return _unpacked(pack.resolve(), found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _unpacked(pack: Path, size: int, changed: int) -> Path:
    target = cache_dir("runs") / file_digest(pack)
    if not target.is_dir():
        with building(target) as scratch:
            for name, content in _members(pack):
                file = scratch / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
    return target


def write_pack(pack: Path, files: Mapping[str, bytes]) -> None:
    """Write files by their names into a pack; the same files give the same bytes.

    Raises:
        BackendError: the disk is full or cannot be written to.
    """
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files, key=lambda name: (FILES.index(PurePosixPath(name).name), name)):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            archive.addfile(entry, io.BytesIO(files[name]))
    write_atomic(pack, lzma.compress(held.getvalue(), preset=6))


def read_pack(pack: Path) -> dict[str, bytes]:
    """What `write_pack` wrote; {} when there is no such file.

    Raises:
        DataError: it is damaged, too large, or holds what no run holds.
    """
    return dict(_members(pack)) if pack.exists() else {}


def _members(pack: Path) -> Iterator[tuple[str, bytes]]:
    total = 0
    try:
        with tarfile.open(pack, mode="r:xz") as archive:
            for entry in archive:
                total += entry.size
                if total > LARGEST:
                    raise DataError(f"{pack}: it holds more than the {LARGEST:,} bytes that are read")
                yield _checked(pack, entry), _content(archive, entry)
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise DataError(f"{pack}: not a whole pack of runs ({error}). Fetch it again") from error


def _checked(pack: Path, entry: tarfile.TarInfo) -> str:
    """The name of an entry, if it is a file of a run.

    Raises:
        DataError: it is not.
    """
    parts = PurePosixPath(entry.name).parts
    plain = entry.isreg() and not {"..", "/"} & set(parts) and "\\" not in entry.name and ":" not in entry.name
    if not plain or parts[-1] not in FILES or len(parts) not in (2, 3):
        raise DataError(
            f"{pack}: '{entry.name}' is no file of a run. Expected LABEL/RUN/NAME with one of: {', '.join(FILES)}"
        )
    return entry.name


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(entry)
    return file.read() if file else b""
