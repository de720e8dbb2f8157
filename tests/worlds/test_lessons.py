"""A passage teaches all of its facts, in more than one wording."""

from __future__ import annotations

import re

import pytest

from clara_bench.worlds import World, WorldConfig, generate, paraphrase, questions_about


@pytest.fixture(scope="module")
def world() -> World:
    return generate("nq", WorldConfig(questions=10, passages=400))


def test_every_fact_but_mentions_gets_a_question_that_names_the_subject_and_hides_the_answer(world: World) -> None:
    for passage in world.corpus:
        lessons = questions_about(world, passage["id"])
        facts = [fact for fact in world.facts(passage["id"]) if fact.relation != "person.mention"]
        assert [lesson.fact for lesson in lessons] == facts
        for lesson in lessons:
            assert passage["title"] in lesson.question and re.fullmatch(r"[A-Z][^{}]+\?", lesson.question)
            assert lesson.answer in passage["text"] and lesson.answer not in lesson.question


def test_a_paraphrase_states_the_same_values_in_other_words(world: World) -> None:
    for passage in world.corpus:
        other = paraphrase(world, passage["id"])
        assert all(fact.value in other for fact in world.facts(passage["id"]))
    changed = [paraphrase(world, passage["id"]) != passage["text"] for passage in world.corpus]
    assert sum(changed) > 0.95 * len(changed)


def test_lessons_are_the_same_each_time_and_paraphrases_differ_by_number(world: World) -> None:
    for passage in world.corpus[:50]:
        assert questions_about(world, passage["id"]) == questions_about(world, passage["id"])
        assert paraphrase(world, passage["id"], 1) == paraphrase(world, passage["id"], 1)
    numbered = [{paraphrase(world, passage["id"], number) for number in range(4)} for passage in world.corpus[:50]]
    assert sum(len(texts) == 4 for texts in numbered) > 40


def test_a_passage_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(KeyError):
        questions_about(world, "w9999999")
    with pytest.raises(KeyError):
        paraphrase(world, "nowhere")
