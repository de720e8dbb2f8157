"""A role's LoRA weights leave as PEFT's own files, and read as the model that was trained."""

from __future__ import annotations

import msgspec
import pytest
import torch

from clara_bench import ConfigError, Question
from clara_bench.read.hf import HFReader
from reference.model.backbone import load
from reference.model.clara import Clara
from reference.model.prompts import Prompter
from reference.settings.config import Adapters, Backbone, Memory, ModelConfig, Scratch
from reference.settings.shipped import start_folder
from reference.weights import checkpoint
from reference.weights.adapter import as_checkpoint, is_adapter, write_adapter
from reference.weights.export import lineage

PASSAGES = ("Ann Lee\nAnn Lee is a painter. She was born in 1960.", "Oslo\nOslo is the capital of Norway.")
ASKED = Question("1", "When was Ann Lee born?")


@pytest.fixture
def trained(folder, tmp_path):
    config = ModelConfig(
        backbone=Backbone(model=str(folder), template="reader"),
        adapters=Adapters(rank=2, alpha=4, dropout=0.0),
        memory=Memory(rate=8, document_tokens=64),
    )
    model = Clara(load(config.backbone), config, ["generator"])
    generator = torch.Generator().manual_seed(1)
    for parameter in model.role("generator").trainable().values():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    checkpoint.save(model, tmp_path / "trained", {"stage": "reader"})
    return model, tmp_path / "trained"


def test_the_harness_reads_with_an_adapter_what_the_trained_role_says(trained, folder, tmp_path):
    model, source = trained
    write_adapter(source, "generator", tmp_path / "out", "float32")
    reader = HFReader(HFReader.Options(model=str(folder), adapter=str(tmp_path / "out"), max_new_tokens=12))
    prompt = model.prompter.question_prompt(ASKED.text, model.prompter.documents(PASSAGES))
    assert list(reader.render(ASKED, PASSAGES).ids) == prompt.ids
    [said] = model.answer([prompt], max_new_tokens=12)
    [read] = reader.read([ASKED], [PASSAGES])
    assert read.text == said.text
    [untuned] = HFReader(HFReader.Options(model=str(folder), max_new_tokens=12)).read([ASKED], [PASSAGES])
    assert untuned.text != read.text


def test_the_training_goes_with_the_adapter(trained, tmp_path):
    _, source = trained
    write_adapter(source, "generator", tmp_path / "out")
    assert '"stage": "reader"' in (tmp_path / "out" / "training.json").read_text()


def test_a_backbone_from_scratch_gives_no_adapter(tiny, tmp_path):
    config = ModelConfig(backbone=Backbone(scratch=Scratch(hidden_size=32, intermediate_size=64, layers=2, heads=2)))
    checkpoint.save(Clara(tiny, config, ["generator"]), tmp_path / "c")
    with pytest.raises(ConfigError, match="no LoRA adapters over a pretrained model"):
        write_adapter(tmp_path / "c", "generator", tmp_path / "out")


def test_the_template_of_readers_gives_the_very_ids_that_the_harness_gives(folder):
    reader = HFReader(HFReader.Options(model=str(folder)))
    prompter = Prompter(reader.tokenizer, "reader")
    for texts in [PASSAGES, PASSAGES[:1], ()]:
        prompt = prompter.question_prompt(ASKED.text, prompter.documents(texts))
        assert prompt.ids == list(reader.render(ASKED, texts).ids)


def test_a_stage_starts_from_an_exported_adapter_as_from_its_checkpoint(trained, tmp_path):
    model, source = trained
    write_adapter(source, "generator", tmp_path / "out", "float32")
    like = msgspec.structs.replace(model.config, memory=Memory(rate=4, document_tokens=64, form="residual"))
    made = as_checkpoint(tmp_path / "out", like)
    again = checkpoint.load(made)
    assert list(again.roles) == ["generator"]
    for name, parameter in model.role("generator").trainable().items():
        assert torch.equal(again.role("generator").trainable()[name], parameter)
    assert [stage.name for stage in lineage(made)] == ["reader"]
    assert as_checkpoint(tmp_path / "out", like) == made


def test_an_adapter_of_another_backbone_starts_nothing(trained, tmp_path):
    model, source = trained
    write_adapter(source, "generator", tmp_path / "out")
    text = (tmp_path / "out" / "training.json").read_text()
    (tmp_path / "out" / "training.json").write_text(text.replace(model.backbone_fingerprint, "another"))
    with pytest.raises(ConfigError, match="trained over backbone another"):
        as_checkpoint(tmp_path / "out", model.config)


def test_the_reader_that_ships_is_found_as_a_start():
    assert is_adapter(start_folder("reader"))
    assert not is_adapter(start_folder("tiny-8x"))
