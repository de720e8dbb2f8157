"""A backbone from scratch: its seed decides it, and its attention begins as it is said to."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from clara_bench import ConfigError
from reference.model.attention_init import GLANCES
from reference.model.backbone import load
from reference.model.layout import visible
from reference.settings.config import Backbone, Scratch


def attention(model, rows, layer=0, **settings):
    """Weights of a layer's heads at the last position (heads, T)."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        return model(torch.tensor(rows)[None], output_attentions=True, **settings).attentions[layer][0, :, -1]


def backbone(tokenizer, seed=0, **shape):
    settings = {"hidden_size": 128, "intermediate_size": 64, "layers": 3, "heads": 4} | shape
    return load(Backbone(scratch=Scratch(**settings)), seed, tokenizer).model


@pytest.mark.parametrize("head", range(4))
def test_the_first_layer_begins_by_looking_a_few_places_back(tokenizer, head):
    weights_T = attention(backbone(tokenizer), [60] * 100)[head].flip(0)
    assert abs(int(weights_T.argmax()) - GLANCES[head].back) <= 1
    assert weights_T[:16].sum() > 0.9


def test_one_head_of_the_first_layer_begins_by_preferring_rare_words(tokenizer):
    rare, frequent = len(tokenizer) - 1, 60
    weights_T = attention(backbone(tokenizer), [frequent, rare] * 20)[3].flip(0)
    assert weights_T[0:15:2].sum() > 3 * weights_T[1:15:2].sum()


def test_the_second_layer_begins_by_looking_at_the_end_of_the_title(tokenizer):
    ids = tokenizer("Ann Lee\nShe was born in a small town, she said")["input_ids"]
    weights_T = attention(backbone(tokenizer), ids, layer=1)[0]
    assert int(weights_T.argmax()) == ids.index(tokenizer("\n")["input_ids"][-1])
    assert weights_T.max() > 2 * weights_T.sort().values[-2]


def test_the_third_layer_begins_by_preferring_the_passage_that_the_question_names(tokenizer):
    words = [name for name in tokenizer.get_vocab() if name.startswith("Ġ") and name[1:].isalpha() and len(name) > 4]
    names = random.Random(0).sample(sorted(words), 80)  # four a time: two titles of two words
    models = [backbone(tokenizer, seed, vocabulary=1200) for seed in range(3)]
    won = sum(_prefers_second(model, tokenizer, names[at : at + 4]) for model in models for at in range(0, 80, 4))
    assert won >= 40, won  # of 60, before any training: 1 in 150 by chance


def _prefers_second(model, tokenizer, names):
    first, second = (tokenizer.convert_tokens_to_ids(names[at : at + 2]) for at in (0, 2))
    end = tokenizer("\nThe town has a mill and a school, built in spring.\n\n")["input_ids"]
    before, after = (tokenizer(text)["input_ids"] for text in ("Question: When was the mill built in", "?\nAnswer:"))
    asked = [*before, *second, *after]
    segments = np.array([[1] * (2 + len(end)) + [2] * (2 + len(end)) + [-1] * len(asked)])
    mask_BTT, positions_BT = visible(segments)
    added = torch.zeros(mask_BTT.shape).masked_fill(torch.from_numpy(~mask_BTT), -1e9)[:, None]
    rows, positions = [*first, *end, *second, *end, *asked], torch.from_numpy(positions_BT)
    weights_HT = attention(model, rows, 2, attention_mask=added, position_ids=positions)
    of_first, of_second = (weights_HT[:, torch.from_numpy(segments[0] == n)].sum() for n in (1, 2))
    return bool(of_second > of_first)


@pytest.mark.parametrize("start", ["plain", "identity", "lexical"])
def test_a_seed_decides_the_weights(tokenizer, start):
    one, same, other = (backbone(tokenizer, seed, start=start).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["model.layers.0.mlp.up_proj.weight"], other["model.layers.0.mlp.up_proj.weight"])


def test_a_shape_without_a_tokenizer_is_refused():
    with pytest.raises(ConfigError, match="tokenizer"):
        load(Backbone(scratch=Scratch()))


def test_a_lexical_start_of_too_few_layers_is_refused(tokenizer):
    with pytest.raises(ConfigError, match="3 layers"):
        backbone(tokenizer, layers=2)
