"""Search over millions of memories: short vectors first, then the exact score of the candidates.

A flattened memory is too long for a nearest-neighbour index (32,768 numbers for a 7B model at 32x). So
every document also gets a short vector: the mean of its memory vectors, their coordinates along the directions that
hold most of all documents' memories, or a random projection (inner products survive it: Johnson and Lindenstrauss
1984) with the direction that all documents share set apart, whose noise would drown what documents differ in.
With late interaction, all vectors may be indexed instead, as ColBERT does (Khattab and Zaharia, SIGIR 2020).
FAISS finds `depth` documents by these; the k best of them by the cosine of the full memories are the result.

Shapes: B questions, N documents, E numbers in a document's flattened memory, D in a short vector, K found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor

from clara_bench import ConfigError, DataError, MissingDependency
from clara_bench.io.cache import write_atomic
from clara_bench.io.parsing import read_json
from reference.memory.lookup import Identity
from reference.memory.shards import Precision
from reference.memory.store import Store

try:
    import faiss
except ModuleNotFoundError as error:
    raise MissingDependency("searching memories", "faiss-cpu", "reference") from error

BLOCK = 512
"""Documents taken from the store at once."""


class Reduction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How memories are reduced to short vectors, and how these are indexed."""

    kind: Literal["mean", "random", "pca", "vectors"] = "pca"
    """`vectors` indexes every memory vector: each of a question's finds `hits` of them."""
    dimension: int = 256
    """Numbers in a short vector; with `mean` and `vectors` the width of a memory vector."""
    sample: int = 2048
    """Documents from whose directions short vectors are made, and with which FAISS trains an index that needs it."""
    seed: int = 0
    hits: int = 1000
    """Vectors found for each of a question's."""
    index: str = "Flat"
    """A FAISS index factory string: Flat, HNSW32, IVF4096,PQ64, ..."""
    width: int = 64
    """How far an approximate index looks: cells of an IVF, candidates of an HNSW (at least `depth`)."""


class Found(NamedTuple):
    """The documents found for one question, best first."""

    rows_K: np.ndarray
    """Positions in the texts that were indexed, int64."""
    scores_K: np.ndarray
    """Cosines of the full memories, float32."""


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that affects an index; an index with another manifest is rebuilt."""

    schema: Literal[2]
    identity: Identity
    precision: Precision
    """Of the memories in the store."""
    similarity: str
    centre: str
    """Digest of the mean that a similarity subtracts from documents; "" if it subtracts none."""
    reduction: Reduction
    documents: str
    """Digest of the documents' texts, in order."""


class Searcher:
    """Searches documents in a store."""

    def __init__(
        self,
        model: Any,
        store: Store,
        texts: Sequence[str],
        reduction: Reduction | None = None,
        folder: Path | None = None,
    ) -> None:
        """Index documents.

        Args:
            model: whose memories they are; says by `flatten` what is compared.
            store: holds every text.
            texts: the documents; results are positions among them.
            reduction: the first stage.
            folder: where the index is kept for next time; an index of the same documents found there is taken.

        Raises:
            ConfigError: the store is another model's, FAISS knows no such index, or there is no document.
            DataError: a document is not stored, or its shard is damaged.
        """
        self.store, self.reduction = store, reduction or Reduction()
        self._flatten, self._score = model.flatten, model.score
        self._slots, self._similarity = store.identity.slots, model.config.memory.similarity
        if not texts:
            raise ConfigError("there is no document to search")
        if self.reduction.kind == "vectors" and self._similarity != "late":
            raise ConfigError(
                f"search 'vectors' is for late interaction, this model compares by '{self._similarity}'. "
                "Expected pca, random or mean"
            )
        store.require(model)
        self._rows_N = store.rows(texts)
        manifest = _described(model, store, self.reduction, texts)
        if folder is not None and _kept(folder) == manifest:
            self._projection_ED, self._index = _load(folder)
            return
        self._projection_ED = self._projection()
        self._index = self._indexed()
        if folder is not None:
            _save(folder, manifest, self._projection_ED, self._index)

    def __len__(self) -> int:
        return len(self._rows_N)

    def search(self, queries_BE: Tensor, k: int, depth: int = 100) -> list[Found]:
        """The k best of the `depth` documents that the short vectors find, by the cosine of their full memories.

        Args:
            queries_BE: what `model.flatten` makes of questions.
            k: documents per question; fewer are returned if there are fewer, or an approximate index finds fewer.
            depth: at least k; with `len(self)` and a Flat index the result is that of `exact`.

        Raises:
            ConfigError: k is below 1.
            DataError: a shard is damaged.
        """
        queries_BE = queries_BE.detach().cpu()
        if k < 1:
            raise ConfigError(f"k is {k}, expected at least 1")
        depth = min(max(k, depth), len(self))
        _widen(self._index, self.reduction.width, depth)
        return [
            self._best(query_E, near_C, k)
            for query_E, near_C in zip(queries_BE, self._near(queries_BE, depth), strict=True)
        ]

    def _near(self, queries_BE: Tensor, depth: int) -> list[np.ndarray]:
        """Places of the documents that the first stage finds for each question."""
        if self.reduction.kind != "vectors":
            _, near_BC = self._index.search(self._reduced(queries_BE), depth)  # -1 where an approximate index ran out
            return [np.unique(near_C[near_C >= 0]) for near_C in near_BC]
        hits = min(max(self.reduction.hits, depth), len(self) * self._slots)
        scores, near = self._index.search(self._reduced(queries_BE), hits)
        shape = len(queries_BE), self._slots, hits
        pairs = zip(near.reshape(shape) // self._slots, scores.reshape(shape), strict=True)
        return [_promising(places_QC, scores_QC, depth) for places_QC, scores_QC in pairs]

    def exact(self, queries_BE: Tensor, k: int) -> list[Found]:
        """The k best of all documents, by reading every memory."""
        queries_BE = queries_BE.detach().cpu()
        blocks = [
            torch.stack([self._scores(query_E, block_NE) for query_E in queries_BE]) for block_NE in self._blocks()
        ]
        places_N = np.arange(len(self))
        return [_ranked(scores_N, places_N, k) for scores_N in torch.cat(blocks, dim=1)]

    def _best(self, query_E: Tensor, places_C: np.ndarray, k: int) -> Found:
        return _ranked(self._scores(query_E, self._memories(places_C)), places_C, k)

    def _scores(self, query_E: Tensor, memories_CE: Tensor) -> Tensor:
        """Similarities (C,); in float64, so that a score does not depend on the rest of the batch."""
        return self._score(query_E[None].double(), memories_CE[None].double())[0].float()

    def _memories(self, places_N: np.ndarray) -> Tensor:
        return self._flatten(self.store.read(self._rows_N[places_N], torch.float32))

    def _blocks(self, places_N: np.ndarray | None = None) -> Iterator[Tensor]:
        places_N = np.arange(len(self)) if places_N is None else places_N
        for start in range(0, len(places_N), BLOCK):
            yield self._memories(places_N[start : start + BLOCK])

    def _sample(self) -> np.ndarray:
        count = min(self.reduction.sample, len(self))
        return np.sort(np.random.default_rng(self.reduction.seed).choice(len(self), count, replace=False))

    def _projection(self) -> Tensor | None:
        """What memories of length 1 are multiplied by (E, D); None for their mean, and where any may meet any."""
        if self.reduction.kind == "mean" or self._similarity == "late":
            return None
        unit_NE = _unit(torch.cat(list(self._blocks(self._sample()))))
        dimension = min(self.reduction.dimension, unit_NE.shape[1])
        if self.reduction.kind == "pca":
            return _directions(unit_NE, min(dimension, len(unit_NE)))
        shared_E = _unit(unit_NE.sum(0)[None])[0]
        noise_ED = torch.randn(
            len(shared_E), dimension - 1, generator=torch.Generator().manual_seed(self.reduction.seed)
        )
        rest_ED = (noise_ED - torch.outer(shared_E, shared_E @ noise_ED)) / max(1, dimension - 1) ** 0.5
        return torch.cat([shared_E[:, None], rest_ED], dim=1)

    def _reduced(self, memories_NE: Tensor) -> np.ndarray:
        if self._projection_ED is not None:
            return (_unit(memories_NE.float()) @ self._projection_ED).numpy()
        if self.reduction.kind == "vectors":
            return memories_NE.float().unflatten(1, (self._slots, -1)).flatten(0, 1).numpy()
        slots = 1 if self._similarity == "mean" else self._slots
        return _unit(memories_NE.float().unflatten(1, (slots, -1)).sum(1)).numpy()

    def _indexed(self) -> Any:
        index = None
        for block_NE in self._blocks():
            short_ND = self._reduced(block_NE)
            index = self._empty(short_ND.shape[1]) if index is None else index
            index.add(short_ND)
        return index

    def _empty(self, dimension: int) -> Any:
        try:
            index = faiss.index_factory(dimension, self.reduction.index, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ConfigError(f"index '{self.reduction.index}' is none that FAISS can make: {reason}") from error
        if not index.is_trained:
            index.train(np.concatenate([self._reduced(block_NE) for block_NE in self._blocks(self._sample())]))
        return index


def _promising(places_QC: np.ndarray, scores_QC: np.ndarray, depth: int) -> np.ndarray:
    """The documents with the largest sums of what each of a question's vectors found, by approximate scores.

    What a vector did not find of a document counts as its worst hit (XTR; Lee et al., NeurIPS 2023).
    """
    found_QC = places_QC >= 0
    worst_Q1 = np.where(found_QC, scores_QC, np.inf).min(1, keepdims=True)
    places_N, inverse = np.unique(places_QC[found_QC], return_inverse=True)
    gains_QN = np.zeros((len(places_QC), len(places_N)), np.float32)
    rows = np.broadcast_to(np.arange(len(places_QC))[:, None], places_QC.shape)[found_QC]
    np.maximum.at(gains_QN, (rows, inverse), (scores_QC - worst_Q1)[found_QC])
    best = np.argsort(-gains_QN.sum(0), kind="stable")[:depth]
    return np.sort(places_N[best])


def _ranked(scores_C: Tensor, places_C: np.ndarray, k: int) -> Found:
    """The k highest scores; ties in the order of the documents."""
    order_K = np.argsort(-scores_C.numpy(), kind="stable")[:k]
    return Found(places_C[order_K], scores_C.numpy()[order_K])


def _widen(index: Any, width: int, depth: int) -> None:
    index = faiss.downcast_index(index)
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = max(width, depth)
    if hasattr(index, "nprobe"):
        index.nprobe = min(width, index.nlist)


def _unit(vectors_NE: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors_NE, dim=1)


def _directions(vectors_NE: Tensor, dimension: int) -> Tensor:
    """The (E, D) directions that hold most of the vectors' squared length, by way of their (N, N) products."""
    weights_N, mixes_NN = torch.linalg.eigh((vectors_NE @ vectors_NE.T).double())  # ascending
    kept_N = (weights_N > 1e-6 * weights_N[-1]) & (torch.arange(len(weights_N)) >= len(weights_N) - dimension)
    return _unit(mixes_NN[:, kept_N].T.float() @ vectors_NE).T.contiguous()


def _described(model: Any, store: Store, reduction: Reduction, texts: Sequence[str]) -> _Manifest:
    similarity, centre = model.config.memory.similarity, ""
    if model.config.memory.centred:
        centre = hashlib.sha256(model.centres[0].cpu().numpy().tobytes()).hexdigest()
    return _Manifest(2, store.identity, store.precision, similarity, centre, reduction, _digest(texts))


def _digest(texts: Sequence[str]) -> str:
    state = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()


def _kept(folder: Path) -> _Manifest | None:
    """The manifest of the index in a folder; None if there is none, or another version wrote it."""
    try:
        return read_json(folder / "search.json", _Manifest)
    except DataError:
        return None


def _save(folder: Path, manifest: _Manifest, projection_ED: Tensor | None, index: Any) -> None:
    from safetensors.torch import save

    (folder / "search.json").unlink(missing_ok=True)
    tensors = {} if projection_ED is None else {"projection": projection_ED}
    write_atomic(folder / "projection.safetensors", save(tensors))
    write_atomic(folder / "index.faiss", faiss.serialize_index(index).tobytes())
    write_atomic(folder / "search.json", msgspec.json.encode(manifest))  # last: it names complete files only


def _load(folder: Path) -> tuple[Tensor | None, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        projection_ED = load_file(folder / "projection.safetensors").get("projection")
        return projection_ED, faiss.read_index(str(folder / "index.faiss"))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{folder}: the index is damaged. Delete the folder to have it made anew") from error
