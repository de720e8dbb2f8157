"""The parts that compressors share: places in texts, sentences, budgets, surprisal."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import regex
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from clara_bench import Passage
from clara_bench.compress.shared.budget import budget, fill, shares
from clara_bench.compress.shared.sentences import best, chosen, documents, split
from clara_bench.compress.shared.spans import kept_text, words
from clara_bench.compress.shared.surprisal import LanguageModel, all_ids
from tests.compress.texts import whole

NORWAY = (
    Passage("a", "Oslo", "It is the capital. It has a fjord."),
    Passage("b", "Bergen", "Rain falls there. Seven mountains stand around it."),
)


@given(st.text(), st.data())
def test_what_is_kept_is_made_of_the_text_in_its_order_and_never_longer(text: str, data: st.DataObject) -> None:
    found = words(text)
    kept = [span for span in found if data.draw(st.booleans())]
    short = kept_text(text, kept)
    assert len(short) <= len(text)
    assert "".join(short.split()) == "".join(text[start:end] for start, end in kept)


@given(st.text())
def test_words_and_sentences_lose_nothing_but_blanks(text: str) -> None:
    visible = "".join(text.split())
    assert "".join(text[start:end] for start, end in words(text)) == visible
    assert "".join("".join(text[start:end].split()) for start, end in split(text)) == visible


@given(st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 9))), st.integers(0, 50))
def test_a_budget_is_spent_to_the_last_unit_and_no_further(units: list[tuple[float, int]], total: int) -> None:
    kept = fill([score for score, _ in units], [cost for _, cost in units], total)
    assert sum(kept) == min(total, sum(cost for _, cost in units))
    worst = min((score for (score, _), amount in zip(units, kept, strict=True) if amount), default=math.inf)
    assert all(amount == cost for (score, cost), amount in zip(units, kept, strict=True) if score > worst)


@given(st.lists(st.integers(1, 90), min_size=1), st.integers(0, 500))
def test_shares_sum_to_the_whole_and_follow_the_weights(weights: list[int], total: int) -> None:
    parts = shares(weights, total)
    assert sum(parts) == total
    assert all(abs(part - total * weight / sum(weights)) < 1.001 for part, weight in zip(parts, weights, strict=True))


@given(st.integers(0, 9999), st.floats(1, 100))
def test_a_budget_keeps_something_and_never_more_than_asked(units: int, rate: float) -> None:
    assert min(units, 1) <= budget(units, rate) <= max(units / rate, min(units, 1))


def test_letters_that_no_blanks_part_are_words_with_their_marks_and_wide_blanks_are_none() -> None:
    assert [text[start:end] for text in ["กินข้าว"] for start, end in words(text)] == ["กิ", "น", "ข้", "า", "ว"]
    assert len(words("\u3000\u3000奥斯陆")) == 3


@pytest.mark.parametrize("text", ["Zu\u0308rich", "👩\u200d👩\u200d👧", "🇳🇴🇸🇪", "❤\ufe0f", "👍🏽"])
def test_no_piece_begins_inside_what_a_reader_calls_a_character(lm: LanguageModel, text: str) -> None:
    starts = {match.start() for match in regex.finditer(r"\X", f"a {text} b")}
    assert {piece.span.start for piece in lm.pieces(f"a {text} b")} <= starts


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rains. It pours.", ["It rains.", "It pours."]),
        ("J. R. R. Tolkien wrote it in the U.S. and left.", ["J. R. R. Tolkien wrote it in the U.S. and left."]),
        ("At 5 p.m. Dr. Who, Mr. Bean et al. met.", ["At 5 p.m. Dr. Who, Mr. Bean et al. met."]),
        ("“Stop!” he said. (Why?) Nobody knew…", ["“Stop!”", "he said.", "(Why?)", "Nobody knew…"]),
        ("First line\nsecond line", ["First line", "second line"]),
        ("奥斯陆是首都。人口七十万！真的？", ["奥斯陆是首都。", "人口七十万！", "真的？"]),
        ("هل زرتها؟ نعم.", ["هل زرتها؟", "نعم."]),
        ("no marks at all", ["no marks at all"]),
        ("", []),
    ],
)
def test_sentences_end_where_readers_say(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in split(text)] == sentences


def test_text_without_full_stops_is_cut_into_sentences_of_bounded_length() -> None:
    text = " ".join(["word"] * 200)
    assert [len(words(text, *span)) for span in split(text)] == [80, 80, 40]


def test_the_best_sentences_come_under_their_titles_in_the_order_of_the_text() -> None:
    found = documents(NORWAY)
    assert whole(best(found, [1, 4, 0, 3], 99)).count("\n") == 4
    assert whole(best(found, [1, 4, 0, 3], 5)) == "Oslo\nIt has a fjord."
    assert whole(best(found, [1, 4, 0, 3], 8)) == "Oslo\nIt has a fjord.\n\nBergen\nSeven mountains"
    assert whole(best(found, [1, 4, 0, 3], 0)) == ""


def test_chosen_sentences_stay_whole_and_passages_without_any_go() -> None:
    found = documents(NORWAY)
    assert whole(chosen(found, [False, False, False, True])) == "Bergen\nSeven mountains stand around it."
    assert whole(chosen(found, [False] * 4)) == ""


@pytest.fixture(scope="module")
def lm(causal: Path) -> LanguageModel:
    return LanguageModel(str(causal))


def test_surprisal_is_the_models_own_loss(lm: LanguageModel, causal: Path) -> None:
    text = "Oslo is the capital of Norway."
    made = AutoTokenizer.from_pretrained(causal)
    ids = torch.tensor([[0, *made.encode(text, add_special_tokens=False)]])
    with torch.inference_mode():
        loss = AutoModelForCausalLM.from_pretrained(causal)(input_ids=ids, labels=ids).loss
    [nats] = lm.surprisals([((), lm.ids(text))])
    assert sum(nats) / len(nats) == pytest.approx(float(loss), abs=1e-4)


def test_windows_score_every_token_once_with_at_least_half_a_window_before(lm: LanguageModel) -> None:
    ids = lm.ids("Oslo is the capital of Norway. " * 300)
    assert len(ids) > 2 * lm.window
    jobs = lm._windows((5, 6), ids)
    assert sum(count for _, _, count in jobs) == len(ids)
    assert all(len(read) <= lm.window for _, read, _ in jobs)
    assert all(len(read) - count >= lm.window // 2 for _, read, count in jobs[1:])
    [nats] = lm.surprisals([((5, 6), ids)])
    [alone] = lm.surprisals([((5, 6), ids[:400])])
    assert nats[:400] == pytest.approx(alone, abs=1e-3)


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_pieces_are_valid_text_and_hold_every_token(lm: LanguageModel, text: str) -> None:
    found = lm.pieces(text)
    held = "".join(text[piece.span.start : piece.span.end] for piece in found)
    assert "".join(held.split()) == "".join(text.split())
    assert all(one.span.end <= other.span.start for one, other in pairwise(found))
    if found and not text[-1].isspace() and not re.search(r"\s{8}", text):  # long blanks are worth a few tokens
        assert all_ids(found) == lm.ids(text)
