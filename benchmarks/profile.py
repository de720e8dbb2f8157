"""Where the time of compressing and of a training step goes: PyTorch's operations by kind, and what products reach.

    python -m benchmarks.profile

The bound of a step is what matrix products of the model's own shapes reach, which are smaller than the product of two
2048x2048 matrices that `benchmarks.reference` takes for the machine's rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import AutoConfig

from benchmarks.reference import PRODUCT_OPERATIONS, Sizes, batches, load, passages, product, released, step, timed
from clara_bench.read.models import find
from reference.objectives.stages import Stage
from reference.settings.config import TrainConfig

PASSAGES, BATCH = 16, 2
KINDS = {
    "products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear", "mkldnn", "aten::matmul"),
    "attention": ("attention",),
    "optimiser": ("adam", "foreach", "lerp", "addcdiv", "addcmul"),
    "vocabulary: softmax, loss": ("softmax", "nll_loss", "logsumexp", "cross_entropy"),
    "dropout": ("dropout", "bernoulli"),
    "copies, casts, indices": ("copy", "cat", "index", "embedding", "gather", "scatter", "clone", "fill", "zero"),
}


def kind(name: str) -> str:
    """The kind of an operation."""
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "elementwise and other")


def shares(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds of the operations of each kind, and of Python between them."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        spent, _ = timed(work)
    seconds: Counter[str] = Counter()
    for one in seen.key_averages():
        seconds[kind(one.key)] += one.self_cpu_time_total / 1e6
    return {**seconds, "outside of operations": max(0.0, spent.wall - sum(seconds.values()))}


def rates(config: Any, tokens: int) -> dict[str, float]:
    """Floating-point operations per second of the model's products over so many tokens, in 10^9."""
    width, inner, vocabulary = config.hidden_size, config.intermediate_size, config.vocab_size
    shapes = {"attention": (width, width), "feed-forward": (width, inner), "vocabulary": (width, vocabulary)}
    shapes["adapter"] = (width, 16)
    found = {}
    for name, (before, after) in shapes.items():
        left, right = torch.randn(tokens, before), torch.randn(before, after)
        spent = min(timed(lambda left=left, right=right: left @ right)[0].cpu for _ in range(5))
        found[f"{name} {tokens}x{before}x{after}"] = 2 * tokens * before * after / spent / 1e9
    return found


def show(title: str, seconds: dict[str, float]) -> None:
    whole = sum(seconds.values())
    print(f"\n{title}: {whole:.2f} s")
    for name, spent in sorted(seconds.items(), key=lambda pair: -pair[1]):
        print(f"  {name:<28} {spent:8.2f} s {100 * spent / whole:5.1f} %", flush=True)


def main() -> None:
    """Print all."""
    sizes = Sizes(passages=PASSAGES, batch=BATCH)
    texts, model = passages(sizes), load(sizes)
    config = AutoConfig.from_pretrained(find(sizes.model).folder)
    peak = PRODUCT_OPERATIONS / min(product(torch.float32).cpu for _ in range(2)) / 1e9
    print(f"2048x2048x2048: {peak:.1f} gigaflops")
    for name, rate in rates(config, sizes.batch_tokens).items():
        print(f"{name}: {rate:.1f} gigaflops, {rate / peak:.2f} of it", flush=True)
    model.compress(texts[:2])
    show("compressing, ours", shares(lambda: model.compress(texts, sizes.batch_tokens)))
    show("compressing, released", shares(lambda: released(model, texts)))
    stage = Stage(model, TrainConfig(stage="pretrain", batch=BATCH))
    optimiser = torch.optim.AdamW(stage.trainable_groups())
    rows = next(batches(texts, BATCH))
    step(stage, optimiser, rows)
    show("training step", shares(lambda: step(stage, optimiser, rows)))


if __name__ == "__main__":
    main()
