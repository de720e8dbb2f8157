"""Tiny random models of every shape that compressors take, with one tokenizer, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForTokenClassification,
    BertModel,
    LlamaConfig,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from clara_bench import Passage

TEXT = """Marie Curie was born in Warsaw and worked in Paris. The river Vistula runs through Warsaw. Yes No yes no
Oslo is the capital of Norway; it had 709,037 inhabitants in 2022. Who wrote Dune? Frank Herbert wrote Dune in 1965.
the cat sat on the mat and the dog sat on the log . the cat saw the dog and the dog saw the cat ."""

PASSAGES = (
    Passage(
        "a", "Oslo", "Oslo is the capital of Norway. It lies at the head of the Oslofjord. Dr. A. Smith lives there."
    ),
    Passage("b", "", "Frank Herbert wrote Dune in 1965, and it sold well! Was it filmed? It was; more than once."),
    Passage("c", "Marie Curie", "Marie Curie was born in Warsaw and worked in Paris with her husband Pierre."),
)


def tokenizer() -> Any:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>", "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXT.splitlines(), trainer)
    return bpe


def saved_tokenizer(folder: Path, encoder: bool = False) -> Any:
    """One with special tokens around texts for encoders, none for causal models."""
    bpe = tokenizer()
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    if encoder:
        bpe.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True)
        named |= {"cls_token": "<s>", "sep_token": "</s>"}
    made = PreTrainedTokenizerFast(tokenizer_object=bpe, **named)
    made.save_pretrained(folder)
    return made


def randomised(model: Any) -> Any:
    """Weights large enough that the model tells its inputs apart."""
    torch.manual_seed(7)
    for weights in model.parameters():
        if weights.dim() > 1:
            torch.nn.init.normal_(weights, std=0.3)
    return model.eval()


def llama(**more: Any) -> Any:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"vocab_size": 400, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = LlamaConfig(**{**sizes, **ids, "num_key_value_heads": 2, "max_position_embeddings": 2048, **more})
    return randomised(AutoModelForCausalLM.from_config(config))


@pytest.fixture(scope="session")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal language model with random weights."""
    folder = tmp_path_factory.mktemp("causal")
    llama().save_pretrained(folder)
    saved_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal language model that has learned one short text by heart, and so is surprised by anything else."""
    folder = tmp_path_factory.mktemp("taught")
    made, model = saved_tokenizer(folder), llama(max_position_embeddings=256)
    for weights in model.parameters():
        if weights.dim() > 1:
            torch.nn.init.normal_(weights, std=0.05)
    ids = torch.tensor([made.encode("the cat sat on the mat and the dog sat on the log . " * 6)])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return folder


def bert_config(**more: Any) -> Any:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    return BertConfig(vocab_size=400, pad_token_id=2, **sizes, **{"max_position_embeddings": 64, **more})


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token classifier with random weights that reads 64 tokens at once."""
    folder = tmp_path_factory.mktemp("classifier")
    labels = {"id2label": {0: "drop", 1: "keep"}, "label2id": {"drop": 0, "keep": 1}}
    randomised(BertForTokenClassification(bert_config(**labels))).save_pretrained(folder)
    saved_tokenizer(folder, encoder=True)
    (folder / "training.json").write_text("{}")  # as `clara-bench compressors train` leaves it
    return folder


@pytest.fixture(scope="session")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sequence-to-sequence model with random weights."""
    folder = tmp_path_factory.mktemp("writer")
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    ids = {"vocab_size": 400, "pad_token_id": 2, "eos_token_id": 1, "decoder_start_token_id": 2}
    randomised(T5ForConditionalGeneration(T5Config(**sizes, **ids))).save_pretrained(folder)
    saved_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence encoder with random weights and mean pooling, as sentence-transformers saves it."""
    from sentence_transformers import SentenceTransformer

    bare, whole = tmp_path_factory.mktemp("bare"), tmp_path_factory.mktemp("encoder")
    randomised(BertModel(bert_config())).save_pretrained(bare)
    saved_tokenizer(bare, encoder=True)
    SentenceTransformer(str(bare), device="cpu", local_files_only=True).save_pretrained(str(whole))
    return whole


@pytest.fixture(scope="session")
def make(causal: Path, classifier: Path, encoder: Path, writer: Path) -> Callable[..., Any]:
    """A registered compressor by name, on the tiny model it needs, with options as on the command line."""
    from clara_bench import Component, create

    models = {
        "selective-context": causal,
        "llmlingua": causal,
        "longllmlingua": causal,
        "llmlingua2": classifier,
        "llmlingua2-style": classifier,
        "provence": classifier,
        "recomp-extractive": encoder,
        "recomp-abstractive": writer,
        "exit": causal,
    }

    def made(name: str, **options: str) -> Any:
        given = {"model": str(models[name])} if name in models else {}
        return create("compressor", Component(name, {**given, **options}))

    return made
