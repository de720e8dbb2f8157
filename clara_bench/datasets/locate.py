"""Finds the data file in a folder by ordered name patterns; two equally good matches are an error."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from clara_bench.datasets.files import SUFFIXES, base_suffix
from clara_bench.errors import ConfigError, DataError


def data_file(path: Path, patterns: Sequence[str], task: str, split: str) -> Path:
    """The file itself, or the one of a folder that the first fitting pattern names.

    A folder may hold the files, or have them under <split>/, <task>/ or <task>/<split>/.

    Raises:
        DataError: nothing there, or no file that fits.
        ConfigError: several files fit equally well.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError(f"no such file or folder: {path}. Expected 'worlds', 'hub', a raw file or a folder of them")
    folders = [path / task / split, path / task, path / split, path]
    found = _first(folders, patterns)
    if found is None:
        raise DataError(
            f"{path}: no file of task '{task}', split '{split}': expected {' or '.join(patterns) or 'a file'}, "
            f"here or under {split}/, {task}/ or {task}/{split}/. Name the file itself with --data"
        )
    return found


def beside(file: Path, patterns: Sequence[str]) -> Path | None:
    """A corpus or alias table in the data file's folder, or one above when that is a split's folder.

    Raises:
        ConfigError: several files fit equally well.
    """
    folders = [file.parent]
    if file.resolve().parent.name in {"dev", "train", "test", "validation"}:
        folders.append(file.resolve().parent.parent)
    for folder in folders:
        found = _first([folder], patterns)
        if found is not None:
            return found
    return None


def _first(folders: Sequence[Path], patterns: Sequence[str]) -> Path | None:
    there = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    files = [path for path in there if base_suffix(path) in SUFFIXES]
    for pattern in patterns:
        found = sorted({path for path in files if fnmatchcase(path.name, pattern)})
        if len(found) > 1:
            raise ConfigError(
                f"{len(found)} files fit equally well: {', '.join(map(str, found))}. Name the one you mean"
            )
        if found:
            return found[0]
    return None
