"""Memories read by vLLM: the same answers as by transformers, from the same prompts. Transformers stand in for vLLM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from clara_bench import Component, ConfigError, Passage, Question, create
from reference.model.clara import Clara
from reference.settings.config import Adapters, Backbone, Memory, ModelConfig, Scratch
from reference.systems.engine import ServedGenerator, merged
from reference.weights import checkpoint
from tests.read.vllm_stand_in import stand_in

SHAPE = Scratch(hidden_size=32, intermediate_size=64, layers=2, heads=2, start="identity")
MEMORY = Memory(rate=16, document_tokens=64)
CORPUS: Mapping[str, Passage] = {
    f"p{number}": Passage(f"p{number}", f"City {number}", f"City {number} lies on the river {number * 7}.")
    for number in range(6)
}


@pytest.fixture(params=["full", "lora"])
def model(tiny: Any, request: pytest.FixtureRequest) -> Clara:
    config = ModelConfig(backbone=Backbone(scratch=SHAPE), adapters=Adapters(kind=request.param), memory=MEMORY)
    clara = Clara(tiny, config, ("compressor", "generator"))
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():  # a generator that has learned is not the backbone
        for parameter in clara.role("generator").trainable().values():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=draw))
    return clara


def answers(folder: Path, **options: str) -> list[Any]:
    given = {"checkpoint": str(folder), "k": "2", "max_new_tokens": "6", "retriever": "bm25", **options}
    system = create("system", Component("clara", given))
    system.index(CORPUS)
    return list(system.answer([Question(str(number), f"Where is City {number}?") for number in range(4)]))


def test_the_answers_and_counts_are_those_of_transformers(
    model: Clara, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(model, tmp_path / "trained", {"stage": "instruct", "step": 1})
    stand_in(monkeypatch)
    ours, theirs = answers(tmp_path / "trained"), answers(tmp_path / "trained", engine="vllm")
    assert any(answer.text for answer in ours)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.text, one.status) == (other.text, other.status)
        assert one.usage.prompt_tokens == other.usage.prompt_tokens
        assert one.usage.generated_tokens == other.usage.generated_tokens
        assert one.usage.context_positions == other.usage.context_positions > 0


def test_memories_are_read_with_the_prefix_cache_off(model: Clara, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    settings = ServedGenerator(model)._engine.llm.settings
    assert settings["enable_prompt_embeds"] and not settings["enable_prefix_caching"]


def test_merged_weights_compute_what_the_role_does_and_leave_it_as_it_was(model: Clara) -> None:
    role = model.role("generator")
    before = {name: weight.clone() for name, weight in role.lm.named_parameters()}
    alone = merged(role.lm)
    ids = torch.tensor([[5, 9, 2, 7]])
    assert torch.allclose(alone(ids).logits, role.lm(ids).logits, atol=1e-4)
    assert not any("lora" in name for name, _ in alone.named_parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in role.lm.named_parameters())


def test_block_attention_is_refused(tiny: Any) -> None:
    config = ModelConfig(backbone=Backbone(scratch=SHAPE), adapters=Adapters(kind="full"), memory=MEMORY)
    blocks = Clara(tiny, msgspec.structs.replace(config, attention="block"))
    with pytest.raises(ConfigError, match="causal attention, the checkpoint with block"):
        ServedGenerator(blocks)


def test_the_manifest_names_the_engine_only_where_one_is_used(model: Clara, tmp_path: Path) -> None:
    checkpoint.save(model, tmp_path / "trained", {"stage": "instruct", "step": 1})
    given = {"checkpoint": str(tmp_path / "trained"), "retriever": "bm25"}
    assert "engine" not in create("system", Component("clara", given)).describe()
    told = create("system", Component("clara", {**given, "engine": "vllm"})).describe()
    assert told["engine"].startswith("vllm")
