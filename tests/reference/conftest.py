"""A backbone small enough to train inside a test, over text of the built-in worlds."""

from __future__ import annotations

import pytest


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
