"""The config of a model and its training stages: one dataclass per concern, read from TOML, unknown keys refused.

A config file may start from another one (`base = "tiny.toml"`) and then holds only the differences.
Defaults are those of the paper (Table 10) where it names one, and of its released code otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from clara_bench import ConfigError
from clara_bench.errors import did_you_mean
from clara_bench.io.parsing import convert, read_toml
from reference.settings.tables import OPTIONS, Count, Weight, WorldVersion, read_table

Role = Literal["compressor", "reasoner", "generator"]
ROLES: tuple[Role, ...] = ("compressor", "reasoner", "generator")
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Above0 = Annotated[float, msgspec.Meta(gt=0)]
Decay = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Width = Annotated[int, msgspec.Meta(ge=1, le=2**16)]
StageName = Literal["text", "pretrain", "instruct", "joint", "supervised", "reinforce"]
Template = Literal["plain", "chat", "reader", "pisco", "cocom"]

Estimator = Literal["straight-through", "gumbel", "soft", "reinforce", "gates", "gumbel-mask", "posterior"]

GATED: tuple[Estimator, ...] = ("gates", "gumbel-mask")
"""Estimators that read all candidates of a question, each behind a gate."""
RETRIEVING: tuple[StageName, ...] = ("joint", "supervised", "reinforce")
"""Stages that choose among candidates whose memories stand."""


class Scratch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A backbone trained from scratch: a small Llama with a tokenizer trained by `clara-reference`."""

    hidden_size: Width = 128
    intermediate_size: Width = 384
    layers: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 4
    heads: Width = 4
    vocabulary: Annotated[int, msgspec.Meta(ge=1, le=2**20)] = 4096
    """Largest number of word pieces of the tokenizer."""
    start: Literal["plain", "identity", "lexical"] = "lexical"
    """Initialisation of attention: the library's, near the identity, or a match of rare words (attention_init.py)."""

    def __post_init__(self) -> None:
        """Refuse a width that does not divide into heads of even size; rotary positions rotate pairs."""
        if self.hidden_size % (2 * self.heads):
            raise ValueError(f"hidden_size is {self.hidden_size}, expected a multiple of twice its {self.heads} heads")


class Backbone(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The causal language model that plays every role."""

    model: str = ""
    """Hub id, folder or GGUF file; "" builds `scratch`."""
    revision: str | None = None
    scratch: Scratch | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    template: Template = "plain"
    """How prompts are worded: bare text, the tokenizer's chat template (as in the paper), as the harness's readers ask
    (clara_bench.read.prompts), or as the published weights of PISCO or COCOM know them."""


class Adapters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a role differs from the backbone: LoRA adapters over shared weights, or a full copy."""

    kind: Literal["lora", "full"] = "lora"
    rank: Width = 16
    alpha: Count = 32
    dropout: Share = 0.1
    targets: str | tuple[str, ...] = "all-linear"


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a document becomes memory vectors."""

    rate: Count = 16
    """Nominal compression rate; the number of memory vectors is floor(document_tokens / rate)."""
    document_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**20)] = 256
    """Longest document, in tokens; longer ones are cut."""
    count: Literal["nominal", "length"] = "nominal"
    """`nominal`: the same number for every document; `length`: ceil(its own tokens / rate), at most the nominal one."""
    form: Literal["tokens", "pooled", "last", "recurrent", "projected", "residual", "chosen"] = "tokens"
    """`tokens`: final states at memory embeddings that follow the document (paper); `pooled`: the means of its own
    final states over as many equal parts, without anything that asks for them: a control; `last`: the
    final state of the last token of each of these parts, in the place of the mean; `recurrent`: the document is
    read in segments, each behind the memory vectors of those before it (AutoCompressors; Chevalier et al., EMNLP
    2023); `projected`: one vector, which a trained two-layer network makes of the mean of the document's final states
    by a compressor that does not learn (after xRAG, whose vector is a sentence embedding; Cheng et al., NeurIPS 2024).
    The network learns, and is frozen, in the compressor's place. `residual`: the means of the document's own input
    embeddings over as many equal parts, plus what a linear map makes of the means of its final states. The map starts
    at zero, so that an untrained compressor gives the pooled embeddings: a start that a reader of text understands.
    `chosen`: the same with the embedding and the state of one token a vector in the place of means, of the document's
    most telling words (selection/words.py): at the start, the generator reads these words."""
    layers: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    """Layers of compressor and reasoner, the backbone's first ones; 0: all."""
    segment_tokens: Count = 64
    """Longest segment of the form `recurrent`, in tokens, the document's specials included."""
    similarity: Literal["flattened", "centred", "mean", "late"] = "flattened"
    """Cosine over all memory vectors laid end to end (paper, section 3), over what is left of them without the mean of
    all documents and of all questions, over the mean of a document's vectors, or each of the question's vectors with
    the document's that is nearest to it (late interaction; Khattab and Zaharia, SIGIR 2020), without those means."""
    positions: Literal["after", "spread"] = "after"
    """Rotary positions of the places that ask for memory vectors: behind the document (paper), or evenly over it, so
    that each begins by looking at its own part (enhanced position layout; Zhao et al., arXiv 2409.14364)."""
    mask: Literal["causal", "bidirectional"] = "causal"
    """What each place of compressor and reasoner sees: the places before it, or the whole document, memory embeddings
    included. A backbone that was trained causally has to learn the second."""
    layout: Literal["bucketed", "padded"] = "bucketed"
    """`padded` left-pads every document to document_tokens + 3 as the released code does; the memories are the same."""

    @property
    def slots(self) -> int:
        """Memory vectors of the longest document."""
        return self.document_tokens // self.rate

    @property
    def asks(self) -> bool:
        """Whether memory embeddings ask for the vectors, and learn."""
        return self.form not in ("pooled", "last", "residual", "chosen")

    @property
    def bare(self) -> bool:
        """Whether memories begin as the document's own input embeddings, to which a linear map adds."""
        return self.form in ("residual", "chosen")

    @property
    def unfit(self) -> str:
        """Why these settings are impossible; "" if they are possible."""
        if not 1 <= self.rate <= self.document_tokens:
            return (
                f"model.memory.rate {self.rate} leaves no memory vector for {self.document_tokens} tokens; "
                "expected 1 to document_tokens"
            )
        if self.form == "recurrent" and self.layout == "padded":
            return "model.memory.layout 'padded' knows no segments; expected 'bucketed' with form 'recurrent'"
        if self.form == "recurrent" and self.mask == "bidirectional":
            return "model.memory.mask 'bidirectional' knows no segments; expected 'causal' with form 'recurrent'"
        if self.form == "projected" and self.slots != 1:
            return (
                f"model.memory.rate {self.rate} is for {self.slots} memory vectors, form 'projected' makes one; "
                f"expected document_tokens ({self.document_tokens})"
            )
        return ""

    @property
    def centred(self) -> bool:
        """Whether the means of documents and questions are subtracted before comparison."""
        return self.similarity in ("centred", "late")


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that decides what the weights mean; stored with them."""

    backbone: Backbone = Backbone()
    adapters: Adapters = Adapters()
    memory: Memory = Memory()
    attention: Literal["causal", "block"] = "causal"
    """What readers see: everything before, or each passage itself alone and the question all passages (Block-Attention;
    Ma et al., ICLR 2025), so that a passage means the same wherever it stands."""


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How documents are chosen in joint training."""

    k: Count = 5
    temperature: Above0 = 0.02
    estimator: Estimator = "straight-through"
    gate_floor: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.1
    """`gates`: the share of its attention that a document keeps which is not chosen."""
    relaxation: Above0 = 0.5
    """`gumbel-mask`: the temperature of each draw's softmax."""
    moves: Count = 1
    """`posterior`: documents of a set drawn anew, one after another, before the set counts."""
    draws: Literal["ordered", "set"] = "ordered"
    """`reinforce`, `posterior`: the log-probability of the documents in the order drawn, or in any order. The second
    has less variance, and is right where the generator sees no order (block attention); for 10 documents at most."""
    mask: Literal["infinite", "leaky"] = "infinite"
    """`leaky` adds log(1e-8) to selected documents, as the released code does."""


class Optimiser(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """AdamW and its schedule (paper, Table 10)."""

    learning_rate: Above0 = 1e-4
    reasoner_factor: Weight = 1.0
    """The reasoner's learning rate as a fraction of the others'."""
    projector_factor: Weight = 1.0
    """The projector's learning rate, as a multiple of the others'."""
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    weight_decay: Weight = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_fraction: Share = 0.03
    floor_fraction: Share = 0.1
    """Final learning rate of the cosine, as a fraction of the peak."""
    clip: Weight = 1.0
    """Maximum norm of the gradient; 0: no clipping."""


class Parallel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of DeepSpeed."""

    zero: Literal[0, 1, 2, 3] = 0
    offload: bool = False
    """Keep optimiser states in main memory (ZeRO 1 to 3)."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    micro_batch: Count = 8
    """Rows per rank in one forward pass."""
    activation_checkpointing: bool = False


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One stage of training."""

    stage: StageName = "pretrain"
    start: str = ""
    """Checkpoint folder to start from; "" starts from the backbone."""
    steps: Count = 1000
    """Optimiser steps."""
    batch: Count = 128
    """Rows per step, over all ranks."""
    seed: int = 0
    mse_weight: Weight = 0.1
    mse_form: Literal["mean", "sum"] = "mean"
    """Mean over hidden dimensions (released code), or their sum (paper, eq. 2.1)."""
    mse_detach: bool = False
    """Stop the gradient through the document's states."""
    ce_form: Literal["token", "micro-batch"] = "token"
    """Weigh every target token of the global batch equally, or average the means of micro-batches (released code)."""
    question_weight: Weight = 1.0
    """Weight of the questions' tokens where they are part of the target (`pretrain`; paper: 1)."""
    freeze: tuple[Role, ...] = ()
    """Roles to freeze, in addition to those that the stage freezes."""
    compressor_start: Literal["checkpoint", "thinned"] = "checkpoint"
    """`thinned` starts from a compressor of a lower rate, with every second or nth of its memory embeddings."""
    reasoner_start: Literal["compressor", "random"] = "compressor"
    """What a reasoner is made from where the start has none."""
    reasoner_reset: bool = False
    """Make a new reasoner even where the start has one."""
    generator_start: Literal["checkpoint", "fresh"] = "checkpoint"
    """`fresh` reinitialises the generator, as the released code does between pretraining and instruction tuning."""
    teacher: str = ""
    """`pretrain`, `instruct`: checkpoint or LoRA weights whose generator reads the same documents as text. The
    generator also learns its distribution over each target token (distillation; Hinton et al., 2015)."""
    teacher_weight: Share = 0.5
    """Of the teacher's part of the loss: (1 - weight) * cross-entropy + weight * KL(teacher, generator)."""
    evaluate_every: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Steps between evaluations through the harness; 0: only at the end."""
    save_every: Count = 500
    """Steps between checkpoints from which training can resume."""
    kept_mebibytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Where a frozen generator reads with block attention, passages' keys and values are made once; of so many MiB they
    are kept for later steps too, whose losses then differ in the last digits by where training was resumed."""
    selection: Selection = Selection()
    optimiser: Optimiser = Optimiser()
    parallel: Parallel = Parallel()


class Evaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Evaluation during training: questions over a dev world or from files, through the harness."""

    tasks: tuple[str, ...] = ("nq", "hotpotqa", "musique", "2wikimultihopqa")
    setting: Literal["", "closed", "gold", "distractor"] = ""
    """"": distractor if the stage chooses documents, else gold."""
    questions: Count = 50
    """Of each task."""
    data: dict[str, str] = {}
    """For each task its file of questions, instead of a world; a seeded sample is asked."""
    passages: Count = 1000
    """Of the world."""
    world_seed: int = 1_000_003
    world_version: WorldVersion = 1
    max_new_tokens: Count = 48


class Sweep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Trainings that are compared: every stage from every start, by every estimator, with every seed."""

    stages: tuple[str, ...] = ()
    """Names of stages of type `joint`."""
    estimators: tuple[Estimator, ...] = ()
    starts: dict[str, str] = {}
    """For each compression rate, the checkpoint to start from."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each is the seed of a training and of its rows."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A config file: the model, its stages by name, and where their data come from."""

    schema: Literal[1] = 1
    base: str = ""
    description: str = ""
    model: ModelConfig = ModelConfig()
    stages: dict[str, TrainConfig] = {}
    data: dict[str, dict[str, Any]] = {}
    """For each stage, or each kind of stage, the options of its data source (see tables.py)."""
    evaluation: dict[str, Evaluation] = {}
    """For each stage, its evaluation."""
    sweep: Sweep = Sweep()
    """What `clara-reference sweep` trains."""


def load(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a config file, merged over its base.

    Args:
        path: the file.
        overrides: tables merged over it, in order.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, a value of the wrong type or out of range.
    """
    if "base" in (overrides or {}):
        raise ConfigError(f"{path}: the base is named in the file alone. Name another config, or give what differs")
    config = convert(_over(_tables(path), overrides or {}), Config, str(path), error=ConfigError)
    for name, stage in config.stages.items():
        if stage.batch % stage.parallel.micro_batch:
            raise ConfigError(
                f"{path}: stages.{name}.batch is {stage.batch}, expected a multiple of its parallel.micro_batch "
                f"({stage.parallel.micro_batch})"
            )
        if stage.parallel.zero == 3 and config.model.memory.form == "recurrent":
            raise ConfigError(
                f"{path}: stages.{name}.parallel.zero is 3, under which all ranks must read as many segments; "
                "expected 0 to 2 with model.memory.form 'recurrent'"
            )
    if unfit := config.model.memory.unfit:
        raise ConfigError(f"{path}: {unfit}")
    _check_tables(config, path)
    return config


def _check_tables(config: Config, path: Path) -> None:
    """Refuse tables of data and of evaluation that no stage would read, and keys that a stage's rows do not have."""
    for kind, tables, others in (("data", config.data, OPTIONS), ("evaluation", config.evaluation, ())):
        for name in sorted(tables.keys() - config.stages.keys() - set(others)):
            raise ConfigError(f"{path}: {kind}.{name}: there is no such stage.{did_you_mean(name, config.stages)}")
    for name, table in config.data.items():
        stage = config.stages[name].stage if name in config.stages else name
        read_table(stage, table, f"{path}: data.{name}")


def _tables(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tables of a file, laid over those of its base."""
    if path.resolve() in above:
        raise ConfigError(f"{path}: a config cannot be its own base. Name another one, or none")
    tables = read_toml(path, "Expected a config file (TOML)")
    base = tables.get("base")
    if not isinstance(base, str) or not base:
        return tables
    return _over(_tables(path.parent / base, (*above, path.resolve())), tables)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
