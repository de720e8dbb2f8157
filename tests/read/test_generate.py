"""Greedy generation is the same however it is batched, and the same as the library's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    BloomConfig,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedConfig,
    Qwen3Config,
)

from clara_bench.read.generate import generate

SIZES = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "sliding-window": MistralConfig(**SIZES, sliding_window=16),
    "qwen3": Qwen3Config(**SIZES, head_dim=8),
    "gemma3": Gemma3TextConfig(**SIZES, head_dim=8, sliding_window=16),
    "phi3": Phi3Config(**SIZES),
    "bloom": BloomConfig(**SIZES, n_layer=2, n_head=4),
    "gpt2": GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1, pad_token_id=1),
}
STOP = frozenset({1})


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest, build: Callable[[PreTrainedConfig], Any]) -> Any:
    return build(CONFIGS[request.param])


@pytest.fixture(scope="module")
def prompts() -> list[tuple[int, ...]]:
    draw = torch.Generator().manual_seed(3)
    lengths = (3, 40, 17, 29, 1, 8)
    return [tuple(torch.randint(2, 400, (length,), generator=draw).tolist()) for length in lengths]


def test_a_batch_says_what_each_prompt_says_alone(model: Any, prompts: list[tuple[int, ...]]) -> None:
    together = generate(model, prompts, STOP, 12)
    alone = [generate(model, [prompt], STOP, 12)[0] for prompt in prompts]
    assert [row.ids for row in together] == [row.ids for row in alone]
    assert len({row.ids for row in together}) > 1  # else the comparison would prove nothing


def test_tokens_are_those_of_the_librarys_generate(model: Any, prompts: list[tuple[int, ...]]) -> None:
    for prompt, row in zip(prompts, generate(model, prompts, STOP, 12), strict=True):
        ids = torch.tensor([prompt])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        assert tuple(token for token in out[0, len(prompt) :].tolist() if token != 1) == row.ids


def test_rows_end_at_their_own_stop_token_and_the_others_go_on(model: Any, prompts: list[tuple[int, ...]]) -> None:
    free = [row.ids for row in generate(model, prompts, frozenset(), 12)]
    assert {len(ids) for ids in free} == {12}
    stop = free[0][4]
    for ids, row in zip(free, generate(model, prompts, frozenset({stop}), 12), strict=True):
        assert row.ids == (ids[: ids.index(stop)] if stop in ids else ids)


def test_the_seconds_of_the_rows_add_up_to_the_time_it_took(build: Callable[..., Any]) -> None:
    model = build(CONFIGS["llama"])
    prompts = [tuple(range(2, 2 + length)) for length in (300, 150, 50)]
    generate(model, prompts, frozenset(), 2)
    start = time.perf_counter()
    rows = generate(model, prompts, frozenset(), 20)
    took = time.perf_counter() - start
    assert 0.7 * took < sum(row.prefill_seconds + row.decode_seconds for row in rows) <= took
    assert rows[0].prefill_seconds == pytest.approx(2 * rows[1].prefill_seconds)
