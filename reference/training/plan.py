"""Resource estimates of a stage, without weights or data: parameters, memory, rows and tokens per step.

The model is built on PyTorch's meta device, from its architecture alone: a folder's or the hub cache's config.json,
or, for the backbones of the shipped configs, architectures.toml.

Shapes: H hidden, M memory slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from clara_bench import ConfigError
from clara_bench.io.parsing import read_json, read_toml
from reference.model.backbone import architecture
from reference.model.projector import projector_of
from reference.model.roles import Role, make_role
from reference.objectives.stages import learning_roles, projects
from reference.settings.config import GATED, RETRIEVING, Backbone, Config, ModelConfig, TrainConfig
from reference.training import deepspeed
from reference.training.checks import check_stage, data_options
from reference.training.deepspeed import Counts, Estimate
from reference.weights.initialization import stage_settings

ARCHITECTURES = Path(__file__).parent / "architectures.toml"
PAPER = 5
"""Documents a row of a file for instruction tuning."""
CANDIDATES = 20
"""Documents that a question chooses among, where its data do not say."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Resource estimates of a stage."""

    backbone: int
    """Parameters of the causal language model behind all roles."""
    roles: dict[str, int]
    """Parameters that each role has of its own."""
    counts: Counts
    """Parameters that learn and that do not, each counted once."""
    memory: Estimate
    """Weights, gradients and optimiser states; activations come on top."""
    settings: TrainConfig
    ranks: int
    accumulation: int
    """Micro-batches per rank in one step."""
    documents: int
    """Documents that go through the compressor or, as text, the generator in one step."""
    compressed: int
    """Tokens of the compressor in one step, at most."""
    queried: int
    """Tokens of the reasoner in one step, at most."""
    context: int
    """Context tokens in the generator's prompts in one step, at most; questions and answers come on top."""
    bytes_per_document: int
    """Size of a memory in a 16-bit store."""

    def column(self) -> dict[str, str]:
        """The cells of a table, each number with its name."""
        parallel, own = self.settings.parallel, list(dict.fromkeys(self.roles.values()))
        return {
            "parameters of the backbone": f"{self.backbone:,}",
            "parameters of each role": " / ".join(f"{number:,}" for number in own),
            "trainable parameters": f"{self.counts.trainable:,}",
            "frozen parameters": f"{self.counts.frozen:,}",
            "memory per rank, GiB": f"{self.memory.device / 2**30:.2f}",
            "main memory per node, GiB": f"{self.memory.host / 2**30:.2f}",
            "ZeRO, precision": f"{parallel.zero}, {parallel.precision}",
            "rows per step = micro-batch x accumulation x ranks": (
                f"{self.settings.batch} = {parallel.micro_batch} x {self.accumulation} x {self.ranks}"
            ),
            "steps": f"{self.settings.steps:,}",
            "rows in total": f"{self.settings.steps * self.settings.batch:,}",
            "maximum per step: documents": f"{self.documents:,}",
            "compressor tokens": f"{self.compressed:,}",
            "reasoner tokens": f"{self.queried:,}",
            "evidence tokens": f"{self.context:,}",
            "bytes per stored document": f"{self.bytes_per_document:,}",
        }


def plan(config: Config, name: str, ranks_a_node: int = 1, nodes: int = 1, file: Path | None = None) -> Plan:
    """Resource estimates of a stage.

    Args:
        config: model and stages.
        name: of the stage.
        ranks_a_node: accelerators, or processes, in each node.
        nodes: how many.
        file: config.json of the backbone, where it is not found otherwise.

    Raises:
        ConfigError: no such stage, a batch that does not divide among the ranks, or an unknown architecture.
    """
    settings, ranks = stage_settings(config, name), ranks_a_node * nodes
    check_stage(config, name, ranks)
    backbone = empty_backbone(config.model.backbone, file)
    roles = {role: _role(backbone, config.model, role) for role in _roles(settings)}
    with deepspeed.quiet():
        counts = deepspeed.count_parameters(_learning(roles, config.model, settings))
        memory = deepspeed.memory_estimate(counts, settings.parallel, ranks_a_node, nodes)
    return Plan(
        backbone=sum(parameter.numel() for parameter in backbone.parameters()),
        roles={role: sum(own.numel() for own in module.trainable().values()) for role, module in roles.items()},
        counts=counts,
        memory=memory,
        settings=settings,
        ranks=ranks,
        accumulation=deepspeed.accumulation(settings, ranks),
        **_positions(config, name),
        bytes_per_document=2 * config.model.memory.slots * backbone.config.get_text_config().hidden_size,
    )


def empty_backbone(backbone: Backbone, file: Path | None = None) -> Any:
    """The causal language model on the meta device: shapes without values.

    Raises:
        ConfigError: its architecture is not known here, or no model can have it.
    """
    from transformers import AutoModelForCausalLM

    if backbone.model:
        config = _architecture(backbone.model, file)
    elif file is not None:
        raise ConfigError(f"the config gives the backbone a shape of its own: leave --architecture {file} out")
    elif backbone.scratch is not None:
        config = architecture(backbone.scratch, backbone.scratch.vocabulary)
    else:
        raise ConfigError("backbone: name a model, or give [model.backbone.scratch]")
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, backbone.dtype))
    except Exception as error:  # each architecture stumbles over other numbers in its own way
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"backbone '{backbone.model}': no model can be made of this shape: {reason}") from error


def _architecture(model: str, file: Path | None) -> Any:
    from transformers import CONFIG_MAPPING, AutoConfig

    folder = Path(model).expanduser()
    if file is not None or folder.is_dir():
        return _read_architecture(file or folder / "config.json")
    known = read_toml(ARCHITECTURES)
    if model in known:
        return CONFIG_MAPPING[known[model].pop("model_type")](**known[model])
    try:
        return AutoConfig.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"backbone '{model}': its architecture is neither known nor in the Hugging Face cache. "
            "Give its config.json with --architecture FILE"
        ) from error


def _read_architecture(path: Path) -> Any:
    from transformers import CONFIG_MAPPING

    known = read_json(path, dict[str, Any], "Expected the config.json of a language model", ConfigError)
    try:
        return CONFIG_MAPPING[known.pop("model_type")](**known)
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"{path}: no architecture ({reason}). Expected the config.json of a language model"
        ) from error


def _roles(settings: TrainConfig) -> list[str]:
    """The roles that a model in this stage has."""
    if settings.stage == "text":
        return ["generator"]
    return ["compressor", "reasoner", "generator"] if settings.stage in RETRIEVING else ["compressor", "generator"]


def _role(backbone: Any, config: ModelConfig, name: str) -> Role:
    with torch.device("meta"):
        return make_role(backbone, config.adapters, name, layers=0 if name == "generator" else config.memory.layers)


def _learning(roles: dict[str, Role], config: ModelConfig, settings: TrainConfig) -> nn.Module:
    """All parameters of the stage; untrained ones are frozen, as `Stage` freezes them."""
    learning = learning_roles(settings, config.memory)
    for name, role in roles.items():
        role.freeze(name not in learning)
    width = next(iter(roles.values())).lm.get_input_embeddings().weight.shape[1]
    markers = config.adapters.kind == "full"
    compressing = "compressor" in learning
    reading = settings.stage != "text" and "generator" in learning
    vectors = nn.ParameterDict()
    for name, shape, learns in (
        ("memory", (config.memory.slots, width), compressing and config.memory.asks),
        ("opening", (width,), compressing and markers),
        ("separator", (width,), reading and markers),
    ):
        vectors[name] = nn.Parameter(torch.empty(shape, device="meta"), requires_grad=learns)
    parts: dict[str, nn.Module] = {**roles, "vectors": vectors}
    with torch.device("meta"):
        made = projector_of(config.memory.form, width, 0)
    if made is not None:
        parts["projector"] = made.requires_grad_(projects(settings, config.memory))
    return nn.ModuleDict(parts)


def _positions(config: Config, name: str) -> dict[str, int]:
    memory, settings = config.model.memory, config.stages[name]
    stage, rows = settings.stage, settings.batch
    framed = memory.document_tokens + 3 + memory.slots  # its opening, bos and eos with it
    choosing = stage in RETRIEVING
    if choosing:
        gated = settings.selection.estimator in GATED
        read = data_options(config, name).get("candidates", CANDIDATES) if gated else settings.selection.k
    else:
        read = 1 if stage == "pretrain" else _documents(config, name)
    evidence = memory.document_tokens + 1 if stage == "text" else memory.slots + 1
    return {
        "documents": 0 if choosing else rows * read,
        "compressed": 0 if choosing or stage == "text" else rows * read * framed,
        "queried": rows * framed if choosing else 0,
        "context": 0 if stage == "supervised" else rows * read * evidence,
    }


def _documents(config: Config, name: str) -> int:
    """Maximum number of documents per row."""
    return len(data_options(config, name).get("documents", ())) or PAPER
