"""The answer follows from the gold passages and from no smaller set of them.

The solver here knows only what passages state (`World.facts`) and what is asked (`Form`): it shares no code
with the generator, and the facts that it reads are checked against the passages' words in test_prose.py.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from functools import cache

import pytest

from clara_bench.worlds import Fact, Form, World, WorldConfig, generate

SCHEMAS = ("nq", "hotpotqa", "musique", "2wikimultihopqa")
TIERS = ("easy", "hard", "version 2")
EACH = pytest.mark.parametrize(("schema", "tier"), list(itertools.product(SCHEMAS, TIERS)))
QUESTIONS = 1000


@cache
def world(schema: str, tier: str) -> World:
    if tier == "version 2":
        return generate(schema, WorldConfig(seed=11, questions=400, passages=2000, version=2))
    return generate(schema, WorldConfig(seed=11, questions=QUESTIONS, passages=2000, tier=tier))  # type: ignore[arg-type]


@cache
def facts(schema: str, tier: str, passage: str) -> tuple[Fact, ...]:
    return world(schema, tier).facts(passage)


def seen(schema: str, tier: str, passages: Iterable[str]) -> list[Fact]:
    return [fact for passage in passages for fact in facts(schema, tier, passage)]


# What follows strictly ------------------------------------------------------------------------------------


def deduce(form: Form, known: list[Fact]) -> set[str]:
    """The answers that follow from the facts: each step taken only from a stated fact about the right subject."""
    values: list[set[str]] = []
    for step in form.steps:
        subjects = values[int(step.subject[1:]) - 1] if step.subject.startswith("#") else {step.subject}
        awards = values[int(step.qualifier[1:]) - 1] if step.qualifier.startswith("#") else {step.qualifier}
        values.append(
            {f.value for f in known if f.relation == step.relation and f.subject in subjects and f.qualifier in awards}
        )
    ends = [values[end] for end in form.ends]
    return {conclude(form, combination) for combination in itertools.product(*ends)}


def conclude(form: Form, ends: tuple[str, ...]) -> str:
    if form.ask == "value":
        return ends[0]
    if form.ask == "same":
        return "yes" if ends[0] == ends[1] else "no"
    first, second = (int(end.replace(",", "")) for end in ends)
    assert first != second
    return form.options[(first < second) != (form.ask == "low")]


@EACH
def test_the_gold_passages_determine_the_answer(schema: str, tier: str) -> None:
    for form in world(schema, tier).forms:
        assert deduce(form, seen(schema, tier, form.gold)) == {form.answer}, form


@EACH
def test_no_smaller_set_of_gold_passages_determines_anything(schema: str, tier: str) -> None:
    for form in world(schema, tier).forms:
        for size in range(len(form.gold)):
            for some in itertools.combinations(form.gold, size):
                assert deduce(form, seen(schema, tier, some)) == set(), (form, some)


@EACH
def test_the_whole_corpus_allows_no_second_answer(schema: str, tier: str) -> None:
    made = world(schema, tier)
    told_in: dict[str, str] = {}
    for passage in made.corpus:
        for fact in made.facts(passage["id"]):
            assert told_in.setdefault(fact.subject, passage["id"]) == passage["id"]  # of nobody in two passages
        members = {fact.subject for fact in made.facts(passage["id"])}
        assert passage["title"] in members and len(members) == made.config.group
    everything = [fact for passage in made.corpus for fact in made.facts(passage["id"])]
    by_relation: dict[str, list[Fact]] = defaultdict(list)
    for fact in everything:
        by_relation[fact.relation].append(fact)
    for form in made.forms[:: max(1, len(made.forms) // 100)]:
        known = [fact for step in form.steps for fact in by_relation[step.relation]]
        assert deduce(form, known) == {form.answer}


# What could be guessed ------------------------------------------------------------------------------------

ANY = None


def guess(form: Form, known: list[Fact]) -> set[str] | None:
    """Every answer that is still possible for a reader who fills a gap with whatever the candidates offer.

    Where it is not told who is meant, it considers everybody of the right type for whom the rest of the
    question can be completed, and whom the clue or the mentions in the passages do not rule out.
    ANY: it knows who is meant, but nothing about them.
    """
    titles = {fact.subject for fact in known}
    values: list[set[str] | None] = []
    guessed: set[int] = set()
    for number, step in enumerate(form.steps):
        subjects, awards = _referred(step.subject, values), _referred(step.qualifier, values)
        hint = _hinted(form, known) if number == len(form.steps) - 1 else ANY
        gap = subjects is ANY or _reference(step.subject) in guessed
        if subjects is ANY and hint is not ANY:
            subjects = hint
        if subjects is not ANY and not gap and not subjects <= titles:
            values.append(ANY)
            continue
        fit = [f for f in known if f.relation == step.relation and (awards is ANY or f.qualifier in awards)]
        values.append({f.value for f in fit if subjects is ANY or f.subject in subjects})
        if gap or awards is ANY or _reference(step.qualifier) in guessed:
            guessed.add(number)
    ends = [values[end] for end in form.ends]
    if any(end is ANY for end in ends):
        return ANY
    pairs = itertools.product(*(end for end in ends if end is not ANY))
    return {conclude(form, pair) for pair in pairs if form.ask in ("value", "same") or len(set(pair)) > 1}


def _reference(name: str) -> int | None:
    return int(name[1:]) - 1 if name.startswith("#") else None


def _referred(name: str, values: list[set[str] | None]) -> set[str] | None:
    place = _reference(name)
    return {name} if place is None else values[place]


def _hinted(form: Form, known: list[Fact]) -> set[str] | None:
    if form.link == "clue":
        return {f.subject for f in known if (f.relation, f.value) == form.clue}
    if form.link == "backlink":
        return {f.subject for f in known if f.relation == "person.mention" and f.value == form.steps[0].subject}
    return ANY


@EACH
def test_with_one_gold_passage_missing_the_candidates_do_not_give_the_answer_away(schema: str, tier: str) -> None:
    for form in world(schema, tier).forms:
        for missing in form.gold:
            possible = guess(form, seen(schema, tier, (p for p in form.candidates if p != missing)))
            assert possible is ANY or len(possible) > 1 or form.answer not in possible, (form, missing)


def test_a_clue_that_one_candidate_fits_would_give_the_answer_away() -> None:
    """The test above can fail: it would, were the hidden passage the only one of its type."""
    made = world("hotpotqa", "hard")
    form = next(form for form in made.forms if form.link == "clue")
    assert guess(form, seen("hotpotqa", "hard", form.gold[1:])) == {form.answer}


@pytest.mark.parametrize("kind", ["3hop1", "4hop1", "3hop2", "4hop2", "4hop3"])
def test_a_lone_chain_would_be_given_away(kind: str) -> None:
    """Without the other candidates the first passage is not needed: what the parallel chains are for."""
    form = next(form for form in world("musique", "hard").forms if form.kind == kind)
    assert guess(form, seen("musique", "hard", form.gold[1:])) == {form.answer}
