"""Scenes ask nothing that their passages do not settle, and depend on their number alone."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from clara_bench.errors import ConfigError, UnknownName
from clara_bench.worlds import Asked, Fact, Scene, SceneConfig, Scenes, WorldConfig, generate

WORLD = WorldConfig(seed=11, questions=1, passages=600, split="train")
ALL_FIRST = {
    "single": 2, "bridge": 1, "clue": 1, "backlink": 1, "comparison": 2, "inference": 1, "bridge_comparison": 1,
    "3hop1": 1, "4hop1": 1, "3hop2": 1, "4hop2": 1, "4hop3": 1,
}  # fmt: skip
ALL_FURTHER = {"single": 2, "bridge": 2, "comparison": 2, "both": 1, "described": 1, "unknown": 1}
COUNT = 400


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes(WORLD, SceneConfig(first=ALL_FIRST, further=ALL_FURTHER))


@pytest.fixture(scope="module")
def made(scenes: Scenes) -> list[Scene]:
    return [scenes.scene(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def facts() -> dict[str, tuple[Fact, ...]]:
    world = generate("nq", WORLD)
    return {passage["title"]: world.facts(passage["id"]) for passage in world.corpus}


def titles(scenes: Scenes, scene: Scene) -> list[str]:
    return [scenes.document(passage).partition("\n")[0] for passage in scene.passages]


def questions(made: list[Scene]) -> list[Asked]:
    return [asked for scene in made for asked in scene.asked]


def test_a_scene_depends_on_its_number_and_not_on_those_made_before(scenes: Scenes, made: list[Scene]) -> None:
    fresh = Scenes(WORLD, SceneConfig(first=ALL_FIRST, further=ALL_FURTHER))
    assert [fresh.scene(number) for number in reversed(range(100))] == made[:100][::-1]
    assert len({scene.asked for scene in made}) == COUNT


def test_documents_are_the_passages_of_the_world_of_the_same_config(scenes: Scenes) -> None:
    corpus = {f"{passage['title']}\n{passage['text']}" for passage in generate("nq", WORLD).corpus}
    assert {scenes.document(passage) for passage in scenes.documents} == corpus


def test_every_step_is_a_fact_of_a_gold_passage_of_the_scene(
    scenes: Scenes, made: list[Scene], facts: dict[str, tuple[Fact, ...]]
) -> None:
    for scene in made:
        names = titles(scenes, scene)
        for asked in scene.asked:
            told = [one for step in asked.steps for one in step]
            stated = {(fact.subject, fact.value) for place in asked.gold for fact in facts[names[place]]}
            clues = told[:1] if asked.kind == "described" else []  # told by a value, not by a title
            assert all((one.value, one.title) in stated for one in clues)
            assert all((one.title, one.value) in stated for one in told[len(clues) :])
            needed = {one.value for one in clues} | {one.title for one in told[len(clues) :]}
            assert {names[place] for place in asked.gold} == needed


def test_every_answer_follows_from_the_last_step(made: list[Scene]) -> None:
    for asked in questions(made):
        last = asked.steps[-1] if asked.steps else ()
        values = [told.value for told in last]
        if asked.kind == "unknown":
            assert (asked.answer, asked.gold) == ("unknown", ())
        elif asked.ask == "value":
            assert asked.answer == " and ".join(values)
        elif asked.ask == "same":
            assert asked.answer == ("yes" if values[0] == values[1] else "no")
        else:
            numbers = [int(value.replace(",", "")) for value in values]
            wanted = (min if asked.ask == "low" else max)(numbers)
            assert asked.answer == asked.steps[0][numbers.index(wanted)].title and numbers[0] != numbers[1]


def test_every_kind_is_asked(made: list[Scene]) -> None:
    kinds = Counter(asked.kind for asked in questions(made))
    chains = {"single", "bridge", "comparison", "inference", "bridge_comparison"}
    assert set(kinds) == chains | {"3hop1", "4hop1", "3hop2", "4hop2", "4hop3", "both", "described", "unknown"}


def test_no_question_is_asked_twice_or_tells_its_answer(made: list[Scene]) -> None:
    for scene in made:
        assert 1 <= len(scene.asked) <= 6
        assert len({asked.question for asked in scene.asked}) == len(scene.asked)
        for asked in scene.asked:
            assert asked.ask != "value" or asked.answer.lower() not in asked.question.lower()


def test_a_question_without_answer_is_about_an_entity_whose_passage_is_missing(
    scenes: Scenes, made: list[Scene], facts: dict[str, tuple[Fact, ...]]
) -> None:
    for scene in made:
        for asked in scene.asked:
            if asked.kind == "unknown":
                named = max((title for title in facts if title in asked.question), key=len)
                assert named not in titles(scenes, scene)


def test_a_description_fits_one_passage_of_its_scene(
    scenes: Scenes, made: list[Scene], facts: dict[str, tuple[Fact, ...]]
) -> None:
    for scene in made:
        stated = [fact for title in titles(scenes, scene) for fact in facts[title]]
        for asked in scene.asked:
            if asked.kind == "described":
                value, title = asked.steps[0][0]
                own = {fact.relation for fact in stated if (fact.subject, fact.value) == (title, value)}
                assert any(
                    [fact.subject for fact in stated if (fact.relation, fact.value) == (relation, value)] == [title]
                    for relation in own
                )


def test_sides_and_verdicts_of_comparisons_are_balanced(scenes: Scenes) -> None:
    config = SceneConfig(passages=(0, 1, 2, 2, 2), first={"comparison": 1}, further={"comparison": 1}, questions=4)
    some = Scenes(WORLD, config)
    asked = questions([some.scene(number) for number in range(1500)])
    verdicts = Counter(one.answer for one in asked if one.ask == "same")
    assert abs(verdicts["yes"] / verdicts.total() - 0.5) < 0.05 and verdicts.total() > 500
    first = [one.answer == one.steps[0][0].title for one in asked if one.ask in ("low", "high")]
    low = [one.ask == "low" for one in asked if one.ask in ("low", "high")]
    assert abs(sum(first) / len(first) - 0.5) < 0.05 and abs(sum(low) / len(low) - 0.5) < 0.05


def test_a_scene_has_as_many_passages_as_its_weights_say() -> None:
    scenes = Scenes(WORLD, SceneConfig(passages=(0, 1, 0, 3)))
    made = [scenes.scene(number) for number in range(300)]
    counts = Counter(len(scene.passages) for scene in made)
    assert set(counts) == {2, 4} and 0.65 < counts[4] / 300 < 0.85
    assert all(len(set(scene.passages)) == len(scene.passages) for scene in made)


def test_alike_passages_state_the_same_relation_otherwise_under_a_name_that_shares_a_piece(
    facts: dict[str, tuple[Fact, ...]],
) -> None:
    """The situation of the gate: only the name tells the two apart."""
    scenes = Scenes(WORLD, SceneConfig(passages=(0, 1), questions=1, first={"single": 1}, others={"alike": 1}))
    rivals = shared = 0
    for number in range(300):
        scene = scenes.scene(number)
        names, (asked,) = titles(scenes, scene), scene.asked
        other = names[1 - asked.gold[0]]
        told = asked.steps[0][0]
        relation = {fact.relation for fact in facts[told.title] if fact.value == told.value}
        rivals += any(fact.relation in relation and fact.value != told.value for fact in facts[other])
        pieces = [{name[:3], name[-4:]} | set(name.split()) - {"The", "the", "River"} for name in (told.title, other)]
        shared += bool(pieces[0] & pieces[1])
    assert rivals > 280 and shared > 200


def test_equal_passages_state_what_another_one_states_too(facts: dict[str, tuple[Fact, ...]]) -> None:
    """So that whether two are equal is asked with either answer, which passages drawn at random seldom allow."""
    kinds = {"passages": (0, 0, 1), "first": {"single": 1}, "further": {"comparison": 1}}
    verdicts: dict[str, Counter[str]] = {"equal": Counter(), "any": Counter()}
    shared = dict.fromkeys(verdicts, 0)
    for way, found in verdicts.items():
        scenes = Scenes(WORLD, SceneConfig(**kinds, others={way: 1}))
        for number in range(200):
            scene = scenes.scene(number)
            found.update(one.answer for one in scene.asked if one.ask == "same")
            values = [fact.value for title in titles(scenes, scene) for fact in facts[title]]
            shared[way] += len(set(values)) < len(values)
    assert shared["equal"] > 160 > 80 > shared["any"]
    assert sum(verdicts["equal"].values()) > 5 * sum(verdicts["any"].values())
    assert 0.4 < verdicts["equal"]["yes"] / sum(verdicts["equal"].values()) < 0.6


def test_most_single_questions_are_about_relations_that_another_passage_tells_otherwise() -> None:
    scenes = Scenes(WORLD, SceneConfig(passages=(0, 0, 1), first={"single": 1}, further={"single": 1}))
    world = generate("nq", WORLD)
    stated = {passage["title"]: world.facts(passage["id"]) for passage in world.corpus}
    contested = asked_in_all = 0
    for number in range(200):
        scene = scenes.scene(number)
        values = defaultdict(set)
        for title in titles(scenes, scene):
            for fact in stated[title]:
                values[fact.relation].add(fact.value)
        for asked in scene.asked:
            told = asked.steps[0][0]
            own = [fact.relation for fact in stated[told.title] if fact.value == told.value]
            contested += any(len(values[relation]) > 1 for relation in own)
            asked_in_all += 1
    assert contested > 0.75 * asked_in_all


def test_an_offer_holds_its_gold_passages_among_as_many_candidates_as_wanted(scenes: Scenes) -> None:
    places: Counter[int] = Counter()
    for number in range(200):
        scene = scenes.offer(number)
        assert len(set(scene.passages)) == 20 and len(scene.asked) == 1
        assert 1 <= len(scene.asked[0].gold) <= 4
        places.update(scene.asked[0].gold)
    assert len(places) == 20  # anywhere


def test_a_study_asks_only_what_one_passage_tells(scenes: Scenes) -> None:
    simple = [scenes.study(number, {"single": 1}) for number in range(100)]
    hard = [scenes.study(number, {"both": 1, "described": 1}) for number in range(100)]
    assert {asked.kind for scene in simple for asked in scene.asked} == {"single"}
    assert {asked.kind for scene in hard for asked in scene.asked} == {"both", "described"}
    assert all(len(scene.passages) == 1 and scene.asked for scene in (*simple, *hard))


def test_studies_are_about_every_type_as_often(scenes: Scenes) -> None:
    """As single questions are; one passage in seventy is about a country."""
    kinds = {passage["title"]: passage["id"] for passage in generate("nq", WORLD).corpus}
    about = Counter(titles(scenes, scenes.study(number, {"single": 1}))[0] for number in range(400))
    assert set(about) <= set(kinds)
    world = generate("nq", WORLD)
    types = Counter(
        world.facts(kinds[title])[0].relation.split(".")[0] for title, times in about.items() for _ in range(times)
    )
    assert len(types) == 8 and min(types.values()) > 25


def test_train_scenes_hold_no_name_of_a_dev_world(scenes: Scenes) -> None:
    dev = Scenes(WorldConfig(seed=11, questions=1, passages=600))
    names = [{one.document(passage).partition("\n")[0] for passage in one.documents} for one in (scenes, dev)]
    assert not names[0] & names[1]


@pytest.mark.parametrize("tier", ["easy", "hard"])
def test_both_tiers_and_the_smallest_world_carry_scenes(tier: str) -> None:
    scenes = Scenes(WorldConfig(questions=1, passages=200, split="train", tier=tier))  # type: ignore[arg-type]
    assert all(scenes.scene(number).asked for number in range(50))


@pytest.mark.parametrize(
    "options",
    [
        {"first": {"singel": 1}},
        {"further": {"3hop1": 1}},
        {"others": {"near": -1, "any": 2}},
        {"first": {"single": 0}},
        {"passages": ()},
        {"passages": (1, 1), "first": {"bridge": 1}},
        {"questions": 0},
    ],
)
def test_what_cannot_be_made_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="scene"):
        SceneConfig(**options)  # type: ignore[arg-type]


def test_an_unknown_kind_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'single'"):
        SceneConfig(first={"singel": 1})


def test_joins_are_refused_in_the_easy_tier() -> None:
    with pytest.raises(ConfigError, match="hard tier"):
        Scenes(WorldConfig(questions=1, passages=200, tier="easy"), SceneConfig(first={"3hop2": 1, "single": 1}))
