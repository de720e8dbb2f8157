"""Every raw form reads into the examples that its rows say, on real rows."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from clara_bench.datasets import Dataset, read, read_aliases, read_corpus, read_rows
from clara_bench.datasets.base import PassagePool, content_id, squeeze
from clara_bench.types import Example, Fact, Passage, Triple

DATA = Path(__file__).parent.parent / "data"
CORPORA = {
    "nq": "corpus.jsonl.gz",
    "hotpotqa": "corpus.jsonl.gz",
    "musique": "corpus.jsonl.gz",
    "2wikimultihopqa": "2wikimultihopqa_corpus.json",
}


def load(file: str, corpus: bool = True, aliases: bool = False) -> Dataset:
    task = file.partition("/")[0]
    passages = read_corpus(DATA / task / CORPORA[task]) if corpus else None
    table = read_aliases(DATA / task / "id_aliases.partial.jsonl") if aliases else None
    return read(task, read_rows(DATA / file), Path(file).name, passages, table)


def by_id(data: Dataset, id: str) -> Example:
    return next(example for example in data.examples if example.question.id == id)


def titles(data: Dataset, ids: Any) -> set[str]:
    return {data.corpus[id].title for id in ids}


def test_nq_open_rows_have_an_id_made_of_the_question_and_all_their_answers() -> None:
    data = load("nq/dev/NQ-open.dev.slice.jsonl")
    example = data.examples[0]
    assert example.question.id == "nq-aa048b4df2c742bf"
    assert example.question.text == "how many episodes are there in dragon ball z"
    assert example.gold.answers == ("291 episodes", "291")
    assert example.gold.hops == 1
    assert not example.question.candidates and not example.gold.supporting and not data.missing_gold


def test_nq_with_passages_finds_its_gold_in_the_corpus_and_shares_ids_with_the_plain_form() -> None:
    data = load("nq/dev/nq-open-oracle.slice.jsonl.gz")
    example = by_id(data, "nq-aa048b4df2c742bf")
    assert example.gold.supporting == {"nq-3745"}
    assert example.question.candidates == ("nq-3745",)
    assert "Dragon Ball Z" in data.corpus["nq-3745"].title
    assert len(data.corpus) == 17, "every gold passage is in the corpus already"


def test_nq_gold_that_is_not_among_the_candidates_comes_from_the_annotation() -> None:
    row = read_rows(DATA / "nq/dev/nq-open-oracle.slice.jsonl.gz")[0]
    other = {"title": "Physics", "text": "Physics is a science.", "hasanswer": True, "isgold": False}
    data = read("nq", [{**row, "ctxs": [other]}], "retrieved.jsonl")
    (example,) = data.examples
    (gold,) = example.gold.supporting
    assert gold not in example.question.candidates
    assert data.corpus[gold].text == row["nq_annotated_gold"]["chunked_long_answer"]


def test_a_passage_that_only_contains_the_answer_is_not_gold() -> None:
    row = {
        "question": "q",
        "answers": ["a"],
        "ctxs": [{"id": "7", "title": "t", "text": "a", "score": "1.5", "hasanswer": True}],
    }
    (example,) = read("nq", [row], "dpr.json").examples
    assert len(example.question.candidates) == 1 and not example.gold.supporting


def test_nq_topic_lists_read_as_questions_with_answers() -> None:
    data = load("nq/train/topics.nq.dev.txt")
    assert data.examples[4].gold.answers == (
        "Château de Chambord", "the Loc-Dieu Abbey", "the Ingres Museum", "Château d'Amboise",
    )  # fmt: skip


def test_hotpotqa_distractor_has_ten_candidates_with_both_gold_among_them() -> None:
    data = load("hotpotqa/dev/hotpot_dev_distractor_v1.slice.json.gz")
    example = by_id(data, "5ab48ec25542991779162cdc")
    assert example.gold.answers == ("Spurs",)
    assert example.gold.facts == (Fact("Len Worley", 0), Fact("Tottenham Hotspur F.C.", 0))
    assert (example.gold.hops, example.gold.kind) == (2, "bridge")
    assert len(example.question.candidates) == 10
    assert titles(data, example.gold.supporting) == {"Len Worley", "Tottenham Hotspur F.C."}
    assert example.gold.supporting <= set(example.question.candidates)


def test_hotpotqa_sentences_are_joined_as_they_are() -> None:
    row = read_rows(DATA / "hotpotqa/dev/hotpot_dev_distractor_v1.slice.json.gz")[0]
    data = load("hotpotqa/dev/hotpot_dev_distractor_v1.slice.json.gz", corpus=False)
    title, sentences = row["context"][0]
    first = data.corpus[data.examples[0].question.candidates[0]]
    assert (first.title, first.text) == (title, "".join(sentences))
    assert "Arsenal Football Club. Arsenal tube station" in first.text


@pytest.mark.parametrize(
    ("id", "missing", "num_candidates"),
    [
        ("5adddccd5542997dc7907069", False, 10),  # gold among its own paragraphs
        ("5a7166395542994082a3e814", False, 10),  # gold only in the corpus
        ("5ae1ba55554299234fd042d9", True, 10),  # gold nowhere
        ("5a83ed9b55429933447460b8", False, 0),  # no paragraphs at all
    ],
)
def test_hotpotqa_fullwiki_gold_is_found_in_the_corpus_or_counted_as_missing(
    id: str, missing: bool, num_candidates: int
) -> None:
    data = load("hotpotqa/dev/hotpot_dev_fullwiki_v1.slice.json.gz")
    example = by_id(data, id)
    assert len(example.gold.supporting) == 2, "recall's denominator stays two"
    assert (id in data.missing_gold) is missing
    assert all(passage.startswith("missing:") or passage in data.corpus for passage in example.gold.supporting)
    assert len(example.question.candidates) == num_candidates


def test_missing_gold_is_named_by_its_title() -> None:
    data = load("hotpotqa/dev/hotpot_dev_fullwiki_v1.slice.json.gz")
    assert by_id(data, "5ae1ba55554299234fd042d9").gold.supporting == {
        "missing:Joseph D. Stewart",
        "missing:United States Merchant Marine Academy",
    }


def test_the_processed_form_finds_the_same_passages_as_the_original_in_spite_of_its_double_blanks() -> None:
    data = load("hotpotqa/dev/hotpot_dev_distractor.ircot_processed.slice.jsonl.gz")
    example = data.examples[0]
    assert example.gold.answers == ("Coahuila, Mexico",)
    assert example.gold.supporting == {"hotpot-12774", "hotpot-3154"}, "the corpus's own ids"
    assert len(example.question.candidates) == 10 and example.gold.hops == 2 and not example.gold.facts
    double = "  " in read_rows(DATA / "hotpotqa/dev/hotpot_dev_distractor.ircot_processed.slice.jsonl.gz")[0][
        "contexts"][0]["paragraph_text"]  # fmt: skip
    assert double and "  " not in data.corpus["hotpot-12774"].text


def test_musique_answers_take_aliases_and_hops_come_from_the_id() -> None:
    data = load("musique/dev/musique_ans_v1.0_dev.slice.jsonl.gz")
    example = by_id(data, "2hop__335418_279684")
    assert example.gold.answers[0] == "Pittsburgh Pirates" and set(example.gold.answers) >= {"Pirates", "Orioles"}
    shapes = {e.gold.kind: (e.gold.hops, len(e.gold.supporting)) for e in data.examples}
    assert shapes == {"2hop": (2, 2), "3hop1": (3, 3), "4hop1": (4, 4)}
    assert all(example.gold.answerable for example in data.examples)


def test_musique_gold_is_the_paragraphs_that_its_steps_point_to() -> None:
    file = "musique/dev/musique_ans_v1.0_dev.slice.jsonl.gz"
    data = load(file)
    for row, example in zip(read_rows(DATA / file), data.examples, strict=True):
        pointed = {row["paragraphs"][step["paragraph_support_idx"]]["title"] for step in row["question_decomposition"]}
        assert titles(data, example.gold.supporting) == pointed


def test_musique_unanswerable_questions_keep_what_support_is_left() -> None:
    data = load("musique/dev/musique_full_v1.0_dev.slice.jsonl.gz")
    assert [(e.gold.answerable, len(e.gold.supporting)) for e in data.examples] == [(True, 3), (False, 2), (False, 0)]
    assert not data.missing_gold


def test_musique_full_pairs_under_one_id_are_told_apart() -> None:
    row = read_rows(DATA / "musique/dev/musique_full_v1.0_dev.slice.jsonl.gz")[0]
    data = read("musique", [row, {**row, "answerable": False}], "full.jsonl")
    assert [example.question.id for example in data.examples] == [row["id"], row["id"] + "#unanswerable"]


def test_musique_without_paragraphs_has_gold_by_corpus_id_or_missing() -> None:
    derived = load("musique/dev/musique_dev_open.derived.jsonl")
    assert derived.examples[0].gold.supporting == {"musique-11818", "musique-7622"}
    assert not derived.missing_gold
    bare = load("musique/dev/musique_ans_v1.0_dev.questions_only.jsonl")
    assert bare.examples[0].gold.supporting == {"missing:Green (Steve Hillage album)_0", "missing:Miquette Giraudy_0"}
    assert len(bare.missing_gold) == len(bare.examples)


def test_derived_gold_without_its_corpus_is_missing() -> None:
    assert len(load("musique/dev/musique_dev_open.derived.jsonl", corpus=False).missing_gold) == 3


def test_2wiki_answers_and_evidence_take_the_spellings_of_the_alias_table() -> None:
    file, id = "2wikimultihopqa/dev/dev.slice.json.gz", "07aae62e0baf11ebab90acde48001122"
    with_table, without = by_id(load(file, aliases=True), id).gold, by_id(load(file), id).gold
    assert without.answers == ("Empress Zhangsun",)
    assert with_table.answers == ("Empress Zhangsun", "Wende", "Zhangsun Shi(wife of Li Shimin)")
    assert [len(spellings) for spellings in without.evidences] == [1, 1]
    last = with_table.evidences[1]
    assert [triple.object for triple in last] == list(with_table.answers)
    assert len({(triple.subject, triple.relation) for triple in last}) == 1
    assert with_table.evidences[0] == without.evidences[0], "no alias is known for the first step"


def test_2wiki_evidence_is_read_as_triples() -> None:
    gold = by_id(load("2wikimultihopqa/dev/dev.slice.json.gz"), "b088d3ca08e211ebbda4ac1f6bf848b6").gold
    assert gold.evidences[0] == (Triple("Forbidden Ground", "director", "Pál Gábor"),)
    assert (gold.hops, gold.kind, len(gold.supporting)) == (4, "bridge_comparison", 4)


def test_2wiki_sentences_are_joined_with_a_blank() -> None:
    file = "2wikimultihopqa/dev/dev.slice.json.gz"
    data = load(file, corpus=False)
    _, sentences = read_rows(DATA / file)[0]["context"][0]
    assert len(sentences) > 1
    assert data.corpus[data.examples[0].question.candidates[0]].text == " ".join(sentences)


def test_a_passage_listed_twice_in_one_context_is_a_candidate_once() -> None:
    file, id = "2wikimultihopqa/dev/dev.slice.json.gz", "72cfea12086711ebbd5eac1f6bf848b6"
    row = next(row for row in read_rows(DATA / file) if row["_id"] == id)
    assert len(row["context"]) == 10
    assert len(by_id(load(file), id).question.candidates) == 9


def test_2wiki_sentence_indices_past_the_paragraph_are_left_as_found() -> None:
    example = by_id(load("2wikimultihopqa/train/train.slice.json.gz"), "e2d3bbb60bd911eba7f7acde48001122")
    assert len(example.gold.facts) == 2 and len(example.gold.supporting) == 2


def test_2wiki_open_set_has_gold_by_title_and_aliases_in_the_row() -> None:
    data = load("2wikimultihopqa/dev/dev_open1000.jsonl")
    example = by_id(data, "a1d9a65c0bd911eba7f7acde48001122")
    assert example.gold.answers == ("Detroit", "Detroit, Michigan", "Detroiter", "Motor City")
    assert titles(data, example.gold.supporting) == {"Aretha Franklin", "I Can't See Myself Leaving You"}
    assert not data.missing_gold


def test_2wiki_questions_without_context_find_gold_by_title_where_the_corpus_has_it() -> None:
    data = load("2wikimultihopqa/dev/dev.questions_only.jsonl")
    assert data.missing_gold == {"73d390860bdb11eba7f7acde48001122"}


def test_the_hub_columns_read_to_the_same_examples_as_the_official_rows() -> None:
    for file, task in [
        ("hotpotqa/dev/hotpot_dev_distractor_v1.slice.json.gz", "hotpotqa"),
        ("2wikimultihopqa/dev/dev.slice.json.gz", "2wikimultihopqa"),
    ]:
        rows = read_rows(DATA / file)
        columns = [as_hub_columns(row) for row in rows]
        assert read(task, columns, "hub").examples == read(task, rows, "file").examples


def test_evidence_reads_the_same_from_every_form_of_it() -> None:
    row = read_rows(DATA / "2wikimultihopqa/dev/dev.slice.json.gz")[0]
    names = ("fact", "relation", "entity")
    records = [dict(zip(names, triple, strict=True)) for triple in row["evidences"]]
    by_column = {name: [record[name] for record in records] for name in names}
    golds = [
        read("2wikimultihopqa", [{**row, "evidences": form}], "dev.json").examples[0].gold
        for form in (row["evidences"], records, by_column)
    ]
    assert len(golds[0].evidences) == 4 and golds[0] == golds[1] == golds[2]


def as_hub_columns(row: dict[str, Any]) -> dict[str, Any]:
    """A HotpotQA-like row as the hub stores it: sequences of records by column, `id` without underscore."""
    titles, sentences = zip(*row["context"], strict=True)
    names, indices = zip(*row["supporting_facts"], strict=True)
    return {
        **{key: value for key, value in row.items() if key != "_id"},
        "id": row["_id"],
        "context": {"title": list(titles), "sentences": list(sentences)},
        "supporting_facts": {"title": list(names), "sent_id": list(indices)},
    }


def test_a_generic_task_needs_no_more_than_a_question_and_its_answers() -> None:
    rows = [
        {"id": "1", "question": "Who wrote Emma?", "answers": ["Jane Austen", "Austen"],
         "meta": {"note": "left unread"},
         "passages": [{"title": "Emma", "text": "A novel by Jane Austen.", "supporting": True}, {"text": "Noise."}]},
        {"id": "2", "question": "Who wrote Persuasion?", "answers": ["Jane Austen"]},
    ]  # fmt: skip
    data = read("generic", rows, "mine.jsonl")
    (gold,) = data.examples[0].gold.supporting
    assert data.corpus[gold].title == "Emma" and data.examples[0].question.candidates[0] == gold
    assert len(data.corpus) == 2 and not data.examples[1].question.candidates


def test_a_generic_task_may_name_its_gold_by_corpus_id() -> None:
    corpus = read_corpus(DATA / "musique/corpus.jsonl.gz")
    row = {"id": "1", "question": "q", "answers": ["a"], "supporting": ["musique-7622", "musique-0"], "hops": 2}
    data = read("generic", [row], "mine.jsonl", corpus)
    assert data.examples[0].gold.supporting == {"musique-7622", "missing:musique-0"}
    assert data.missing_gold == {"1"}


def test_a_worlds_link_shows_in_the_kind_of_question() -> None:
    row = read_rows(DATA / "hotpotqa/dev/hotpot_dev_distractor_v1.slice.json.gz")[0]
    assert read("hotpotqa", [{**row, "link": "backlink"}], "world").examples[0].gold.kind == "bridge-backlink"


def test_passages_are_matched_by_letters_and_digits_alone() -> None:
    assert squeeze("Ærø\u00a0– “Sun” (1999)_x") == "ærøsun1999x"
    assert squeeze("Plain - text, 42!") == "plaintext42"


def test_reading_twice_gives_equal_data() -> None:
    file = "2wikimultihopqa/dev/dev.slice.json.gz"
    one, other = load(file, aliases=True), load(file, aliases=True)
    assert one == other and list(one.corpus) == list(other.corpus)


def respelled(value: Any, form: str) -> Any:
    """A row with all its texts in another of Unicode's spellings."""
    if isinstance(value, str):
        return unicodedata.normalize(form, value)
    if isinstance(value, dict):
        return {key: respelled(one, form) for key, one in value.items()}
    return [respelled(one, form) for one in value] if isinstance(value, list) else value


CONTEXT = [["Zoë Łuków", ["Zoë is a singer.", " She was born in Bøstad."]], ["Bøstad", ["Bøstad lies by the sea."]]]
ROW = {
    "_id": "q",
    "question": "Where was Zoë born?",
    "answer": "Bøstad",
    "type": "bridge",
    "supporting_facts": [["Zoë Łuków", 1]],
    "context": CONTEXT,
}


@pytest.mark.parametrize("task", ["hotpotqa", "2wikimultihopqa"])
def test_gold_is_found_by_its_title_however_its_accents_are_spelled(task: str) -> None:
    """In the row itself, and where the row has only the titles, in the corpus."""
    plain = read(task, [ROW], "x.json").examples[0].gold.supporting
    for facts, context in (("NFD", "NFC"), ("NFC", "NFD")):
        row = {
            **ROW,
            "supporting_facts": respelled(ROW["supporting_facts"], facts),
            "context": respelled(CONTEXT, context),
        }
        assert read(task, [row], "x.json").examples[0].gold.supporting == plain
        corpus = read(task, [{**ROW, "context": respelled(CONTEXT, context)}], "x.json").corpus
        bare = read(task, [{**row, "context": []}], "x.json", corpus)
        assert bare.examples[0].gold.supporting == plain and not bare.missing_gold


def test_a_passage_in_two_spellings_is_one_and_is_shown_as_it_was_given() -> None:
    decomposed = respelled("Zoë is a singer.", "NFD")
    pool = PassagePool({"a": Passage("a", respelled("Zoë", "NFD"), decomposed)})
    assert pool.add("Zoë", "Zoë is a singer.") == pool.titled("Zoë") == "a"
    assert pool.corpus["a"].text == decomposed


def test_an_id_made_of_content_is_that_of_the_composed_text() -> None:
    """The first is what ids were before spellings met."""
    title, text = "Beyoncé", "Beyoncé is a singer — 北京, İzmir."
    assert content_id(title, text) == "p86aaa79c8ec953e1"
    assert content_id(respelled(title, "NFD"), respelled(text, "NFD")) == "p86aaa79c8ec953e1"
