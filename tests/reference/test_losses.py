"""The losses against numbers worked by hand, and what must not depend on how a batch is cut.

Tests with a number answer to the same number in the list of what a faithful implementation must show.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.objectives.losses import (
    contrastive,
    cross_entropy_sum,
    masked_mean,
    mse,
    reinforce,
    share_of_batch,
)

CHECK = settings(max_examples=60, deadline=None, derandomize=True)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


# --- memories near their documents


def test_19_mse_is_zero_when_the_means_coincide():
    memory_BTH, document_BTH = torch.tensor([[[1.0, 5.0], [3.0, 1.0]]]), torch.tensor([[[0.0, 3.0], [4.0, 3.0]]])
    everywhere_BT = torch.ones(1, 2)
    means = masked_mean(memory_BTH, everywhere_BT), masked_mean(document_BTH, everywhere_BT)
    for form in ("mean", "sum"):
        assert mse(*means, form) == 0


def test_19_mse_worked_by_hand_with_padding_left_out():
    # row 0: the document's two tokens (2, 0), (4, 2) have mean (3, 1), memory mean (1, 1): squares 4, 0
    # row 1: one token (1, 5), memory mean (0, 2): squares 1, 9
    states_BTH = torch.tensor([[[9.0, 9.0], [2.0, 0.0], [4.0, 2.0]], [[7.0, 7.0], [8.0, 8.0], [1.0, 5.0]]])
    mask_BT = torch.tensor([[0, 1, 1], [0, 0, 1]])
    memory_BTH = torch.tensor([[[0.0, 0.0], [2.0, 2.0]], [[-1.0, 1.0], [1.0, 3.0]]])
    document_BH, memory_BH = masked_mean(states_BTH, mask_BT), masked_mean(memory_BTH, torch.ones(2, 2))
    assert document_BH.tolist() == [[3, 1], [1, 5]]
    assert memory_BH.tolist() == [[1, 1], [0, 2]]
    assert mse(memory_BH, document_BH, "mean") == pytest.approx((4 / 2 + 10 / 2) / 2)
    assert mse(memory_BH, document_BH, "sum") == pytest.approx((4 + 10) / 2)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 40))
@CHECK
def test_19_the_sum_is_hidden_size_times_the_mean(seed: int, rows: int, hidden: int):
    memory_BH, document_BH = normal(rows, hidden, seed=seed), normal(rows, hidden, seed=seed + 1)
    torch.testing.assert_close(mse(memory_BH, document_BH, "sum"), hidden * mse(memory_BH, document_BH, "mean"))


def test_19_both_sides_learn_unless_the_documents_is_detached():
    for detach in (False, True):
        memory_BH, document_BH = normal(2, 3).requires_grad_(), normal(2, 3, seed=1).requires_grad_()
        mse(memory_BH, document_BH, detach=detach).backward()
        torch.testing.assert_close(memory_BH.grad, 2 * (memory_BH - document_BH).detach() / 6)
        assert (document_BH.grad is None) == detach


def test_19_mse_of_half_precision_states_is_made_in_fp32():
    # In bf16 the two means, 256 + 1/4 and 256, would be the same number.
    states_BTH = torch.tensor([[[256.0], [256.0], [256.0], [257.0]]])
    assert mse(masked_mean(states_BTH, torch.ones(1, 4)), torch.tensor([[256.0]])) == pytest.approx(1 / 16)
    narrow_BH = masked_mean(
        torch.tensor([[[256.0], [258.0], [256.0], [256.0]]], dtype=torch.bfloat16), torch.ones(1, 4)
    )
    assert narrow_BH.dtype == torch.float32
    assert mse(narrow_BH, torch.tensor([[256.0]], dtype=torch.bfloat16)) == pytest.approx(1 / 4)
    # 300 squared is beyond fp16.
    assert mse(torch.tensor([[300.0]]).half(), torch.zeros(1, 1).half()).item() == 90_000


def test_what_stands_at_masked_positions_does_not_matter_not_even_nan():
    states_BTH = normal(2, 3, 4).requires_grad_()
    spoilt_BTH = torch.where(torch.tensor([[[True], [False], [False]]]), math.nan, states_BTH)
    mask_BT = torch.tensor([[False, True, True], [False, False, False]])
    mean_BH = masked_mean(spoilt_BTH, mask_BT)
    torch.testing.assert_close(mean_BH[0], states_BTH[0, 1:].mean(0))
    assert not mean_BH[1].any()  # nothing there: zeros, not 0 / 0
    mean_BH.sum().backward()
    torch.testing.assert_close(states_BTH.grad, (mask_BT[..., None] / 2).expand(2, 3, 4))


# --- answers


def test_20_cross_entropy_worked_by_hand():
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0], [5.0, -5.0]])
    found = cross_entropy_sum(logits, torch.tensor([1, 0, -100]), torch.tensor([1.0, 0.5, 9.0]))
    # -log(3/4) + -log(1/2) / 2; the third is no target
    assert float(found.total) == pytest.approx(-math.log(0.75) - math.log(0.5) / 2)
    assert float(found.weight) == 1.5


def test_20_cross_entropy_is_the_librarys_mean_when_all_targets_weigh_one():
    logits, labels = normal(3, 7, 11), torch.arange(21).view(3, 7) % 11
    labels[0, :4] = -100
    total, weight = cross_entropy_sum(logits, labels)
    torch.testing.assert_close(
        total / weight, torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    )
    assert weight == 17 and total.dtype == weight.dtype == torch.float32


def test_20_cross_entropy_of_half_precision_logits_is_made_in_fp32():
    logits, labels = normal(500, 50, dtype=torch.bfloat16), torch.arange(500) % 50
    total, _ = cross_entropy_sum(logits, labels)
    torch.testing.assert_close(total, cross_entropy_sum(logits.double(), labels).total.float())
    assert total.dtype == torch.float32


def batch(seed: int, rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows with very different numbers of targets, as answers and paraphrases have."""
    logits, weights = normal(rows, 6, 5, seed=seed, dtype=torch.float64), normal(rows, 6, seed=seed + 1).abs().double()
    labels = torch.arange(rows * 6).view(rows, 6) % 5
    for row in range(rows):
        labels[row, : (seed + 5 * row) % 7] = -100
    return logits, labels, weights


def loss_and_gradient(data, sizes: list[int], form: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Through the batch in micro-batches of these sizes, as the training loop does: counted first, then scaled."""
    logits, labels, weights = data
    logits = logits.clone().requires_grad_()
    batch_weight = float((weights * (labels != -100)).sum())
    loss = torch.zeros((), dtype=torch.float64)
    for cut in zip(*(tensor.split(sizes) for tensor in (logits, labels, weights)), strict=True):
        share = share_of_batch(cross_entropy_sum(*cut), form, batch_weight, len(sizes))
        share.backward()
        loss += share.detach()
    return loss, logits.grad


@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=1, max_size=5))
@CHECK
def test_20_token_weighted_cross_entropy_does_not_depend_on_the_split(seed: int, sizes: list[int]):
    data = batch(seed, sum(sizes))
    torch.testing.assert_close(
        loss_and_gradient(data, sizes, "token"), loss_and_gradient(data, [sum(sizes)], "token"), rtol=1e-9, atol=1e-12
    )


@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=1, max_size=5))
@CHECK
def test_20_parity_form_is_the_mean_of_the_micro_batches_means(seed: int, sizes: list[int]):
    logits, labels, _ = batch(seed, sum(sizes))
    found, _ = loss_and_gradient((logits, labels, torch.ones_like(labels).double()), sizes, "micro-batch")
    means = [
        torch.nn.functional.cross_entropy(one.flatten(0, 1), its.flatten()).nan_to_num()  # no target: 0, not 0 / 0
        for one, its in zip(logits.split(sizes), labels.split(sizes), strict=True)
    ]
    torch.testing.assert_close(found, torch.stack(means).mean())


def test_20_the_two_forms_differ_where_micro_batches_have_unequal_targets():
    data = batch(1, 4)
    token, parity = (loss_and_gradient(data, [2, 2], form)[0] for form in ("token", "micro-batch"))
    assert abs(float(token - parity)) > 0.01
    whole = [loss_and_gradient(data, [4], form)[0] for form in ("token", "micro-batch")]
    torch.testing.assert_close(*whole)


@pytest.mark.parametrize("form", ["token", "micro-batch"])
def test_20_a_micro_batch_without_targets_adds_nothing(form: str):
    for logits, labels in (
        (normal(2, 3).requires_grad_(), torch.full((2,), -100)),
        (normal(0, 3).requires_grad_(), torch.zeros(0, dtype=torch.int64)),
    ):
        part = cross_entropy_sum(logits, labels)
        share = share_of_batch(part, form, part.weight, 2)
        share.backward()
        assert share == 0 and not logits.grad.any()


# --- retrieval


def test_contrastive_worked_by_hand_in_both_forms():
    # temperature 1/2, so the logits are log 1, log 2, log 5: probabilities 1/8, 2/8, 5/8
    scores_BN = torch.tensor([[1.0, 2.0, 5.0]]).log() / 2
    positives_BN = torch.tensor([[True, False, True]])
    assert float(contrastive(scores_BN, positives_BN, 0.5)) == pytest.approx(-(math.log(1 / 8) + math.log(5 / 8)) / 2)
    assert float(contrastive(scores_BN, positives_BN, 0.5, form="sum")) == pytest.approx(-math.log(6 / 8))


@pytest.mark.parametrize("form", ["mean", "sum"])
def test_contrastive_passes_gradcheck_and_leaves_out_what_is_not_there(form: str):
    scores_BN = normal(4, 6, dtype=torch.float64).requires_grad_()
    positives_BN = torch.zeros(4, 6, dtype=torch.bool)
    positives_BN[0, [1, 4, 5]] = positives_BN[1, 0] = positives_BN[3, 5] = (
        True  # row 2 has none, row 3 only padding, row 0 also
    )
    mask_BN = torch.ones(4, 6, dtype=torch.bool)
    mask_BN[[0, 3], 5] = False
    assert torch.autograd.gradcheck(lambda s: contrastive(s, positives_BN, 0.3, mask_BN, form), (scores_BN,))
    loss = contrastive(scores_BN, positives_BN, 0.3, mask_BN, form)
    loss.backward()
    assert not scores_BN.grad[2:].any() and scores_BN.grad[0, 5] == 0 and scores_BN.grad[:2, :5].all()
    rows = [
        contrastive(scores_BN[:1, :5], positives_BN[:1, :5], 0.3, form=form),
        contrastive(scores_BN[1:2], positives_BN[1:2], 0.3, form=form),
    ]
    torch.testing.assert_close(loss, torch.stack(rows).mean())


@pytest.mark.parametrize("form", ["mean", "sum"])
def test_contrastive_without_any_positive_is_zero_and_teaches_nothing(form: str):
    scores_BN = normal(2, 3).requires_grad_()
    loss = contrastive(scores_BN, torch.zeros(2, 3, dtype=torch.bool), 0.02, form=form)
    loss.backward()
    assert loss == 0 and not scores_BN.grad.any()


def test_only_the_mean_form_asks_for_every_positive():
    scores_BN, positives_BN = torch.tensor([[0.9, 0.1, 0.1]]), torch.tensor([[True, True, False]])
    gradients = {}
    for form in ("mean", "sum"):
        asked_BN = scores_BN.clone().requires_grad_()
        contrastive(asked_BN, positives_BN, 0.02, form=form).backward()
        gradients[form] = asked_BN.grad[0, 1].item()
    assert gradients["mean"] == pytest.approx(-1 / 2 / 0.02)
    assert abs(gradients["sum"]) < 1e-3


def test_contrastive_is_made_in_fp32():
    scores_BN, positives_BN = normal(8, 20, dtype=torch.bfloat16), torch.eye(8, 20, dtype=torch.bool)
    loss = contrastive(scores_BN, positives_BN, 0.02)
    torch.testing.assert_close(loss, contrastive(scores_BN.double(), positives_BN, 0.02).float())


def test_reinforce_makes_draws_above_the_baseline_likelier_and_others_less_likely():
    log_prob_B = torch.zeros(3, requires_grad=True)
    reward_B = torch.tensor([1.0, 0.0, 0.5], requires_grad=True)
    reinforce(log_prob_B, reward_B, 0.5).backward()
    torch.testing.assert_close(log_prob_B.grad, torch.tensor([-0.5, 0.5, 0.0]) / 3)
    assert reward_B.grad is None
    with pytest.raises(AssertionError, match="training=True"):
        reinforce(None, reward_B)
