"""The same config gives the same world anywhere; impossible ones are refused with the limit."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from clara_bench.errors import ConfigError, UnknownName
from clara_bench.worlds import World, WorldConfig, generate

SCRIPT = """
import hashlib, json
from clara_bench.worlds import WorldConfig, generate
world = generate("musique", WorldConfig(seed=4, questions=60, passages=300, unanswerable_fraction=0.2))
print(hashlib.sha256(json.dumps([world.rows, world.corpus]).encode()).hexdigest())
"""
PINNED = {
    "nq": "ccfe60b9af4fc871",
    "hotpotqa": "924a388162704de9",
    "musique": "38b388084909e3d5",
    "2wikimultihopqa": "6d945fae77bea26c",
}
"""Digests of small worlds. When one changes, scores on worlds are no longer comparable: raise the tasks' versions."""


def digest(world: World) -> str:
    return hashlib.sha256(json.dumps([world.rows, world.corpus]).encode()).hexdigest()


@pytest.mark.parametrize("schema", PINNED)
def test_worlds_are_the_same_as_ever(schema: str) -> None:
    assert digest(generate(schema, WorldConfig(questions=40, passages=400)))[:16] == PINNED[schema]


def test_a_world_does_not_depend_on_the_process() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env=os.environ | {"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] and len(runs[0].strip()) == 64


def test_the_four_schemas_share_one_corpus_whatever_is_asked() -> None:
    corpora = [generate(schema, WorldConfig(questions=8, passages=300)).corpus for schema in PINNED]
    corpora.append(generate("nq", WorldConfig(questions=150, passages=300, candidates=30)).corpus)
    assert all(corpus == corpora[0] for corpus in corpora)


@pytest.mark.parametrize("change", [{"seed": 1}, {"split": "train"}, {"tier": "easy"}])
def test_seed_split_and_tier_each_make_another_world(change: dict[str, Any]) -> None:
    usual = generate("nq", WorldConfig(questions=5, passages=300))
    other = generate("nq", WorldConfig(questions=5, passages=300, **change))
    texts = {passage["text"] for passage in usual.corpus} & {passage["text"] for passage in other.corpus}
    assert not texts


@pytest.mark.parametrize("schema", PINNED)
@pytest.mark.parametrize("tier", ["easy", "hard"])
def test_the_smallest_world_carries_its_limit_of_questions(schema: str, tier: Any) -> None:
    for seed in range(3):
        world = generate(schema, WorldConfig(seed=seed, questions=100, passages=200, tier=tier))
        assert len(world.rows) == len(world.forms) == 100


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"passages": 199}, "passages is 199, expected 200 to 1000000"),
        ({"passages": 1_000_001}, "passages is 1000001, expected 200 to 1000000"),
        ({"passages": 200, "questions": 101}, "questions is 101, expected 1 to 100"),
        ({"questions": 0}, "questions is 0, expected 1 to 1000"),
        ({"candidates": 9}, "candidates is 9, expected 10 to 100"),
        ({"split": "test"}, "split is 'test', expected train or dev"),
        ({"tier": "medium"}, "tier is 'medium', expected easy or hard"),
        ({"unanswerable_fraction": 1.5}, "unanswerable_fraction is 1.5, expected 0 to 1"),
        ({"unanswerable_fraction": float("nan")}, "unanswerable_fraction is nan, expected 0 to 1"),
        ({"seed": "7"}, "seed is '7', expected a whole number"),
        ({"questions": 10.0}, "questions is 10.0, expected a whole number"),
        ({"passages": True}, "passages is True, expected a whole number"),
    ],
)
def test_impossible_configs_are_refused_with_the_limit(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WorldConfig(**wrong)


def test_an_unknown_schema_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'hotpotqa'"):
        generate("hotpot", WorldConfig())


def test_only_musique_has_unanswerable_questions() -> None:
    with pytest.raises(ConfigError, match="only musique"):
        generate("nq", WorldConfig(unanswerable_fraction=0.1))


@pytest.mark.parametrize("candidates", [10, 50])
def test_the_number_of_candidates_is_a_dial(candidates: int) -> None:
    world = generate("musique", WorldConfig(questions=50, passages=300, candidates=candidates))
    assert all(len(form.candidates) == len(set(form.candidates)) == candidates for form in world.forms)
    assert all(set(form.gold) <= set(form.candidates) for form in world.forms)


def test_a_world_that_is_used_up_says_how_much_it_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clara_bench.worlds.world.ATTEMPTS", 0)
    with pytest.raises(ConfigError, match="200 passages allow only 0 questions of kind single: ask for fewer"):
        generate("nq", WorldConfig(questions=5, passages=200))


def test_facts_of_a_passage_that_is_not_there_are_refused() -> None:
    world = generate("nq", WorldConfig(questions=5, passages=200))
    for wrong in ("w0000200", "w1", "", "x", "w-000001", "w0000001 ", "w²"):
        with pytest.raises(KeyError):
            world.facts(wrong)
