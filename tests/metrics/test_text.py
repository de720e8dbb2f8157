"""Normalisation and the search for an answer, beyond what the golden vectors show."""

import doctest
import importlib
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clara_bench.text import answer_words, contains_answer, normalise, normalise_keeping_articles, tokens, words

CHECK = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.mark.parametrize("name", ["clara_bench.text", "clara_bench.metrics.case", "clara_bench.metrics.support"])
def test_the_examples_in_the_docstrings_are_true(name: str):
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0


def test_normalising_keeps_curly_quotes_and_joins_what_hyphens_held_apart():
    assert normalise("“Well-known” the a An U.S.") == "“wellknown” us"


def test_evidence_keeps_its_articles():
    assert normalise_keeping_articles("The  Who!") == "the who"


@CHECK
@given(st.text())
def test_normalising_leaves_single_blanks_and_no_ascii_punctuation(text: str):
    found = normalise(text)
    assert found == " ".join(found.split()) == " ".join(tokens(text))
    assert not set(found) & set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


@CHECK
@given(st.text(), st.text(), st.text())
def test_a_text_contains_what_was_put_into_it_between_blanks(before: str, answer: str, after: str):
    found = contains_answer(f"{before} {answer} {after}", [answer])
    assert found == bool(answer_words([answer]))


@CHECK
@given(st.text())
def test_words_are_cut_alike_however_their_accents_are_encoded(text: str):
    import unicodedata

    assert words(unicodedata.normalize("NFC", text)) == words(unicodedata.normalize("NFD", text))


def test_an_answer_is_found_as_whole_words_in_order_and_not_otherwise():
    text = "The San Francisco–Oakland Bay Bridge, 1936."
    assert contains_answer(text, ["Oakland Bay"])
    assert contains_answer(text, ["nowhere", "1936"])
    assert not contains_answer(text, ["Oak"])
    assert not contains_answer(text, ["Bay Oakland"])
    assert not contains_answer(text, [])
    assert not contains_answer("", ["x"])


def test_an_answer_without_words_is_in_no_text():
    assert not contains_answer("anything", ["", "  ", "\u200b"])
    assert not contains_answer("", [""])


def test_text_and_metrics_import_no_heavy_library():
    code = (
        "import sys, clara_bench.metrics.statistics, clara_bench.metrics.document, clara_bench.text;"
        "print(sorted({'numpy', 'torch', 'datasets', 'evaluate', 'transformers'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
