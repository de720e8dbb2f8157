"""The reference's speed on SmolLM2-135M with untrained adapters: compressing, answering from a store, training.

    python -m benchmarks.reference --corpus corpus.jsonl.gz             1,000 passages; without --corpus, made-up ones
    python -m benchmarks.reference --passages 32 --questions 4 --steps 1        quick

Every ratio is given by the clock on the wall and, for machines with other work, by the processor time used.
Large tensors cost many page faults with glibc's defaults: MALLOC_MMAP_THRESHOLD_=4294967296 and
MALLOC_TRIM_THRESHOLD_=17179869184 keep their memory for the next one.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor
from torch.utils import flop_counter
from torch.utils.flop_counter import FlopCounterMode

from clara_bench.read.models import DEFAULT_MODEL
from clara_bench.worlds import WorldConfig, generate
from reference.data.row import Row, Turn
from reference.memory.store import Store
from reference.model import backbone
from reference.model.clara import Clara
from reference.model.prompts import memory_block
from reference.objectives.stages import Stage
from reference.selection.similarity import cosine
from reference.settings.config import Adapters, Backbone, Memory, ModelConfig, TrainConfig

BLOCK = 200
"""Passages that each way of compressing takes in turn."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The size of the measurement."""

    corpus: Path | None = None
    """JSON Lines or a JSON array of objects with title and text, .gz or not; None for passages of a synthetic world."""
    passages: int = 1000
    """Passages to compress."""
    questions: int = 32
    steps: int = 3
    """Training steps."""
    batch: int = 16
    """Documents per training step."""
    dropout: float = 0.1
    """Dropout of the adapters in training; the paper uses 0.1."""
    candidates: int = 20
    """Candidates per question, for the reasoner to choose from."""
    k: int = 5
    """Passages that the reader is given."""
    rate: int = 16
    batch_tokens: int = 1024
    """Tokens per compression batch; on a CPU, small batches stay in its cache."""
    new_tokens: int = 16
    """Length of each answer; both readers write exactly this many."""
    model: str = DEFAULT_MODEL
    dtype: str = "float32"
    threads: int = 0
    """Number of threads; 0 for PyTorch's default."""


class Spent(NamedTuple):
    """The time and size of one measurement."""

    wall: float
    cpu: float

    def __add__(self, other: Any) -> Spent:
        return Spent(self.wall + other.wall, self.cpu + other.cpu)


def timed(work: Callable[[], Any]) -> tuple[Spent, Any]:
    start, used = time.perf_counter(), time.process_time()
    result = work()
    return Spent(time.perf_counter() - start, time.process_time() - used), result


def ratio(name: str, slow: Spent, fast: Spent) -> dict[str, float]:
    return {name: slow.wall / fast.wall, f"{name}_by_cpu_time": slow.cpu / fast.cpu}


def measured(sizes: Sizes) -> Iterator[dict[str, float]]:
    """The three parts, each as soon as it is done; with the default sizes they are minutes apart."""
    if sizes.threads:
        torch.set_num_threads(sizes.threads)
    texts, model = passages(sizes), load(sizes)
    for part in (compressing, answering, training):
        yield part(model, texts, sizes)


def load(sizes: Sizes) -> Clara:
    config = Backbone(model=sizes.model, template="chat", dtype=sizes.dtype)  # type: ignore[arg-type]
    torch.manual_seed(0)
    adapters = Adapters(dropout=sizes.dropout)
    settings = ModelConfig(backbone=config, adapters=adapters, memory=Memory(rate=sizes.rate))
    return Clara(backbone.load(config), settings, ("compressor", "reasoner", "generator"))


def passages(sizes: Sizes) -> list[str]:
    """Passages spread evenly over the corpus."""
    if sizes.corpus is None:
        number = max(200, sizes.passages)
        rows: Sequence[Any] = generate("nq", WorldConfig(seed=0, questions=number // 2, passages=number)).corpus
    else:
        content = sizes.corpus.read_bytes()
        text = (gzip.decompress(content) if sizes.corpus.suffix == ".gz" else content).decode()
        rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    places = [number * len(rows) // sizes.passages for number in range(min(sizes.passages, len(rows)))]
    return [f"{rows[place]['title']}\n{rows[place]['text']}" for place in places]


def compressing(model: Clara, texts: Sequence[str], sizes: Sizes) -> dict[str, float]:
    """Computes the same memories in three ways, in turns, so that other work on the machine slows all of them.

    Ours batches rows of similar length; the second pads every row to the longest allowed; the third does what the
    released code does (apple/ml-clara, modeling_clara.py, at 857c3cf): pads, takes a question's 20 candidates at once,
    and calls the whole language model, which scores the vocabulary at every position.
    """
    ways = {
        "bucketed": lambda chosen: model.compress(chosen, sizes.batch_tokens),
        "padded": lambda chosen: padded(model, chosen, sizes.batch_tokens),
        "released": lambda chosen: released(model, chosen),
    }
    spent = dict.fromkeys(ways, Spent(0, 0))
    furthest = 0.0
    model.compress(texts[:2])
    for start in range(0, len(texts), BLOCK):
        made = {}
        for way, work in ways.items():
            took, made[way] = timed(functools.partial(work, texts[start : start + BLOCK]))
            spent[way] += took
        for way in ("padded", "released"):
            pairs = zip(made["bucketed"], made[way], strict=True)
            furthest = max(furthest, *(float((ours - theirs).abs().max()) for ours, theirs in pairs))
    tokens = [min(len(ids), 256) for ids in model.prompter.documents(texts)]
    return {
        "passage_tokens": sum(tokens) / len(tokens),
        **{f"{way}_passages_per_second": len(texts) / took.wall for way, took in spent.items()},
        "compressing_largest_difference": furthest,
        **ratio("compressing_speedup", spent["released"], spent["bucketed"]),
        **ratio("compressing_speedup_by_layout_alone", spent["padded"], spent["bucketed"]),
    }


def padded(model: Clara, texts: Sequence[str], batch_tokens: int) -> list[Tensor]:
    with laid_out(model, "padded"):
        return model.compress(texts, batch_tokens)


def released(model: Clara, texts: Sequence[str], at_once: int = 20) -> list[Tensor]:
    role = model.role("compressor")
    scoring = role.register_forward_hook(lambda _, __, out: (role.logits(out[0]), out)[1])
    memories = []
    for start in range(0, len(texts), at_once):
        memories += padded(model, texts[start : start + at_once], batch_tokens=1 << 30)
    scoring.remove()
    return memories


class laid_out:
    """Let the model compress in this layout within the block."""

    def __init__(self, model: Clara, layout: str) -> None:
        self.model, self.before = model, model.config
        memory = msgspec.structs.replace(model.config.memory, layout=layout)
        self.inside = msgspec.structs.replace(model.config, memory=memory)

    def __enter__(self) -> None:
        self.model.config = self.inside

    def __exit__(self, *_: object) -> None:
        self.model.config = self.before


def answering(model: Clara, texts: Sequence[str], sizes: Sizes) -> dict[str, float]:
    """Answer from the store's memories, compared with the same reader on the text of the same passages.

    Each uses its best batch size. Retrieval for the text reader is not timed; the time in which the
    reasoner chooses its own is shown apart.
    """
    pool = list(dict.fromkeys(texts))[: 2 * sizes.candidates]
    dice = random.Random(0)
    asked = [dice.sample(pool, min(len(pool), sizes.candidates)) for _ in range(sizes.questions)]
    questions = [f"What is known of {candidates[0].partition(chr(10))[0]}?" for candidates in asked]
    with tempfile.TemporaryDirectory() as folder, endless(model):
        store = Store.create(Path(folder) / "store", model)
        store.build(model, pool)
        store.get(pool)  # warm
        pairs = list(zip(questions, asked, strict=True))
        retrieving, chosen = timed(lambda: [choose(model, store, *pair, sizes.k) for pair in pairs])
        latent, prompt = quickest(functools.partial(from_store, model, store, questions, chosen, sizes.new_tokens))
        text, text_prompt = quickest(functools.partial(from_text, model, questions, chosen, sizes.new_tokens))
        size = store.bytes_per_document
    return {
        "store_bytes_per_document": size,
        "text_prompt_positions": text_prompt,
        "latent_prompt_positions": prompt,
        "text_seconds_per_question": text.wall / sizes.questions,
        "latent_seconds_per_question": latent.wall / sizes.questions,
        "choosing_seconds_per_question": retrieving.wall / sizes.questions,
        **ratio("answering_speedup", text, latent),
        **ratio("answering_speedup_choosing_included", text, latent + retrieving),
    }


class endless:
    """Let every answer run to its maximum length within the block."""

    def __init__(self, model: Clara) -> None:
        self.prompter, self.ends = model.prompter, model.prompter.ends

    def __enter__(self) -> None:
        self.prompter.ends = frozenset()

    def __exit__(self, *_: object) -> None:
        self.prompter.ends = self.ends


@torch.no_grad()
def choose(model: Clara, store: Store, question: str, candidates: Sequence[str], k: int) -> list[str]:
    query_1E = model.flatten(model.query([question]))
    memories_NE = model.flatten(store.get(candidates, torch.float32))
    best = cosine(query_1E, memories_NE[None])[0].topk(min(k, len(candidates))).indices
    return [candidates[place] for place in best.tolist()]


def quickest(work: Callable[[int], float]) -> tuple[Spent, float]:
    """The shortest time over several batch sizes, and the result of the work."""
    done = [timed(functools.partial(work, batch_tokens)) for batch_tokens in (1024, 4096)]
    return Spent(*map(min, zip(*(spent for spent, _ in done), strict=True))), done[0][1]


def from_store(
    model: Clara,
    store: Store,
    questions: Sequence[str],
    chosen: Sequence[Sequence[str]],
    new_tokens: int,
    batch_tokens: int,
) -> float:
    memories = [store.get(documents) for documents in chosen]
    blocks = [[memory_block(len(memory)) for memory in row] for row in memories]
    return answer(model, questions, blocks, [torch.cat(row) for row in memories], new_tokens, batch_tokens)


def from_text(
    model: Clara, questions: Sequence[str], chosen: Sequence[Sequence[str]], new_tokens: int, batch_tokens: int
) -> float:
    blocks = [[ids[:256] for ids in model.prompter.documents(documents)] for documents in chosen]
    return answer(model, questions, blocks, None, new_tokens, batch_tokens)


def answer(
    model: Clara,
    questions: Sequence[str],
    blocks: Sequence[Any],
    memories: list[Tensor] | None,
    new_tokens: int,
    batch_tokens: int,
) -> float:
    """Mean number of tokens of a prompt."""
    prompts = [model.prompter.question_prompt(question, row) for question, row in zip(questions, blocks, strict=True)]
    answers = model.answer(prompts, memories, new_tokens, batch_tokens)
    assert all(len(found.ids) == new_tokens for found in answers)
    return sum(map(len, prompts)) / len(prompts)


def training(model: Clara, texts: Sequence[str], sizes: Sizes) -> dict[str, float]:
    """Floating-point operations per second of a pretraining step, and of one large matrix product between steps.

    Counted are the products of matrices that the step does, inside attention only those under the causal mask.
    """
    stage = Stage(model, TrainConfig(stage="pretrain", batch=sizes.batch))
    optimiser = torch.optim.AdamW(stage.trainable_groups())
    rows = batches([text for text in texts if len(text) > 50], sizes.batch)
    work = next(rows)
    counter = FlopCounterMode(display=False, custom_mapping=ATTENTION)
    with counter:
        step(stage, optimiser, work)
    operations = counter.get_total_flops()
    dtype = getattr(torch, sizes.dtype)
    products, steps = [product(dtype)], []
    for _ in range(sizes.steps):
        steps.append(timed(lambda: step(stage, optimiser, work))[0])
        products.append(product(dtype))
    best, peak = (Spent(*map(min, zip(*times, strict=True))) for times in (steps, products))
    return {
        "step_seconds": best.wall,
        "step_gigaflops": operations / best.wall / 1e9,
        "product_gigaflops": PRODUCT_OPERATIONS / peak.wall / 1e9,
        "step_over_product_rate": operations / best.wall * peak.wall / PRODUCT_OPERATIONS,
        "step_over_product_rate_by_cpu_time": operations / best.cpu * peak.cpu / PRODUCT_OPERATIONS,
    }


def batches(texts: Sequence[str], size: int) -> Iterator[list[Row]]:
    """Batches of documents to be reconstructed from their memories."""
    for start in range(0, len(texts), size):
        chosen = texts[start : start + size]
        yield [Row(str(n), (text,), (Turn("", text),), "paraphrase") for n, text in enumerate(chosen)]


def step(stage: Stage, optimiser: torch.optim.Optimizer, rows: list[Row]) -> None:
    loss = stage(rows)
    optimiser.zero_grad()
    (loss.cross_entropy.total / loss.cross_entropy.weight + loss.extra.total / loss.extra.weight).backward()
    optimiser.step()


def attention(query: Any, key: Any, value: Any, dropout: float, causal: bool, **_: Any) -> int:
    return flop_counter.sdpa_flop_count(query, key, value) // (2 if causal else 1)


def attention_backward(
    gradient: Any, query: Any, key: Any, value: Any, out: Any, sums: Any, dropout: float, causal: bool, **_: Any
) -> int:
    return flop_counter.sdpa_backward_flop_count(gradient, query, key, value) // (2 if causal else 1)


ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward,
}
"""What PyTorch's counter does not know."""

SIDE = 2048
PRODUCT_OPERATIONS = 2 * SIDE**3


def product(dtype: torch.dtype) -> Spent:
    """The fastest of three."""
    left, right = torch.randn(2, SIDE, SIDE).to(dtype)
    return Spent(*map(min, zip(*(timed(lambda: left @ right)[0] for _ in range(3)), strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser("benchmarks.reference", description="Options and their defaults.")
    for field in fields(Sizes):
        kind = Path if field.name == "corpus" else type(field.default)
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=kind, default=field.default, help=str(field.default)
        )
    for part in measured(Sizes(**vars(parser.parse_args()))):
        for name, value in part.items():
            print(f"{name:<50} {value:12.6g}", flush=True)


if __name__ == "__main__":
    main()
