"""A small encyclopaedia that every retriever test searches, a cache that each test starts empty, tiny random models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clara_bench.types import Passage

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

FACTS = {
    "oslo": ("Oslo", "Oslo is the capital of Norway and lies at the head of the Oslofjord."),
    "bergen": ("Bergen", "Bergen is a city on the west coast of Norway, known for rain and seven mountains."),
    "grieg": ("Edvard Grieg", "Edvard Grieg was a Norwegian composer born in Bergen, who wrote the Peer Gynt suites."),
    "ibsen": ("Henrik Ibsen", "Henrik Ibsen wrote the play Peer Gynt and lived for many years in Italy."),
    "nansen": ("Fridtjof Nansen", "Fridtjof Nansen was an explorer who drifted across the Arctic Ocean in the Fram."),
    "fram": ("Fram", "Fram is a wooden ship built by Colin Archer for expeditions to the polar regions."),
    "curie": ("Marie Curie", "Marie Curie discovered polonium and radium and won two Nobel Prizes."),
    "radium": ("Radium", "Radium is a radioactive chemical element with atomic number 88."),
    "lisbon": ("Lisbon", "Lisbon is the capital of Portugal, on the estuary of the Tagus."),
    "tagus": ("Tagus", "The Tagus is the longest river of the Iberian Peninsula; it flows into the Atlantic."),
    "bee": ("Honey bee", "Honey bees live in colonies and tell each other by dancing where flowers are."),
    "frisch": ("Karl von Frisch", "Karl von Frisch decoded the dance of the honey bee and shared a Nobel Prize."),
    "blank": ("", "!!!"),
}


@pytest.fixture
def corpus() -> dict[str, Passage]:
    return {key: Passage(key, title, text) for key, (title, text) in FACTS.items()}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small random layers with mean pooling, as sentence-transformers saves it."""
    from sentence_transformers import SentenceTransformer
    from transformers import BertModel

    bare, whole = tmp_path_factory.mktemp("bare"), tmp_path_factory.mktemp("encoder")
    _save(bare, BertModel(_tiny_config()))
    SentenceTransformer(str(bare), device="cpu", local_files_only=True).save_pretrained(str(whole))
    return whole


@pytest.fixture(scope="session")
def cross_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small random layers with a head for one score."""
    from transformers import BertForSequenceClassification

    folder = tmp_path_factory.mktemp("cross-encoder")
    _save(folder, BertForSequenceClassification(_tiny_config(num_labels=1)))
    return folder


def _tiny_config(**more: int) -> object:
    import torch
    from transformers import BertConfig

    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    return BertConfig(vocab_size=len(_words()), max_position_embeddings=64, initializer_range=0.5, **size, **more)


def _save(folder: Path, model: PreTrainedModel) -> None:
    model.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)


def _words() -> list[str]:
    texts = " ".join(f"{title} {text}" for title, text in FACTS.values()).lower()
    letters = "".join(letter if letter.isalnum() else " " for letter in texts)
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(set(letters.split()))]


def _tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(_words())}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **named)
