"""The losses of stages that choose documents without labels: what is read, and what teaches the choice.

Shapes: B rows, N candidates, K chosen, M memory slots, H hidden, E = M*H, D documents of all rows together, V variants.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor

from reference.kept.reading import KeptReader
from reference.model.clara import Clara
from reference.model.gated import Gated
from reference.model.passes import Predictions
from reference.objectives import losses
from reference.objectives.batches import Batch
from reference.objectives.candidates import Candidates
from reference.objectives.losses import StageLoss, WeightedSum
from reference.objectives.memory_slots import vectors_of, with_memories
from reference.selection.gates import Gates, gates, gumbel_mask
from reference.selection.posterior import evidence, neighbours, redrawn
from reference.selection.topk import Selected, as_chosen, gather, select
from reference.settings.config import GATED, Selection

READS_AT_ONCE = 256
"""Prompts in one forward pass without gradients."""


class Choosing:
    """Chooses documents by an estimator, reads them, and gives the loss that teaches the choice."""

    def __init__(self, model: Clara, selection: Selection, kept: KeptReader | None = None) -> None:
        """Args: `kept` reads in the model's place wherever no gradient is to reach memories or the generator."""
        self.model, self.selection, self.kept = model, selection, kept

    def loss(self, batch: Batch, candidates: Candidates, scores_BN: Tensor, training: bool = True) -> StageLoss:
        """The loss of a micro-batch.

        Args:
            batch: rows and prompts.
            candidates: of the rows.
            scores_BN: of the candidates, with the reasoner's gradient.
            training: False chooses the k best, without noise.
        """
        selection, mask_BN = self.selection, candidates.mask_BN
        if self.kept is not None:
            self.kept.begin_step()
        greedy = select(scores_BN.detach(), selection, mask_BN, training=False)
        logs = candidates.recall(greedy)  # without an estimator's noise, so that all are measured alike
        extra = WeightedSum(scores_BN.new_zeros(()), scores_BN.new_zeros(()))
        if selection.estimator in GATED:
            read = self.read_gated(batch, candidates, self.gates(scores_BN, candidates, training))
            return StageLoss(cross_entropy(read), extra, logs)
        if selection.estimator == "posterior" and training:
            selected, extra = self._posterior(batch, candidates, scores_BN)
        else:
            selected = select(scores_BN, selection, mask_BN, training=training)
        read = self.read_chosen(batch, candidates, selected)
        if selected.log_prob_B is not None:
            extra, rewards = self._reward(batch, candidates, selected, read, greedy)
            logs |= rewards
        return StageLoss(cross_entropy(read), extra, logs)

    def gates(self, scores_BN: Tensor, candidates: Candidates, training: bool = True) -> Gates:
        """How well each candidate is seen, by the configured estimator."""
        chosen, mask_BN = self.selection, candidates.mask_BN
        if chosen.estimator == "gumbel-mask" and training:
            return gumbel_mask(scores_BN, chosen.k, chosen.temperature, chosen.relaxation, mask_BN)
        return gates(scores_BN, chosen.k, chosen.temperature, chosen.gate_floor, mask_BN)

    def read_chosen(self, batch: Batch, candidates: Candidates, selected: Selected) -> Predictions:
        """The generator's predictions from the chosen documents, best first."""
        counts = candidates.counts_of(selected)
        if self.kept is not None and selected.hard and not selected.weights_BKN.requires_grad:
            return self.kept(batch.encoded, _texts(batch, selected.indices_BK.tolist()), counts)
        chosen_BKE = gather(selected, candidates.memories_BNE, self.model.separator.dtype)
        chosen_BKMH = chosen_BKE.unflatten(-1, (-1, len(self.model.separator)))
        vectors = vectors_of(chosen_BKMH.flatten(0, 1), counts)
        encoded = [with_memories(row, m) for row, m in zip(batch.encoded, counts, strict=True)]
        return self.model.read(encoded, vectors)

    def read_gated(self, batch: Batch, candidates: Candidates, found: Gates) -> Predictions:
        """The generator's predictions from all candidates, each seen as its gate says."""
        pairs = zip(candidates.counts, found.order_BN.tolist(), strict=True)
        orders = [[place for place in order if place < len(own)] for own, order in pairs]
        counts = [[own[n] for n in order] for own, order in zip(candidates.counts, orders, strict=True)]
        if self.kept is not None:
            return self.kept(batch.encoded, _texts(batch, orders), counts, found.logs_BN)
        rows_B1 = torch.arange(len(batch.rows), device=found.order_BN.device)[:, None]
        ordered_BNE = candidates.memories_BNE[rows_B1, found.order_BN].to(self.model.separator.dtype)
        vectors_BNMH = ordered_BNE.unflatten(-1, (-1, len(self.model.separator)))
        flat_DMH = torch.cat([row_NMH[: len(own)] for row_NMH, own in zip(vectors_BNMH, counts, strict=True)])
        encoded = [with_memories(row, m) for row, m in zip(batch.encoded, counts, strict=True)]
        return self.model.read(encoded, vectors_of(flat_DMH, counts), gates=Gated(found.logs_BN, self.selection.k))

    @torch.no_grad()
    def costs(self, batch: Batch, candidates: Candidates, rows_V: Tensor, indices_VK: Tensor) -> Tensor:
        """Cross-entropy of the answers of these rows over the documents at these places: (V,), without gradients."""
        found = []
        for part_V, places_VK in zip(rows_V.split(READS_AT_ONCE), indices_VK.split(READS_AT_ONCE), strict=True):
            rows = part_V.tolist()
            few = Batch([batch.rows[row] for row in rows], [], [batch.encoded[row] for row in rows], 0.0, 0.0)
            read = self.read_chosen(few, candidates.of_rows(rows), as_chosen(places_VK, candidates.keys_BNE.shape[1]))
            found.append(per_row(read, len(rows)))
        return torch.cat(found)

    def _posterior(self, batch: Batch, candidates: Candidates, scores_BN: Tensor) -> tuple[Selected, WeightedSum]:
        """Documents drawn from the posterior, and minus the log-evidence of each question; see posterior.py."""
        selection, mask_BN = self.selection, candidates.mask_BN
        prior = msgspec.structs.replace(selection, estimator="reinforce")
        drawn_BK = select(scores_BN.detach(), prior, mask_BN).indices_BK
        for move in range(1, selection.moves + 1):
            last = move == selection.moves
            near = neighbours(scores_BN if last else scores_BN.detach(), drawn_BK, prior, mask_BN)
            costs_V = self.costs(batch, candidates, near.rows_V, near.indices_VK)
            drawn_BK = redrawn(near, costs_V, len(drawn_BK))
        losses_B = -evidence(near, costs_V, len(drawn_BK))
        return as_chosen(drawn_BK, scores_BN.shape[1]), WeightedSum(losses_B.sum(), losses_B.new_tensor(len(losses_B)))

    def _reward(
        self, batch: Batch, candidates: Candidates, drawn: Selected, read: Predictions, greedy: Selected
    ) -> tuple[WeightedSum, dict[str, WeightedSum]]:
        """Policy gradient; the reward is the share of the answer's tokens that come out right, one by one.

        The baseline is what the best documents would have earned (self-critical; Rennie et al., CVPR 2017): it needs
        no other row and no past step, so how a batch is cut up changes nothing.
        """
        rows = len(batch.rows)
        with torch.no_grad():
            baseline_B = right_share(self.read_chosen(batch, candidates, greedy), rows)
        reward_B = right_share(read, rows)
        number = reward_B.new_tensor(rows)
        policy = losses.reinforce(drawn.log_prob_B, reward_B, baseline_B) * number
        logs = {"reward": WeightedSum(reward_B.sum(), number), "reward_of_best": WeightedSum(baseline_B.sum(), number)}
        return WeightedSum(policy, number), logs


def _texts(batch: Batch, places: list[list[int]]) -> list[list[str]]:
    """Texts of each row's documents at these places."""
    return [[row.documents[n] for n in own] for row, own in zip(batch.rows, places, strict=True)]


def cross_entropy(read: Predictions) -> WeightedSum:
    """Of all targets."""
    return losses.cross_entropy_sum(read.logits_PV, read.labels_P, read.weights_P)


def per_row(read: Predictions, rows: int) -> Tensor:
    """Cross-entropy of each row's targets, summed: (B,)."""
    losses_P = torch.nn.functional.cross_entropy(read.logits_PV.float(), read.labels_P, reduction="none")
    return losses_P.new_zeros(rows).index_add(0, read.rows_P, losses_P * read.weights_P)


def right_share(read: Predictions, rows: int) -> Tensor:
    """Fraction of each row's target tokens that are predicted correctly: (B,)."""
    right_P = (read.logits_PV.detach().argmax(-1) == read.labels_P).float()
    zero_B = right_P.new_zeros(rows)
    return zero_B.index_add(0, read.rows_P, right_P) / zero_B.index_add(0, read.rows_P, torch.ones_like(right_P))
