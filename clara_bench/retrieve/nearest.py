"""Nearest vectors by inner product, with FAISS: exact, or by an approximate index kept in the cache."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from clara_bench.errors import MissingDependency
from clara_bench.io.cache import digest
from clara_bench.retrieve.index import Array, ensure, folder_bytes

try:
    import faiss
except ModuleNotFoundError as error:
    raise MissingDependency("dense retrieval", "faiss-cpu", "retrieve") from error

Search = Callable[[Array, int], Array]
"""From vectors (questions, dimension) and a depth to rows (questions, min(depth, passages)), each once."""

HNSW_LINKS = 32
HNSW_BUILD_WIDTH = 200
HNSW_SEARCH_WIDTH = 128
IVF_TRAINING_VECTORS = 39
"""Vectors a cell that FAISS wants at least; with fewer it warns."""


class Searcher(NamedTuple):
    """A way to search, and what it took to get it."""

    search: Search
    bytes: int
    """Size of the index on disk, beyond the vectors themselves."""
    cached: bool


def nothing(questions: Array, depth: int) -> Array:
    """The result of a search over no vectors."""
    return np.empty((len(questions), 0), np.int64)


def searcher(kind: Literal["flat", "hnsw", "ivf"], vectors: Array, folder: Path) -> Searcher:
    """Make vectors (passages, dimension) searchable.

    Args:
        kind: `flat` compares with every vector; `hnsw` walks a graph of neighbours (Malkov and Yashunin 2016,
            arXiv:1603.09320); `ivf` looks into the nearest cells of a clustering.
        vectors: float32; used in place, not copied, by `flat`.
        folder: where approximate indexes are kept, by content.
    """
    if not len(vectors):
        return Searcher(nothing, 0, cached=True)
    if kind == "flat":
        return Searcher(lambda questions, depth: _exact(questions, vectors, depth), 0, cached=True)
    content = hashlib.sha256(vectors.reshape(-1).view(np.uint8).data).hexdigest()
    entry = folder / digest([kind, version("faiss-cpu"), str(vectors.shape), content])
    cached = ensure(entry, lambda scratch: faiss.write_index(_build(kind, vectors), str(scratch / "index.faiss")))
    index = faiss.read_index(str(entry / "index.faiss"))
    return Searcher(
        lambda questions, depth: _approximate(index, questions, vectors, depth), folder_bytes(entry), cached
    )


def _exact(questions: Array, vectors: Array, depth: int) -> Array:
    _, rows = faiss.knn(questions, vectors, min(depth, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
    return rows


def _approximate(index: Any, questions: Array, vectors: Array, depth: int) -> Array:
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = max(HNSW_SEARCH_WIDTH, depth)
    _, rows = index.search(questions, min(depth, index.ntotal))
    short = (rows < 0).any(axis=1)  # where the graph or the cells that were looked into held fewer
    if short.any():
        rows[short] = _exact(questions[short], vectors, depth)
    return rows  # type: ignore[no-any-return]


def _build(kind: str, vectors: Array) -> Any:
    index = _empty_hnsw(vectors.shape[1]) if kind == "hnsw" else _empty_ivf(*vectors.shape)
    with _one_thread():
        index.train(vectors)
        index.add(vectors)
    return index


def _empty_hnsw(dimension: int) -> Any:
    index = faiss.IndexHNSWFlat(dimension, HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = HNSW_BUILD_WIDTH
    return index


def _empty_ivf(passages: int, dimension: int) -> Any:
    cells = max(1, min(int(4 * passages**0.5), passages // IVF_TRAINING_VECTORS))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, cells, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = max(8, cells // 16)
    return index


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """In the block FAISS uses one thread: the graph depends on the order in which vectors are added."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
