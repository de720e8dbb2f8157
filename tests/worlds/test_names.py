"""Names are shared in their pieces, unique as wholes, and never shared between the splits."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Literal

import pytest

from clara_bench.worlds import WorldConfig, generate
from clara_bench.worlds.config import MAX_PASSAGES
from clara_bench.worlds.knowledge.draw import Draw
from clara_bench.worlds.knowledge.encyclopaedia import count_types
from clara_bench.worlds.knowledge.names import name_all, pool_sizes, scheme


def entity_names(split: Literal["train", "dev"], seed: int, passages: int, tier: Literal["easy", "hard"]) -> set[str]:
    config = WorldConfig(seed=seed, questions=1, passages=passages, split=split, tier=tier)
    world = generate("nq", config)
    titles = {passage["title"] for passage in world.corpus}
    facts = (fact for passage in world.corpus for fact in world.facts(passage["id"]))
    return titles | {fact.value for fact in facts if fact.relation == "company.award"}


def test_train_and_dev_worlds_of_any_seed_and_size_share_no_name() -> None:
    train = [entity_names("train", seed, size, "hard") for seed, size in ((0, 3000), (1, 400), (7, 1200))]
    dev = [entity_names("dev", seed, size, "easy") for seed, size in ((0, 3000), (1, 400), (9, 700))]
    assert not set.union(*train) & set.union(*dev)


def test_dev_names_are_made_of_pieces_that_train_names_have() -> None:
    """It is combinations that are held out, not words."""
    train, dev = ({*name_all("person", 800, split, Draw(split)).names} for split in ("train", "dev"))
    words = {word for name in train for word in name.split()}
    known = [all(word in words for word in name.split()) for name in dev]
    assert sum(known) / len(known) > 0.98
    assert not train & dev


@pytest.mark.parametrize("kind", ["person", "city", "country", "company", "film", "band", "book", "river", "award"])
def test_most_names_share_a_piece_with_several_others(kind: str) -> None:
    naming = name_all(kind, 200, "dev", Draw("test", kind))
    assert len(set(naming.names)) == 200
    sharers = Counter((place, piece) for pieces in naming.pieces for place, piece in enumerate(pieces))
    assert median(max(sharers[0, first], sharers[1, second]) for first, second in naming.pieces) >= 4


def test_the_pools_are_large_enough_for_the_largest_world() -> None:
    counts = count_types(MAX_PASSAGES)
    assert sum(counts.values()) == MAX_PASSAGES
    for kind, count in (counts | {"award": counts["company"]}).items():
        first, second, third = pool_sizes(scheme(kind), count)
        assert first * second * (third + 1) >= 9 * count


@pytest.mark.parametrize("passages", [200, 201, 999, 5000])
def test_a_corpus_has_exactly_the_passages_asked_for_and_no_title_twice(passages: int) -> None:
    world = generate("musique", WorldConfig(questions=20, passages=passages))
    assert len(world.corpus) == passages
    assert len({passage["title"] for passage in world.corpus}) == passages
    assert len({passage["id"] for passage in world.corpus}) == passages
