"""A complete tiny language model with its own tokenizer, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from clara_bench.read.hf import HFReader

TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] | trim }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
TEXT = """Marie Curie was born in Warsaw and worked in Paris. The river Vistula runs through Warsaw.
Answer the question with a name, a date, a number, yes or no. Question: where was she born? user system assistant
Oslo is the capital of Norway; it had 709,037 inhabitants in 2022. Who wrote Dune? Frank Herbert wrote Dune in 1965."""


def tokenizer(template: str | None = TEMPLATE) -> Any:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXT.splitlines(), trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    made.chat_template = template
    return made


def llama_config(**more: Any) -> LlamaConfig:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"vocab_size": 400, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    return LlamaConfig(**{**sizes, **ids, "num_key_value_heads": 2, "max_position_embeddings": 2048, **more})


def random_model(config: Any) -> Any:
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(config).eval()
    for weights in model.parameters():  # the usual small start values make every model repeat one token
        if weights.dim() > 1:
            torch.nn.init.normal_(weights, std=0.3)
    return model


@pytest.fixture(scope="session")
def build() -> Callable[[Any], Any]:
    """From a transformers config to a model with random weights."""
    return random_model


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    """From a chat template, or None, to a tokenizer."""
    return tokenizer


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    random_model(llama_config()).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def reader(tiny_folder: Path) -> HFReader:
    return HFReader(HFReader.Options(model=str(tiny_folder), max_new_tokens=8))
