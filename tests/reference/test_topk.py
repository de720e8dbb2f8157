"""The choice of documents: exact forward, the gradient of the paper, no needless memory, draws with the right odds.

Tests with a number answer to the same number in the list of what a faithful implementation must show.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from clara_bench import ConfigError
from reference.objectives.losses import reinforce
from reference.selection.draws import of_set
from reference.selection.similarity import cosine
from reference.selection.topk import Selected, gather, select, straight_through_topk
from reference.settings.config import Selection

CHECK = settings(max_examples=60, deadline=None, derandomize=True)
ESTIMATORS = ("straight-through", "gumbel", "soft", "reinforce")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def cosines(rows: int, candidates: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (0.1 * normal(rows, candidates, seed=seed, dtype=torch.float64)).to(dtype).requires_grad_()


def one_hot(indices_BK: torch.Tensor, candidates: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(indices_BK, candidates).float()


def soft_by_hand(scores_BN: torch.Tensor, order_BK: torch.Tensor, temperature: float) -> torch.Tensor:
    """Slot by slot, with loops: a softmax over what the slots before have left."""
    rows = []
    for scores_N, order_K in zip(scores_BN, order_BK.tolist(), strict=True):
        slots = []
        for slot in range(len(order_K)):
            taken_N = torch.zeros_like(scores_N, dtype=torch.bool)
            taken_N[order_K[:slot]] = True
            slots.append((scores_N / temperature).masked_fill(taken_N, -math.inf).softmax(0))
        rows.append(torch.stack(slots))
    return torch.stack(rows)


# --- forward


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("leaky", [False, True])
@pytest.mark.parametrize("temperature", [1e-4, 0.02, 1.0, 100.0])
def test_07_forward_is_exactly_the_one_hot_of_the_k_best_in_order(dtype: torch.dtype, leaky: bool, temperature: float):
    scores_BN = torch.stack([torch.randperm(20, generator=seeded(seed)) for seed in range(64)]).to(dtype) / 32
    weights_BKN, indices_BK, *_ = straight_through_topk(scores_BN.requires_grad_(), 5, temperature, leaky=leaky)
    assert torch.equal(indices_BK, scores_BN.topk(5).indices)
    assert weights_BKN.dtype == torch.float32
    assert torch.equal(weights_BKN, one_hot(indices_BK, 20))
    assert torch.equal(weights_BKN.to(torch.bfloat16), one_hot(indices_BK, 20).bfloat16())


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 6), st.floats(1e-3, 10))
@CHECK
def test_07_forward_is_exactly_one_hot_whatever_the_scores(seed: int, k: int, more: int, temperature: float):
    scores_BN = normal(8, k + more, seed=seed).requires_grad_()
    weights_BKN, indices_BK, *_ = straight_through_topk(scores_BN, k, temperature)
    assert torch.equal(weights_BKN, one_hot(indices_BK, k + more))
    chosen_BK = scores_BN.gather(1, indices_BK)
    assert torch.equal(chosen_BK, chosen_BK.sort(descending=True).values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("estimator", ["straight-through", "gumbel", "reinforce"])
def test_07_what_is_read_is_the_chosen_memory_bit_for_bit(estimator: str, dtype: torch.dtype):
    memories_BNE = normal(4, 9, 33, dtype=dtype)
    selected = select(cosines(4, 9), Selection(k=3, estimator=estimator), generator=seeded())
    read_BKE = gather(selected, memories_BNE)
    assert read_BKE.dtype == dtype
    for row, indices_K in enumerate(selected.indices_BK):
        assert torch.equal(read_BKE[row].view(torch.uint8), memories_BNE[row, indices_K].view(torch.uint8))


def test_08_each_slots_soft_row_adds_up_to_one():
    for leaky in (False, True):
        weights_BKN = select(
            cosines(16, 20), Selection(estimator="soft", mask="leaky" if leaky else "infinite")
        ).weights_BKN
        torch.testing.assert_close(weights_BKN.sum(-1), torch.ones(16, 5), rtol=0, atol=1e-6)


def test_08_taken_documents_get_exactly_zero():
    weights_BKN, indices_BK, *_ = select(cosines(16, 20), Selection(estimator="soft"))
    for slot in range(5):
        left_over_BN = weights_BKN[:, slot].gather(1, indices_BK[:, :slot])
        assert torch.equal(left_over_BN, torch.zeros_like(left_over_BN))
    torch.testing.assert_close(weights_BKN, soft_by_hand(cosines(16, 20), indices_BK, 0.02))


@pytest.mark.parametrize(("gap", "share"), [(0.3, 0.0017), (0.37, 0.054), (0.5, 0.974)])
def test_08_the_leaky_mask_leaks_as_the_released_one_does(gap: float, share: float):
    scores_BN = torch.zeros(1, 20)
    scores_BN[0, 7] = gap
    leaked = select(scores_BN, Selection(k=2, temperature=0.02, estimator="soft", mask="leaky")).weights_BKN[0, 1, 7]
    assert float(leaked) == pytest.approx(share, abs=0.0005)
    kept_out = select(scores_BN, Selection(k=2, temperature=0.02, estimator="soft")).weights_BKN[0, 1]
    assert kept_out[7] == 0
    torch.testing.assert_close(kept_out[:7], torch.full((7,), 1 / 19))


# --- gradient


def test_09_the_gradient_is_the_papers_closed_form():
    scores_BN, memories_BNE = cosines(6, 12, dtype=torch.float64), normal(6, 12, 8, seed=1, dtype=torch.float64)
    gradient_BKE = normal(6, 4, 8, seed=2, dtype=torch.float64)
    selected = straight_through_topk(scores_BN, 4, 0.05)
    gather(selected, memories_BNE).backward(gradient_BKE)
    p_BKN = soft_by_hand(scores_BN.detach(), selected.indices_BK, 0.05)
    a_BKN = torch.einsum("bke,bne->bkn", gradient_BKE, memories_BNE)
    mean_BK1 = (p_BKN * a_BKN).sum(-1, keepdim=True)
    expected_BN = (p_BKN * (a_BKN - mean_BK1)).sum(1) / 0.05
    torch.testing.assert_close(scores_BN.grad, expected_BN)


@pytest.mark.parametrize("leaky", [False, True])
def test_09_the_gradient_is_that_of_the_soft_surrogate_by_finite_differences(leaky: bool):
    scores_BN, memories_BNE = cosines(3, 7, dtype=torch.float64), normal(3, 7, 4, seed=1, dtype=torch.float64)
    toward_BKE = normal(3, 3, 4, seed=2, dtype=torch.float64)
    selection = Selection(k=3, temperature=0.1, estimator="soft", mask="leaky" if leaky else "infinite")

    def surrogate(scores: torch.Tensor) -> torch.Tensor:
        return (gather(select(scores, selection), memories_BNE) * toward_BKE).sum()

    assert torch.autograd.gradcheck(surrogate, (scores_BN,))
    (gather(straight_through_topk(scores_BN, 3, 0.1, leaky=leaky), memories_BNE) * toward_BKE).sum().backward()
    step = 1e-6
    for place in itertools.product(range(3), range(7)):
        moved_BN = torch.zeros(3, 7, dtype=torch.float64)
        moved_BN[place] = step
        slope = (surrogate(scores_BN.detach() + moved_BN) - surrogate(scores_BN.detach() - moved_BN)) / (2 * step)
        torch.testing.assert_close(scores_BN.grad[place], slope, rtol=1e-5, atol=1e-7)


def test_09_products_and_cosines_pass_gradcheck():
    query_BE = normal(2, 5, dtype=torch.float64).requires_grad_()
    memories_BNE = normal(2, 4, 5, seed=1, dtype=torch.float64).requires_grad_()
    weights_BKN = normal(2, 3, 4, seed=2, dtype=torch.float64).requires_grad_()
    indices_BK = torch.zeros(2, 3, dtype=torch.int64)
    assert torch.autograd.gradcheck(cosine, (query_BE, memories_BNE))
    assert torch.autograd.gradcheck(
        lambda w, m: gather(Selected(w, indices_BK, hard=False), m), (weights_BKN, memories_BNE)
    )


def test_09_a_candidate_that_was_not_chosen_gets_a_gradient_too():
    scores_BN = cosines(1, 10)
    gather(straight_through_topk(scores_BN, 2, 0.1), normal(1, 10, 6)).sum().backward()
    assert (scores_BN.grad != 0).all()


def test_09_candidates_that_are_all_the_same_document_teach_nothing():
    scores_BN = cosines(2, 6, dtype=torch.float64)
    memories_BNE = normal(2, 1, 5, dtype=torch.float64).expand(2, 6, 5)
    (gather(straight_through_topk(scores_BN, 3, 0.02), memories_BNE) ** 3).sum().backward()
    torch.testing.assert_close(scores_BN.grad, torch.zeros(2, 6, dtype=torch.float64), rtol=0, atol=1e-10)


def test_memories_learn_only_if_they_ask_and_then_as_plain_indexing_has_it():
    selected = straight_through_topk(cosines(3, 6), 2, 0.02)
    memories_BNE, toward_BKE = normal(3, 6, 5).requires_grad_(), normal(3, 2, 5, seed=1)
    (gather(selected, memories_BNE) * toward_BKE).sum().backward()
    expected_BNE = torch.zeros(3, 6, 5)
    for row, indices_K in enumerate(selected.indices_BK):
        expected_BNE[row, indices_K] = toward_BKE[row]
    assert torch.equal(memories_BNE.grad, expected_BNE)
    frozen_BNE = normal(3, 6, 5)
    gather(straight_through_topk(cosines(3, 6), 2, 0.02), frozen_BNE).sum().backward()
    assert frozen_BNE.grad is None


def test_gradients_through_narrow_memories_keep_fp32s_small_numbers_where_the_models_type_is_named():
    memories_BNE, tiny = normal(1, 6, 64).half(), 1e-9
    scores_BN = cosines(1, 6)
    (gather(straight_through_topk(scores_BN, 2, 0.02), memories_BNE, torch.float32).sum() * tiny).backward()
    wide_BN = cosines(1, 6)
    (gather(straight_through_topk(wide_BN, 2, 0.02), memories_BNE.float()).sum() * tiny).backward()
    assert scores_BN.grad.any()
    torch.testing.assert_close(scores_BN.grad, wide_BN.grad, rtol=1e-5, atol=0)


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor holds that an operation makes; views do not count."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given_storages = {storage(tensor) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, torch.Tensor)}
        for made in tree_leaves(result):
            if isinstance(made, torch.Tensor) and storage(made) not in given_storages:
                self.numbers = max(self.numbers, made.untyped_storage().nbytes() // made.element_size())
        return result


def storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@contextmanager
def saved_storages() -> Iterator[dict[int, int]]:
    """Bytes of each distinct storage that waits for backward, by its address."""
    storages: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages[storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield storages


ROWS, CANDIDATES, CHOSEN, WIDE = 4, 8, 3, 500


def largest_made(read) -> int:
    scores_BN = cosines(ROWS, CANDIDATES)
    memories_BNE = normal(ROWS, CANDIDATES, WIDE, seed=1, dtype=torch.bfloat16)
    selected = straight_through_topk(scores_BN, CHOSEN, 0.02)
    gradient_BKE = normal(ROWS, CHOSEN, WIDE, seed=2, dtype=torch.bfloat16)
    with Largest() as largest:
        read(selected, memories_BNE).backward(gradient_BKE)
        return largest.numbers


def test_nothing_as_large_as_all_slots_times_all_candidates_is_made():
    def broadcast(selected: Selected, memories_BNE: torch.Tensor) -> torch.Tensor:
        return (selected.weights_BKN.to(memories_BNE.dtype)[..., None] * memories_BNE[:, None]).sum(2)

    assert largest_made(broadcast) >= ROWS * CHOSEN * CANDIDATES * WIDE  # what this test would catch
    assert largest_made(gather) <= ROWS * CHOSEN * WIDE


def test_what_waits_for_backward_is_the_memories_as_they_came():
    memories_BNE = normal(ROWS, CANDIDATES, WIDE, dtype=torch.bfloat16)
    query_BE = normal(ROWS, WIDE).requires_grad_()
    # The query, and a few numbers a slot and candidate, 4 bytes each; far less than the memories' fp32 copy.
    allowed = memories_BNE.nbytes + query_BE.nbytes + 20 * 4 * ROWS * CHOSEN * CANDIDATES
    with saved_storages() as ours:
        scores_BN = cosine(query_BE, memories_BNE)
        read_BKE = gather(straight_through_topk(scores_BN, CHOSEN, 0.02), memories_BNE)
    with saved_storages() as usual:  # what this test would catch
        dots_BN = (query_BE[:, None] * memories_BNE.float()).sum(-1)
    assert storage(memories_BNE) in ours
    assert sum(ours.values()) <= allowed < sum(usual.values())
    assert read_BKE.requires_grad and dots_BN.requires_grad


# --- temperature and scale


def test_10_a_high_temperature_weighs_all_candidates_alike():
    scores_BN = cosines(4, 10)
    weights_BKN, indices_BK, *_ = select(scores_BN, Selection(k=3, temperature=1e4, estimator="soft"))
    left_over_BKN = 1 - one_hot(indices_BK, 10).cumsum(1) + one_hot(indices_BK, 10)
    torch.testing.assert_close(weights_BKN, left_over_BKN / left_over_BKN.sum(-1, keepdim=True), rtol=1e-3, atol=0)


def test_10_the_gradient_at_a_high_temperature_compares_with_the_plain_mean():
    scores_BN, memories_BNE = cosines(2, 8, dtype=torch.float64), normal(2, 8, 5, seed=1, dtype=torch.float64)
    toward_BKE = normal(2, 1, 5, seed=2, dtype=torch.float64)
    (gather(straight_through_topk(scores_BN, 1, 1e6), memories_BNE) * toward_BKE).sum().backward()
    a_BN = (toward_BKE * memories_BNE).sum(-1)
    expected_BN = (a_BN - a_BN.mean(-1, keepdim=True)) / 8 / 1e6
    torch.testing.assert_close(scores_BN.grad, expected_BN, rtol=1e-5, atol=0)


@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(0.01, 100))
@CHECK
def test_10_lengths_of_query_and_memories_do_not_matter(seed: int, of_query: float, of_memories: float):
    def scores_and_direction(query_BE, memories_BNE):
        query_BE = query_BE.clone().requires_grad_()
        scores_BN = cosine(query_BE, memories_BNE)
        toward_KE = normal(2, 6, seed=seed + 1, dtype=torch.float64)
        read_BKE = gather(straight_through_topk(scores_BN, 2, 0.1), normal(3, 5, 6, seed=seed, dtype=torch.float64))
        (read_BKE * toward_KE).sum().backward()
        return scores_BN.detach(), torch.nn.functional.normalize(query_BE.grad, dim=-1)

    query_BE, memories_BNE = normal(3, 6, seed=seed, dtype=torch.float64), normal(3, 5, 6, dtype=torch.float64)
    before = scores_and_direction(query_BE, memories_BNE)
    after = scores_and_direction(query_BE * of_query, memories_BNE * of_memories)
    torch.testing.assert_close(before, after, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_cosines_are_fp32_whatever_the_memories_type_and_autocast(dtype: torch.dtype, autocast: bool):
    query_BE, memories_BNE = normal(3, 512, dtype=dtype), 300 * normal(3, 7, 512, seed=1, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        scores_BN = cosine(query_BE, memories_BNE)
    assert scores_BN.dtype == torch.float32
    exact_BN = torch.nn.functional.cosine_similarity(query_BE.double()[:, None], memories_BNE.double(), dim=-1)
    torch.testing.assert_close(scores_BN, exact_BN.float(), rtol=1e-5, atol=1e-6)


def test_a_memory_of_zeros_scores_zero_and_hurts_no_gradient():
    query_BE, memories_BNE = normal(2, 8).requires_grad_(), normal(2, 3, 8, seed=1)
    memories_BNE[:, 2] = 0
    scores_BN = cosine(query_BE, memories_BNE)
    scores_BN.sum().backward()
    assert torch.equal(scores_BN[:, 2], torch.zeros(2))
    assert query_BE.grad.isfinite().all()


# --- order, number and absence of candidates


@given(st.integers(0, 10**6))
@CHECK
def test_11_the_order_of_candidates_changes_nothing_that_is_read(seed: int):
    scores_BN, memories_BNE = normal(2, 9, seed=seed), normal(2, 9, 4, seed=seed + 1)
    order_N = torch.randperm(9, generator=seeded(seed))
    plain = straight_through_topk(scores_BN, 4, 0.02)
    shuffled = straight_through_topk(scores_BN[:, order_N], 4, 0.02)
    assert torch.equal(order_N[shuffled.indices_BK], plain.indices_BK)
    assert torch.equal(gather(shuffled, memories_BNE[:, order_N]), gather(plain, memories_BNE))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_11_duplicate_documents_are_chosen_in_their_order_and_have_finite_gradients(estimator: str):
    scores_BN = torch.full((2, 6), 0.5, requires_grad=True)
    selection = Selection(k=4, estimator=estimator)
    assert select(scores_BN, selection, training=False).indices_BK.tolist() == [[0, 1, 2, 3]] * 2
    many_BN = (torch.arange(4000) % 3).float()[None]
    assert select(many_BN, selection, training=False).indices_BK.tolist() == [[2, 5, 8, 11]]
    selected = select(scores_BN, selection, generator=seeded())
    assert all(len(set(row)) == 4 for row in selected.indices_BK.tolist())
    loss = gather(selected, normal(2, 6, 3)).sum()
    (loss if selected.log_prob_B is None else selected.log_prob_B.sum()).backward()
    assert scores_BN.grad.isfinite().all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_11_more_slots_than_candidates_are_refused(estimator: str):
    with pytest.raises(ConfigError, match=r"selection\.k is 5, but a question has only 4 candidates"):
        select(torch.zeros(2, 4), Selection(k=5, estimator=estimator))
    mask_BN = torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    with pytest.raises(ConfigError, match=r"selection\.k is 4, but a question has only 3 candidates"):
        select(torch.zeros(2, 6), Selection(k=4, estimator=estimator), mask_BN)


@pytest.mark.parametrize(
    ("estimator", "mask"), [*itertools.product(ESTIMATORS[:3], ("infinite", "leaky")), ("reinforce", "infinite")]
)
def test_11_padded_candidates_are_as_if_they_were_not_there(estimator: str, mask: str):
    selection = Selection(k=2, temperature=0.1, estimator=estimator, mask=mask)
    scores_BN, memories_BNE = cosines(2, 7, dtype=torch.float64), normal(2, 7, 5, seed=1, dtype=torch.float64)
    mask_BN = torch.arange(7) < torch.tensor([[7], [3]])
    with torch.no_grad():
        scores_BN[1, 3:] = 9.0  # would win
    padded = select(scores_BN, selection, mask_BN, seeded())
    assert padded.indices_BK[1].max() < 3
    assert not padded.weights_BKN[1, :, 3:].any()
    loss = (gather(padded, memories_BNE)[1] ** 2).sum()
    (gradient_BN,) = torch.autograd.grad(loss if padded.log_prob_B is None else padded.log_prob_B[1], scores_BN)
    assert not gradient_BN[1, 3:].any()
    assert gradient_BN[1, :3].any()
    if estimator in ("straight-through", "soft"):  # without noise, the same as the short list alone
        alone_BN = scores_BN.detach()[1:, :3].clone().requires_grad_()
        alone = select(alone_BN, selection)
        assert torch.equal(alone.indices_BK[0], padded.indices_BK[1])
        (gather(alone, memories_BNE[1:, :3]) ** 2).sum().backward()
        torch.testing.assert_close(alone_BN.grad[0], gradient_BN[1, :3])


def test_11_a_batch_without_questions_is_no_question_chosen():
    mask_BN = torch.ones(0, 6, dtype=torch.bool)
    selected = straight_through_topk(torch.zeros(0, 6), 2, 0.02, mask_BN)
    assert gather(selected, torch.zeros(0, 6, 3)).shape == (0, 2, 3)
    assert cosine(torch.zeros(0, 3), torch.zeros(0, 6, 3)).shape == (0, 6)


@pytest.mark.parametrize(("k", "temperature"), [(0, 0.02), (-1, 0.02), (2, 0.0), (2, -1.0), (2, math.nan)])
def test_impossible_settings_are_refused(k: int, temperature: float):
    with pytest.raises(ConfigError, match=r"selection\.(k|temperature) is"):
        straight_through_topk(torch.zeros(1, 4), k, temperature)


def test_a_leaky_mask_is_refused_where_draws_never_repeat_a_document():
    with pytest.raises(ConfigError, match="leaky"):
        select(torch.zeros(1, 4), Selection(k=2, estimator="reinforce", mask="leaky"))


def test_scores_that_are_not_numbers_are_not_hidden():
    scores_BN = torch.tensor([[0.1, math.nan, 0.3]])
    assert straight_through_topk(scores_BN, 2, 0.02).weights_BKN.isnan().any()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_12_choosing_all_chooses_each_once(estimator: str):
    scores_BN = cosines(5, 6)
    selected = select(scores_BN, Selection(k=6, estimator=estimator), generator=seeded())
    assert torch.equal(selected.indices_BK.sort().values, torch.arange(6).expand(5, 6))
    loss = gather(selected, normal(5, 6, 4)).sum() if selected.log_prob_B is None else selected.log_prob_B.sum()
    loss.backward()
    assert scores_BN.grad.isfinite().all()


def test_12_choosing_one_is_argmax():
    scores_BN, memories_BNE = cosines(7, 6), normal(7, 6, 4)
    selected = straight_through_topk(scores_BN, 1, 0.02)
    best_B = scores_BN.argmax(-1)
    assert torch.equal(selected.indices_BK[:, 0], best_B)
    assert torch.equal(gather(selected, memories_BNE)[:, 0], memories_BNE[torch.arange(7), best_B])


# --- the other estimators


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_without_training_every_estimator_takes_the_k_best(estimator: str):
    scores_BN = cosines(6, 10)
    found = select(scores_BN, Selection(k=4, estimator=estimator), training=False)
    expected = straight_through_topk(scores_BN, 4, 0.02)
    assert found.hard and found.log_prob_B is None
    assert torch.equal(found.indices_BK, expected.indices_BK)
    assert torch.equal(found.weights_BKN, expected.weights_BKN)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_same_seed_chooses_the_same(estimator: str):
    scores_BN, selection = cosines(20, 10), Selection(k=4, temperature=0.5, estimator=estimator)
    first, again, other = (select(scores_BN, selection, generator=seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.indices_BK, again.indices_BK)
    noisy = estimator in ("gumbel", "reinforce")
    assert torch.equal(first.indices_BK, other.indices_BK) != noisy


def test_the_global_seed_decides_where_no_generator_is_given():
    scores_BN, selection = cosines(20, 10), Selection(k=4, temperature=0.5, estimator="gumbel")
    found = []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            found.append(select(scores_BN, selection).indices_BK)
    assert torch.equal(*found)


@given(st.integers(0, 10**6), st.integers(1, 5))
@CHECK
def test_gumbel_is_straight_through_over_other_scores(seed: int, k: int):
    scores_BN = cosines(3, 6, seed)
    weights_BKN, indices_BK, *_ = select(
        scores_BN, Selection(k=k, temperature=0.1, estimator="gumbel"), generator=seeded(seed)
    )
    assert torch.equal(weights_BKN, one_hot(indices_BK, 6))
    (weights_BKN * normal(3, k, 6, seed=seed + 1)).sum().backward()
    assert scores_BN.grad.isfinite().all()
    # A softmax does not feel a shift of all scores, so its gradient adds up to nothing.
    torch.testing.assert_close(scores_BN.grad.sum(-1), torch.zeros(3), rtol=0, atol=1e-3)


@pytest.mark.parametrize("estimator", ["straight-through", "gumbel"])
def test_the_second_slot_teaches_a_taken_leader_only_through_the_leaky_mask(estimator: str):
    for mask in ("infinite", "leaky"):
        scores_BN = torch.zeros(1, 20)
        scores_BN[0, 7] = 0.5
        selection = Selection(k=2, estimator=estimator, mask=mask)
        weights_BKN = select(scores_BN.requires_grad_(), selection, generator=seeded()).weights_BKN
        weights_BKN[0, 1, 7].backward()
        assert bool(scores_BN.grad[0, 7]) == (mask == "leaky")


def test_a_mixture_at_a_low_temperature_is_the_hard_choice_and_reads_what_it_says():
    scores_BN, memories_BNE = torch.linspace(0, 1, 8).repeat(3, 1), normal(3, 8, 5)
    cold = select(scores_BN, Selection(k=3, temperature=1e-3, estimator="soft"))
    assert not cold.hard
    torch.testing.assert_close(cold.weights_BKN, one_hot(cold.indices_BK, 8))
    warm = select(scores_BN, Selection(k=3, temperature=1.0, estimator="soft"))
    torch.testing.assert_close(gather(warm, memories_BNE), warm.weights_BKN @ memories_BNE)
    assert warm.weights_BKN.max() < 0.5


def plackett_luce(scores: list[float], temperature: float, k: int) -> dict[tuple[int, ...], float]:
    """The probability of each ordered draw of k, by enumeration."""
    found = {}
    for draw in itertools.permutations(range(len(scores)), k):
        left, probability = dict(enumerate(scores)), 1.0
        for index in draw:
            total = sum(math.exp(score / temperature) for score in left.values())
            probability *= math.exp(left.pop(index) / temperature) / total
        found[draw] = probability
    return found


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_log_probabilities_of_draws_are_plackett_luces(k: int):
    scores = [0.3, -0.1, 0.25, 0.0]
    table = plackett_luce(scores, 0.2, k)
    assert sum(table.values()) == pytest.approx(1)
    drawn = select(
        torch.tensor(scores).repeat(300, 1), Selection(k=k, temperature=0.2, estimator="reinforce"), None, seeded()
    )
    expected_B = torch.tensor([math.log(table[tuple(draw)]) for draw in drawn.indices_BK.tolist()])
    torch.testing.assert_close(drawn.log_prob_B, expected_B)
    assert torch.equal(drawn.weights_BKN, one_hot(drawn.indices_BK, 4))
    assert not drawn.weights_BKN.requires_grad


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_log_probabilities_of_sets_are_sums_over_their_orders(k: int):
    scores = [0.3, -0.1, 0.25, 0.0]
    table = plackett_luce(scores, 0.2, k)
    selection = Selection(k=k, temperature=0.2, estimator="reinforce", draws="set")
    drawn = select(torch.tensor(scores).repeat(100, 1), selection, None, seeded())
    sums = [sum(p for order, p in table.items() if set(order) == set(draw)) for draw in drawn.indices_BK.tolist()]
    torch.testing.assert_close(drawn.log_prob_B, torch.tensor(sums).log(), atol=1e-6, rtol=1e-5)


def test_the_score_of_a_set_is_the_mean_over_its_orders_and_finite_at_low_temperature():
    scores_BN = torch.tensor([[0.3, -0.1, 0.25, 0.0, 0.2]], dtype=torch.float64, requires_grad=True)
    (of_any,) = torch.autograd.grad(of_set(scores_BN / 0.02, torch.tensor([[2, 0, 4]])).sum(), scores_BN)
    weighed = torch.zeros_like(scores_BN)
    for order, p in plackett_luce(scores_BN[0].tolist(), 0.02, 3).items():
        if set(order) == {0, 2, 4}:
            log_prob = select_log_prob(scores_BN, order)
            weighed += p * torch.autograd.grad(log_prob, scores_BN)[0]
    total = sum(p for order, p in plackett_luce(scores_BN[0].tolist(), 0.02, 3).items() if set(order) == {0, 2, 4})
    torch.testing.assert_close(of_any, weighed / total, rtol=1e-6, atol=1e-9)
    far = torch.tensor([[40.0, -40.0, 39.0, -38.0]], requires_grad=True)
    of_set(far / 0.02, torch.tensor([[1, 3]])).backward()
    assert torch.isfinite(far.grad).all()


def select_log_prob(scores_BN: torch.Tensor, order: tuple[int, ...]) -> torch.Tensor:
    logits, left = scores_BN[0] / 0.02, list(range(scores_BN.shape[1]))
    total = torch.zeros((), dtype=scores_BN.dtype)
    for document in order:
        total = total + logits[document] - logits[left].logsumexp(0)
        left.remove(document)
    return total


def test_more_than_ten_are_not_drawn_as_a_set():
    with pytest.raises(ConfigError, match="expected at most 10 with draws 'set'"):
        select(cosines(1, 12), Selection(k=11, estimator="reinforce", draws="set"))


@pytest.mark.parametrize("estimator", ["gumbel", "reinforce"])
def test_draws_come_as_often_as_plackett_luce_has_them(estimator: str):
    scores, draws = [0.3, -0.1, 0.25, 0.0], 20_000
    table = plackett_luce(scores, 0.2, 2)
    drawn = select(
        torch.tensor(scores).repeat(draws, 1), Selection(k=2, temperature=0.2, estimator=estimator), None, seeded(4)
    )
    counts = dict.fromkeys(table, 0)
    for draw in drawn.indices_BK.tolist():
        counts[tuple(draw)] += 1
    chi_square = sum((counts[draw] - draws * p) ** 2 / (draws * p) for draw, p in table.items())
    assert chi_square < 31.3  # 11 degrees of freedom, p = 0.001


def test_the_policy_gradient_is_on_average_that_of_the_mean_reward():
    temperature, reward = 0.5, {draw: float(3 * draw[0] - draw[1] ** 2) for draw in itertools.permutations(range(4), 2)}
    scores_N = torch.tensor([0.3, -0.1, 0.25, 0.0], dtype=torch.float64, requires_grad=True)
    exact_N = torch.zeros(4, dtype=torch.float64)
    step = 1e-6  # d(mean reward)/ds by finite differences of the enumeration
    for n in range(4):
        sides = []
        for sign in (1, -1):
            moved = scores_N.detach().clone()
            moved[n] += sign * step
            table = plackett_luce(moved.tolist(), temperature, 2)
            sides.append(sum(p * reward[draw] for draw, p in table.items()))
        exact_N[n] = (sides[0] - sides[1]) / (2 * step)
    drawn = select(
        scores_N.expand(40_000, 4), Selection(k=2, temperature=temperature, estimator="reinforce"), None, seeded(9)
    )
    reward_B = torch.tensor([reward[tuple(draw)] for draw in drawn.indices_BK.tolist()], dtype=torch.float64)
    reinforce(drawn.log_prob_B, reward_B, reward_B.mean()).backward()
    torch.testing.assert_close(-scores_N.grad, exact_N, rtol=0, atol=0.1)
    assert exact_N.abs().max() > 1
