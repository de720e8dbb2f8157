"""The tokenizer of a backbone from scratch: a word is the same token wherever it stands, and texts come back."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reference.data.row import Row, Turn
from reference.model.backbone import train_tokenizer
from reference.model.prompts import Prompter

CHECK = settings(max_examples=40, deadline=None, derandomize=True)
NAMES = ["Ann Lee", "St. John's", "Österreich", "東京", "The 39 Steps", "Q", "1984", "e.g.", "🎉 Fête"]
ANSWERS = [
    *NAMES, "3,200,000", "-4.5 °C", "12 March 1998", "yes", "no", "D.C.", "O'Brien", "\"The Door\" (film)",
    "Ann Lee ; Oslo", "1960 , 1972", "rock 'n' roll", "AC/DC", "naïve café", "Москва", "नमस्ते", "👩‍👩‍👧‍👦", "a  b",
    "50%", "¿Qué?",
]  # fmt: skip


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_name_has_the_same_tokens_in_a_title_line_after_a_line_break_and_in_a_question(tokenizer, world_texts):
    titles = [text.split("\n")[0] for text in world_texts[:50]]
    for name in (*NAMES, *titles):
        own = ids(tokenizer, name)
        assert ids(tokenizer, f"{name}\nIt is.")[: len(own)] == own
        for before in ("It is.\n", "It is.\n\n", "Who is", "Question: Where was"):
            start = len(ids(tokenizer, before))
            gap = "" if before.endswith("\n") else " "
            assert ids(tokenizer, f"{before}{gap}{name} born?")[start : start + len(own)] == own


@pytest.mark.parametrize(
    ("number", "pieces"), [("1960", [" 19", "60"]), ("7", [" 7"]), ("123,456", [" 12", "3", ",", "45", "6"])]
)
def test_a_number_is_cut_after_every_second_digit(number, pieces):
    tokenizer = train_tokenizer([f"in {year}" for year in range(1000, 10_000)], 500)
    assert [tokenizer.decode([token]) for token in ids(tokenizer, number)] == pieces


@CHECK
@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4))
def test_a_line_has_the_same_tokens_whatever_stands_in_other_lines(tokenizer, texts):
    lines = [line for text in texts for line in text.split("\n")]
    joined = ids(tokenizer, "\n".join(lines))
    alone = [ids(tokenizer, line) for line in lines]
    assert joined == [token for line in alone for token in [*ids(tokenizer, "\n"), *line]][len(ids(tokenizer, "\n")) :]


def written(tokenizer, answer):
    """An answer as it is generated behind a prompt, and as its text is then made."""
    prompter = Prompter(tokenizer)
    row = prompter.encode(Row("r", (), (Turn("Who?", answer),)), (), "instruct")
    target = [label for label in row.labels if label != -100]
    assert target[-1] == prompter.end
    return tokenizer.decode(target[:-1], skip_special_tokens=True).strip()


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_comes_back_as_it_was(tokenizer, answer):
    assert written(tokenizer, answer) == tokenizer.decode(ids(tokenizer, answer)).strip() == answer


def test_all_answers_of_a_world_come_back(tokenizer):
    from clara_bench.worlds import WorldConfig, generate

    world = generate("hotpotqa", WorldConfig(seed=4, questions=60, passages=200))
    answers = {row["answer"] for row in world.rows}
    assert len(answers) > 30
    assert all(written(tokenizer, answer) == answer for answer in answers)


@CHECK
@given(st.text(st.characters(codec="utf-8", exclude_characters="\n")))
@example(" .")
@example("a , b")
@example("don 't")
def test_any_line_comes_back_but_for_spaces_around_it(tokenizer, text):
    assert tokenizer.decode(ids(tokenizer, text)).strip() == text.strip()
