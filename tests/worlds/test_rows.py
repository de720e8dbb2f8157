"""Rows have the form of the official files, and their passages are those of the corpus."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Any

import pytest

from clara_bench.worlds import World, WorldConfig, generate

SCHEMAS = ("nq", "hotpotqa", "musique", "2wikimultihopqa")
EACH = pytest.mark.parametrize("schema", SCHEMAS)


@cache
def world(schema: str, unanswerable: float = 0.0) -> World:
    return generate(schema, WorldConfig(seed=3, questions=600, passages=1500, unanswerable_fraction=unanswerable))


def passages(schema: str, row: dict[str, Any]) -> list[tuple[str, str]]:
    """Title and text of the candidates, joined as each data set's own files are."""
    if schema == "nq":
        return [(context["title"], context["text"]) for context in row["ctxs"]]
    if schema == "musique":
        return [(paragraph["title"], paragraph["paragraph_text"]) for paragraph in row["paragraphs"]]
    joint = "" if schema == "hotpotqa" else " "
    return [(title, joint.join(sentences)) for title, sentences in row["context"]]


def gold_titles(schema: str, row: dict[str, Any]) -> set[str]:
    if schema == "nq":
        return {context["title"] for context in row["ctxs"] if context["isgold"]}
    if schema == "musique":
        return {paragraph["title"] for paragraph in row["paragraphs"] if paragraph["is_supporting"]}
    return {title for title, _ in row["supporting_facts"]}


@EACH
def test_the_twenty_candidates_are_different_passages_of_the_corpus(schema: str) -> None:
    corpus = {passage["title"]: passage["text"] for passage in world(schema).corpus}
    for row, form in zip(world(schema).rows, world(schema).forms, strict=True):
        offered = passages(schema, row)
        assert len(offered) == len({title for title, _ in offered}) == 20
        assert all(corpus[title] == text for title, text in offered)
        titles = {passage["id"]: passage["title"] for passage in world(schema).corpus}
        assert [titles[passage] for passage in form.candidates] == [title for title, _ in offered]


@EACH
def test_gold_marks_agree_with_the_logical_form(schema: str) -> None:
    titles = {passage["id"]: passage["title"] for passage in world(schema).corpus}
    for row, form in zip(world(schema).rows, world(schema).forms, strict=True):
        assert gold_titles(schema, row) == {titles[passage] for passage in form.gold}


@EACH
def test_gold_passages_stand_anywhere_among_the_candidates(schema: str) -> None:
    places = Counter(form.candidates.index(gold) for form in world(schema).forms for gold in form.gold)
    expected = sum(places.values()) / 20
    assert sum((places[place] - expected) ** 2 / expected for place in range(20)) < 43.8  # chi-square, 19 df, p = 0.001


@EACH
def test_the_answer_is_spelled_out_in_the_gold_passage_that_it_comes_from(schema: str) -> None:
    texts = {passage["id"]: passage["text"] for passage in world(schema).corpus}
    for form in world(schema).forms:
        if form.ask == "value":
            assert re.search(rf"\b{re.escape(form.answer)}\b", texts[form.steps[-1].passage]), form
        elif form.ask != "same":
            assert form.answer in form.options


@EACH
def test_a_chain_answer_is_told_neither_by_the_question_nor_by_an_earlier_gold_passage(schema: str) -> None:
    for row, form in zip(world(schema).rows, world(schema).forms, strict=True):
        if form.ask == "value":
            assert form.answer.lower() not in row["question"].lower()
            earlier = [fact for step in form.steps[:-1] for fact in world(schema).facts(step.passage)]
            assert all(form.answer not in (fact.value, fact.subject) for fact in earlier)


@EACH
def test_a_question_names_its_named_entities_and_hides_the_others(schema: str) -> None:
    titles = {passage["id"]: passage["title"] for passage in world(schema).corpus}
    for row, form in zip(world(schema).rows, world(schema).forms, strict=True):
        for step in form.steps:
            assert (titles[step.passage] in row["question"]) == (not step.subject.startswith("#")), row["question"]


@EACH
def test_questions_and_ids_are_unique_and_read_as_questions(schema: str) -> None:
    rows = world(schema).rows
    assert len({row["question"] for row in rows}) == len(rows) == 600
    key = {"nq": "question", "musique": "id"}.get(schema, "_id")
    assert len({row[key] for row in rows}) == len(rows)
    for row in rows:
        assert re.fullmatch(r"[A-Z][^{}?]*[^ ,]\?", row["question"])
        assert not re.search(r"\b(\w+) \1\b|  |,,", row["question"]), row["question"]


def test_nq_rows_have_the_fields_of_the_published_files() -> None:
    for row in world("nq").rows:
        assert row.keys() == {"question", "answers", "ctxs"}
        assert [sorted(context) for context in row["ctxs"]] == [["hasanswer", "id", "isgold", "text", "title"]] * 20
        assert sum(context["isgold"] for context in row["ctxs"]) == 1
        for context in row["ctxs"]:
            assert context["hasanswer"] == any(answer in context["text"] for answer in row["answers"])


def test_a_number_may_be_answered_without_its_comma_and_with_its_unit() -> None:
    answers = [row["answers"] for row in world("nq").rows if "kilometres" in row["question"]]
    assert any(len(some) == 3 for some in answers)
    for first, *others in answers:
        assert {*others} == {first.replace(",", ""), f"{first} kilometres"} - {first}


def test_hotpotqa_rows_have_the_fields_of_the_published_files() -> None:
    rows = world("hotpotqa").rows
    for row in rows:
        keys = {"_id", "question", "answer", "type", "level", "supporting_facts", "context"}
        assert row.keys() == (keys | {"link"} if row["type"] == "bridge" else keys)
        sentences = dict(row["context"])
        assert all(number < len(sentences[title]) for title, number in row["supporting_facts"])
        for some in sentences.values():
            assert not some[0].startswith(" ") and all(re.match(r" \S", later) for later in some[1:])
    assert Counter(row["type"] for row in rows) == {"bridge": 450, "comparison": 150}
    assert Counter(row["link"] for row in rows if "link" in row) == {"clue": 150, "backlink": 150, "none": 150}


def test_the_supporting_sentence_holds_the_fact() -> None:
    for schema in ("hotpotqa", "2wikimultihopqa"):
        for row, form in zip(world(schema).rows, world(schema).forms, strict=True):
            sentences = dict(row["context"])
            values = {step.passage: step.answer for step in form.steps}
            titles = {passage["title"]: passage["id"] for passage in world(schema).corpus}
            for title, number in row["supporting_facts"]:
                assert values[titles[title]] in sentences[title][number]


def test_backlinked_passages_mention_the_named_entity_and_others_do_not() -> None:
    texts = {passage["id"]: passage["text"] for passage in world("hotpotqa").corpus}
    for form in world("hotpotqa").forms:
        if form.kind == "bridge":
            named, hidden = form.steps
            assert (named.subject in texts[hidden.passage]) == (form.link == "backlink")
            mentions = [passage for passage in form.candidates if named.subject in texts[passage]]
            assert form.link != "backlink" or len(mentions) >= 3  # the named one, the hidden one and a stranger


def test_clues_are_in_the_question_and_true_of_the_hidden_entity() -> None:
    for row, form in zip(world("hotpotqa").rows, world("hotpotqa").forms, strict=True):
        assert (form.clue is None) == (form.link != "clue")
        if form.clue:
            assert form.clue[1] in row["question"]
            assert form.clue in [(fact.relation, fact.value) for fact in world("hotpotqa").facts(form.gold[1])]


def test_musique_rows_have_the_fields_and_shapes_of_the_published_files() -> None:
    shapes = Counter()
    keys = {"id", "paragraphs", "question", "question_decomposition", "answer", "answer_aliases", "answerable"}
    for row in world("musique").rows:
        assert row.keys() == keys and row["answerable"]
        shape, numbers = row["id"].split("__")
        shapes[shape] += 1
        steps = row["question_decomposition"]
        assert [step["id"] for step in steps] == [int(number) for number in numbers.split("_")]
        assert len(steps) == int(shape[0])
        assert steps[-1]["answer"] == row["answer"]
        for number, step in enumerate(steps):
            paragraph = row["paragraphs"][step["paragraph_support_idx"]]
            assert paragraph["idx"] == step["paragraph_support_idx"] and paragraph["is_supporting"]
            assert step["answer"] in paragraph["paragraph_text"]
            assert all(int(back) <= number for back in re.findall(r"#(\d)", step["question"]))
    assert shapes == {"2hop": 300, "3hop1": 100, "3hop2": 50, "4hop1": 50, "4hop2": 50, "4hop3": 50}


def test_unanswerable_musique_questions_lack_exactly_one_gold_paragraph() -> None:
    rows, forms = world("musique", 0.25).rows, world("musique", 0.25).forms
    assert sum(not row["answerable"] for row in rows) == 150
    for row, form in zip(rows, forms, strict=True):
        steps = row["question_decomposition"]
        missing = [step for step in steps if step["paragraph_support_idx"] is None]
        assert len(missing) == (not row["answerable"])
        assert sum(paragraph["is_supporting"] for paragraph in row["paragraphs"]) == len(steps) - len(missing)
        assert len(row["paragraphs"]) == 20
        assert len(set(form.gold) - set(form.candidates)) == len(missing)


def test_two_wiki_rows_have_the_fields_of_the_published_files() -> None:
    keys = {"_id", "type", "question", "context", "entity_ids", "supporting_facts", "evidences", "answer"}
    for row in world("2wikimultihopqa").rows:
        assert row.keys() == keys | {"evidences_id", "answer_id"}
        golds = {"comparison": 2, "compositional": 2, "inference": 2, "bridge_comparison": 4}[row["type"]]
        assert len(row["supporting_facts"]) == len(row["evidences"]) == len(row["entity_ids"].split("_")) == golds
        assert len(row["evidences_id"]) == (2 if row["type"] in ("compositional", "inference") else 0)
        assert all(not sentence.startswith(" ") for _, some in row["context"] for sentence in some)
        if row["type"] == "inference":
            assert row["evidences"][0][2] == row["evidences"][1][0]  # the bridge
            assert row["evidences_id"][1][2] == row["answer_id"]
        if row["answer"] in ("yes", "no"):
            assert row["answer_id"] is None


def test_an_id_stands_for_one_entity_throughout() -> None:
    """Two-wiki ids, over all rows: the same title never has two ids."""
    ids: dict[str, set[str]] = {}
    for row in world("2wikimultihopqa").rows:
        for (subject, _, value), (subject_id, _, value_id) in zip(row["evidences"], row["evidences_id"], strict=False):
            ids.setdefault(subject, set()).add(subject_id)
            if value_id.startswith("Q"):
                ids.setdefault(value, set()).add(value_id)
    assert ids and all(len(some) == 1 for some in ids.values())
