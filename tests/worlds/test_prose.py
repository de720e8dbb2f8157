"""What the passages say in words is what `World.facts` says in symbols."""

from __future__ import annotations

import re
from collections import Counter
from statistics import fmean

import pytest

from clara_bench.worlds import Fact, World, WorldConfig, generate
from clara_bench.worlds.knowledge.ontology import RELATIONS, SHARES
from clara_bench.worlds.passages.templates import AWARDED_SENTENCES, FILLERS, OPENINGS, SENTENCES

TIERS = pytest.mark.parametrize("tier", ["easy", "hard"])


@pytest.fixture(scope="module")
def worlds() -> dict[str, World]:
    return {
        tier: generate("2wikimultihopqa", WorldConfig(seed=5, questions=400, passages=1500, tier=tier))  # type: ignore[arg-type]
        for tier in ("easy", "hard")
    }


def pattern(template: str, **known: str) -> re.Pattern[str]:
    """A template with what is known in its slots and anything in the others; the first letter may be a capital."""
    parts = re.split(r"\{(\w+)\}", template)
    spelled = [re.escape(part) if number % 2 == 0 else _slot(part, known) for number, part in enumerate(parts)]
    return re.compile("".join(spelled), re.IGNORECASE if template.startswith("{o}") else 0)


def _slot(name: str, known: dict[str, str]) -> str:
    if name.removeprefix("a_") not in known:
        return ".+?"
    return ("an? " if name.startswith("a_") else "") + re.escape(known[name.removeprefix("a_")])


def templates(fact: Fact) -> list[re.Pattern[str]]:
    """Every way to word a fact in the place where it is said to be."""
    kind, name = fact.relation.split(".")
    if name == "awarded":
        sides = ("first", "second")
        slots = ({f"{side}_award": fact.qualifier, f"{side}_city": fact.value} for side in sides)
        return [pattern(template, **known) for known in slots for template in AWARDED_SENTENCES]
    if fact.sentence == 0:
        return [pattern(text, N=fact.subject, **{name: fact.value}) for names, text in OPENINGS[kind] if name in names]
    value = rf"the (film|book|band|company) {fact.value}" if name == "mention" else fact.value
    found = [pattern(template, o=value) for template in SENTENCES[fact.relation]]
    return [re.compile(each.pattern.replace(re.escape(value), value)) for each in found] if name == "mention" else found


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.]) (?=[A-Z0-9])", text)


@TIERS
def test_every_fact_is_stated_where_it_is_said_to_be(worlds: dict[str, World], tier: str) -> None:
    world = worlds[tier]
    for passage in world.corpus:
        lines = sentences(passage["text"])
        for fact in world.facts(passage["id"]):
            assert any(way.fullmatch(lines[fact.sentence]) for way in templates(fact)), (fact, lines)


@TIERS
def test_sentences_without_a_fact_are_known_to_state_none(worlds: dict[str, World], tier: str) -> None:
    world = worlds[tier]
    idle = {pattern(line).pattern for lines in FILLERS.values() for line in lines}
    idle |= {pattern(line).pattern for openings in OPENINGS.values() for names, line in openings if not names}
    for passage in world.corpus:
        told = {fact.sentence for fact in world.facts(passage["id"])}
        for number, line in enumerate(sentences(passage["text"])):
            assert number in told or any(re.fullmatch(each, line) for each in idle), line


@TIERS
def test_passages_state_three_facts_or_more_in_36_words_or_more(worlds: dict[str, World], tier: str) -> None:
    world = worlds[tier]
    counts = Counter(len(world.facts(passage["id"])) for passage in world.corpus)
    words = [len(passage["text"].split()) for passage in world.corpus]
    assert min(counts) >= 3
    assert max(counts) <= (6 if tier == "easy" else 10)
    assert 36 <= min(words) <= fmean(words) <= 48
    assert max(words) <= 80


def test_an_easy_passage_holds_at_most_one_value_of_each_kind(worlds: dict[str, World]) -> None:
    for passage in worlds["easy"].corpus:
        relations = [fact.relation for fact in worlds["easy"].facts(passage["id"]) if fact.relation in RELATIONS]
        kinds = Counter(RELATIONS[relation].target for relation in relations)
        del kinds["text"]  # closed lists, of which no two have a word in common in one passage
        assert all(count == 1 for count in kinds.values()), passage


def test_most_hard_passages_of_works_hold_several_people(worlds: dict[str, World]) -> None:
    world = worlds["hard"]
    several = []
    for passage in world.corpus:
        relations = [fact.relation for fact in world.facts(passage["id"])]
        if relations[0].startswith("film."):
            several.append(
                sum(relation in RELATIONS and RELATIONS[relation].target == "person" for relation in relations) > 1
            )
    assert fmean(several) > 0.8


def test_both_names_and_pronouns_stand_for_the_subject(worlds: dict[str, World]) -> None:
    texts = [passage["text"] for passage in worlds["hard"].corpus]
    starts = Counter(line.split()[0] for text in texts for line in sentences(text)[1:])
    assert min(starts[word] for word in ("He", "She", "It", "His", "Her", "Its", "Their", "They")) > 20
    again = [passage["text"].count(passage["title"]) > 1 for passage in worlds["hard"].corpus]
    assert 0.4 < fmean(again) < 0.9


def test_no_passage_has_doubled_words_or_open_slots(worlds: dict[str, World]) -> None:
    for world in worlds.values():
        for passage in world.corpus:
            assert not re.search(r"[{}]|  | [.,]|\b(\w+) \1\b", passage["text"]), passage
            assert not re.search(r"\ba [aeiou]|\ban [^aeiouAEIOU]", passage["text"]), passage


def test_every_type_has_its_share_of_the_passages(worlds: dict[str, World]) -> None:
    found: Counter[str] = Counter()
    for passage in worlds["hard"].corpus:
        found[worlds["hard"].facts(passage["id"])[0].relation.split(".")[0]] += 1
    for kind, share in SHARES.items():
        assert found[kind] == pytest.approx(share * 1500, abs=8)
