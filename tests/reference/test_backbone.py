"""A backbone from scratch: its seed decides it, and its attention begins as it is said to."""

from __future__ import annotations

import pytest
import torch

from clara_bench import ConfigError
from reference.backbone import GLANCES, load
from reference.config import Backbone, Scratch


def attention(model, tokens):
    """Weights of the first layer's heads at the last position."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        return model(torch.tensor([tokens]), output_attentions=True).attentions[0][0, :, -1]


def backbone(tokenizer, seed=0, **shape):
    settings = {"hidden_size": 128, "intermediate_size": 64, "layers": 2, "heads": 4} | shape
    return load(Backbone(scratch=Scratch(**settings)), seed, tokenizer).model


@pytest.mark.parametrize("head", [0, 1])
def test_near_heads_begin_by_looking_at_the_last_few_tokens(tokenizer, head):
    weights_T = attention(backbone(tokenizer), list(range(40, 100)))[head].flip(0)
    assert weights_T[:5].sum() > 0.6
    assert abs(int(weights_T.argmax()) - GLANCES[head].back) <= 1


@pytest.mark.parametrize("head", [2, 3])
def test_wide_heads_begin_by_looking_around_their_place(tokenizer, head):
    weights_T = attention(backbone(tokenizer), list(range(40, 240)))[head]
    places = torch.arange(len(weights_T)).flip(0)
    near = (places - GLANCES[head].back).abs() <= GLANCES[head].width
    assert weights_T[near].mean() > 2 * weights_T[~near].mean()


@pytest.mark.parametrize("start", ["plain", "identity", "looking-back"])
def test_a_seed_decides_the_weights(tokenizer, start):
    one, same, other = (backbone(tokenizer, seed, start=start).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["model.layers.0.mlp.up_proj.weight"], other["model.layers.0.mlp.up_proj.weight"])


def test_a_shape_without_a_tokenizer_is_refused():
    with pytest.raises(ConfigError, match="tokenizer"):
        load(Backbone(scratch=Scratch()))
