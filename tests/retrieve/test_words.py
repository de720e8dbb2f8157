"""What BM25 takes for words: English as scikit-learn cuts it, other scripts as they are written."""

from __future__ import annotations

import re
import unicodedata
import warnings

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clara_bench.retrieve.bm25 import BM25
from clara_bench.retrieve.words import Words
from clara_bench.types import Passage, Question


@given(st.text(st.characters(max_codepoint=0x24F, categories=("L", "N", "P", "S", "Zs"))))
def test_latin_text_without_marks_is_cut_as_scikit_learn_and_bm25s_cut_it(text: str) -> None:
    composed = unicodedata.normalize("NFC", text).lower()
    assume(not any(unicodedata.category(letter) == "Mn" for letter in composed))  # İ has one in lower case
    assert Words()(text) == re.findall(r"(?u)\b\w\w+\b", composed)


@given(st.text())
def test_two_spellings_of_a_text_have_the_same_words(text: str) -> None:
    for cut in (Words(), Words(pairs=False)):
        assert cut(unicodedata.normalize("NFD", text)) == cut(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("北京是中国的首都。", ["北京", "京是", "是中", "中国", "国的", "的首", "首都"]),
        ("我，你", ["我", "你"]),
        ("コーヒーを飲む", ["コー", "ーヒ", "ヒー", "ーを", "を飲", "飲む"]),
        ("ที่นี่ดี", ["ที่นี่", "นี่ดี"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("한국의 수도", ["한국의", "수도"]),
        ("Москва — столица", ["москва", "столица"]),
        ("100年のWiFi 6", ["100", "年の", "wifi"]),
    ],
)
def test_every_script_has_its_words(text: str, expected: list[str]) -> None:
    assert Words()(text) == expected


CAPITALS = {
    "zh": ("中国的首都在哪里？", "北京是中国的首都。", "巴黎是法国的城市。"),
    "ja": ("日本の首都はどこですか", "東京は日本の首都です。", "大阪は大きな町だ。"),
    "th": ("เมืองหลวงของประเทศไทย", "กรุงเทพเป็นเมืองหลวงของไทย", "แม่น้ำโขงยาวมาก"),
    "hi": ("भारत की राजधानी", "दिल्ली भारत की राजधानी है", "गंगा एक नदी है"),
}


@pytest.mark.parametrize("language", CAPITALS)
def test_passages_are_found_in_scripts_without_blanks(language: str) -> None:
    asked, right, wrong = CAPITALS[language]
    retriever = BM25(BM25.Options(stemmer=None, stopwords=None))
    retriever.index({"a": Passage("a", "", wrong), "b": Passage("b", "", right)})
    [[best, *others]] = retriever.retrieve([Question("q", asked)], 5)
    assert best.passage_id == "b" and best.score > 0
    assert all(other.score < best.score for other in others)


def test_a_foreign_name_does_not_change_how_an_english_corpus_is_cut() -> None:
    named = Passage("a", "Beijing", "Beijing (北京市; Běijīng) is the capital of China.")
    for analyzer, found in (("auto", 0), ("latin", 0), ("unicode", 1)):
        retriever = BM25(BM25.Options(analyzer=analyzer))
        retriever.index({"a": named})
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            [ranking] = retriever.retrieve([Question("q", "北京")], 5)
        assert (len(ranking), len(told)) == (found, 1 - found)


@pytest.mark.parametrize("asked", ["Beyoncé", "Beyonce\u0301"], ids=["composed", "decomposed"])
def test_a_name_is_found_however_its_accents_are_spelled(asked: str) -> None:
    for spelled in ("NFC", "NFD"):
        retriever = BM25(BM25.Options())
        name = unicodedata.normalize(spelled, "Beyoncé sings")
        retriever.index({"a": Passage("a", "", "Rihanna sings"), "b": Passage("b", "", name)})
        [ranking] = retriever.retrieve([Question("q", asked)], 5)
        assert [ranked.passage_id for ranked in ranking] == ["b"]


def test_words_of_one_letter_count_where_the_pattern_says_so() -> None:
    corpus = {"c": Passage("c", "", "Vitamin C"), "k": Passage("k", "", "Vitamin K")}
    for pattern, expected in ((r"\w+", ["k", "c"]), (None, ["c", "k"])):
        retriever = BM25(BM25.Options(token_pattern=pattern))
        retriever.index(corpus)
        [ranking] = retriever.retrieve([Question("q", "vitamin K?")], 5)
        assert [ranked.passage_id for ranked in ranking] == expected
