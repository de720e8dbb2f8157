"""What an estimator's gradient says of reading another document, beside what reading it does.

For each question the k best are read, then every candidate in the place of each of them. The changes in the answer's
loss give the exact gradient of the expected loss: that of a slot's softmax over what each of its candidates would cost.
An estimator is good where its gradient points the same way.

Shapes: B questions, N candidates, K chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import msgspec
import torch
from torch import Tensor

from clara_bench import ConfigError
from reference.data.row import Row
from reference.data.sources import open_source
from reference.objectives.batches import Batch, prepare
from reference.objectives.candidates import Candidates
from reference.objectives.choosing import Choosing
from reference.objectives.stages import Stage
from reference.selection.topk import Selected, select, slot_weights
from reference.settings.config import GATED, Config, Selection, TrainConfig
from reference.training.checks import data_options
from reference.weights.initialization import begin, stage_settings, started

ESTIMATORS = (
    "exact swap",
    "straight-through",
    "soft",
    "gates",
    "gumbel, one draw",
    "gumbel-mask, one draw",
    "posterior, one draw",
    "reinforce, one draw",
)
LEAST = 1e-6
"""A question whose exact gradient is shorter says nothing."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How good an estimator's gradient of the scores is, over some questions."""

    cosine: float
    """Mean cosine with the exact gradient."""
    auc: float
    """How often a relevant document that is not read is to be raised more than another one that is not."""
    raised: float
    """Share of the relevant documents that are not read whose scores are to be raised."""
    questions: int
    """Over which the cosine is; NaN where there are none."""


def measure(config: Config, name: str, questions: int, seed: int = 0) -> dict[str, Quality]:
    """The quality of each estimator's gradient from a stage's start, on its own rows.

    Args:
        config: with the checkpoint to start from in the stage's `start`.
        name: of the stage.
        questions: to measure on.
        seed: of the draw by REINFORCE.

    Raises:
        BenchError: no such stage, or one that does not choose documents; a checkpoint or data that cannot be read.
    """
    settings = stage_settings(config, name)
    _refuse_other(settings)
    config = started(config, name)
    settings = stage_settings(config, name)
    source = open_source(settings.stage, data_options(config, name))
    stage = Stage(begin(config, name), settings)
    stage.centre(source)
    torch.manual_seed(seed)
    number = questions if source.size is None else min(questions, source.size)
    return compare(stage, [source[place] for place in range(number)])


def _refuse_other(settings: TrainConfig) -> None:
    if settings.stage not in ("joint", "reinforce"):
        raise ConfigError(f"stage '{settings.stage}' has no estimator. Expected a stage 'joint' or 'reinforce'")


def compare(stage: Stage, rows: Sequence[Row], batch: int = 8) -> dict[str, Quality]:
    """The quality of each estimator's gradient from one model, over the same questions.

    Args:
        stage: of joint training; its k and temperature are used.
        rows: one question each, with relevance labels, which only judge.
        batch: questions at a time.

    Raises:
        ConfigError: a stage that is not `joint` or `reinforce`.
    """
    _refuse_other(stage.config)
    stage.eval()
    found: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {name: [] for name in ESTIMATORS}
    for at in range(0, len(rows), batch):
        _measure(stage, rows[at : at + batch], found)
    exact = [gradient_N for gradient_N, _, _ in found["exact swap"]]
    return {name: _quality(exact, measured) for name, measured in found.items()}


def _measure(stage: Stage, rows: Sequence[Row], found: dict[str, list[tuple[Tensor, Tensor, Tensor]]]) -> None:
    reader = _Reader(stage, rows)
    unread_BN = torch.ones_like(reader.scores_BN).scatter(1, reader.chosen_BK, 0.0).bool()
    if reader.candidates.mask_BN is not None:
        unread_BN &= reader.candidates.mask_BN
    for name in ESTIMATORS:
        found[name] += zip(reader.gradient(name), unread_BN, reader.candidates.positives_BN, strict=True)


class _Reader:
    """Some questions, their candidates, and the loss of their answers over any documents."""

    def __init__(self, stage: Stage, rows: Sequence[Row]) -> None:
        self.stage, self.selection = stage, stage.selection
        self.batch = self._prepared(rows, "straight-through")
        self.all = self._prepared(rows, "gates")
        self.candidates = Candidates.of(stage.model, self.batch.rows, stage.remembered)
        with torch.no_grad():
            query = stage.model.query([row.turns[0].question for row in rows])
            query_BE = stage.model.flatten(query, "questions")
            self.scores_BN = stage.model.score(query_BE, self.candidates.keys_BNE)
        self.chosen_BK = self._select("straight-through", self.scores_BN).indices_BK

    def _selection(self, estimator: str) -> Selection:
        return msgspec.structs.replace(self.selection, estimator=estimator, mask="infinite")

    def _prepared(self, rows: Sequence[Row], estimator: str) -> Batch:
        selection = self._selection(estimator)
        config: TrainConfig = msgspec.structs.replace(self.stage.config, stage="joint")
        return prepare(self.stage.model, config, selection, rows)

    def _select(self, estimator: str, scores_BN: Tensor, training: bool = True) -> Selected:
        return select(scores_BN, self._selection(estimator), self.candidates.mask_BN, training=training)

    def gradient(self, name: str) -> Tensor:
        """The gradient of the scores by an estimator, or the exact one: (B, N)."""
        if name == "exact swap":
            return self.exact()
        estimator = name.partition(",")[0]
        scores_BN = self.scores_BN.clone().requires_grad_()
        loss = self._drawn(scores_BN) if estimator == "reinforce" else self._loss(estimator, scores_BN)
        (slope_BN,) = torch.autograd.grad(loss, scores_BN)
        return slope_BN

    def losses(self, indices_BK: Tensor) -> Tensor:
        """Cross-entropy of each answer over the documents at these places: (B,), without gradients."""
        rows_B = torch.arange(len(indices_BK), device=indices_BK.device)
        return self.stage.choosing.costs(self.batch, self.candidates, rows_B, indices_BK)

    def exact(self) -> Tensor:
        """By reading every candidate in the place of each document that is read."""
        base_B = self.losses(self.chosen_BK)
        truth_BKN = base_B[:, None, None].expand(-1, self.chosen_BK.shape[1], self.scores_BN.shape[1]).clone()
        for place in range(self.scores_BN.shape[1]):
            for slot in range(self.chosen_BK.shape[1]):
                swapped_BK = self.chosen_BK.clone()
                swapped_BK[:, slot] = place
                new_B = ~(self.chosen_BK == place).any(1) & self._there(place)
                truth_BKN[:, slot, place] = torch.where(new_B, self.losses(swapped_BK), base_B)
        weights_BKN = slot_weights(self.scores_BN, self.chosen_BK, self.selection.temperature, self.candidates.mask_BN)
        gain_BKN = truth_BKN - (weights_BKN * truth_BKN).sum(-1, keepdim=True)
        return (weights_BKN * gain_BKN).sum(1) / self.selection.temperature

    def _there(self, place: int) -> Tensor:
        mask_BN = self.candidates.mask_BN
        return torch.ones(len(self.chosen_BK), dtype=torch.bool) if mask_BN is None else mask_BN[:, place]

    def _loss(self, estimator: str, scores_BN: Tensor) -> Tensor:
        """The loss that an estimator trains on, summed over the questions."""
        choosing = Choosing(self.stage.model, self._selection(estimator), self.stage.choosing.kept)
        loss = choosing.loss(self.all if estimator in GATED else self.batch, self.candidates, scores_BN)
        return loss.extra.total if loss.extra.weight else loss.cross_entropy.total

    def _drawn(self, scores_BN: Tensor) -> Tensor:
        """A draw rewarded by how much less its answer costs than that over the best, not by its right tokens."""
        drawn = self._select("reinforce", scores_BN)
        assert drawn.log_prob_B is not None
        cost_B = self.losses(drawn.indices_BK) - self.losses(self.chosen_BK)
        return (cost_B * drawn.log_prob_B).sum()


def _quality(exact: Sequence[Tensor], measured: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Quality:
    pairs = zip(exact, (gradient_N for gradient_N, _, _ in measured), strict=True)
    live = [(one, other) for one, other in pairs if one.norm() > LEAST]
    cosines = [torch.nn.functional.cosine_similarity(one, other, dim=0).item() for one, other in live]
    aucs, raised = [], []
    for gradient_N, unread_N, positive_N in measured:
        gold, others = gradient_N[unread_N & positive_N], gradient_N[unread_N & ~positive_N]
        raised += (gold < 0).tolist()
        if len(gold) and len(others):
            aucs.append(_auc(gold, others))
    return Quality(_mean(cosines), _mean(aucs), _mean(raised), len(live))


def _auc(gold: Tensor, others: Tensor) -> float:
    below = (gold[:, None] < others[None]).double() + 0.5 * (gold[:, None] == others[None]).double()
    return below.mean().item()


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else math.nan
