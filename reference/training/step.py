"""One optimiser step, with its statistics summed over micro-batches and processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from reference.data.stream import Stream
from reference.model.clara import Clara
from reference.objectives.batches import Batch
from reference.objectives.losses import WeightedSum, share_of_batch
from reference.objectives.stages import Stage
from reference.settings.config import TrainConfig
from reference.training.deepspeed import Process

Evaluate = Callable[[Clara, int], Mapping[str, float]]
"""What a model is worth after so many steps. `score` decides which is best, or else the first; more is better."""


@dataclass(frozen=True, slots=True)
class Run:
    """The parts that are the same in every step."""

    settings: TrainConfig
    name: str
    out: Path
    process: Process
    stage: Stage
    engine: Any
    stream: Stream
    evaluate: Evaluate | None
    notes: Mapping[str, Any]

    @property
    def partitioned(self) -> bool:
        """Whether weights are partitioned outside a forward pass."""
        return self.settings.parallel.zero == 3


def take_step(run: Run, batches: Sequence[Batch], stop: bool) -> tuple[dict[str, float], bool]:
    """Take one optimiser step; returns its statistics over all processes, and whether any process was asked to stop."""
    engine, parts = run.engine, len(batches) * run.process.ranks
    weights = [sum(batch.weight for batch in batches), sum(batch.extra_weight for batch in batches)]
    weight, extra_weight, stops = _over_all(run.process, [*weights, float(stop)])
    rate, norm, seen = engine.get_lr()[0], None, []
    for number, batch in enumerate(batches, 1):
        loss = engine(batch)
        main = share_of_batch(loss.cross_entropy, run.settings.ce_form, weight, parts)
        share = main + share_of_batch(loss.extra, "token", extra_weight, parts)
        engine.backward(share * parts)  # DeepSpeed averages over micro-batches and processes; shares add up
        if number == len(batches):
            norm = _gradient_norm(engine)
        engine.step()
        one = share.new_tensor(1 / parts)
        shares = {"loss": WeightedSum(share.detach(), one), "cross_entropy": WeightedSum(main.detach(), one)}
        seen.append(shares | loss.logs)
    norm = engine.get_global_grad_norm() if norm is None else norm
    return {**_means(run, seen), "gradient_norm": float(norm or 0.0), "rate": rate, "targets": weight}, stops > 0


def _gradient_norm(engine: Any) -> Tensor | None:
    """The gradient norm before clipping; None if DeepSpeed reports it, which it does not in fp32."""
    if engine.zero_optimization() or engine.bfloat16_enabled() or engine.fp16_enabled():
        return None
    gradients = [parameter.grad for parameter in engine.module.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def _means(run: Run, seen: Sequence[Mapping[str, WeightedSum]]) -> dict[str, float]:
    """Weighted means over micro-batches and processes; names without any weight are left out."""
    table = torch.stack([torch.stack([torch.stack(part) for part in logs.values()]) for logs in seen]).sum(0)
    sums = _over_all(run.process, table.flatten().tolist())
    pairs = zip(seen[0], sums[::2], sums[1::2], strict=True)
    return {name: total / weight for name, total, weight in pairs if weight}


def _over_all(process: Process, values: Sequence[float]) -> list[float]:
    """Sums over processes."""
    if process.ranks == 1:
        return list(values)
    summed = torch.tensor(values, dtype=torch.float64, device=process.device)
    distributed.all_reduce(summed)
    return summed.tolist()
