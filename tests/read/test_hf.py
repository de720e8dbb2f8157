"""The reader keeps order and counts, fits what it reads, and survives a lack of memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from clara_bench.components.registry import Component, create
from clara_bench.errors import BackendError, ConfigError, UnknownName
from clara_bench.read.hf import HFReader
from clara_bench.types import Question, Reader

QUESTIONS = [Question(str(i), text) for i, text in enumerate(["Where?", "Who wrote Dune?", "Is Oslo in Norway?", "é"])]
CONTEXTS = [("Oslo\nOslo is the capital of Norway.",) * 9, (), ("Frank Herbert wrote Dune.", "1965"), ("Oslo",)]


def test_it_is_a_reader(reader: HFReader) -> None:
    assert isinstance(reader, Reader)


def test_answers_come_in_the_order_asked_however_they_are_batched(tiny_folder: Path, reader: HFReader) -> None:
    texts = [reading.text for reading in reader.read(QUESTIONS, CONTEXTS)]
    assert len(set(texts)) == len(texts)
    for options in ({"batch_size": 1}, {"batch_size": 3}, {"batch_tokens": 200}, {"batch_tokens": 1}):
        other = HFReader(HFReader.Options(model=str(tiny_folder), max_new_tokens=8, **options))
        assert [reading.text for reading in other.read(QUESTIONS, CONTEXTS)] == texts
        assert [reading.text for reading in other.read(QUESTIONS[::-1], CONTEXTS[::-1])] == texts[::-1]


def test_usage_adds_up(reader: HFReader) -> None:
    readings = reader.read(QUESTIONS, CONTEXTS)
    for reading, context in zip(readings, CONTEXTS, strict=True):
        usage = reading.usage
        assert usage.context_positions == usage.context_text_tokens == reader.context_tokens([context])[0]
        assert usage.prompt_tokens > usage.context_positions
        assert 0 <= usage.generated_tokens <= 8
        assert set(usage.seconds) == {"prefill", "decode"} and min(usage.seconds.values()) >= 0
    assert readings[1].usage.context_positions == 0


def test_an_answer_that_ends_at_its_limit_is_truncated_and_one_that_ends_by_itself_is_not(reader: HFReader) -> None:
    [said] = reader.read(QUESTIONS[:1], CONTEXTS[:1])
    assert (said.status, said.usage.generated_tokens) == ("truncated", 8)
    [generated] = reader._generate([reader.render(QUESTIONS[0], CONTEXTS[0])])
    assert generated is not None
    reader.__dict__["stop"] = frozenset(generated.ids[-1:])
    [ended] = reader.read(QUESTIONS[:1], CONTEXTS[:1])
    assert (ended.status, ended.usage.generated_tokens < 8) == ("ok" if ended.text else "empty", True)


def test_no_questions_no_readings(reader: HFReader) -> None:
    assert list(reader.read([], [])) == [] and list(reader.context_tokens([])) == []


def test_evidence_beyond_the_limit_is_cut_and_said_to_be(tiny_folder: Path) -> None:
    reader = HFReader(HFReader.Options(model=str(tiny_folder), max_new_tokens=4, max_prompt_tokens=100))
    long, closed, *_ = reader.read(QUESTIONS, CONTEXTS)
    assert long.status == "truncated" and long.usage.prompt_tokens <= 100
    assert 0 < long.usage.context_positions < long.usage.context_text_tokens
    assert closed.usage.context_positions == 0


def test_the_models_window_leaves_room_for_the_answer(
    tmp_path: Path, build: Callable[..., Any], make_tokenizer: Callable[..., Any], tiny_folder: Path
) -> None:
    config = HFReader(HFReader.Options(model=str(tiny_folder))).weights.config
    config.max_position_embeddings = 120
    build(config).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    reading = HFReader(HFReader.Options(model=str(tmp_path), max_new_tokens=20)).read(QUESTIONS[:1], CONTEXTS[:1])[0]
    assert reading.status == "truncated" and reading.usage.prompt_tokens == 100


def test_a_question_that_cannot_fit_fails_alone(tiny_folder: Path) -> None:
    reader = HFReader(HFReader.Options(model=str(tiny_folder), max_prompt_tokens=150))
    long, short = reader.read([Question("1", "why " * 200), QUESTIONS[1]], [("Oslo",), ("Oslo",)])
    assert long.status == "error" and "150 fit" in str(long.error) and long.usage.generated_tokens == 0
    assert short.text and short.error is None


def test_an_answer_of_nothing_is_called_empty(reader: HFReader) -> None:
    first = reader.read(QUESTIONS[3:], CONTEXTS[3:])[0]
    reader.__dict__["stop"] = frozenset(range(400))
    assert first.text
    assert reader.read(QUESTIONS[3:], CONTEXTS[3:])[0].status == "empty"


def _fail_above(rows: int) -> Callable[..., None]:
    def hook(module: Any, args: Any, kwargs: Any) -> None:
        if kwargs["input_ids"].shape[0] > rows:
            raise torch.OutOfMemoryError("out of memory")

    return hook


def test_when_memory_runs_out_batches_are_halved(reader: HFReader) -> None:
    expected = [reading.text for reading in reader.read(QUESTIONS, CONTEXTS)]
    reader.weights.register_forward_pre_hook(_fail_above(1), with_kwargs=True)
    readings = reader.read(QUESTIONS, CONTEXTS)
    assert [reading.text for reading in readings] == expected
    assert not any(reading.error for reading in readings)


def test_a_question_too_large_for_memory_is_recorded_as_such(reader: HFReader) -> None:
    reader.weights.register_forward_pre_hook(_fail_above(0), with_kwargs=True)
    for reading in reader.read(QUESTIONS, CONTEXTS):
        assert reading.status == "out-of-memory" and "tokens" in str(reading.error) and reading.text == ""
        assert reading.usage.prompt_tokens > 0


def test_cpu_memory_running_out_is_recognised(reader: HFReader) -> None:
    def hook(module: Any, args: Any) -> None:
        torch.empty(1 << 60)

    reader.weights.register_forward_pre_hook(hook)
    assert {reading.status for reading in reader.read(QUESTIONS, CONTEXTS)} == {"out-of-memory"}


def test_other_failures_are_not_mistaken_for_it(reader: HFReader) -> None:
    def hook(module: Any, args: Any) -> None:
        raise RuntimeError("shape mismatch")

    reader.weights.register_forward_pre_hook(hook)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        reader.read(QUESTIONS, CONTEXTS)


def test_the_manifest_names_model_prompt_and_number_format(reader: HFReader, tiny_folder: Path) -> None:
    described = reader.describe()
    assert described["model"] == str(tiny_folder) and described["fingerprint"].startswith("sha256:")
    assert (described["prompt"], described["dtype"]) == ("short@1", "float32")


def test_options_are_checked(tiny_folder: Path) -> None:
    folder = str(tiny_folder)
    with pytest.raises(ConfigError, match="batch_size must be at least 1, got 0"):
        create("reader", Component("hf", {"model": folder, "batch_size": "0"}))
    with pytest.raises(UnknownName, match="unknown prompt 'shrt'"):
        create("reader", Component("hf", {"model": folder, "prompt": "shrt"}))
    with pytest.raises(ConfigError, match="float16"):
        create("reader", Component("hf", {"model": folder, "dtype": "float16"}))
    for device in ("gpu", "meta:x", "xla"):
        with pytest.raises(BackendError, match=f"device '{device}' cannot be used"):
            create("reader", Component("hf", {"model": folder, "device": device}))


def test_bfloat16_reads_too(tiny_folder: Path) -> None:
    reader = HFReader(HFReader.Options(model=str(tiny_folder), max_new_tokens=4, dtype="bfloat16"))
    assert not any(reading.error for reading in reader.read(QUESTIONS, CONTEXTS))
