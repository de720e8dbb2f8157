"""A backbone small enough to train inside a test, over text of the built-in worlds."""

from __future__ import annotations

import copy

import pytest

TEMPLATE = (
    "{% for m in messages %}<end>{{ m['role'] }}\n{{ m['content'] }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<end>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def world_texts():
    from clara_bench.worlds import WorldConfig, generate

    world = generate("hotpotqa", WorldConfig(seed=3, questions=40, passages=200, split="train"))
    return [f"{passage['title']}\n{passage['text']}" for passage in world.corpus]


@pytest.fixture(scope="session")
def tokenizer(world_texts):
    from reference.model.backbone import train_tokenizer

    return train_tokenizer([*world_texts, "Question: Answer: ; yes no"], 1200)


@pytest.fixture
def tiny(tokenizer):
    from reference.model.backbone import load
    from reference.settings.config import Backbone, Scratch

    shape = Scratch(hidden_size=32, intermediate_size=64, layers=2, heads=2, start="identity")
    return load(Backbone(scratch=shape), seed=0, tokenizer=tokenizer)


def pretrained(folder, tokenizer):
    """Write a small model with a chat template, as a pretrained model stands on disk; the folder."""
    import torch
    from transformers import LlamaForCausalLM

    from reference.model.backbone import architecture
    from reference.settings.config import Scratch

    shape = Scratch(hidden_size=32, intermediate_size=64, layers=2, heads=2)
    torch.manual_seed(5)
    model = LlamaForCausalLM(architecture(shape, len(tokenizer), tokenizer.eos_token_id))
    for weights in model.parameters():
        if weights.dim() > 1:
            torch.nn.init.normal_(weights, std=0.3)
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = TEMPLATE
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tokenizer, tmp_path):
    """A pretrained model on disk, with a chat template."""
    return pretrained(tmp_path / "model", tokenizer)
