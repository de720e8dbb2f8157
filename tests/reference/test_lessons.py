"""Rows from worlds are endless, repeatable, answerable from their documents, and as the options say."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clara_bench import ConfigError, DataError
from clara_bench.worlds import Asked, Told, WorldConfig, generate
from reference.data.row import Row, Turn
from reference.data.row_files import read_joint, read_pretrain, write_joint, write_pretrain
from reference.data.sources import WorldRows, chain, open_source
from reference.settings.tables import OPTIONS

SMALL = {"passages": 400, "rows_per_world": 50}


def rows(stage: str, count: int, **options: Any) -> list[Row]:
    source = open_source(stage, SMALL | options)
    return [source[position] for position in range(count)]


def turns(made: list[Row]) -> list[Turn]:
    return [turn for row in made for turn in row.turns]


@pytest.mark.parametrize("stage", OPTIONS)
def test_a_row_depends_on_its_position_alone(stage: str) -> None:
    made = rows(stage, 120)
    other = open_source(stage, SMALL)
    assert other.size is None
    assert [other[position] for position in (119, 3, 60, 2)] == [made[position] for position in (119, 3, 60, 2)]
    assert rows(stage, 20, seed=1) != made[:20]
    assert len({row.id for row in made}) == len({row.turns for row in made}) == 120


def test_the_rows_of_a_seed_stay_what_they_are() -> None:
    """What the shipped weights were trained on can be made again."""
    digests = {}
    for stage in ("text", "pretrain", "joint"):
        digests[stage] = hashlib.sha256(repr(rows(stage, 60, chain="titles")).encode()).hexdigest()[:16]
    assert digests == DIGESTS


DIGESTS = {"text": "d6feeaa066a57d11", "pretrain": "3cc9b241045c896e", "joint": "fae5fcf277d5e783"}


def test_worlds_change_after_so_many_rows_and_come_again_if_they_are_counted() -> None:
    def documents(made: list[Row]) -> set[str]:
        return {document for row in made for document in row.documents}

    endless = rows("text", 200)
    assert not documents(endless[:50]) & documents(endless[50:])
    counted = rows("text", 200, worlds=2)
    assert len(documents(counted[:50]) & documents(counted[100:150])) > 20
    assert counted[0].turns != counted[100].turns


def test_the_passages_of_counted_worlds_can_be_listed_for_the_store() -> None:
    source = open_source("joint", SMALL | {"worlds": 2})
    assert isinstance(source, WorldRows)
    listed = list(source.documents())
    assert len(listed) == 800
    assert {document for position in range(150) for document in source[position].documents} <= set(listed)
    endless = open_source("joint", SMALL)
    assert isinstance(endless, WorldRows)
    with pytest.raises(ConfigError, match="no end of passages"):
        next(endless.documents())


def test_no_name_of_a_dev_world_is_trained_on() -> None:
    dev = {passage["title"] for passage in generate("nq", WorldConfig(questions=1, passages=2000)).corpus}
    met = {document.partition("\n")[0] for row in rows("text", 300) for document in row.documents}
    assert len(met) > 500 and not met & dev


def test_readings_have_one_to_five_passages_and_several_questions() -> None:
    made = rows("text", 300)
    counts = Counter(len(row.documents) for row in made)
    assert set(counts) == {1, 2, 3, 4, 5} and min(counts.values()) > 35
    assert 5 < len(turns(made)) / 300 <= 6
    assert all(1 <= len(row.documents) <= 2 for row in rows("instruct", 50, documents=[1, 1]))


def test_answers_are_in_the_documents_or_a_verdict() -> None:
    for row in rows("text", 200, further={"single": 1, "bridge": 1, "comparison": 1, "described": 1}):
        for turn in row.turns:
            assert turn.answer in ("yes", "no") or turn.answer in "\n".join(row.documents)


def test_positives_are_the_passages_that_the_questions_need() -> None:
    made = rows("joint", 100, candidates=12)
    assert all(len(row.documents) == 12 and len(row.turns) == 1 for row in made)
    assert {len(row.positives) for row in made} == {1, 2, 4}
    places = Counter(place for row in made for place in row.positives)
    assert set(places) == set(range(12))


def test_unknown_is_asked_for_when_wanted() -> None:
    assert not any(turn.answer == "unknown" for turn in turns(rows("text", 100)))
    some = turns(rows("text", 100, further={"single": 1, "unknown": 1}))
    assert 0.2 < sum(turn.answer == "unknown" for turn in some) / len(some) < 0.6


def test_the_three_kinds_of_study_come_as_often_as_their_weights_say() -> None:
    def kind(row: Row) -> str:
        if row.kind == "paraphrase":
            return "paraphrase"
        two = any(
            ", and " in turn.question or row.documents[0].partition("\n")[0] not in turn.question for turn in row.turns
        )
        return "complex" if two else "simple"

    mix = Counter(map(kind, rows("pretrain", 600)))
    assert min(mix.values()) > 150 and len(mix) == 3
    for name in ("simple", "complex", "paraphrase"):
        alone = rows("pretrain", 60, **dict.fromkeys(("simple", "complex", "paraphrase"), 0) | {name: 1})
        assert set(map(kind, alone)) == {name}
        assert all(len(row.documents) == 1 for row in alone)


def test_a_paraphrase_says_the_same_in_another_wording() -> None:
    made = rows("pretrain", 80, simple=0, complex=0)
    assert all(row.documents[0].partition("\n")[0] in row.turns[0].answer for row in made)
    assert sum(row.turns[0].answer == row.documents[0].partition("\n")[2] for row in made) < 8


def test_a_reconstruction_is_the_passage_itself_without_its_title() -> None:
    made = rows("pretrain", 20, simple=0, complex=0, paraphrase=0, reconstruction=1)
    assert all(row.kind == "paraphrase" for row in made)
    assert [row.turns[0].answer for row in made] == [row.documents[0].partition("\n")[2] for row in made]


def test_a_chain_holds_what_is_found_out_before_the_answer() -> None:
    film, lee, fox = Told("Kite", "Ann Lee"), Told("Ann Lee", "1960"), Told("Bo Fox", "1972")
    bridge = Asked("When?", "1960", "bridge", "value", ((film,), (lee,)), (0, 1))
    older = Asked("Who?", "Ann Lee", "comparison", "low", ((lee, fox),), (0, 1))
    films = Asked(
        "Which?", "Kite", "bridge_comparison", "low", ((film, Told("Sea", "Bo Fox")), (lee, fox)), (0, 1, 2, 3)
    )
    both = Asked("Which?", "1960 and 1972", "both", "value", ((lee, fox),), (0,))
    unknown = Asked("When?", "unknown", "unknown", "value", (), ())
    asked = (bridge, older, films, both, unknown)
    assert [chain(one, "none") for one in asked] == [""] * 5
    assert [chain(one, "values") for one in asked] == [
        "Ann Lee", "1960 , 1972 ; <", "Ann Lee , Bo Fox ; 1960 , 1972 ; <", "", ""
    ]  # fmt: skip
    assert chain(films, "titles") == "Kite : Ann Lee , Sea : Bo Fox ; Ann Lee : 1960 , Bo Fox : 1972"
    assert chain(both, "titles") == "Ann Lee : 1960 , Bo Fox : 1972" and chain(unknown, "titles") == ""


def test_rows_of_worlds_go_through_files_unchanged(tmp_path: Path) -> None:
    studies, choices = rows("pretrain", 40, chain="values"), rows("joint", 20, chain="values")
    write_pretrain(studies, tmp_path / "s1.jsonl.gz")
    write_joint(choices, tmp_path / "s2.jsonl")
    assert list(read_pretrain(tmp_path / "s1.jsonl.gz")) == studies
    assert list(read_joint(tmp_path / "s2.jsonl")) == choices
    for stage in ("joint", "supervised", "reinforce", "text"):
        source = open_source(stage, {"path": "s2.jsonl"}, tmp_path)
        assert source.size == 20 and source[7] == choices[7]


@pytest.mark.parametrize(
    ("stage", "options", "why"),
    [
        ("tekst", {}, "no such stage"),
        ("text", {"pasages": 3}, "unknown key 'pasages'"),
        ("text", {"path": "x", "seed": 1}, "unknown key 'seed'. Known: path"),
        ("text", {"passages": 10}, "passages is 10, expected 200"),
        ("text", {"documents": []}, "weights of `passages`"),
        ("text", {"first": {"two-hop": 1}}, "two-hop"),
        ("text", {"chain": "some"}, "invalid enum value 'some'"),
        ("text", {"rows_per_world": 0}, r"expected int >= 1 at .*rows_per_world"),
        ("pretrain", {"simple": 0, "complex": 0, "paraphrase": 0}, "simple, complex, paraphrase, reconstruction"),
        ("pretrain", {"simple": -1}, "expected float >= 0.0 at .*simple"),
        ("joint", {"candidates": 3}, "candidates is 3, expected 10"),
    ],
)
def test_options_that_cannot_be_met_are_refused(stage: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        open_source(stage, options)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        open_source("joint", {"path": "nowhere.jsonl"}, tmp_path)
