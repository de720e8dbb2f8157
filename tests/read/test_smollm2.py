"""The default model, end to end: its tokenizer, its template, its answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from clara_bench.read.hf import HFReader
from clara_bench.types import Question

pytestmark = pytest.mark.model

PASSAGES = (
    "Vistula\nThe Vistula is the longest river in Poland, at 1,047 kilometres. It runs through Kraków and Warsaw.",
    "Marie Curie\nMarie Curie was born in Warsaw in 1867 and won the Nobel Prize in 1903 and 1911.",
    "Oslo\nOslo is the capital of Norway.",
)
QUESTIONS = [
    Question("1", "What is the capital of France?"),
    Question("2", "What is the capital of Norway?"),
    Question("3", "Where was Marie Curie born?"),
    Question("4", "What is the longest river in Poland?"),
    Question("5", "In which year was Marie Curie born?"),
]
CONTEXTS = [(), PASSAGES[2:], PASSAGES[1:], PASSAGES, PASSAGES * 3]


@pytest.fixture(scope="module")
def smollm2() -> Iterator[HFReader]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine two threads wait for each other at every layer
    yield HFReader(HFReader.Options(max_new_tokens=16))
    torch.set_num_threads(threads)


def test_it_reads_the_answers_from_the_passages(smollm2: HFReader) -> None:
    answers = [reading.text for reading in smollm2.read(QUESTIONS, CONTEXTS)]
    for answer, expected in zip(answers, ["Paris", "Oslo", "Warsaw", "Vistula"], strict=False):
        assert expected in answer
    assert not any("<|" in answer for answer in answers)


def test_a_batch_says_what_each_question_says_alone(smollm2: HFReader) -> None:
    together = smollm2.read(QUESTIONS, CONTEXTS)
    for question, context, reading in zip(QUESTIONS, CONTEXTS, together, strict=True):
        alone = smollm2.read([question], [context])[0]
        assert (alone.text, alone.usage.generated_tokens) == (reading.text, reading.usage.generated_tokens)


def test_answers_end_at_the_end_of_the_turn(smollm2: HFReader) -> None:
    assert smollm2.stop == {smollm2.tokenizer.convert_tokens_to_ids("<|im_end|>")}
    assert smollm2.read(QUESTIONS[:1], [()])[0].usage.generated_tokens < 16


def test_its_chat_template_is_the_one_it_was_trained_with(smollm2: HFReader) -> None:
    text = smollm2.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")


def test_its_tokenizer_splits_numbers_and_keeps_every_character(smollm2: HFReader) -> None:
    text = "In 1984, café 日本\n\n  x"
    ids = smollm2.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert smollm2.tokenizer.decode(ids) == text
    assert list(smollm2.context_tokens([("1984",), (), (text,)])) == [4, 0, len(ids)]
