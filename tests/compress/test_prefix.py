"""Tokens judged after a kept prefix, beside the same model reading everything anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from clara_bench.compress.shared.prefix import Prefix
from clara_bench.compress.shared.surprisal import LanguageModel
from tests.compress.conftest import llama, saved_tokenizer

FIRST, SECOND, THIRD = (5, 9, 30, 41), (17, 8), (77, 12, 50)


def anew(lm: LanguageModel, before: Sequence[int], ids: Sequence[int]) -> list[float]:
    with torch.inference_mode():
        logits = lm.weights(input_ids=torch.tensor([[*before, *ids]])).logits[0, len(before) - 1 : -1]
    nats: list[float] = torch.nn.functional.cross_entropy(logits, torch.tensor(ids), reduction="none").tolist()
    return nats


@pytest.mark.parametrize("given", [(), (60, 61)])
def test_tokens_are_judged_after_what_was_given_and_kept_alone(causal: Path, given: tuple[int, ...]) -> None:
    lm = LanguageModel(str(causal))
    prefix = Prefix(lm, given)
    assert prefix.nats(FIRST) == pytest.approx(anew(lm, [lm.start, *given], FIRST), abs=1e-5)
    assert prefix.nats(THIRD) == pytest.approx(anew(lm, [lm.start, *given], THIRD), abs=1e-5)  # judged is not kept
    prefix.keep(SECOND)
    prefix.keep(())
    assert prefix.nats(FIRST) == pytest.approx(anew(lm, [lm.start, *given, *SECOND], FIRST), abs=1e-5)
    prefix.keep(FIRST)
    assert prefix.nats(THIRD) == pytest.approx(anew(lm, [lm.start, *given, *SECOND, *FIRST], THIRD), abs=1e-5)


def test_a_full_window_forgets_the_oldest_and_never_what_is_given(tmp_path: Path) -> None:
    saved_tokenizer(tmp_path)
    llama(max_position_embeddings=12).save_pretrained(tmp_path)
    lm = LanguageModel(str(tmp_path))
    prefix = Prefix(lm, (60,))
    for token in (5, 9, 30, 41, 17, 8, 77):
        prefix.keep((token,))
    assert prefix.nats(THIRD) == pytest.approx(anew(lm, [lm.start, 60, 5, 9, 30, 41, 17, 8, 77], THIRD), abs=1e-5)
    prefix.keep((12,))  # eleven tokens now; with the next three the window is full, and half of its room stays
    assert prefix.nats(THIRD) == pytest.approx(anew(lm, [lm.start, 60, 8, 77, 12], THIRD), abs=1e-5)
