"""Short vectors find the candidates, full memories decide; what is lost on the way is measured."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clara_bench import ConfigError, DataError
from reference.memory.search import Reduction, Searcher, _promising
from reference.memory.store import Store
from reference.model.clara import Clara
from reference.settings.config import Memory, ModelConfig

KINDS = ("mean", "random", "pca")


@pytest.fixture
def model(tiny):
    return Clara(tiny, ModelConfig(memory=Memory(rate=16, document_tokens=64)), roles=("compressor", "generator"))


@pytest.fixture
def texts(world_texts):
    return world_texts[:150]


@pytest.fixture
def store(model, texts, tmp_path):
    store = Store.create(tmp_path / "store", model)
    store.build(model, reversed(texts))  # rows of the store are not positions among the texts
    return store


@pytest.fixture
def queries(model, texts):
    """What documents cut in half are compressed to: near some memories, equal to none."""
    return model.flatten(model.compress([text[: len(text) // 2] for text in texts[::5]]))


def by_hand(model, store, texts, queries, k):
    """Scores of everything with everything, in float64."""
    memories = model.flatten(store.get(texts, torch.float32)).double()
    scores = model.score(queries.double(), memories.expand(len(queries), -1, -1)).float().numpy()
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


def model_like(model):
    return {name: getattr(model, name) for name in ("config", "memory", "fingerprint", "score")}


def recall(found, truth):
    return np.mean(
        [len(set(one.rows_K) & set(best.rows_K)) / len(best.rows_K) for one, best in zip(found, truth, strict=True)]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_with_every_document_in_the_first_stage_the_search_is_brute_force(model, store, texts, queries, kind):
    searcher = Searcher(model, store, texts, Reduction(kind=kind, dimension=8))
    rows, scores = by_hand(model, store, texts, queries, 10)
    for found in (searcher.search(queries, 10, depth=len(texts)), searcher.exact(queries, 10)):
        assert np.array_equal([one.rows_K for one in found], rows)
        assert np.allclose([one.scores_K for one in found], scores, atol=1e-6)


def test_scores_are_exact_however_few_candidates_the_first_stage_returns(model, store, texts, queries):
    searcher = Searcher(model, store, texts, Reduction(kind="random", dimension=2))
    everything = searcher.exact(queries, len(texts))
    for found, truth in zip(searcher.search(queries, 3, depth=5), everything, strict=True):
        full = dict(zip(truth.rows_K.tolist(), truth.scores_K.tolist(), strict=True))
        assert found.scores_K.tolist() == [full[row] for row in found.rows_K.tolist()]
        assert (np.diff(found.scores_K) <= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_recall_of_the_reduced_search_grows_with_depth_and_beats_chance(model, store, texts, queries, kind):
    searcher = Searcher(model, store, texts, Reduction(kind=kind, dimension=16))
    truth = searcher.exact(queries, 5)
    recalls = [recall(searcher.search(queries, 5, depth), truth) for depth in (5, 20, 60, len(texts))]
    assert recalls == sorted(recalls)
    assert recalls[-1] == 1.0
    assert recalls[1] > 0.6, f"chance is {20 / len(texts):.2f}"


def test_principal_directions_need_fewer_numbers_than_random_ones(model, store, texts, queries):
    def found(kind):
        searcher = Searcher(model, store, texts, Reduction(kind=kind, dimension=16))
        return recall(searcher.search(queries, 5, 10), searcher.exact(queries, 5))

    assert found("pca") > found("random")


def test_as_many_directions_as_documents_lose_nothing(model, store, texts, queries):
    searcher = Searcher(model, store, texts, Reduction(kind="pca", dimension=len(texts)))
    rows, _ = by_hand(model, store, texts, queries, 5)
    assert np.array_equal([found.rows_K for found in searcher.search(queries, 5, depth=8)], rows)


def test_a_document_finds_itself_first(model, store, texts):
    found = Searcher(model, store, texts).search(model.flatten(store.get(texts[:20], torch.float32)), 1)
    assert [int(one.rows_K[0]) for one in found] == list(range(20))
    assert all(abs(one.scores_K[0] - 1) < 1e-6 for one in found)


def test_equal_documents_come_in_the_order_given(model, store, texts):
    twice = [texts[0], texts[1], texts[0], texts[2], texts[0]]
    (found,) = Searcher(model, store, twice).search(model.flatten(store.get(texts[:1], torch.float32)), 4)
    assert found.rows_K[:3].tolist() == [0, 2, 4]


@pytest.mark.parametrize("similarity", ["flattened", "mean", "late"])
def test_memories_of_any_length_and_their_means_can_be_searched(tiny, texts, tmp_path, similarity):
    memory = Memory(rate=8, document_tokens=64, count="length", similarity=similarity)
    model = Clara(tiny, ModelConfig(memory=memory), roles=("compressor",))
    store = Store.create(tmp_path / "store", model)
    texts = ["One", *texts[:40]]
    store.build(model, texts)
    queries = model.flatten(model.compress([text[:60] for text in texts[:5]]))
    rows, _ = by_hand(model, store, texts, queries, 5)
    for kind in KINDS:
        searcher = Searcher(model, store, texts, Reduction(kind=kind, dimension=16))
        assert np.array_equal([found.rows_K for found in searcher.search(queries, 5, depth=len(texts))], rows)


@pytest.mark.parametrize("index", ["HNSW16", "IVF4,Flat", "IVF4,PQ4x4np"])
def test_approximate_indexes_of_faiss_can_stand_first(model, store, texts, queries, index, capfd):
    searcher = Searcher(model, store, texts, Reduction(dimension=16, index=index))
    truth = searcher.exact(queries, 5)
    assert recall(searcher.search(queries, 5, depth=60), truth) > 0.8
    capfd.readouterr()  # FAISS writes on the screen that it would like more documents to learn from


@pytest.mark.parametrize("kind", KINDS)
def test_one_document_and_equal_documents_can_be_searched(model, store, texts, queries, kind):
    for few in (texts[:1], texts[:1] * 3):
        (found, *_) = Searcher(model, store, few, Reduction(kind=kind)).search(queries, 2)
        assert found.rows_K.tolist() == [0, 1][: len(few)]


def test_what_all_documents_share_does_not_drown_what_they_differ_in(model, store, texts, queries):
    def found(common):
        flatten = model.flatten
        shifted = SimpleNamespace(**model_like(model), flatten=lambda memories: flatten(memories) + common)
        searcher = Searcher(shifted, store, texts, Reduction(kind="random", dimension=16))
        return recall(searcher.search(queries + common, 5, 30), searcher.exact(queries + common, 5))

    assert found(3 * torch.ones(queries.shape[1])) > 0.8 * found(0)


def test_the_index_is_kept_for_next_time_and_for_these_documents_only(model, store, texts, queries, tmp_path):
    folder = tmp_path / "index"
    first = Searcher(model, store, texts, folder=folder).search(queries, 5, depth=10)
    stamp = (folder / "index.faiss").stat().st_mtime_ns
    again = Searcher(model, store, texts, folder=folder)
    assert (folder / "index.faiss").stat().st_mtime_ns == stamp
    for one, other in zip(first, again.search(queries, 5, depth=10), strict=True):
        assert np.array_equal(one.rows_K, other.rows_K)
        assert np.array_equal(one.scores_K, other.scores_K)
    fewer = Searcher(model, store, texts[:20], folder=folder)
    assert len(fewer) == 20 and (folder / "index.faiss").stat().st_mtime_ns != stamp
    assert all((found.rows_K < 20).all() for found in fewer.search(queries, 5))
    (folder / "index.faiss").write_bytes(b"nothing of use")
    with pytest.raises(DataError, match="the index is damaged"):
        Searcher(model, store, texts[:20], folder=folder)


def test_an_index_of_other_centres_or_of_another_precision_is_not_taken(tiny, texts, tmp_path):
    memory = Memory(rate=16, document_tokens=64, similarity="centred")
    model = Clara(tiny, ModelConfig(memory=memory), roles=("compressor", "reasoner", "generator"))
    store = Store.create(tmp_path / "store", model, "float32")
    store.build(model, texts)
    model.centre(texts[:40], texts[40:50])
    queries = model.flatten(store.get(texts[:10], torch.float32))
    Searcher(model, store, texts, folder=tmp_path / "index").search(queries, 5, depth=6)
    fingerprint = model.fingerprint()
    model.centre(texts[100:], texts[40:50])
    assert model.fingerprint() == fingerprint  # the store serves both
    queries = model.flatten(store.get(texts[:10], torch.float32))
    kept = Searcher(model, store, texts, folder=tmp_path / "index").search(queries, 5, depth=6)
    made = Searcher(model, store, texts).search(queries, 5, depth=6)
    assert [one.rows_K.tolist() for one in kept] == [one.rows_K.tolist() for one in made]
    stamp = (tmp_path / "index" / "index.faiss").stat().st_mtime_ns
    coarse = Store.create(tmp_path / "coarse", model, "int8")
    coarse.build(model, texts)
    Searcher(model, coarse, texts, folder=tmp_path / "index")
    assert (tmp_path / "index" / "index.faiss").stat().st_mtime_ns != stamp


def test_what_cannot_be_searched_is_an_error_in_words(tiny, model, store, texts, queries):
    with pytest.raises(ConfigError, match="no document"):
        Searcher(model, store, [])
    with pytest.raises(ConfigError, match="'Flatt' is none that FAISS can make"):
        Searcher(model, store, texts, Reduction(index="Flatt"))
    with pytest.raises(DataError, match="not stored"):
        Searcher(model, store, [*texts, "Nowhere"])
    with pytest.raises(ConfigError, match="k is 0"):
        Searcher(model, store, texts).search(queries, 0)
    other = Clara(tiny, ModelConfig(memory=Memory(rate=32, document_tokens=64)), roles=("compressor",))
    with pytest.raises(ConfigError, match="built by another model"):
        Searcher(other, store, texts)


# --- all vectors ----------------------------------------------------------------------------------------------------


@pytest.fixture
def late(tiny):
    memory = Memory(rate=16, document_tokens=64, similarity="late")
    return Clara(tiny, ModelConfig(memory=memory), roles=("compressor",))


def test_vectors_are_for_late_interaction(model, store, texts):
    with pytest.raises(ConfigError, match="'vectors' is for late interaction, this model compares by 'flattened'"):
        Searcher(model, store, texts, Reduction(kind="vectors"))


@pytest.mark.parametrize("index", ["Flat", "IVF4,Flat"])
def test_all_vectors_find_what_late_interaction_does_with_their_exact_scores(late, texts, tmp_path, index):
    store = Store.create(tmp_path / "store", late)
    store.build(late, texts)
    asked = late.flatten(late.compress([text[: len(text) // 2] for text in texts[::5]]))
    searcher = Searcher(late, store, texts, Reduction(kind="vectors", index=index, width=4))
    truth, found = searcher.exact(asked, 10), searcher.search(asked, 10, depth=60)
    assert recall(found, truth) > 0.95
    for one, best in zip(searcher.search(asked, 10, depth=len(texts)), truth, strict=True):
        assert one.rows_K.tolist() == best.rows_K.tolist() and np.allclose(one.scores_K, best.scores_K)


def test_documents_are_promising_by_the_sum_over_a_questions_vectors():
    places = np.array([[3, 1, 3], [2, 3, -1]])
    scores = np.array([[0.9, 0.8, 0.5], [0.9, 0.6, -np.inf]], np.float32)
    # gains: 3 has 0.4 and 0.0, 1 has 0.3, 2 has 0.3; the second vector's worst hit is 0.6
    assert _promising(places, scores, 1).tolist() == [3]
    assert _promising(places, scores, 3).tolist() == [1, 2, 3]
