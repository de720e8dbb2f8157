"""The configs that ship: they load, their numbers are the paper's, and what they would take is counted right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from click.testing import CliRunner

from clara_bench import ConfigError
from clara_bench.running.suites import load as load_suite
from clara_bench.worlds import VERSION
from reference.cli import main
from reference.data.sources import open_source
from reference.model.clara import Clara
from reference.objectives.stages import Stage
from reference.settings.config import Config, Memory, ModelConfig, StageName, TrainConfig, load
from reference.settings.shipped import checkpoint_folder, config_file, configs
from reference.training.checks import data_options
from reference.training.deepspeed import count_parameters
from reference.training.launch import run_stage
from reference.training.plan import empty_backbone, plan
from reference.weights.initialization import set_out
from reference.weights.manifest import read_manifest

STAGES = get_args(StageName)


def shipped(name: str) -> Config:
    return load(config_file(name))


@pytest.mark.parametrize("name", configs())
def test_every_stage_of_every_config_has_rows_and_a_batch_that_divides(name: str):
    config = shipped(name)
    assert config.description
    for name_, settings in config.stages.items():
        assert settings.batch % settings.parallel.micro_batch == 0
        options = data_options(config, name_)
        if "path" not in options:
            assert open_source(settings.stage, {**options, "passages": 200})[0].turns


BASELINES = {  # what differs from CLaRa's own training at the same budget
    "pooled": {"model.memory.form"},
    "cocom": {"mse", "data.pretrain"},
    "icae": {"mse", "data.pretrain", "freeze"},
    "autocompressor": {"mse", "data.pretrain", "model.memory.form", "model.memory.segment_tokens"},
    "xrag": {"mse", "data.pretrain", "freeze", "model.memory.form", "model.memory.rate"},
    "pisco": {"distil"},
}


@pytest.mark.parametrize("name", ["debug", "tiny", "latent", *BASELINES, "smollm2-135m", "smollm2-135m-full"])
def test_a_config_that_runs_on_worlds_has_all_stages(name: str):
    assert {settings.stage for settings in shipped(name).stages.values()} == set(STAGES)


@pytest.mark.parametrize("suite", ["quick", "worlds"])
def test_no_world_that_tiny_is_trained_on_is_smaller_than_those_it_is_compared_on(suite: str):
    """A bigger world has more pieces of names, and one that was never met cannot be read."""
    config, asked = shipped("tiny"), load_suite(suite).source.world
    trained = [data_options(config, name)["passages"] for name in config.stages]
    assert min(trained) >= int(asked["passages"])


@pytest.mark.parametrize("base", ["c.toml", "../{folder}/c.toml", "b.toml"])
def test_a_config_that_is_its_own_base_is_refused(base: str, tmp_path: Path):
    (tmp_path / "c.toml").write_text(f'base = "{base.format(folder=tmp_path.name)}"\n')
    (tmp_path / "b.toml").write_text('base = "c.toml"\n')
    with pytest.raises(ConfigError, match="a config cannot be its own base"):
        load(tmp_path / "c.toml")


def test_a_config_may_be_the_difference_from_another_one():
    whole, lora = shipped("smollm2-135m-full"), shipped("smollm2-135m")
    assert (whole.model.adapters.kind, lora.model.adapters.kind) == ("full", "lora")
    assert whole.model.backbone == lora.model.backbone and whole.data == lora.data
    assert whole.stages["joint"].optimiser.reasoner_factor == lora.stages["joint"].optimiser.reasoner_factor
    assert whole.stages["joint"].optimiser.learning_rate < lora.stages["joint"].optimiser.learning_rate


@pytest.mark.parametrize("name", BASELINES)
def test_a_latent_baseline_differs_in_what_its_method_says(name: str):
    ours, base = shipped(name), shipped("latent")
    ours_memory, memory = msgspec.to_builtins(ours.model.memory), msgspec.to_builtins(base.model.memory)
    found = {f"model.memory.{key}" for key, value in memory.items() if ours_memory[key] != value}
    assert msgspec.structs.replace(ours.model, memory=base.model.memory) == base.model
    for stage in ("pretrain", "instruct"):
        mine, theirs = ours.stages[stage], base.stages[stage]
        found |= {"mse"} if mine.mse_weight != theirs.mse_weight else set()
        found |= {"freeze"} if mine.freeze != theirs.freeze else set()
        assert msgspec.structs.replace(mine, mse_weight=theirs.mse_weight, freeze=theirs.freeze) == theirs
    found |= {f"data.{key}" for key in base.data if ours.data[key] != base.data[key]}
    found |= ours.stages.keys() - base.stages.keys()
    assert found == BASELINES[name]
    assert ours.model.memory.slots == (1 if name == "xrag" else base.model.memory.slots)


def test_distillation_takes_as_many_steps_of_as_many_rows_as_the_others_in_all():
    stages = shipped("pisco").stages
    assert stages["distil"].steps == stages["pretrain"].steps + stages["instruct"].steps
    unlike = {"steps", "mse_weight", "freeze"}
    same = [name for name in stages["distil"].__struct_fields__ if name not in unlike]
    assert all(getattr(stages["distil"], name) == getattr(stages["instruct"], name) for name in same)


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "pisco"])
def test_a_latent_baseline_trains_its_two_stages(name: str, tmp_path: Path):
    small = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "layers": 2,
        "heads": 2,
        "vocabulary": 600,
        "start": "identity",
    }
    stage = {"steps": 1, "batch": 2, "parallel": {"micro_batch": 2}}
    over = {"model": {"backbone": {"scratch": small}}, "stages": {"pretrain": stage, "instruct": stage}}
    over |= {"data": {key: {"passages": 200, "questions": 2} for key in ("pretrain", "instruct")}}
    over |= {"evaluation": {key: {"tasks": []} for key in ("pretrain", "instruct")}}
    first = run_stage(load(config_file(name), over), "pretrain", tmp_path / "pretrain")
    over["stages"]["instruct"] = {**stage, "start": str(first)}
    second = run_stage(load(config_file(name), over), "instruct", tmp_path / "instruct")
    before, after = read_manifest(first), read_manifest(second)
    assert before.model == after.model == load(config_file(name), over).model
    assert before.training["began"] == {}
    assert after.training["began"] == {"stage": "pretrain", "step": stage["steps"]}
    learned = {file for file in before.sha256 if before.sha256[file] != after.sha256[file]}
    everything = {"compressor.safetensors", "generator.safetensors", "memory.safetensors"}
    frozen = {"icae": {"generator"}, "xrag": {"generator", "compressor"}}.get(name, set())
    assert learned == everything - {f"{role}.safetensors" for role in frozen}


def test_mistral_has_the_settings_of_the_papers_table_10():
    config = shipped("mistral-7b")
    adapters, stages = config.model.adapters, config.stages
    assert (adapters.rank, adapters.alpha, adapters.dropout, adapters.targets) == (16, 32, 0.1, "all-linear")
    assert config.model.memory.document_tokens == 256
    assert [stages[name].optimiser.learning_rate for name in ("pretrain", "instruct", "joint")] == [1e-4, 1e-4, 5e-6]
    assert [stages[name].batch for name in ("pretrain", "instruct", "joint")] == [128, 128, 32]
    assert (stages["joint"].selection.k, stages["joint"].selection.temperature) == (5, 0.02)
    for settings in stages.values():
        optimiser, parallel = settings.optimiser, settings.parallel
        assert (optimiser.schedule, optimiser.warmup_fraction, optimiser.clip) == ("cosine", 0.03, 1.0)
        assert (optimiser.betas, optimiser.weight_decay, settings.mse_weight) == ((0.9, 0.95), 0.0, 0.1)
        assert (parallel.zero, parallel.precision) == (2, "bf16")
    rows = {name: settings.steps * settings.batch for name, settings in stages.items()}
    assert 0 <= rows["pretrain"] - 5_966_291 < 128  # Table 8: 2,000,000 + 2,000,000 + 1,966,291, once
    assert shipped("phi4-mini").stages == stages


def test_mistral_is_planned_without_its_weights():
    found = plan(shipped("mistral-7b"), "joint", ranks_a_node=4)
    assert found.backbone == 7_241_732_096  # as the released code logs it
    assert set(found.roles.values()) == {41_943_040}  # likewise
    assert found.counts.trainable == 2 * 41_943_040 and found.accumulation == 4
    assert found.counts.frozen == found.backbone + 41_943_040 + (16 + 2) * 4096
    assert found.bytes_per_document == 128 * 2**10
    assert 13.5 < found.memory.device / 2**30 < 16
    pretrain = plan(shipped("mistral-7b"), "pretrain", ranks_a_node=8, nodes=2)
    assert pretrain.counts.trainable == 2 * 41_943_040 + 16 * 4096
    assert (pretrain.accumulation, pretrain.documents, pretrain.compressed) == (4, 128, 128 * (259 + 16))


def test_phi_is_planned_without_its_weights():
    found = plan(shipped("phi4-mini"), "instruct", ranks_a_node=8)
    assert found.backbone == 3_836_021_760
    assert found.context == 128 * 5 * 17 and found.documents == 640


def test_smollm_has_as_many_parameters_as_its_file_says():
    assert plan(shipped("smollm2-135m"), "text").backbone == 134_515_008


def test_zero_divides_what_a_rank_holds():
    config = shipped("smollm2-135m")

    def memory(zero: int, ranks: int) -> int:
        settings = config.stages["joint"]
        changed = msgspec.structs.replace(settings, parallel=msgspec.structs.replace(settings.parallel, zero=zero))
        changed = msgspec.structs.replace(changed, batch=64)
        return plan(msgspec.structs.replace(config, stages={"joint": changed}), "joint", ranks).memory.device

    assert memory(0, 8) == memory(0, 1) > memory(1, 8) > memory(2, 8) > memory(3, 8)


@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_plan_counts_what_the_stage_itself_would_train(stage: str, kind: str, tiny: Any):
    config = load(
        config_file("debug"),
        {"model": {"adapters": {"kind": kind}, "backbone": {"scratch": {"vocabulary": len(tiny.tokenizer)}}}},
    )
    settings = config.stages[stage]
    roles = () if stage == "text" else ("generator", "compressor")
    model = set_out(Clara(tiny, config.model, roles), settings)
    assert plan(config, stage).counts == count_parameters(Stage(model, settings).model)


def test_an_architecture_is_read_from_a_file_or_refused(tmp_path: Path):
    file = tmp_path / "config.json"
    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    file.write_text(json.dumps({"model_type": "qwen2", "vocab_size": 100, "num_key_value_heads": 2, **shape}))
    config = load(config_file("smollm2-135m"), {"model": {"backbone": {"model": "somebody/unheard-of"}}})
    assert plan(config, "text", file=file).backbone > 0
    assert type(empty_backbone(config.model.backbone, file)).__name__ == "Qwen2ForCausalLM"
    with pytest.raises(ConfigError, match="--architecture FILE"):
        plan(config, "text")
    file.write_text('{"model_type": "poem"}')
    with pytest.raises(ConfigError, match="no architecture"):
        plan(config, "text", file=file)
    file.write_text(json.dumps({"model_type": "qwen2", "vocab_size": 100, **shape, "hidden_size": 2**40}))
    with pytest.raises(ConfigError, match="no model can be made of this shape"):
        plan(config, "text", file=file)
    with pytest.raises(ConfigError, match="leave --architecture"):
        plan(shipped("tiny"), "text", file=file)


@pytest.mark.parametrize("targets", ["x", "", "(", ("nq",), ()])
def test_adapters_that_fit_no_layer_are_refused(targets: Any):
    over = {"model": {"adapters": {"kind": "lora", "targets": targets}}}
    with pytest.raises(ConfigError, match=r"model.adapters.targets is .*, which fits no layer"):
        plan(load(config_file("debug"), over), "text")


def test_a_config_without_stages_is_no_plan(tmp_path: Path):
    (tmp_path / "none.toml").write_text('description = "nothing"')
    said = CliRunner().invoke(main, ["plan", str(tmp_path / "none.toml")])
    assert said.exit_code == 2 and "no stages" in said.output


def test_a_plan_is_shown_and_a_batch_that_does_not_divide_is_refused():
    done = CliRunner().invoke(main, ["plan", "mistral-7b", "--stage", "pretrain", "--gpus", "8", "--nodes", "2"])
    assert done.exit_code == 0 and "7,241,732,096" in done.output and "128 = 2 x 4 x 16" in done.output
    done = CliRunner().invoke(main, ["plan", "mistral-7b", "--stage", "joint", "--gpus", "8", "--nodes", "4"])
    assert done.exit_code == 2 and "stage 'joint': batch is 32, expected a multiple" in done.output
    done = CliRunner().invoke(main, ["plan", "tiny", "--set", "steps=3"])
    assert done.exit_code == 2 and "name it with --stage" in done.output
    assert CliRunner().invoke(main, ["plan", "tiny", "--gpus", "0"]).exit_code == 2


def test_names_that_do_not_ship_are_refused_with_those_that_do():
    with pytest.raises(ConfigError, match=r"config 'mistral-8b': .*Did you mean 'mistral-7b'\? Shipped: .*debug, "):
        config_file("mistral-8b")
    with pytest.raises(ConfigError, match="checkpoint 'huge'"):
        checkpoint_folder("huge")


def test_overrides_lie_above_the_file_and_are_checked_like_it(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text("[model.memory]\nrate = 4\n[stages.text]\nsteps = 5\n")
    config = load(file, {"stages": {"text": {"batch": 16}}})
    assert config.model == ModelConfig(memory=Memory(rate=4)) and config.stages["text"] == TrainConfig(
        steps=5, batch=16
    )
    with pytest.raises(ConfigError, match="batch is 12, expected a multiple"):
        load(file, {"stages": {"text": {"batch": 12}}})
    with pytest.raises(ConfigError, match=r"unknown key 'rates' at .*Did you mean 'rate'"):
        load(file, {"model": {"memory": {"rates": 4}}})
    with pytest.raises(ConfigError, match="leaves no memory vector"):
        load(file, {"model": {"memory": {"rate": 400}}})
    with pytest.raises(ConfigError, match="expected int >= 1"):
        load(file, {"model": {"memory": {"rate": 0}}})
    with pytest.raises(ConfigError, match="expected int >= 1"):
        load(file, {"stages": {"text": {"steps": -1}}})


@pytest.mark.parametrize("name", ["latent", "cocom", "icae", "pooled", "xrag", "autocompressor"])
def test_pretraining_of_a_compared_compressor_is_not_cut_short_by_questions_that_it_does_not_learn_to_answer(name):
    stage = load(config_file(name)).stages["pretrain"]
    assert stage.evaluate_every in (0, stage.steps)  # or `instruct` starts from `last`


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_every_version_of_the_worlds_can_be_trained_on(version: int):
    changes = {"data": {"gates": {"version": version}}, "evaluation": {"gates": {"world_version": version}}}
    config = load(config_file("worlds-2"), changes)
    row = open_source("joint", {**data_options(config, "gates"), "passages": 400})[0]
    assert row.turns and len(row.documents) == 20 and row.positives
    assert config.evaluation["gates"].world_version == version


def test_another_version_of_the_worlds_is_refused():
    with pytest.raises(ConfigError, match="world_version"):
        load(config_file("worlds-2"), {"evaluation": {"gates": {"world_version": VERSION + 1}}})
