"""Rows for a reader of real text: what each kind asks, what is held out, and that a recipe repeats its file."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from clara_bench import ConfigError, DataError
from reference.data.row_files import Lines
from reference.rows import build, cloze, open_questions, recipe, single_hops
from reference.rows.comparisons import Comparisons
from reference.rows.example import Example
from reference.rows.facts import film, person
from reference.rows.held_out import Held
from reference.settings.shipped import recipe_file

PEOPLE = [
    (
        "Ann Lee",
        "Ann Lee (24 July 1940 – 3 May 2001) was an American painter who lived in Boston for most of her life.",
    ),
    ("Bo Nyberg", "Bo Nyberg (March 7, 1953 – January 2, 1999) was a Swedish film director of many long dramas."),
    ("Cy Young", "Cy Young (born 12 May 1960) is an American actor and a singer of songs from the south."),
    ("Di Rossi", "Di Rossi (born 1 June 1971) is an Italian film director known for her quiet comedies."),
    ("Ed Moss", "Ed Moss (born 9 June 1931) is a Canadian writer of many books about the far north."),
]
FILMS = [
    (
        "The Red Kite",
        "The Red Kite is a 1984 Swedish drama film directed by Bo Nyberg and starring Ann Lee in a small part.",
    ),
    ("Quiet Days", "Quiet Days is a 2005 Italian comedy film directed by Di Rossi and shot in Milan during a summer."),
    ("North (film)", "North is a 1990 Canadian adventure film directed by Ed Moss about a lost dog and a young boy."),
    ("Blue Hours", "Blue Hours is a 1971 American western film directed by Cy Young that was shown at many festivals."),
]
PASSAGES = [f"{title}\n{text}" for title, text in [*PEOPLE, *FILMS]]
TOWER = "The Eiffel Tower\nThe Eiffel Tower was built by Gustave Eiffel in 1889. It was first opened in May 1889."


def raw_question(number: int, question: str, answer: str) -> dict:
    """In HotpotQA's form; the first two passages support it."""
    context = [[title, [text]] for title, text in (PEOPLE + FILMS)[number : number + 4]]
    facts = [[context[0][0], 0], [context[1][0], 0]]
    return {"_id": f"h{number}", "question": question, "answer": answer, "context": context, "supporting_facts": facts}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of data with a training file, dev files and plain text."""
    folder = tmp_path / "data"
    folder.mkdir()
    train = [raw_question(n, f"Who made number {n} of the long list?", PEOPLE[n][0]) for n in range(3)]
    train.append(raw_question(3, "Which painter lived in the city of Boston?", "Ann Lee"))
    dev = [raw_question(3, "Which painter lived in the city of Boston", "Ann Lee")]
    dev[0]["context"] = [["Held", ["Held is a passage that answers a dev question and is long enough to be read."]]]
    dev[0]["supporting_facts"] = [["Held", 0]]
    articles = [{"title": title, "text": text} for title, text in [*PEOPLE, *FILMS]]
    articles += [{"title": "Held", "text": dev[0]["context"][0][1][0]}]
    (folder / "train.json").write_text(json.dumps(train))
    (folder / "dev.json").write_text(json.dumps(dev))
    (folder / "articles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in articles))
    (folder / "listed.tsv").write_text("who directed the red kite\t['Bo Nyberg']\nwho shot jr\t['Kristin']\n")
    return folder


RECIPE = """
schema = 1
description = "Small"
passages = ["articles.jsonl"]
held_questions = ["dev.json"]
held_passages = ["dev.json"]
entries = [
    { name = "hotpotqa", kind = "questions", path = "train.json", copies = 2 },
    { name = "nq", kind = "listed", path = "listed.tsv" },
    { name = "comparisons", kind = "comparisons", most = 12 },
    { name = "cloze", kind = "cloze", most = 8 },
]
"""


@pytest.fixture
def small(tmp_path: Path) -> recipe.Recipe:
    file = tmp_path / "small.toml"
    file.write_text(RECIPE)
    return recipe.load(file)


def built(small, data, out):
    return build.build(small, data, out), [json.loads(line) for line in out.read_text().splitlines()]


def test_no_row_asks_a_dev_question_and_no_row_holds_a_passage_that_answers_one(small, data, tmp_path):
    found, rows = built(small, data, tmp_path / "rows.jsonl")
    assert found.left_out["hotpotqa: asks what is held out"] == 1
    assert rows and not any("Boston" in row["question"] for row in rows)
    assert not any("answers a dev question" in document for row in rows for document in row["docs"])


def test_the_same_recipe_gives_the_same_bytes(small, data, tmp_path):
    build.build(small, data, tmp_path / "one.jsonl")
    build.build(small, data, tmp_path / "other.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "other.jsonl").read_bytes()


def test_a_manifest_beside_the_rows_says_what_they_were_made_from(small, data, tmp_path):
    found, rows = built(small, data, tmp_path / "rows.jsonl")
    said = json.loads((tmp_path / "rows.jsonl.json").read_text())
    assert said["files"].keys() == {"articles.jsonl", "dev.json", "listed.tsv", "train.json"}
    assert said["by_source"] == found.by_source
    assert sum(found.by_source.values()) == len(rows)
    assert Lines(tmp_path / "rows.jsonl", "instruct", together=True).size == found.rows


def test_every_answer_stands_in_its_passages_unless_it_is_yes_no_or_that_nothing_answers(small, data, tmp_path):
    _, rows = built(small, data, tmp_path / "rows.jsonl")
    for row in rows:
        if row["answer"] not in ("yes", "no", build.UNANSWERABLE):
            assert row["answer"].lower() in "\n".join(row["docs"]).lower(), row


def test_rows_to_choose_from_have_one_question_each_and_as_many_candidates_as_asked(small, data, tmp_path):
    found, rows = built(recipe.to_choose_from(small, 6), data, tmp_path / "rows.jsonl")
    assert found.rows == len(rows) == sum(found.by_source.values())
    assert {len(row["docs"]) for row in rows} == {6} == {len(set(row["docs"])) for row in rows}
    assert all(row["pos_index"] and row["answer"] != build.UNANSWERABLE for row in rows)
    assert len({row["question"] for row in rows if row["id"].startswith("hotpotqa")}) == found.by_source["hotpotqa"]
    assert Lines(tmp_path / "rows.jsonl", "joint").size == found.rows


def test_rows_to_choose_from_need_more_candidates_than_a_question_may_have_gold_passages(small):
    with pytest.raises(ConfigError, match="5 candidates: expected more than the recipe's 5 passages"):
        recipe.to_choose_from(small, 5)


def test_a_passage_that_is_taken_away_makes_the_target_say_so(small, data, tmp_path):
    import msgspec

    always = msgspec.structs.replace(small, unanswerable=1.0, alone=0.0)
    _, rows = built(always, data, tmp_path / "rows.jsonl")
    lost = [row for row in rows if row["answer"] == build.UNANSWERABLE]
    assert lost
    assert all(len(row["docs"]) <= always.most_passages for row in rows)


def test_questions_over_the_same_passages_follow_each_other(small, data, tmp_path):
    build.build(small, data, tmp_path / "rows.jsonl")
    lines = Lines(tmp_path / "rows.jsonl", "instruct", together=True)
    turns = [len(lines[place].turns) for place in range(lines.size)]
    assert max(turns) > 1
    assert max(turns) <= small.most_turns


def test_a_question_that_shares_three_quarters_of_its_words_is_alike():
    held = Held(["Which city hosted the 1952 Summer Olympics?"], [])
    assert held.asks_alike("which city hosted the Summer Olympics in 1952")
    assert held.asks_alike("What city hosted the summer olympics of 1952, please?")
    assert not held.asks_alike("Which city hosted the 1956 Winter Games?")


def test_a_copy_of_a_passage_in_other_spacing_is_held_out():
    assert Held([], ["Oslo\nOslo is a city."]).holds("Oslo\nOslo  is a city .")


def test_musique_steps_name_the_answers_of_earlier_steps():
    paragraphs = [
        {"idx": 0, "title": "A", "paragraph_text": "x", "is_supporting": True},
        {"idx": 1, "title": "B", "paragraph_text": "y", "is_supporting": True},
        {"idx": 2, "title": "C", "paragraph_text": "z", "is_supporting": False},
    ]
    steps = [
        {"question": "Rogue Trader >> director", "answer": "James Dearden", "paragraph_support_idx": 0},
        {"question": "Who is the mother of #1 ?", "answer": "Melissa Stribling", "paragraph_support_idx": 1},
    ]
    row = {"id": "2hop__1_2", "paragraphs": paragraphs, "question_decomposition": steps}
    first, second = single_hops.musique_steps("m", [row])
    assert first.question == "What is the director of Rogue Trader?"
    assert (second.question, second.gold) == ("Who is the mother of James Dearden?", ("B\ny",))
    assert first.distractors == second.distractors == ("C\nz",)


def test_a_triple_is_asked_only_where_its_passage_states_it():
    row = raw_question(1, "When was the director born?", "March 7, 1953")
    row["evidences"] = [["Bo Nyberg", "date of birth", "March 7, 1953"], ["Bo Nyberg", "date of birth", "1 May 1900"],
                        ["Bo Nyberg", "shoe size", "Swedish"]]  # fmt: skip
    [example] = single_hops.triple_steps("t", [row])
    assert example.answer == "March 7, 1953"
    assert example.question in [wording.format("Bo Nyberg") for wording in single_hops.ASKED["date of birth"]]


def test_openings_say_who_lived_when_and_which_film_is_by_whom():
    bo, kite = person(PASSAGES[1]), film(PASSAGES[5])
    assert (bo.born[:3], bo.died[:3], bo.nation) == ((1953, 3, 7), (1999, 1, 2), "Swedish")
    assert (kite.name, kite.year, kite.director, kite.nation) == ("The Red Kite", 1984, "Bo Nyberg", "Swedish")
    assert person(PASSAGES[5]) is None
    assert film(PASSAGES[0]) is None


def test_comparisons_are_right_by_the_dates_that_the_passages_state():
    examples = list(Comparisons("c", PASSAGES, 0).examples(200))
    born = {"Ann Lee": 1940, "Bo Nyberg": 1953, "Cy Young": 1960, "Di Rossi": 1971, "Ed Moss": 1931}
    checked = 0
    for example in examples:
        named = [name for name in born if name in example.question]
        if len(named) == 2 and ("older" in example.question or "younger" in example.question):
            pick = min if "older" in example.question else max
            assert example.answer == pick(named, key=born.__getitem__), example
            checked += 1
    assert checked >= 5
    same = [example for example in examples if "nationality" in example.question and "Ann Lee" in example.question]
    assert {example.answer for example in same if "Cy Young" in example.question} <= {"yes"}


def test_too_few_people_and_films_make_no_comparisons():
    assert list(Comparisons("c", PASSAGES[:2], 0).examples(5)) == []


def test_a_sentence_becomes_a_question_whose_answer_is_in_the_passage():
    asked = [one for seed in range(20) for one in cloze.about(TOWER, random.Random(seed))]
    assert asked
    assert all(one.answer in TOWER and one.answer not in one.question for one in asked)
    assert any(one.question.startswith(("When was", "The Eiffel Tower")) for one in asked)


def test_a_pronoun_at_the_head_of_a_sentence_becomes_the_title():
    text = "Oslo\nIt was founded as a city at the end of the Viking Age in 1040. Oslo is in Norway."
    asked = [one for seed in range(10) for one in cloze.about(text, random.Random(seed))]
    assert asked
    assert all("Oslo" in (one.question + one.answer) for one in asked if "founded" in one.question)


def test_a_listed_question_comes_with_a_passage_that_answers_it_or_not_at_all():
    questions = [("who directed the red kite", ["Bo Nyberg"]), ("who shot jr in dallas", ["Kristin Shepard"])]
    [example] = open_questions.examples("nq", questions, PASSAGES)
    assert example.answer == "Bo Nyberg"
    assert example.gold == (PASSAGES[5],)
    assert isinstance(example, Example)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("schema = 2", "schema"),
        ("surplus = 1", "surplus"),
        ('passages = "x"', "passages"),
        ("seed = ", "small.toml"),
    ],
)
def test_a_recipe_that_says_something_impossible_is_refused_by_name(tmp_path, line, said):
    file = tmp_path / "small.toml"
    file.write_text(
        f"{line}\n" + "\n".join(kept for kept in RECIPE.splitlines() if not line.startswith(kept[:6] or "!"))
    )
    with pytest.raises(ConfigError, match=said):
        recipe.load(file)


def test_an_entry_made_from_passages_takes_no_path_and_the_others_need_one(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(RECIPE.replace('kind = "cloze", most', 'kind = "cloze", path = "x.json", most'))
    with pytest.raises(ConfigError, match="takes no path"):
        recipe.load(file)
    file.write_text(RECIPE.replace(', path = "listed.tsv"', ""))
    with pytest.raises(ConfigError, match="needs a path"):
        recipe.load(file)


def test_a_file_that_is_not_there_is_named(small, data, tmp_path):
    (data / "train.json").unlink()
    with pytest.raises(DataError, match=r"train\.json"):
        build.build(small, data, tmp_path / "rows.jsonl")


def test_the_recipe_that_ships_holds_out_every_dev_file_it_could_meet():
    shipped = recipe.load(recipe_file("reader"))
    assert not [path for entry in shipped.entries for path in [entry.path] if "/dev/" in path]
    assert not [path for path in shipped.passages if "/dev/" in path]
    for task in ("nq", "hotpotqa", "musique", "2wikimultihopqa"):
        assert any(path.startswith(f"{task}/dev/") for path in shipped.held_questions)
        assert any(path.startswith(f"{task}/dev/") for path in shipped.held_passages)
