"""Presses score as NVIDIA's kvpress does, whose scores of one layer are in tests/data (record_kvpress.py made them)."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from clara_bench.kv.presses import PRESSES, Layer, PressName, Repeated
from clara_bench.kv.rotary import Rotary

FILE = Path(__file__).parents[1] / "data" / "kvpress-scores.safetensors"
BUDGET, BEFORE = 128, 6
RECORDED: tuple[PressName, ...] = ("streaming-llm", "snapkv", "tova", "expected-attention", "knorm", "keydiff", "kvzip")


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return load_file(FILE)


def layer(recorded: dict[str, Tensor], before: int = 0, budget: int = BUDGET, seed: int = 0) -> Layer:
    """The recorded layer, its first positions taken for the beginning of the prompt."""
    queries, keys, values = (recorded[name][:, before:] for name in ("queries", "keys", "values"))
    repeated = Repeated(recorded["asking"], recorded["repeated"])
    draw = torch.Generator().manual_seed(seed)
    scale, rotary = keys.shape[-1] ** -0.5, Rotary(recorded["frequencies"])
    return Layer(queries, keys, values, recorded["keys"][:, :before], budget, scale, rotary, draw, repeated)


@pytest.mark.parametrize("name", RECORDED)
def test_a_press_scores_as_kvpress_does(recorded: dict[str, Tensor], name: PressName) -> None:
    ours = PRESSES[name](layer(recorded, BEFORE if name == "kvzip" else 0))
    theirs, certain = recorded[name], torch.isinf(ours)
    assert (theirs[certain] > theirs[~certain].max()).all()  # what must stay has no score of its own
    torch.testing.assert_close(ours[~certain], theirs[~certain], rtol=1e-4, atol=1e-6)
    assert ours[~certain].unique().numel() > 1


def test_every_press_has_a_score_for_each_token_however_few_are_kept(recorded: dict[str, Tensor]) -> None:
    assert set(PRESSES) == set(get_args(PressName)) == {*RECORDED, "random"}
    for budget in (1, 2, 5, 153):
        for name, press in PRESSES.items():
            scores = press(layer(recorded, BEFORE, budget))
            assert scores.shape == (2, 160 - BEFORE) and not scores.isnan().any(), name
            assert len(set(scores.topk(budget).indices[0].tolist())) == budget


def test_the_streaming_press_keeps_the_first_and_the_last(recorded: dict[str, Tensor]) -> None:
    kept = PRESSES["streaming-llm"](layer(recorded, budget=10)).topk(10).indices[0].sort().values
    assert kept.tolist() == [0, 1, 2, 3, 154, 155, 156, 157, 158, 159]


def test_the_random_press_is_another_in_each_head_and_for_each_seed(recorded: dict[str, Tensor]) -> None:
    one, same, other = (PRESSES["random"](layer(recorded, seed=seed)) for seed in (0, 0, 1))
    assert one.equal(same) and not one.equal(other) and not one[0].equal(one[1])
