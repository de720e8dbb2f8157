"""Draws from the posterior, and relaxed masks: exact where they must be."""

from __future__ import annotations

import itertools

import pytest
import torch

from clara_bench import ConfigError
from reference.selection.gates import gumbel_mask
from reference.selection.posterior import evidence, neighbours, redrawn
from reference.selection.topk import gumbel_noise, log_prob
from reference.settings.config import Selection

SETS = Selection(k=2, temperature=0.5, estimator="reinforce", draws="set")


def scores_of(questions: int = 2, candidates: int = 5) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(questions, candidates, dtype=torch.float64)


def slope(function, scores_BN: torch.Tensor) -> torch.Tensor:
    """The gradient by finite differences."""
    step, out = 1e-5, torch.zeros_like(scores_BN)
    for place in itertools.product(*map(range, scores_BN.shape)):
        moved = torch.zeros_like(scores_BN)
        moved[place] = step
        out[place] = (function(scores_BN + moved) - function(scores_BN - moved)) / (2 * step)
    return out


def test_with_one_document_the_loss_is_the_exact_marginal_likelihood_of_the_answer():
    scores_BN, costs_BN = scores_of(), 3 * torch.rand(2, 5, dtype=torch.float64)
    one = Selection(k=1, temperature=0.5, estimator="reinforce", draws="set")
    scores_BN.requires_grad_()
    near = neighbours(scores_BN, torch.tensor([[3], [0]]), one)
    found_B = evidence(near, costs_BN.flatten(), 2)
    exact_B = ((scores_BN / 0.5).log_softmax(1) - costs_BN).logsumexp(1)
    torch.testing.assert_close(found_B, exact_B)
    (mine,) = torch.autograd.grad(found_B.sum(), scores_BN, retain_graph=True)
    (exact,) = torch.autograd.grad(exact_B.sum(), scores_BN)
    torch.testing.assert_close(mine, exact)


@pytest.mark.parametrize("draws", ["set", "ordered"])
def test_the_gradient_over_a_slot_is_what_a_small_change_of_the_scores_does(draws):
    selection = Selection(k=3, temperature=0.5, estimator="reinforce", draws=draws)
    drawn, slots = torch.tensor([[0, 1, 2], [4, 2, 1]]), torch.tensor([1, 0])
    mask = torch.tensor([[True] * 5, [False, True, True, True, True]])
    costs = torch.rand(3 + 2, dtype=torch.float64)

    def total(scores_BN):
        return evidence(neighbours(scores_BN, drawn, selection, mask, slots), costs, 2).sum()

    scores_BN = scores_of().requires_grad_()
    (mine,) = torch.autograd.grad(total(scores_BN), scores_BN)
    torch.testing.assert_close(mine, slope(total, scores_BN.detach()), rtol=1e-4, atol=1e-7)
    assert mine[1, 0] == 0


def test_neighbours_hold_the_other_documents_and_every_free_candidate():
    near = neighbours(scores_of(1), torch.tensor([[3, 1]]), SETS, None, torch.tensor([0]))
    assert near.indices_VK.tolist() == [[0, 1], [2, 1], [3, 1], [4, 1]]
    torch.testing.assert_close(near.log_prior_V[2:3], log_prob(scores_of(1), torch.tensor([[3, 1]]), SETS))


def test_moves_lead_to_the_posterior_over_sets():
    scores_BN = scores_of(1).expand(4000, -1)
    cost = {frozenset(pair): 2.0 * number / 9 for number, pair in enumerate(itertools.combinations(range(5), 2))}
    drawn_BK = torch.tensor([[0, 1]]).expand(4000, -1)
    for _ in range(12):
        near = neighbours(scores_BN, drawn_BK, SETS)
        drawn_BK = redrawn(near, torch.tensor([cost[frozenset(own)] for own in near.indices_VK.tolist()]), 4000)
    found = [frozenset(own) for own in drawn_BK.tolist()]
    priors = {own: log_prob(scores_of(1), torch.tensor([sorted(own)]), SETS).exp().item() for own in cost}
    weights = {own: priors[own] * torch.tensor(-cost[own]).exp().item() for own in cost}
    for own, weight in weights.items():
        assert found.count(own) / 4000 == pytest.approx(weight / sum(weights.values()), abs=0.03)


def test_the_gradient_of_a_relaxed_mask_is_what_a_small_change_of_the_scores_does():
    scores_BN, weight_BN = scores_of(), torch.randn(2, 5, dtype=torch.float64)
    noise_BKN = gumbel_noise(scores_BN[:, None].expand(-1, 3, -1))

    def total(moved_BN):
        found = gumbel_mask(moved_BN, 3, 0.5, 0.5, None, noise_BKN)
        return (found.logs_BN.exp() * weight_BN).sum()

    scores_BN.requires_grad_()
    (mine,) = torch.autograd.grad(total(scores_BN), scores_BN)
    torch.testing.assert_close(mine, slope(total, scores_BN.detach()), rtol=1e-4, atol=1e-7)


def test_a_mask_is_the_largest_of_k_draws_and_leaves_padding_out():
    scores_BN = torch.tensor([[0.1, 0.9, 0.5, 0.7]])
    mask_BN = torch.tensor([[True, True, True, False]])
    found = gumbel_mask(scores_BN, 2, 0.1, 0.5, mask_BN, torch.zeros(1, 2, 4))
    assert found.order_BN.tolist() == [[1, 2, 0, 3]]
    expected = (torch.tensor([9.0, 5.0, 1.0]) / 0.5).softmax(0)
    torch.testing.assert_close(found.logs_BN.exp()[0, :3], expected)
    assert found.logs_BN[0, 3].exp() == 0 and found.logs_BN.isfinite().all()
    with pytest.raises(ConfigError, match=r"selection.k is 5"):
        gumbel_mask(scores_BN, 5, 0.1, 0.5)


def test_with_a_low_temperature_a_mask_reads_about_what_draws_would():
    torch.manual_seed(0)
    found = gumbel_mask(torch.zeros(2000, 4), 2, 0.1, 0.02)
    read = found.logs_BN.exp() > 0.5
    assert set(read.sum(1).tolist()) == {1, 2}  # draws may fall on one document twice
    assert read.float().mean().item() == pytest.approx(7 / 16, abs=0.02)
