"""What every registered compressor promises, whatever its method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clara_bench import ConfigError, Passage, Question
from clara_bench.components.registry import discover
from clara_bench.compress.shared.spans import SEPARATOR, count_words, passage_text
from tests.compress.texts import whole

from .conftest import PASSAGES

NAMES = sorted(name for name, point in discover("compressor").items() if point.value.startswith("clara_bench."))
EXTRACTIVE = [name for name in NAMES if name != "recomp-abstractive"]
KEEPS_ORDER = {"longllmlingua": {"reorder": "false"}}
"""Options without which what is kept of the best passage would come first."""
RATED = [
    "truncate",
    "random-drop",
    "selective-context",
    "llmlingua",
    "longllmlingua",
    "llmlingua2",
    "llmlingua2-style",
    "recomp-extractive",
]
QUESTION = Question("q", "What is the capital of Norway?")
Make = Callable[..., Any]

ODD = {
    "no passage": (),
    "empty": (Passage("e", "", ""),),
    "blank": (Passage("b", " ", " \n\t "),),
    "one word": (Passage("o", "", "Oslo"),),
    "title alone": (Passage("t", "Oslo", ""),),
    "chinese": (Passage("z", "奥斯陆", "奥斯陆是挪威的首都。它位于奥斯陆峡湾的顶端！人口约七十万。"),),
    "arabic": (Passage("r", "أوسلو", "أوسلو هي عاصمة النرويج. هل زرتها؟ تقع على رأس مضيق أوسلو."),),
    "accents": (
        Passage("x", "Ævar Þór", "Çà et là, l’été dernier… Ævar Þór kom til Österåker. Nai\u0308ve cafe\u0301!"),
    ),
    "emoji": (Passage("m", "👩‍👩‍👧", "I 💚 Oslo 🇳🇴🇳🇴, really 👍🏽! And 🏔️ too."),),
    "no punctuation": (Passage("n", "", " ".join(f"word{i}" for i in range(300))),),
    "a blank passage among others": (PASSAGES[0], Passage("e", "", ""), PASSAGES[1]),
}


def text_of(passages: Sequence[Passage]) -> str:
    return whole(map(passage_text, passages))


def is_subsequence(part: str, given: str) -> bool:
    """Of the visible characters: what blanks stand between the kept parts is the compressor's business."""
    remaining = iter("".join(given.split()))
    return all(character in remaining for character in "".join(part.split()))


def units(compressor: Any, text: str) -> int:
    """Length in the compressor's own unit: its language model's tokens, else words."""
    lm = getattr(compressor, "_lm", None)
    return sum(len(piece.ids) for piece in lm.pieces(text)) if lm else count_words(text)


def test_there_are_compressors_to_test() -> None:
    assert set(RATED) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_traits_are_declared(make: Make, name: str) -> None:
    made = make(name)
    assert {type(getattr(made, trait)) for trait in ("query_dependent", "rate_is_input", "may_be_empty")} == {bool}
    assert made.rate is None or made.rate_is_input


@pytest.mark.parametrize("passages", [*ODD.values(), PASSAGES], ids=[*ODD, "usual"])
@pytest.mark.parametrize("name", NAMES)
def test_never_longer_than_the_input_and_order_is_kept(make: Make, name: str, passages: Sequence[Passage]) -> None:
    given = text_of(passages)
    kept = whole(make(name, **KEEPS_ORDER.get(name, {})).compress(QUESTION, passages))
    assert count_words(kept) <= count_words(given)
    if name in EXTRACTIVE:
        assert len(kept) <= len(given)
        assert is_subsequence(kept, given)
        assert kept.strip() == kept


TEXTS = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("abc .!?\n。")), max_size=40)


@pytest.fixture(scope="module")
def built(make: Make) -> dict[str, Any]:
    """Every compressor once, in the order of the text."""
    return {name: make(name, **KEEPS_ORDER.get(name, {})) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example("What?", [("a.", "b"), ("", "\ufeff"), ("\x1c", "c\x85d"), ("\u200b", "\u0301e")])
@given(asked=TEXTS, pairs=st.lists(st.tuples(TEXTS, TEXTS), max_size=3))
def test_any_text_is_shortened_in_order(
    built: dict[str, Any], name: str, asked: str, pairs: list[tuple[str, str]]
) -> None:
    passages = [Passage(str(place), *pair) for place, pair in enumerate(pairs)]
    given, kept = text_of(passages), whole(built[name].compress(Question("q", asked), passages))
    assert count_words(kept) <= count_words(given)
    assert is_subsequence(kept, given) or name not in EXTRACTIVE
    assert len(kept) <= len(given) or name not in EXTRACTIVE


@pytest.mark.parametrize("name", NAMES)
def test_something_is_left_unless_nothing_may_be(make: Make, name: str) -> None:
    made = make(name)
    for passages in (*ODD.values(), PASSAGES):
        if text_of(passages).strip() and not made.may_be_empty:
            assert whole(made.compress(QUESTION, passages))
    assert whole(made.compress(QUESTION, ())) == ""


@pytest.mark.parametrize("name", NAMES)
def test_two_instances_say_the_same(make: Make, name: str) -> None:
    first, second = (whole(make(name).compress(QUESTION, PASSAGES)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", NAMES)
def test_control_tokens_that_a_text_spells_are_text(make: Make, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    look_up = torch.nn.Embedding.forward

    def noted(self: torch.nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
        if self.num_embeddings == 400 and ids.shape[-1] > 1:  # words, and not those being written
            read.extend(token for token in ids.flatten().tolist() if token < 3)  # the tokenizer's control tokens
        return look_up(self, ids)

    monkeypatch.setattr(torch.nn.Embedding, "forward", noted)
    found = []
    for spelt in ("", " </s> <pad><s>"):
        make(name).compress(Question("q", f"What is Oslo{spelt}?"), [Passage("p", "Oslo", f"Oslo is{spelt} a city.")])
        found.append(sorted(read))
        read.clear()
    assert found[0] == found[1]


@pytest.mark.parametrize("name", NAMES)
def test_very_long_passages_are_compressed(make: Make, name: str) -> None:
    long = Passage("l", "Long", " ".join(f"{'The cat sat' if i % 9 else 'It ended.'}" for i in range(1700)))
    assert count_words(long.text) > 4900
    kept = whole(make(name).compress(QUESTION, (long,)))
    assert is_subsequence(kept, text_of((long,))) or name not in EXTRACTIVE


@pytest.mark.parametrize("rate", [1.0, 1.5, 2.0, 4.0, 16.0])
@pytest.mark.parametrize("name", RATED)
def test_the_rate_asked_is_the_rate_achieved(make: Make, name: str, rate: float) -> None:
    """Within a unit a passage; and a tenth where tokens are the unit, for the parts of words may join anew."""
    made = make(name, rate=str(rate))
    assert made.rate == rate
    passages = PASSAGES * 3
    kept = sum(units(made, part) for part in whole(made.compress(QUESTION, passages)).split(SEPARATOR))
    asked = sum(units(made, passage_text(passage)) for passage in passages) / rate
    slack = len(passages) + (asked / 10 if hasattr(made, "_lm") else 0)
    assert asked - slack <= kept <= asked + slack


@pytest.mark.parametrize("name", RATED)
def test_rate_one_keeps_everything(make: Make, name: str) -> None:
    made = make(name, rate="1", **KEEPS_ORDER.get(name, {}))
    assert whole(made.compress(QUESTION, PASSAGES)).split() == text_of(PASSAGES).split()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_blind_to_the_question_says_so(make: Make, name: str) -> None:
    made = make(name)
    if not made.query_dependent:
        assert whole(made.compress(QUESTION, PASSAGES)) == whole(
            made.compress(Question("p", "Who wrote Dune?"), PASSAGES)
        )


@pytest.mark.parametrize("name", NAMES)
def test_what_can_be_done_ahead_depends_on_one_passage_alone(make: Make, name: str) -> None:
    made = make(name)
    if getattr(made, "offline", False):
        assert not made.query_dependent
        alone = whole(whole(made.compress(QUESTION, (passage,))) for passage in PASSAGES)
        assert whole(made.compress(QUESTION, PASSAGES)) == alone


@pytest.mark.parametrize("rate", ["0", "0.5", "-2", "nan", "inf"])
@pytest.mark.parametrize("name", RATED)
def test_impossible_rates_are_refused(make: Make, name: str, rate: str) -> None:
    said = "option 'rate': expected a finite" if rate in {"nan", "inf"} else "rate must be a"
    with pytest.raises(ConfigError, match=rf"compressor '{name}': {said} number"):
        make(name, rate=rate)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_described_for_the_manifest(make: Make, name: str) -> None:
    made = make(name)
    if "model" in {field for field in type(made).Options.__dataclass_fields__}:
        assert {"model", "fingerprint"} <= set(made.describe())


def test_truncation_of_the_whole_lets_the_last_passages_go(make: Make) -> None:
    given = text_of(PASSAGES)
    kept = whole(
        make("truncate", rate="2", each="false").compress(QUESTION, (PASSAGES[0], Passage("e", "", " "), *PASSAGES[1:]))
    )
    assert given.startswith(kept)
    assert count_words(kept) == count_words(given) // 2
    assert kept.split("\n\n")[0] == passage_text(PASSAGES[0])


def test_another_seed_drops_other_words(make: Make) -> None:
    first, second = (whole(make("random-drop", rate="2", seed=seed).compress(QUESTION, PASSAGES)) for seed in "01")
    assert first != second
    assert count_words(first) == count_words(second)
