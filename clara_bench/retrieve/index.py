"""Shared parts of retrievers: passages as numbered rows, the best rows of a score array, index folders.

Rows are numbered in the order of passage ids, so that a lower row wins a tie: the ranking does
not depend on the order in which a corpus happens to be stored.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from clara_bench.errors import BenchError, ConfigError, DataError
from clara_bench.io.cache import building, file_digest
from clara_bench.io.parsing import read_json
from clara_bench.text import composed
from clara_bench.types import Passage, Question, Ranked

Array = NDArray[Any]

MANIFEST = "manifest.json"


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an index's folder holds, file by file."""

    schema: Literal[1]
    sha256: dict[str, str]


class Rows:
    """The passages of a corpus as numbered rows; `within` are those that may be found, None for all."""

    def __init__(self, corpus: Mapping[str, Passage], within: Mapping[str, Passage] | None = None) -> None:
        self.ids: tuple[str, ...] = tuple(sorted(corpus))
        self._row_of = {passage_id: row for row, passage_id in enumerate(self.ids)}
        self._within = None if within is None or len(within) == len(corpus) else self._rows(within)

    def __len__(self) -> int:
        return len(self.ids)

    def allowed(self, question: Question) -> Array | None:
        """Rows of the question's candidates, ascending, each once; None where it may use the whole corpus.

        Raises:
            DataError: a candidate is not in the corpus.
        """
        if question.candidates is None:
            return self._within
        refuse_unknown_candidates(question, self._row_of)
        return self._rows(question.candidates)

    def _rows(self, passage_ids: Iterable[str]) -> Array:
        return np.unique(np.array([self._row_of[passage_id] for passage_id in passage_ids], dtype=np.int64))

    def ranking(self, scores: Array, rows: Array | None, k: int) -> list[Ranked]:
        """The k best rows by score; `scores` runs along `rows`, or along the whole corpus when that is None."""
        return [
            Ranked(self.ids[position if rows is None else rows[position]], float(scores[position]))
            for position in best(scores, k)
        ]


def refuse_unknown_candidates(question: Question, known: Mapping[str, object]) -> None:
    """Check that every candidate is in the corpus.

    Raises:
        DataError: names the question and the candidate.
    """
    for passage_id in question.candidates or ():
        if passage_id not in known:
            raise DataError(
                f"question '{question.id}': candidate passage '{passage_id}' is not in the corpus of {len(known)} "
                "passages. Index the corpus that the candidates were drawn from"
            )


def check_k(k: int) -> None:
    """Refuse to rank fewer than one passage.

    Raises:
        ConfigError: k is below 1.
    """
    if k < 1:
        raise ConfigError(f"the number of passages to retrieve must be at least 1, got {k}")


def best(scores: Array, k: int) -> Array:
    """Positions of the k highest scores, best first; equal scores in the order of their positions.

    >>> best(np.array([1.0, 3.0, 3.0, 0.0, 1.0]), 3).tolist()
    [1, 2, 0]
    """
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > least)
    level = np.flatnonzero(scores == least)[: k - len(above)]
    return np.concatenate([above[np.argsort(-scores[above], kind="stable")], level])


def searchable_text(passage: Passage, title: bool) -> str:
    """The indexed text of a passage: optionally its title, then its text, in composed form (NFC)."""
    return composed(f"{passage.title} {passage.text}" if title and passage.title else passage.text)


def corpus_digest(corpus: Mapping[str, Passage]) -> str:
    """SHA-256 (hex) over every passage in the order of ids: the same for the same passages, however stored."""
    encode = msgspec.msgpack.Encoder().encode  # self-delimiting, and passages may hold any text that JSON could
    state = hashlib.sha256()
    for passage_id in sorted(corpus):
        state.update(encode(corpus[passage_id]))
    return state.hexdigest()


def ensure(folder: Path, build: Callable[[Path], None]) -> bool:
    """Make sure that a folder holds a complete index; True if it did already.

    A folder whose files are not what its manifest says, in number, size or content, is rebuilt.

    Args:
        folder: where the index is kept; its name says what went into it.
        build: writes the index's files into the folder it is given.
    """
    if intact(folder):
        return True
    shutil.rmtree(folder, ignore_errors=True)
    with building(folder) as scratch:
        build(scratch)
        sealed = {path.name: file_digest(path) for path in sorted(scratch.iterdir())}
        (scratch / MANIFEST).write_bytes(msgspec.json.encode(Sealed(1, sealed)))
    return False


def folder_bytes(folder: Path) -> int:
    """Bytes of the files in an index's folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def intact(folder: Path) -> bool:
    """Whether a folder holds what `ensure` has put there, byte for byte."""
    try:
        sealed = read_json(folder / MANIFEST, Sealed).sha256
        return {path.name: file_digest(path) for path in folder.iterdir() if path.name != MANIFEST} == sealed
    except (BenchError, OSError):  # absent, half written or overwritten: all mean "make it anew"
        return False
