"""A reader of text teaches the generator what to say at each target token.

Shapes: P target positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn import functional

from reference.model.clara import Clara
from reference.model.passes import Predictions
from reference.model.prompts import Encoded
from reference.objectives.losses import StageLoss, WeightedSum


class Teacher(NamedTuple):
    """Reads the documents of a batch as text; learns nothing."""

    model: Clara
    weight: float
    """Of its part of the loss, 0 to 1."""

    @torch.no_grad()
    def read(self, rows: Sequence[Encoded], like: Predictions) -> Predictions:
        """Its predictions of the same targets, with documents as text; on the device and in the type of `like`."""
        self.model.to(like.logits_PV.device, like.logits_PV.dtype)
        return self.model.read(rows)

    def taught(self, loss: StageLoss, read: Predictions, rows: Sequence[Encoded]) -> StageLoss:
        """A loss of which a share is the divergence of the generator from the teacher.

        Args:
            loss: of the stage; its cross-entropy is that of `read`.
            read: what the generator predicted from memories.
            rows: the same rows with documents as text.

        Raises:
            AssertionError: the rows have other targets.
        """
        apart, own = divergence(self.read(rows, read), read), loss.cross_entropy
        total = (1 - self.weight) * own.total + self.weight * apart.total
        alone = {"answers": WeightedSum(own.total.detach(), own.weight)}
        alone["divergence"] = WeightedSum(apart.total.detach(), apart.weight)
        return StageLoss(WeightedSum(total, own.weight), loss.extra, {**loss.logs, **alone})


def divergence(teacher: Predictions, learner: Predictions) -> WeightedSum:
    """KL(teacher, learner) in nats, summed over targets with their weights; exact for equal predictions: 0."""
    assert torch.equal(teacher.labels_P, learner.labels_P), "other targets"
    log_probs = [functional.log_softmax(one.logits_PV.float(), -1) for one in (teacher, learner)]
    apart_P = functional.kl_div(log_probs[1], log_probs[0], reduction="none", log_target=True).sum(-1)
    weights_P = learner.weights_P.detach()
    return WeightedSum((apart_P * weights_P).sum(), weights_P.sum())
