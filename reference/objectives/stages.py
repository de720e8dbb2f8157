"""The loss of each training stage on a batch, and its trainable weights.

    text        the generator reads documents as text: what a small model from scratch must do before it can compress
    pretrain    S1: compressor and generator on one document; cross-entropy + mse_weight * MSE (CLaRa, eq. 2.1)
    instruct    S1b: the same with k documents a question
    joint       S2: reasoner and generator, from the answers alone; documents' memories are fixed
    supervised  S2 with relevance labels: the reasoner alone, contrastive
    reinforce   S2 by policy gradient: documents are sampled, and rewarded by the accuracy of the answer

A stage returns sums and the weights to divide them by, not means: the loop counts over all micro-batches and ranks
first, so that every target token of a step weighs the same however the step is cut up.

Shapes: B rows, D documents of all rows together, M memory slots, H hidden, E = M*H, N candidates, K chosen, S vectors
of a row, P target positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from clara_bench import ConfigError
from reference.data.row import Row
from reference.data.stream import Source
from reference.kept.passages import possible
from reference.kept.reading import KeptReader
from reference.model.clara import Clara
from reference.objectives import losses
from reference.objectives.batches import Batch, prepare
from reference.objectives.candidates import Candidates, Kept, Remembered
from reference.objectives.choosing import Choosing, cross_entropy
from reference.objectives.losses import StageLoss, WeightedSum
from reference.objectives.memory_slots import grouped, vectors_of
from reference.objectives.teaching import Teacher
from reference.selection.topk import select
from reference.settings.config import RETRIEVING, Memory, StageName, TrainConfig

LEARNING: dict[StageName, tuple[str, ...]] = {
    "text": ("generator",),
    "pretrain": ("compressor", "generator"),
    "instruct": ("compressor", "generator"),
    "joint": ("reasoner", "generator"),
    "supervised": ("reasoner",),
    "reinforce": ("reasoner", "generator"),
}
"""The roles that learn."""

CENTRED = 256
"""Rows whose documents and questions give the means of a centred similarity."""


def learning_roles(config: TrainConfig, memory: Memory) -> tuple[str, ...]:
    """The roles that are trained in a stage; the form `projected` trains its projector in place of the compressor."""
    frozen = {*config.freeze, *(("compressor",) if memory.form == "projected" else ())}
    return tuple(role for role in LEARNING[config.stage] if role not in frozen)


def projects(config: TrainConfig, memory: Memory) -> bool:
    """Whether a projector learns in a stage: where the compressor would, if that is not to be frozen."""
    compressing = "compressor" in LEARNING[config.stage] and "compressor" not in config.freeze
    return compressing and (memory.form == "projected" or memory.bare)


class Stage(nn.Module):
    """A model in one stage of its training: the module that DeepSpeed trains."""

    def __init__(
        self, model: Clara, config: TrainConfig, remembered: Remembered | None = None, teacher: Clara | None = None
    ) -> None:
        """A stage around a model that has the roles it needs (see `set_out`).

        Args:
            model: is modified: untrained weights are frozen and stay in evaluation mode.
            config: of the stage.
            remembered: memories of candidate documents; None compresses each once and keeps it.
            teacher: a reader of text, in a stage that has one; it is no part of this module, and stays as it is.
        """
        super().__init__()
        self.model = model
        self.config = config
        self._teacher = Teacher(teacher, config.teacher_weight) if teacher is not None else None
        self.remembered: Remembered = remembered if remembered is not None else Kept(model)
        self.selection = config.selection
        if config.stage == "reinforce":
            self.selection = msgspec.structs.replace(config.selection, estimator="reinforce", mask="infinite")
        self.learning = learning_roles(config, model.config.memory)
        if not self.learning and not projects(config, model.config.memory):
            raise ConfigError(f"stage '{config.stage}': `freeze` leaves nothing that learns")
        self._freeze()
        self.choosing = Choosing(model, self.selection, self._kept())
        if config.parallel.activation_checkpointing:
            model.checkpoint_activations()
        self.train()

    def _freeze(self) -> None:
        """The memory embeddings and the opening learn with the compressor, the separator with the generator.

        A projector learns in the compressor's place. With LoRA the two markers stay as drawn, as in the released code.
        """
        model, markers = self.model, self.model.config.adapters.kind == "full"
        for name in model.roles:
            model.role(name).freeze(name not in self.learning)
        compressing = "compressor" in self.learning
        model.memory.requires_grad_(compressing and model.config.memory.asks)
        if model.projector is not None:
            model.projector.requires_grad_(projects(self.config, model.config.memory))
        model.opening.requires_grad_(compressing and markers)
        reads_memories = self.config.stage != "text" and "generator" in self.learning
        model.separator.requires_grad_(reads_memories and markers)

    def _kept(self) -> KeptReader | None:
        """Reads with kept keys and values, where the generator stays as it is and sees each passage by itself."""
        frozen = self.config.stage in RETRIEVING and "generator" not in self.learning
        if not frozen or self.config.parallel.zero == 3 or not possible(self.model):
            return None
        return KeptReader(self.model, self.remembered, self.config.kept_mebibytes * 2**20)

    def train(self, mode: bool = True) -> Stage:
        """Training mode for what is trained; the rest stays in evaluation mode, so that memories have no dropout."""
        super().train(mode)
        for name in self.model.roles:
            if name not in self.learning:
                self.model.role(name).eval()
        return self

    def state_dict(self, *args: Any, **settings: Any) -> Any:
        """The trained weights only; a shared backbone, which has a name in every role, is left out."""
        whole = super().state_dict(*args, **settings)
        for name, parameter in self.named_parameters(remove_duplicate=False):
            if not parameter.requires_grad:
                whole.pop(name, None)
        return whole

    def trainable_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimiser: the reasoner and the projector at multiples of the learning rate."""
        asked = self.config.optimiser
        rate = asked.learning_rate
        reasoner = set(self.model.role("reasoner").trainable().values()) if "reasoner" in self.learning else set()
        projector = set(self.model.projector.parameters()) if self.model.projector is not None else set()
        every = list(self.parameters())
        learning = [parameter for parameter in every if parameter.requires_grad]
        frozen = [parameter for parameter in every if not parameter.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [parameter for parameter in learning if parameter not in reasoner | projector], "lr": rate},
            {"params": [one for one in learning if one in reasoner], "lr": rate * asked.reasoner_factor},
            {"params": [one for one in learning if one in projector], "lr": rate * asked.projector_factor},
        ]
        grouped = [parameter for group in groups for parameter in group["params"]]
        counts = len(set(grouped)), len(grouped), len(set(grouped) | set(frozen)), len(every)
        assert counts[0] == counts[1] and counts[2] == counts[3] == counts[1] + len(frozen), counts
        return [group for group in groups if group["params"]]

    def prepare(self, rows: Sequence[Row], step: int = 0) -> Batch:
        """Rows as token ids; see `batches.prepare`."""
        return prepare(self.model, self.config, self.selection, rows, step)

    def centre(self, rows: Source) -> None:
        """Before the first step, compute the means that a centred similarity subtracts, unless an earlier stage has."""
        model = self.model
        if self.config.stage not in RETRIEVING or not model.config.memory.centred or model.centres.any():
            return
        sample = [rows[place] for place in range(min(CENTRED, rows.size or CENTRED))]
        documents = {document: None for row in sample for document in row.documents}
        model.centre(list(documents), [row.turns[0].question for row in sample])

    def forward(self, batch: Batch | Sequence[Row]) -> StageLoss:
        """The loss of a micro-batch, in sums."""
        if not isinstance(batch, Batch):
            batch = self.prepare(batch)
        if self.config.stage == "text":
            return StageLoss(cross_entropy(self.model.read(batch.encoded)), self._none(), {})
        if self.config.stage in RETRIEVING:
            return self._retrieve(batch)
        return self._compress(batch)

    def _none(self) -> WeightedSum:
        zero = torch.zeros((), device=self.model.device)
        return WeightedSum(zero, zero)

    def _compress(self, batch: Batch) -> StageLoss:
        memories = self.model.encode("compressor", batch.documents)
        counts = grouped(self.model.slots_of(batch.documents), [len(row.documents) for row in batch.rows])
        read = self.model.read(batch.encoded, vectors_of(memories.states_BMH, counts))
        loss = cross_entropy(read)
        memory_DH = losses.masked_mean(memories.states_BMH, memories.mask_BM)
        mse = losses.mse(memory_DH, memories.summary_BH, self.config.mse_form, self.config.mse_detach)
        documents = loss.weight.new_tensor(len(batch.documents))
        total = mse * documents
        logs = {"mse": WeightedSum(total.detach(), documents)}
        whole = StageLoss(loss, WeightedSum(self.config.mse_weight * total, documents), logs)
        return self._teacher.taught(whole, read, batch.as_text) if self._teacher is not None else whole

    def _retrieve(self, batch: Batch) -> StageLoss:
        candidates = Candidates.of(self.model, batch.rows, self.remembered)
        query_BE = self.model.flatten(self.model.query([row.turns[0].question for row in batch.rows]), "questions")
        scores_BN = self.model.score(query_BE, candidates.keys_BNE)
        if self.config.stage == "supervised":
            return self._supervised(batch, candidates, scores_BN)
        return self.choosing.loss(batch, candidates, scores_BN, self.training)

    def _supervised(self, batch: Batch, candidates: Candidates, scores_BN: Tensor) -> StageLoss:
        greedy = select(scores_BN.detach(), self.selection, candidates.mask_BN, training=False)
        temperature = self.selection.temperature
        mean = losses.contrastive(scores_BN, candidates.positives_BN, temperature, candidates.mask_BN)
        number = mean.new_tensor(batch.extra_weight)
        return StageLoss(self._none(), WeightedSum(mean * number, number), candidates.recall(greedy))
