"""The DeepSpeed part of training: its settings, the connection of processes, memory estimates.

The library is imported inside functions, because importing it takes half a second, prints, and reads the environment.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import torch
from torch import nn

from clara_bench import BackendError, ConfigError
from reference.settings.config import Optimiser, Parallel, TrainConfig

LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What `deepspeed` and `torchrun` tell each process that they start."""


class Process(NamedTuple):
    """This process, among those that train together."""

    rank: int
    ranks: int
    device: torch.device


class Counts(NamedTuple):
    """Parameters of a model; one that several modules share counts once."""

    trainable: int
    frozen: int
    largest_layer: int
    """Of the module with the most parameters of its own, which ZeRO-3 gathers in full."""


class Estimate(NamedTuple):
    """Bytes that weights, gradients and optimiser states take; activations come on top."""

    device: int
    """On each rank's accelerator."""
    host: int
    """In the main memory of the node, for all its ranks."""


def accumulation(config: TrainConfig, ranks: int) -> int:
    """Micro-batches per rank in one optimiser step.

    Raises:
        ConfigError: the batch does not divide evenly.
    """
    at_once = config.parallel.micro_batch * ranks
    if at_once < 1 or config.batch < 1 or config.batch % at_once:
        raise ConfigError(
            f"batch is {config.batch}, expected a multiple of parallel.micro_batch x ranks "
            f"({config.parallel.micro_batch} x {ranks}): change either, or the number of processes"
        )
    return config.batch // at_once


def engine_dict(config: TrainConfig, ranks: int = 1, universal: bool = False) -> dict[str, Any]:
    """The config of `deepspeed.initialize`.

    Args:
        config: of the stage.
        ranks: processes that train together.
        universal: resume from a universal checkpoint (see `train.convert`).

    Raises:
        ConfigError: a batch that does not come out even, offloading without ZeRO.
    """
    parallel, optimiser = config.parallel, config.optimiser
    settings: dict[str, Any] = {
        "train_batch_size": config.batch,
        "train_micro_batch_size_per_gpu": parallel.micro_batch,
        "gradient_accumulation_steps": accumulation(config, ranks),
        "gradient_clipping": optimiser.clip,
        "steps_per_print": 2**31,
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": optimiser.learning_rate,
                "betas": list(optimiser.betas),
                "weight_decay": optimiser.weight_decay,
                "torch_adam": True,  # DeepSpeed's own is compiled at first use
            },
        },
        "zero_optimization": _zero(parallel),
        "checkpoint": {"load_universal": universal},
    }
    if parallel.precision == "bf16":
        settings["bf16"] = {"enabled": True}
    if parallel.precision == "fp16":
        settings["fp16"] = {"enabled": True, "loss_scale": 0, "initial_scale_power": 16}
    return settings


def _zero(parallel: Parallel) -> dict[str, Any]:
    zero: dict[str, Any] = {"stage": parallel.zero}
    if not parallel.offload:
        return zero
    if not parallel.zero:
        raise ConfigError("parallel.offload needs parallel.zero 1, 2 or 3: plain data parallelism offloads nothing")
    return {**zero, "offload_optimizer": {"device": "cpu"}}


def rate_share(optimiser: Optimiser, steps: int) -> Callable[[int], float]:
    """The learning rate of each step, from 0, as a fraction of the peak.

    DeepSpeed's own schedule spends the first step at rate 0; this one starts with the first fraction of the
    warm-up, and its last step is at the floor.
    """
    warmup = math.ceil(optimiser.warmup_fraction * steps)

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if optimiser.schedule == "constant":
            return 1.0
        done = min(1.0, (step + 1 - warmup) / max(1, steps - warmup))
        return optimiser.floor_fraction + (1 - optimiser.floor_fraction) * (1 + math.cos(math.pi * done)) / 2

    return share


def connect() -> Process:
    """Connect the processes that a launcher started; without a launcher, run as the only process and open no port.

    An existing connection is reused. It lasts until the process ends, because DeepSpeed keeps it.

    Raises:
        ConfigError: a launcher set only part of the environment that a process needs.
        BackendError: no connection can be made.
    """
    _on_cpu_if_no_gpu()
    try:
        return _joined()
    except (OSError, RuntimeError) as error:
        raise BackendError(f"the processes cannot be connected: {' '.join(str(error).split())[:300]}") from error


def _joined() -> Process:
    if torch.distributed.is_initialized():
        os.environ.setdefault("LOCAL_RANK", "0")
    elif not launched(os.environ):
        _alone()
    import deepspeed
    from deepspeed.accelerator import get_accelerator

    if get_accelerator().device_name() == "cpu":
        # an extension for inference that DeepSpeed would compile now, for a minute and only if there is a compiler
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    local = int(os.environ["LOCAL_RANK"])
    if get_accelerator().device_name() != "cpu":
        get_accelerator().set_device(local)
    deepspeed.init_distributed(auto_mpi_discovery=False, verbose=False, timeout=timedelta(minutes=60))
    world = torch.distributed
    return Process(world.get_rank(), world.get_world_size(), torch.device(get_accelerator().device_name(local)))


def launched(environment: Mapping[str, str]) -> bool:
    """Whether a launcher started this process.

    Raises:
        ConfigError: it set only part of the environment that a process needs.
    """
    missing = sorted(name for name in LAUNCHER if name not in environment)
    if "RANK" in environment and missing:
        raise ConfigError(
            f"environment: RANK is set without {', '.join(missing)}. Start with `deepspeed` or `torchrun`"
        )
    return "RANK" in environment


def _on_cpu_if_no_gpu() -> None:
    if not torch.accelerator.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def _alone() -> None:
    """A group of one: its store is this process's memory."""
    os.environ.setdefault("LOCAL_RANK", "0")
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    store = torch.distributed.HashStore()  # type: ignore[attr-defined]
    torch.distributed.init_process_group(backend, store=store, rank=0, world_size=1)


def start(
    module: nn.Module, groups: Sequence[dict[str, Any]], config: TrainConfig, ranks: int, universal: bool = False
) -> Any:
    """A DeepSpeed engine around a module, with its optimiser and learning rates.

    Args:
        module: whose trainable parameters are those of the groups.
        groups: parameter groups of the optimiser, each with its peak `lr`.
        config: of the stage.
        ranks: processes that train together.
        universal: see `engine_dict`.

    Raises:
        BackendError: the device's memory is too small, or the processes cannot be connected.
    """
    import deepspeed

    share, settings = rate_share(config.optimiser, config.steps), engine_dict(config, ranks, universal)
    try:
        engine, *_ = deepspeed.initialize(
            model=module,
            model_parameters=list(groups),
            config=settings,
            lr_scheduler=lambda optimiser: torch.optim.lr_scheduler.LambdaLR(optimiser, share),
        )
    except (OSError, RuntimeError) as error:
        raise BackendError(f"training cannot be set up: {' '.join(str(error).split())[:300]}") from error
    return engine


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the library's warnings about its own calls, which users cannot fix."""
    _on_cpu_if_no_gpu()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed|deepspeed")
        warnings.filterwarnings("ignore", category=UserWarning, module="deepspeed")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        from deepspeed.utils import logger

        before = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(before)


def count_parameters(module: nn.Module) -> Counts:
    """Parameters of a module, which may be on the meta device."""
    parameters = list(module.parameters())
    trainable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    layers = (sum(own.numel() for own in layer.parameters(recurse=False)) for layer in module.modules())
    return Counts(trainable, sum(parameter.numel() for parameter in parameters) - trainable, max(layers, default=0))


def memory_estimate(counts: Counts, parallel: Parallel, ranks_a_node: int = 1, nodes: int = 1) -> Estimate:
    """Estimated memory of a stage's weights, gradients and optimiser states, without activations.

    ZeRO 2 and 3 by DeepSpeed's own estimators for what is trainable; they know of no frozen weights, which are added
    whole (ZeRO-3: in equal parts). ZeRO 0 and 1 by the same bytes a parameter. fp32 counts as they count 16 bits plus
    the two bytes more of weights and gradients.
    """
    ranks, wide = ranks_a_node * nodes, 4 if parallel.precision == "fp32" else 2
    host, device = _trainable_bytes(counts, parallel, ranks_a_node, nodes)
    extra = (wide - 2) * counts.trainable
    shared = ranks if parallel.zero == 3 else 1
    gradients = ranks if parallel.zero >= 2 else 1
    frozen = wide * counts.frozen // shared
    return Estimate(device + frozen + extra // shared + extra // gradients, host)


def _trainable_bytes(counts: Counts, parallel: Parallel, ranks_a_node: int, nodes: int) -> tuple[int, int]:
    """(host, device) bytes in 16-bit training."""
    shape: dict[str, Any] = {"num_gpus_per_node": ranks_a_node, "num_nodes": nodes, "cpu_offload": parallel.offload}
    if parallel.zero == 3:
        from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs

        sizes = counts.trainable, counts.largest_layer
        return estimate_zero3_model_states_mem_needs(*sizes, **shape, cpu_offload_params=False, zero_init=False)[:2]
    if parallel.zero == 2:
        from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

        return estimate_zero2_model_states_mem_needs(counts.trainable, **shape)
    # weights and gradients of 16 bits; master weights, two moments and the gradient of 32
    states = 16 * counts.trainable // (ranks_a_node * nodes if parallel.zero else 1)
    if parallel.offload:
        return states * ranks_a_node, 4 * counts.trainable
    return 0, 4 * counts.trainable + states
