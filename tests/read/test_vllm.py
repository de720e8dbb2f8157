"""vLLM as a reader. Transformers stand in for it, and it runs itself where it is installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from clara_bench.components.registry import Component, create
from clara_bench.engines.reader import VLLMReader
from clara_bench.engines.vllm import VLLM
from clara_bench.errors import BackendError
from clara_bench.read.hf import HFReader
from clara_bench.types import Question, Reader
from tests.read.vllm_stand_in import stand_in

QUESTIONS = [Question("1", "Where?"), Question("2", "Who wrote Dune?"), Question("3", "Is Oslo in Norway?")]
CONTEXTS = [("Oslo\nOslo is the capital of Norway.",) * 3, (), ("Frank Herbert wrote Dune.", "1965")]


@pytest.fixture
def stood_in(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)


def reader(folder: Path, **options: Any) -> VLLMReader:
    return VLLMReader(VLLMReader.Options(model=str(folder), max_new_tokens=8, **options))


def test_it_answers_and_counts_as_the_reader_hf_does(tiny_folder: Path, stood_in: None) -> None:
    ours = HFReader(HFReader.Options(model=str(tiny_folder), max_new_tokens=8)).read(QUESTIONS, CONTEXTS)
    theirs = reader(tiny_folder).read(QUESTIONS, CONTEXTS)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.text, one.status) == (other.text, other.status)
        assert one.usage.generated_tokens == other.usage.generated_tokens
        assert one.usage.prompt_tokens == other.usage.prompt_tokens
        assert one.usage.context_positions == other.usage.context_positions
        assert set(other.usage.seconds) == {"request"}


def test_it_is_a_reader_that_text_is_read_with_and_its_cache_is_on(tiny_folder: Path, stood_in: None) -> None:
    made = reader(tiny_folder)
    assert isinstance(made, Reader)
    made.prepare()
    assert made.engine.llm.settings["enable_prefix_caching"] and not made.engine.llm.settings["enable_prompt_embeds"]
    assert list(made.read([], [])) == []


def test_a_question_that_cannot_fit_fails_alone(tiny_folder: Path, stood_in: None) -> None:
    made = reader(tiny_folder, max_prompt_tokens=150)
    long, short = made.read([Question("1", "why " * 200), QUESTIONS[1]], [("Oslo",), ("Oslo",)])
    assert long.status == "error" and "150 fit" in str(long.error)
    assert short.error is None and short.usage.prompt_tokens > 0


def test_without_vllm_the_reader_says_how_to_get_it(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(BackendError, match="pip install vllm or, on CPUs, make engines"):
        reader(tiny_folder).prepare()


def test_what_vllm_does_not_take_is_an_error_of_one_line(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any, **__: Any) -> Any:
        raise ValueError("unknown architecture\nand more")

    stand_in(monkeypatch, refuses)
    with pytest.raises(BackendError, match="unknown architecture and more"):
        reader(tiny_folder).prepare()


def test_the_manifest_names_the_engine(tiny_folder: Path) -> None:
    assert str(create("reader", Component("vllm", {"model": str(tiny_folder)})).describe()["engine"]).startswith("vllm")


@pytest.mark.engines
@pytest.mark.filterwarnings("default")  # PyTorch warns of itself while vLLM starts
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_itself_says_what_transformers_says() -> None:
    ours, theirs = HFReader(HFReader.Options(max_new_tokens=8)), VLLMReader(VLLMReader.Options(max_new_tokens=8))
    said = [reading.text for reading in theirs.read(QUESTIONS, CONTEXTS)]
    assert said == [reading.text for reading in ours.read(QUESTIONS, CONTEXTS)]
    assert isinstance(theirs.engine, VLLM)
