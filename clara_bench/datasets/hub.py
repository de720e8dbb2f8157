"""Rows from the Hugging Face hub, through `datasets`, at a commit that is known and recorded."""

from __future__ import annotations

import re
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from clara_bench.errors import BackendError, MissingDependency

_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubRows(NamedTuple):
    """Rows of one split, with their provenance for the manifest."""

    rows: list[dict[str, Any]]
    revision: str | None
    """The full commit id; None for a local folder."""


def read_hub(path: str, name: str | None, split: str, revision: str | None) -> HubRows:
    """The rows of a hub data set, or of a local folder in the same column layout.

    Args:
        path: hub id, or a folder of parquet or jsonl files.
        name: configuration; left out for a folder without the hub's README.md, which declares them.
        split: the hub's name of the split.
        revision: branch, tag or commit; None for the newest.

    Raises:
        MissingDependency: `datasets` is not installed.
        BackendError: the hub cannot be reached, or has no such data set, configuration or split.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingDependency("--data hub", "datasets", "hub") from error
    folder = Path(path)
    local = folder.is_dir()
    commit = None if local else _commit(path, revision)
    if local and not (folder / "README.md").is_file():
        name = None
    where = str(folder.resolve()) if local else path
    try:
        with _cache(local) as cache:
            table = datasets.load_dataset(where, name, split=split, revision=commit, cache_dir=cache)
            return HubRows(list(table), commit)
    except Exception as error:  # a dozen unrelated exception types, from three libraries
        raise _unreachable(path, name, split, error) from error


def _cache(local: bool) -> AbstractContextManager[str | None]:
    """Where `datasets` keeps what it has read: not at all for a folder, which it would know by its dates alone."""
    return tempfile.TemporaryDirectory() if local else nullcontext()


def _commit(path: str, revision: str | None) -> str:
    if revision and _COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(path, revision=revision).sha)
    except Exception as error:  # see above
        raise _unreachable(path, None, revision or "newest revision", error) from error


def _unreachable(path: str, name: str | None, what: str, error: Exception) -> BackendError:
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    reason = (str(error).strip().splitlines() or [""])[0][:200]
    return BackendError(
        f"hub data set '{path}'{f' ({name})' if name else ''}, {what}: {type(error).__name__}: {reason}. "
        "Check the network and the names, or download the files and use --data FILE"
    )
