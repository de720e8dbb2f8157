"""The reader `tiny` reads as the system `tiny-text` does, and gives its steps to those who search with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from clara_bench import Component, ConfigError, Passage, Question, create
from reference.model.clara import Clara
from reference.settings.config import Adapters, Backbone, ModelConfig, Scratch
from reference.weights import checkpoint

CORPUS: Mapping[str, Passage] = {
    str(n): Passage(str(n), name, f"{name} was born in {city}.")
    for n, (name, city) in enumerate([("Ann Lee", "Oslo"), ("Bo Fox", "Rome"), ("Cy Orr", "Bonn")])
}
ASKED = [Question(f"q{n}", f"Where was {passage.title} born?") for n, passage in enumerate(CORPUS.values())]


@pytest.fixture
def folder(tiny: Any, tmp_path: Path) -> str:
    shape = Scratch(hidden_size=32, intermediate_size=64, layers=2, heads=2, start="identity")
    model = Clara(tiny, ModelConfig(backbone=Backbone(scratch=shape), adapters=Adapters(kind="full")), ("generator",))
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.role("generator").parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    checkpoint.save(model, tmp_path / "text", {"stage": "text"})
    return str(tmp_path / "text")


def system(name: str, **options: str) -> Any:
    made = create("system", Component(name, {key.replace("__", "."): value for key, value in options.items()}))
    made.index(CORPUS)
    return made


def test_rag_with_this_reader_answers_as_tiny_text(folder: str):
    rag = system("rag", reader="tiny", reader__checkpoint=folder, reader__max_new_tokens="5", k="2")
    own = system("tiny-text", checkpoint=folder, max_new_tokens="5", k="2")
    for one, other in zip(rag.answer(ASKED), own.answer(ASKED), strict=True):
        assert (one.text, one.status, one.retrieved) == (other.text, other.status, other.retrieved)
        for count in ("context_positions", "context_text_tokens", "prompt_tokens", "generated_tokens"):
            assert getattr(one.usage, count) == getattr(other.usage, count)
    assert rag.traits == own.traits


@pytest.mark.filterwarnings("ignore:retriever 'bm25'")  # a step of an untrained model may match nothing
def test_closed_book_and_iterative_take_it_too(folder: str):
    given = {"reader": "tiny", "reader__checkpoint": folder, "reader__max_new_tokens": "5"}
    [alone, *_] = system("closed-book", **given).answer(ASKED)
    assert alone.usage.context_positions == 0
    steps = {"thinker": "tiny", "thinker__checkpoint": folder, "thinker__say": "steps", "thinker__max_new_tokens": "5"}
    [found, *_] = system("iterative", **given, **steps, rounds="2", k="2").answer(ASKED)
    assert found.retrieved[0].passage_id == "0" and found.usage.prompt_tokens > found.usage.context_positions > 0


def test_a_compressed_context_is_counted_in_the_checkpoints_own_tokens(folder: str):
    reader = create("reader", Component("tiny", {"checkpoint": folder, "max_new_tokens": "2"}))
    [reading] = reader.read(ASKED[:1], [("Oslo",)])
    assert list(reader.context_tokens([("Oslo",), ()])) == [reading.usage.context_positions, 0]
    [both] = reader.read(ASKED[:1], [("Oslo", "Bergen by the sea")])
    assert list(reader.context_tokens([("Oslo", "Bergen by the sea")])) == [both.usage.context_text_tokens]


def test_this_reader_leaves_the_seconds_of_other_phases_alone(folder: str):
    """Zeros of its own once stood in the place of what retrieving and compressing had taken."""
    rag = system("rag", reader="tiny", reader__checkpoint=folder, compressor="truncate", k="2")
    for answer in rag.answer(ASKED):
        assert all(answer.usage.seconds[phase] > 0 for phase in ("retrieve", "compress", "prefill"))


@pytest.mark.parametrize(
    ("options", "why"),
    [({"checkpoint": "nowhere"}, "nowhere"), ({"max_new_tokens": "0"}, "at least 1"), ({"say": "thought"}, "say")],
)
def test_what_cannot_be_read_with_is_refused(options: dict[str, str], why: str):
    with pytest.raises(ConfigError, match=why):
        create("reader", Component("tiny", options))
