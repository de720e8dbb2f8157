"""Where late-interaction search loses recall: cells looked into, codes of vectors, hits, documents scored exactly.

    clara-bench worlds write hotpotqa runs/recall/world --world questions=200 --world passages=100000
    head -n 5000 runs/recall/world/corpus.jsonl > runs/recall/head.jsonl
    clara-reference encode tiny-16x runs/recall/head.jsonl --store runs/recall/base
    python -m benchmarks.recall runs/recall/world runs/recall/base runs/recall/store

The memories are those of `benchmarks.million`: the base's, then the same with noise.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from torch import Tensor

from benchmarks.million import BLOCK, K, MadeUp, exact, questions
from reference.data.documents import read_documents
from reference.memory.search import Reduction, Searcher
from reference.memory.store import Store
from reference.systems.serving import Weights

ASKED = 50


class Arm(NamedTuple):
    """A way to search."""

    index: str
    width: int
    hits: int
    depth: int


ARMS = (
    Arm("IVF256,PQ16", 16, 1000, 300),
    Arm("IVF256,PQ16", 16, 1000, 1000),
    Arm("IVF256,PQ16", 16, 1000, 3000),
    Arm("IVF256,PQ16", 128, 4000, 1000),
    Arm("IVF256,SQ8", 16, 1000, 300),
    Arm("IVF256,SQ8", 16, 1000, 1000),
    Arm("IVF256,SQ8", 16, 6000, 1000),
    Arm("IVF256,SQ8", 16, 6000, 3000),
    Arm("IVF256,SQ8", 128, 6000, 1000),
    Arm("IVF256,SQ8", 128, 6000, 3000),
)


def main() -> None:
    """Build, search one by one, and print a table."""
    world, base, folder = map(Path, sys.argv[1:4])
    model, texts = Weights("tiny-16x", ("compressor", "reasoner")).model, list(read_documents(world / "corpus.jsonl"))
    made = MadeUp(model, Store(base))
    store = Store.create(folder, made, "int8")
    store.build(made, texts, verify=False, shard_documents=BLOCK)
    asked = model.flatten(model.compress(list(questions(world))[:ASKED], role="reasoner"), "questions").float()
    truth = exact(MadeUp(model, Store(base)), asked, len(texts))
    print("| index | cells of 256 | hits | depth | recall@20 | ms of processor time |\n|---|---:|---:|---:|---:|---:|")
    for arm in ARMS:
        built = Reduction(kind="vectors", index=arm.index, sample=5000)
        searcher = Searcher(made, store, texts, built, folder / arm.index.replace(",", "-"))
        searcher.reduction = msgspec.structs.replace(built, width=arm.width, hits=arm.hits)
        recall, seconds = searched(searcher, asked, truth, arm.depth)
        cells = [arm.index, str(arm.width), str(arm.hits), str(arm.depth), f"{recall:.3f}", f"{1000 * seconds:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def searched(searcher: Searcher, asked: Tensor, truth: np.ndarray, depth: int) -> tuple[float, float]:
    """Recall, and seconds of processor time a question, after a warm-up."""
    searcher.search(asked[:5], K, depth)
    start = time.process_time()
    found = [searcher.search(query_E[None], K, depth)[0].rows_K for query_E in asked]
    seconds = (time.process_time() - start) / len(truth)
    hits = sum(len(set(rows.tolist()) & set(best.tolist())) for rows, best in zip(found, truth, strict=True))
    return hits / truth.size, seconds


if __name__ == "__main__":
    main()
