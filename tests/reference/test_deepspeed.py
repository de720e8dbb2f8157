"""DeepSpeed's settings from ours, the learning rate of each step, memory estimates."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from clara_bench import ConfigError
from reference.settings.config import Optimiser, Parallel, TrainConfig
from reference.training import deepspeed
from reference.training.deepspeed import Counts, accumulation, engine_dict, memory_estimate, rate_share


def settings(batch: int = 16, micro: int = 4, **parallel) -> TrainConfig:
    return TrainConfig(batch=batch, parallel=Parallel(micro_batch=micro, **parallel))


@pytest.mark.parametrize("zero", [0, 1, 2, 3])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_engine_dict_says_what_the_config_says(zero, precision):
    optimiser = Optimiser(learning_rate=3e-4, betas=(0.8, 0.9), weight_decay=0.1, clip=0.5)
    config = TrainConfig(
        batch=48, optimiser=optimiser, parallel=Parallel(zero=zero, precision=precision, micro_batch=4)
    )
    made = engine_dict(config, ranks=3)
    sizes = made["train_batch_size"], made["train_micro_batch_size_per_gpu"], made["gradient_accumulation_steps"]
    assert sizes == (48, 4, 4)
    assert made["zero_optimization"] == {"stage": zero}
    assert [name for name in ("bf16", "fp16") if name in made] == [name for name in (precision,) if name != "fp32"]
    assert made["gradient_clipping"] == 0.5
    adam = made["optimizer"]["params"]
    assert (adam["lr"], adam["betas"], adam["weight_decay"]) == (3e-4, [0.8, 0.9], 0.1)


def test_offloading_keeps_optimiser_states_in_main_memory():
    made = engine_dict(settings(zero=2, offload=True))
    assert made["zero_optimization"]["offload_optimizer"] == {"device": "cpu"}
    with pytest.raises(ConfigError, match=r"offload needs parallel\.zero"):
        engine_dict(settings(zero=0, offload=True))


def test_the_library_itself_accepts_every_dict():
    with deepspeed.quiet():
        from deepspeed.runtime.config import DeepSpeedConfig

        deepspeed.connect()
        for zero in (0, 1, 2, 3):
            read = DeepSpeedConfig(engine_dict(settings(zero=zero, offload=zero > 0, precision="bf16")))
            assert (read.train_batch_size, read.gradient_accumulation_steps) == (16, 4)
            assert read.zero_optimization_stage == zero


def test_a_batch_divides_among_micro_batches_and_ranks_or_is_refused():
    assert accumulation(settings(16, 4), 2) == 2
    for batch, micro, ranks in [(16, 4, 3), (10, 4, 1), (16, 16, 2), (0, 4, 1), (16, 0, 1)]:
        with pytest.raises(ConfigError, match=f"batch is {batch}, expected a multiple of"):
            accumulation(settings(batch, micro), ranks)


def test_the_learning_rate_rises_peaks_and_ends_at_its_floor():
    share = rate_share(Optimiser(warmup_fraction=0.1, floor_fraction=0.2), 100)
    shares = [share(step) for step in range(100)]
    assert shares[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])  # the first step moves something
    assert shares[9] == 1.0 == max(shares)
    assert shares[54] == pytest.approx(0.6)  # half way down: step 45 of 90
    assert shares[99] == pytest.approx(0.2)
    assert all(before > after for before, after in itertools.pairwise(shares[9:]))


def test_a_constant_rate_is_constant_after_its_warm_up():
    share = rate_share(Optimiser(schedule="constant", warmup_fraction=0.05), 40)
    assert [share(step) for step in range(40)] == [0.5] + [1.0] * 39
    assert rate_share(Optimiser(warmup_fraction=0.0, schedule="constant"), 1)(0) == 1.0
    assert math.isclose(rate_share(Optimiser(warmup_fraction=0.0), 1)(0), 0.1)  # one step is the first and the last


def test_a_launcher_that_says_only_half_is_refused():
    assert deepspeed.launched({"HOME": "/"}) is False
    assert deepspeed.launched(dict.fromkeys(deepspeed.LAUNCHER, "0")) is True
    with pytest.raises(ConfigError, match="RANK is set without MASTER_ADDR, MASTER_PORT"):
        deepspeed.launched({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"})


def test_one_process_without_a_launcher_is_the_only_rank():
    with deepspeed.quiet():
        process = deepspeed.connect()
    assert (process.rank, process.ranks) == (0, 1)


def test_weights_that_modules_share_count_once():
    shared, own = torch.nn.Linear(10, 10, device="meta"), torch.nn.Linear(4, 4, device="meta")
    shared.requires_grad_(False)
    module = torch.nn.ModuleDict({"one": shared, "two": torch.nn.Sequential(shared), "own": own})
    assert deepspeed.count_parameters(module) == Counts(trainable=20, frozen=110, largest_layer=110)


def test_memory_is_estimated_as_worked_out_by_hand():
    counts = Counts(trainable=1000, frozen=50_000, largest_layer=400)
    # 2 + 2 bytes of weights and gradients; 16 of fp32 weights, gradient and two moments
    assert memory_estimate(counts, Parallel(zero=0, precision="bf16")).device == 20 * 1000 + 2 * 50_000
    assert memory_estimate(counts, Parallel(zero=1, precision="bf16"), 4).device == 4 * 1000 + 4 * 1000 + 2 * 50_000
    # fp32: two bytes more of weights, gradients and frozen weights
    assert memory_estimate(counts, Parallel(zero=0, precision="fp32")).device == 24 * 1000 + 4 * 50_000


@pytest.mark.parametrize("zero", [2, 3])
def test_memory_of_what_learns_is_the_librarys_own_estimate(zero):
    with deepspeed.quiet():
        from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs as third
        from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs as second
    counts, shape = Counts(10**9, 0, 10**7), {"num_gpus_per_node": 8, "num_nodes": 2}
    for offload in (False, True):
        ours = memory_estimate(counts, Parallel(zero=zero, precision="bf16", offload=offload), 8, 2)
        if zero == 2:
            theirs = second(10**9, **shape, cpu_offload=offload)
        else:
            settings_ = {**shape, "cpu_offload": offload, "cpu_offload_params": False, "zero_init": False}
            theirs = third(10**9, 10**7, **settings_)[:2]
        assert (ours.host, ours.device) == theirs
    with_frozen = memory_estimate(counts._replace(frozen=16_000), Parallel(zero=zero, precision="bf16"), 8, 2)
    without = memory_estimate(counts, Parallel(zero=zero, precision="bf16"), 8, 2)
    assert with_frozen.device - without.device == (32_000 if zero == 2 else 2_000)  # ZeRO-3 shares them among 16
