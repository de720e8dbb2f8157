from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from clara_bench.components import cuts
from clara_bench.components.registry import Component, create
from clara_bench.errors import BackendError, ConfigError
from clara_bench.retrieve.dense import Dense
from clara_bench.retrieve.encoder import MINILM, Encoder
from clara_bench.types import IndexStats, Passage, Question

Corpus = dict[str, Passage]

NORWAY = Question("q", "What is the capital of Norway?")


@pytest.fixture
def options(encoder_folder: Path) -> Dense.Options:
    return Dense.Options(model=str(encoder_folder), device="cpu")


def _indexed(corpus: Corpus, options: Dense.Options) -> Dense:
    retriever = Dense(options)
    retriever.index(corpus)
    return retriever


def _stats(corpus: Corpus, options: Dense.Options) -> IndexStats:
    return Dense(options).index(corpus)


def _many(corpus: Corpus, number: int) -> Corpus:
    """Passages of shuffled words, so that an approximate index has something to search."""
    words = np.array(" ".join(passage.text for passage in corpus.values()).split())
    rng = np.random.default_rng(0)
    return {f"p{i:04}": Passage(f"p{i:04}", "", " ".join(rng.choice(words, 12))) for i in range(number)}


def test_scores_are_the_encoders_cosines(corpus: Corpus, options: Dense.Options) -> None:
    model = SentenceTransformer(options.model, device="cpu", local_files_only=True)
    texts = [f"{passage.title} {passage.text}".strip() for passage in corpus.values()]
    cosines = model.similarity(model.encode([NORWAY.text]), model.encode(texts))[0]
    (ranking,) = _indexed(corpus, options).retrieve([NORWAY], 13)
    expected = {passage_id: float(cosine) for passage_id, cosine in zip(corpus, cosines, strict=True)}
    assert {ranked.passage_id: ranked.score for ranked in ranking} == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_every_index_finds_what_comparing_with_all_finds(
    corpus: Corpus, options: Dense.Options, index: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """On 600 passages even the approximate ones may miss few of the first five."""
    many = _many(corpus, 600)
    questions = [Question(f"q{number}", passage.text) for number, passage in enumerate(list(many.values())[:20])]
    exact = _indexed(many, options).retrieve([replace(q, candidates=tuple(many)) for q in questions], 5)
    found = _indexed(many, replace(options, index=index)).retrieve(questions, 5)
    shared = [len(set(one) & set(other)) for one, other in zip(exact, found, strict=True)]
    assert sum(shared) == 100 if index == "flat" else sum(shared) >= 90
    assert all(ranking[0].passage_id == many[f"p{number:04}"].id for number, ranking in enumerate(found))
    assert "WARNING" not in capfd.readouterr().err


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_even_an_approximate_index_returns_as_many_as_there_are(
    corpus: Corpus, options: Dense.Options, index: str
) -> None:
    many = _many(corpus, 300)
    (ranking,) = _indexed(many, replace(options, index=index)).retrieve([NORWAY], 299)
    assert len({ranked.passage_id for ranked in ranking}) == 299


def test_ties_are_broken_by_passage_id_however_many_there_are(corpus: Corpus, options: Dense.Options) -> None:
    """More copies than are looked at in the first place, stored from last to first."""
    copies = {f"copy{number:03}": replace(corpus["oslo"], id=f"copy{number:03}") for number in reversed(range(150))}
    for index in ("flat", "hnsw"):
        (ranking,) = _indexed({**copies, **corpus}, replace(options, index=index)).retrieve([NORWAY], 3)
        assert [ranked.passage_id for ranked in ranking] == ["copy000", "copy001", "copy002"]


def test_candidates_score_as_in_the_whole_corpus(corpus: Corpus, options: Dense.Options) -> None:
    retriever = _indexed(corpus, options)
    some = ("tagus", "bee", "oslo")
    whole, few = retriever.retrieve([NORWAY, replace(NORWAY, candidates=some)], 13)
    assert few == [ranked for ranked in whole if ranked.passage_id in some]


def test_stats_count_the_tokens_that_were_read(corpus: Corpus, options: Dense.Options) -> None:
    tokenizer = SentenceTransformer(options.model, device="cpu", local_files_only=True).tokenizer
    lengths = [len(tokenizer(f"{p.title} {p.text}".strip())["input_ids"]) for p in corpus.values()]
    stats = _stats(corpus, options)
    assert (stats.passages, stats.encoded_tokens, stats.cached) == (13, sum(lengths), False)
    assert stats.bytes == 13 * 32 * 4
    short = _stats(corpus, replace(options, max_seq=10))
    assert short.encoded_tokens == sum(min(length, 10) for length in lengths)
    assert short.cut_passages == sum(length > 10 for length in lengths) > 0 == stats.cut_passages


def test_a_question_that_is_cut_is_told_and_no_other(corpus: Corpus, options: Dense.Options) -> None:
    retriever = _indexed(corpus, replace(options, max_seq=10))
    with cuts.heard() as told:
        retriever.retrieve([Question("short", "Oslo?"), Question("long", "the capital of Norway " * 9)], 3)
    assert told == {"long"}


def test_a_model_that_only_looks_words_up_is_a_model_too(corpus: Corpus, encoder_folder: Path, tmp_path: Path) -> None:
    tokenizer = SentenceTransformer(str(encoder_folder), device="cpu", local_files_only=True).tokenizer
    words = StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=8)
    SentenceTransformer(modules=[words], device="cpu").save_pretrained(str(tmp_path / "static"))
    retriever = Dense(Dense.Options(model=str(tmp_path / "static"), device="cpu"))
    texts = [f"{passage.title} {passage.text}".strip() for passage in corpus.values()]
    lengths = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    assert retriever.index(corpus).encoded_tokens == sum(lengths)
    (ranking,) = retriever.retrieve([replace(NORWAY, text=texts[0])], 13)
    assert ranking[0] == (next(iter(corpus)), 1.0)


def test_control_tokens_that_a_text_spells_are_text(encoder_folder: Path, tmp_path: Path) -> None:
    tokenizer = SentenceTransformer(str(encoder_folder), device="cpu", local_files_only=True).tokenizer
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    static.save_pretrained(str(tmp_path))
    for folder, added in ((encoder_folder, [2, 3]), (tmp_path, [])):
        encoder = Encoder(str(folder), None, None, None, 8, "cpu")
        ids = encoder.model.preprocess(["Oslo [SEP] is [CLS] it"])["input_ids"].flatten().tolist()
        assert sorted(set(ids) & {2, 3}) == added and len(ids) > 5 + len(added)


def test_a_part_of_an_encoded_corpus_needs_no_encoding(corpus: Corpus, options: Dense.Options) -> None:
    whole = _stats(corpus, options)
    part = _stats({key: corpus[key] for key in ("bee", "fram")}, options)
    assert part.cached
    assert 0 < part.encoded_tokens < whole.encoded_tokens
    more = _stats({**corpus, "new": Passage("new", "", "honey of the seven mountains")}, options)
    assert not more.cached
    assert more.encoded_tokens > whole.encoded_tokens


def test_only_what_changes_a_vector_makes_another_store(corpus: Corpus, options: Dense.Options) -> None:
    _stats(corpus, options)
    for same in ({"batch_size": 3}, {"query_prefix": "query: "}, {"passage_prefix": ""}, {"index": "flat"}):
        assert _stats(corpus, replace(options, **same)).cached
    for other in ({"title": False}, {"passage_prefix": "honey "}, {"max_seq": 8}, {"index": "hnsw"}):
        assert not _stats(corpus, replace(options, **other)).cached
    assert _stats(corpus, replace(options, index="hnsw")).cached


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_rankings_do_not_depend_on_how_many_passages_are_encoded_at_once(
    corpus: Corpus, options: Dense.Options, batch_size: int, cache: Path
) -> None:
    (expected,) = _indexed(corpus, options).retrieve([NORWAY], 13)
    shutil.rmtree(cache / "index")
    (found,) = _indexed(corpus, replace(options, batch_size=batch_size)).retrieve([NORWAY], 13)
    assert [ranked.passage_id for ranked in found] == [ranked.passage_id for ranked in expected]
    assert dict(found) == pytest.approx(dict(expected), abs=2e-6)


def test_other_weights_are_another_store(corpus: Corpus, options: Dense.Options, tmp_path: Path) -> None:
    _stats(corpus, options)
    copy = shutil.copytree(options.model, tmp_path / "copy")
    assert _stats(corpus, replace(options, model=str(copy))).cached
    model = SentenceTransformer(str(copy), device="cpu", local_files_only=True)
    next(model.parameters()).data[5] += 1
    model.save_pretrained(str(tmp_path / "changed"))
    assert not _stats(corpus, replace(options, model=str(tmp_path / "changed"))).cached


def test_prefixes_are_put_before_the_text(corpus: Corpus, options: Dense.Options) -> None:
    prefixed = _indexed(corpus, replace(options, query_prefix="honey bee ", passage_prefix="seven mountains "))
    spelled = {key: Passage(key, "", f"seven mountains {p.title} {p.text}") for key, p in corpus.items()}
    spelled["blank"] = Passage("blank", "", "seven mountains !!!")
    by_hand = _indexed(spelled, options)
    (with_prefix,) = prefixed.retrieve([NORWAY], 13)
    (written_out,) = by_hand.retrieve([replace(NORWAY, text=f"honey bee {NORWAY.text}")], 13)
    assert dict(with_prefix) == pytest.approx(dict(written_out), abs=2e-6)


def test_a_models_own_prompts_are_used_unless_told_otherwise(
    corpus: Corpus, options: Dense.Options, tmp_path: Path
) -> None:
    prompts = {"query": "honey bee ", "document": "seven mountains "}
    model = SentenceTransformer(options.model, device="cpu", local_files_only=True, prompts=prompts)
    model.save_pretrained(str(tmp_path / "prompted"))
    prompted = replace(options, model=str(tmp_path / "prompted"))
    own, given, none = (
        _indexed(corpus, chosen).retrieve([NORWAY], 13)
        for chosen in (
            prompted,
            replace(options, query_prefix="honey bee ", passage_prefix="seven mountains "),
            replace(prompted, query_prefix="", passage_prefix=""),
        )
    )
    assert own == given
    assert none == _indexed(corpus, options).retrieve([NORWAY], 13) != own


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("no/such/folder", r"no such folder, and not a hub id \(OWNER/NAME\)"),
        ("./nowhere", "no such folder, and not a hub id"),
        ("", "no such folder, and not a hub id"),
        ("{empty}", "cannot load model"),
        ("{pickled}", "cannot load model .* safetensors"),
        ("{broken}", "cannot load model"),
    ],
)
def test_a_model_that_does_not_load_is_a_clear_error(
    corpus: Corpus, options: Dense.Options, tmp_path: Path, model: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("pickled", "broken"):
        shutil.copytree(options.model, tmp_path / name)
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"not weights")
    folders = {name: str(tmp_path / name) for name in ("empty", "pickled", "broken")}
    with pytest.raises(BackendError, match=message) as caught:
        _stats(corpus, replace(options, model=model.format(**folders)))
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there_is_a_clear_error(corpus: Corpus, options: Dense.Options) -> None:
    with pytest.raises(BackendError, match="cannot load model"):
        _stats(corpus, replace(options, device="warp"))


def test_a_hub_that_cannot_be_reached_is_a_clear_error_at_once(
    corpus: Corpus, options: Dense.Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(BackendError, match="'nobody/nothing' is not a folder, not in the Hugging Face cache"):
        _stats(corpus, replace(options, model="nobody/nothing"))
    assert time.monotonic() - start < 5


def test_a_model_in_the_hubs_cache_loads_without_a_network(options: Dense.Options, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    hub = tmp_path / "hub" / "models--tiny--encoder"
    shutil.copytree(options.model, hub / "snapshots" / commit)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text(commit)
    program = """
from clara_bench.retrieve.dense import Dense
print(Dense(Dense.Options(model="tiny/encoder", device="cpu")).describe()["fingerprint"])
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [Dense(options).describe()["fingerprint"]]


def test_damaged_weights_are_found_before_they_rank(corpus: Corpus, options: Dense.Options, tmp_path: Path) -> None:
    model = SentenceTransformer(options.model, device="cpu", local_files_only=True)
    next(model.parameters()).data[:] = float("nan")
    model.save_pretrained(str(tmp_path / "damaged"))
    with pytest.raises(BackendError, match="vector that is not finite"):
        _stats(corpus, replace(options, model=str(tmp_path / "damaged")))


def test_impossible_options_are_refused(corpus: Corpus, options: Dense.Options) -> None:
    with pytest.raises(ConfigError, match="batch_size and max_seq must be at least 1"):
        create("retriever", Component("dense", {"batch_size": "0"}))
    with pytest.raises(ConfigError, match="index"):
        create("retriever", Component("dense", {"index": "tree"}))
    with pytest.raises(BackendError, match="has 64 positions, max_seq=65 asks for more"):
        _stats(corpus, replace(options, max_seq=65))


def test_the_manifest_names_model_and_fingerprint(options: Dense.Options) -> None:
    described = Dense(options).describe()
    assert described["model"] == options.model
    assert len(described["fingerprint"]) == 64
    assert described["max_seq"] == 64


def test_nothing_in_the_cache_is_a_pickle(corpus: Corpus, options: Dense.Options, cache: Path) -> None:
    for index in ("flat", "hnsw", "ivf"):
        _stats(corpus, replace(options, index=index))
    suffixes = {path.suffix for path in cache.rglob("*") if path.is_file()}
    assert suffixes == {".safetensors", ".faiss", ".json"}


@pytest.mark.model
def test_minilm_understands_questions_that_share_no_word_with_the_answer(corpus: Corpus) -> None:
    retriever = _indexed(corpus, Dense.Options(device="cpu"))
    assert retriever.options.model == MINILM
    asked = {
        "a vessel constructed of timber": "fram",
        "insects that signal where blossoms grow": "bee",
        "stream in Spain": "tagus",
        "female physicist honoured in Stockholm": "curie",
        "Scandinavian musician": "grieg",
    }
    rankings = retriever.retrieve([Question(text, text) for text in asked], 1)
    assert [ranking[0].passage_id for ranking in rankings] == list(asked.values())
