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
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from clara_bench import ConfigError
from reference.data.row import Row
from reference.data.stream import Source
from reference.model.clara import Clara
from reference.model.gated import Gated
from reference.model.passes import Predictions
from reference.objectives import losses
from reference.objectives.batches import Batch, prepare
from reference.objectives.candidates import Candidates, Kept, Remembered
from reference.objectives.losses import WeightedSum
from reference.objectives.memory_slots import grouped, vectors_of, with_memories
from reference.selection.gates import gates
from reference.selection.topk import Selected, gather, select
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
    return compressing and memory.form in ("projected", "residual")


class StageLoss(NamedTuple):
    """The contribution of a micro-batch to its step."""

    cross_entropy: WeightedSum
    extra: WeightedSum
    """The stage's other term, times its weight in the loss; 0 of 0 if there is none."""
    logs: dict[str, WeightedSum]
    """Further statistics, without gradients."""


class Stage(nn.Module):
    """A model in one stage of its training: the module that DeepSpeed trains."""

    def __init__(self, model: Clara, config: TrainConfig, remembered: Remembered | None = None) -> None:
        """A stage around a model that has the roles it needs (see `set_out`).

        Args:
            model: is modified: untrained weights are frozen and stay in evaluation mode.
            config: of the stage.
            remembered: memories of candidate documents; None compresses each once and keeps it.
        """
        super().__init__()
        self.model = model
        self.config = config
        self.remembered: Remembered = remembered if remembered is not None else Kept(model)
        self.selection = config.selection
        if config.stage == "reinforce":
            self.selection = msgspec.structs.replace(config.selection, estimator="reinforce", mask="infinite")
        self.learning = learning_roles(config, model.config.memory)
        if not self.learning and not projects(config, model.config.memory):
            raise ConfigError(f"stage '{config.stage}': `freeze` leaves nothing that learns")
        self._freeze()
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
        """Parameter groups of the optimiser: the reasoner at a fraction of the learning rate."""
        rate, factor = self.config.optimiser.learning_rate, self.config.optimiser.reasoner_factor
        reasoner = set(self.model.role("reasoner").trainable().values()) if "reasoner" in self.learning else set()
        every = list(self.parameters())
        learning = [parameter for parameter in every if parameter.requires_grad]
        frozen = [parameter for parameter in every if not parameter.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [parameter for parameter in learning if parameter not in reasoner], "lr": rate},
            {"params": [parameter for parameter in learning if parameter in reasoner], "lr": rate * factor},
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
            return StageLoss(_cross_entropy(self.model.read(batch.encoded)), self._none(), {})
        if self.config.stage in RETRIEVING:
            return self._retrieve(batch)
        return self._compress(batch)

    def _none(self) -> WeightedSum:
        zero = torch.zeros((), device=self.model.device)
        return WeightedSum(zero, zero)

    def _compress(self, batch: Batch) -> StageLoss:
        memories = self.model.encode("compressor", batch.documents)
        counts = grouped(self.model.slots_of(batch.documents), [len(row.documents) for row in batch.rows])
        loss = _cross_entropy(self.model.read(batch.encoded, vectors_of(memories.states_BMH, counts)))
        memory_DH = losses.masked_mean(memories.states_BMH, memories.mask_BM)
        mse = losses.mse(memory_DH, memories.summary_BH, self.config.mse_form, self.config.mse_detach)
        documents = loss.weight.new_tensor(len(batch.documents))
        total = mse * documents
        logs = {"mse": WeightedSum(total.detach(), documents)}
        return StageLoss(loss, WeightedSum(self.config.mse_weight * total, documents), logs)

    def _retrieve(self, batch: Batch) -> StageLoss:
        candidates = Candidates.of(self.model, batch.rows, self.remembered)
        query_BE = self.model.flatten(self.model.query([row.turns[0].question for row in batch.rows]), "questions")
        scores_BN = self.model.score(query_BE, candidates.keys_BNE)
        selection = self.selection
        greedy = select(scores_BN.detach(), selection, candidates.mask_BN, training=False)
        logs = candidates.recall(greedy)  # without an estimator's noise, so that all are measured alike
        if self.config.stage == "supervised":
            mean = losses.contrastive(scores_BN, candidates.positives_BN, selection.temperature, candidates.mask_BN)
            number = mean.new_tensor(batch.extra_weight)
            return StageLoss(self._none(), WeightedSum(mean * number, number), logs)
        if selection.estimator == "gates":
            return StageLoss(_cross_entropy(self.read_gated(batch, candidates, scores_BN)), self._none(), logs)
        selected = select(scores_BN, selection, candidates.mask_BN, training=self.training)
        read = self.read_chosen(batch, candidates, selected)
        extra = self._none()
        if selected.log_prob_B is not None:
            extra, rewards = self._reward(batch, candidates, selected, read, greedy)
            logs |= rewards
        return StageLoss(_cross_entropy(read), extra, logs)

    def read_chosen(self, batch: Batch, candidates: Candidates, selected: Selected) -> Predictions:
        """The generator's predictions from the chosen documents, best first."""
        dtype = self.model.separator.dtype
        chosen_BKE = gather(selected, candidates.memories_BNE, dtype)
        chosen_BKMH = chosen_BKE.unflatten(-1, (-1, len(self.model.separator)))
        counts = candidates.counts_of(selected)
        vectors = vectors_of(chosen_BKMH.flatten(0, 1), counts)
        encoded = [with_memories(row, m) for row, m in zip(batch.encoded, counts, strict=True)]
        return self.model.read(encoded, vectors)

    def read_gated(self, batch: Batch, candidates: Candidates, scores_BN: Tensor) -> Predictions:
        """The generator's predictions from all candidates, each seen as its gate says."""
        selection = self.selection
        found = gates(scores_BN, selection.k, selection.temperature, selection.gate_floor, candidates.mask_BN)
        rows_B1 = torch.arange(len(batch.rows), device=scores_BN.device)[:, None]
        ordered_BNE = candidates.memories_BNE[rows_B1, found.order_BN].to(self.model.separator.dtype)
        vectors_BNMH = ordered_BNE.unflatten(-1, (-1, len(self.model.separator)))
        orders = found.order_BN.tolist()
        counts = [[own[n] for n in order if n < len(own)] for own, order in zip(candidates.counts, orders, strict=True)]
        flat_DMH = torch.cat([row_NMH[: len(own)] for row_NMH, own in zip(vectors_BNMH, counts, strict=True)])
        encoded = [with_memories(row, m) for row, m in zip(batch.encoded, counts, strict=True)]
        return self.model.read(encoded, vectors_of(flat_DMH, counts), gates=Gated(found.logs_BN, selection.k))

    def _reward(
        self, batch: Batch, candidates: Candidates, drawn: Selected, read: Predictions, greedy: Selected
    ) -> tuple[WeightedSum, dict[str, WeightedSum]]:
        """Policy gradient; the reward is the share of the answer's tokens that come out right, one by one.

        The baseline is what the best documents would have earned (self-critical; Rennie et al., CVPR 2017): it needs
        no other row and no past step, so how a batch is cut up changes nothing.
        """
        rows = len(batch.rows)
        with torch.no_grad():
            baseline_B = _right_share(self.read_chosen(batch, candidates, greedy), rows)
        reward_B = _right_share(read, rows)
        number = reward_B.new_tensor(rows)
        policy = losses.reinforce(drawn.log_prob_B, reward_B, baseline_B) * number
        logs = {"reward": WeightedSum(reward_B.sum(), number), "reward_of_best": WeightedSum(baseline_B.sum(), number)}
        return WeightedSum(policy, number), logs


def _cross_entropy(read: Predictions) -> WeightedSum:
    return losses.cross_entropy_sum(read.logits_PV, read.labels_P, read.weights_P)


def _right_share(read: Predictions, rows: int) -> Tensor:
    """Fraction of each row's target tokens that are predicted correctly: (B,)."""
    right_P = (read.logits_PV.detach().argmax(-1) == read.labels_P).float()
    zero_B = right_P.new_zeros(rows)
    return zero_B.index_add(0, read.rows_P, right_P) / zero_B.index_add(0, read.rows_P, torch.ones_like(right_P))
