"""Late-interaction search over a million stored passages: build rates, bytes, memory, latency and recall.

    make perf-million

The memories of the passages in `base` are the compressor's. The others are made up: those of a passage of `base` with
noise of half their length. The texts are a world's, a million different ones. What is found is compared with exact
late interaction over all of them in float32; the store is int8.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.data.documents import read_documents
from reference.memory.search import Reduction, Searcher
from reference.memory.store import Store
from reference.systems.serving import Weights

K, DEPTHS, NOISE, BLOCK = 20, (100, 300, 1000), 0.5, 1024
ARMS = (Reduction(kind="vectors", index="IVF1024,PQ16", sample=10_000, width=32), Reduction(kind="mean"))


class MadeUp:
    """A compressor whose memories come from another store: as they are first, then with noise."""

    def __init__(self, model: Any, base: Store) -> None:
        self.config, self.memory, self.fingerprint = model.config, model.memory, model.fingerprint
        self.flatten, self.score, self.centres = model.flatten, model.score, model.centres
        self._base_NMH = torch.stack(base.read(range(len(base)), torch.float32))
        self._noise, self._done = torch.Generator().manual_seed(0), 0

    def compress(self, texts: Sequence[str]) -> list[Tensor]:
        """The next memories."""
        places = np.arange(self._done, self._done + len(texts))
        self._done += len(texts)
        states_BMH = self._base_NMH[torch.from_numpy(places % len(self._base_NMH))]
        noise_BMH = torch.randn(states_BMH.shape, generator=self._noise)
        lengths_BM1 = states_BMH.norm(dim=2, keepdim=True)
        copied_B11 = torch.from_numpy(places >= len(self._base_NMH))[:, None, None]
        added_BMH = NOISE * lengths_BM1 * noise_BMH / noise_BMH.shape[2] ** 0.5
        return list(states_BMH + added_BMH * copied_B11)


def exact(made: MadeUp, queries_BE: Tensor, count: int) -> np.ndarray:
    """The places (B, K) of the best documents by late interaction over all, before the store rounds them."""
    slots, width = made.memory.shape
    asked_QH = queries_BE.unflatten(1, (slots, width)).flatten(0, 1)
    scores = []
    for start in range(0, count, BLOCK):
        block_NE = made.flatten(made.compress([""] * min(BLOCK, count - start)))
        near = asked_QH @ block_NE.float().view(-1, width).T
        scores.append(near.view(len(queries_BE), slots, -1, slots).amax(3).mean(1))
    return torch.cat(scores, 1).topk(K).indices.numpy()


def seconds(start: float) -> float:
    """Since then."""
    return time.perf_counter() - start


def questions(world: Path) -> Iterator[str]:
    """The world's questions."""
    with (world / "dev.jsonl").open(encoding="utf-8") as file:
        yield from (json.loads(line)["question"] for line in file)


def main() -> None:
    """Build, search, and print a table."""
    world, base, folder = map(Path, sys.argv[1:4])
    model = Weights("tiny-16x", ("compressor", "reasoner")).model
    made = MadeUp(model, Store(base))
    texts = list(read_documents(world / "corpus.jsonl"))
    size = sum(len(text.encode()) for text in texts)
    print(f"passages: {len(texts):,}, compressed: {len(made._base_NMH):,}, the rest made up; text: {size / 1e9:.3f} GB")
    start = time.perf_counter()
    store = Store.create(folder, made, "int8")
    built = store.build(made, texts, verify=False, shard_documents=BLOCK)
    assert built.added == len(texts), "equal texts, or a store that was there before"
    print(f"store: {built.added / max(seconds(start), 1e-9):,.0f} passages a second, {store.size_bytes / 1e9:.3f} GB")
    asked = model.flatten(model.compress(list(questions(world))[:100], role="reasoner"), "questions").float()
    truth = None
    for reduction in ARMS:
        start = time.perf_counter()
        searcher = Searcher(made, store, texts, reduction, folder / f"search-{reduction.kind}")
        rate, index = len(texts) / seconds(start), (folder / f"search-{reduction.kind}" / "index.faiss").stat().st_size
        print(f"{reduction.kind} {reduction.index}: {rate:,.0f} passages a second, {index / 1e9:.3f} GB")
        print(f"store and index: {(store.size_bytes + index) / size:.2f} times the text")
        if truth is None:
            start = time.perf_counter()
            truth = exact(MadeUp(model, Store(base)), asked, len(texts))
            print(f"exact late interaction: {seconds(start):.0f} s for {len(asked)} questions")
        for depth in DEPTHS:
            report(searcher, asked, truth, depth)
        del searcher
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def report(searcher: Searcher, asked: Tensor, truth: np.ndarray, depth: int) -> None:
    """Search one by one, after a warm-up over all."""
    searcher.search(asked, K, depth)
    took, hits = [], 0
    for query_E, best in zip(asked, truth, strict=True):
        start = time.perf_counter()
        [found] = searcher.search(query_E[None], K, depth)
        took.append(seconds(start))
        hits += len(set(found.rows_K.tolist()) & set(best.tolist()))
    p50, p95 = np.percentile(took, [50, 95]) * 1000
    print(f"  depth {depth}: recall@{K} {hits / truth.size:.4f}, {p50:.1f} ms median, {p95:.1f} ms p95")


if __name__ == "__main__":
    main()
