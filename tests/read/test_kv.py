"""Compressed keys and values stand for the text: whole, they are the text; thinned, what was dropped is not seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, LlamaConfig, MistralConfig, Phi3Config, Qwen3Config

from clara_bench import BackendError, Component, ConfigError, DataError, Passage, Question
from clara_bench.compress.shared.spans import passage_text
from clara_bench.kv import store
from clara_bench.kv.evidence import before, put_together
from clara_bench.kv.passages import Method, Presser
from clara_bench.kv.rotary import Rotary
from clara_bench.read.generate import forward
from clara_bench.systems.kv import Kv

SIZES = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
ROTARY = {
    "llama": LlamaConfig(**SIZES, num_key_value_heads=2),
    "mistral": MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=256),
    "qwen3": Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=8),
    "phi3": Phi3Config(**SIZES, num_key_value_heads=2),
    "part-of-a-head": Phi3Config(**SIZES, num_key_value_heads=4, rope_parameters={
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}),
}  # fmt: skip
START, ONE, TWO, ASKED = (tuple(range(a, b)) for a, b in ((5, 14), (30, 57), (60, 83), (90, 101)))
CORPUS = {
    "a": Passage("a", "Warsaw", "Marie Curie was born in Warsaw and worked in Paris."),
    "b": Passage("b", "Oslo", "Oslo is the capital of Norway; it had 709,037 inhabitants in 2022."),
    "c": Passage("c", "Dune", "Frank Herbert wrote Dune in 1965."),
}
QUESTIONS = [
    Question("1", "Where was she born?", ("a",)),
    Question("2", "Who wrote Dune?", ("b", "c", "a")),
    Question("3", "What is the capital of Norway?", ()),
    Question("4", "How many inhabitants?", ("b", "a")),
]


def presser(model: Any, **method: Any) -> Presser:
    chosen = {"press": "streaming-llm", "rate": 1.0, "positions": "original", "seed": 0, **method}
    return Presser(model, Rotary.of(model, "tiny"), Method(**chosen), (200, 201, 202))


@torch.inference_mode()
def after(presser: Presser, *passages: tuple[int, ...], begin: tuple[int, ...] = START) -> torch.Tensor:
    """Logits after the question, with passages as keys and values before it."""
    start = presser.start(begin)
    evidence = put_together(start, [presser(start, ids) for ids in passages], presser.rotary)
    held = before([evidence])
    positions = held.start_B[:, None] + torch.arange(len(ASKED))
    mask = torch.cat([held.mask_BS, torch.ones(1, len(ASKED), dtype=torch.long)], 1)
    return forward(presser.model, torch.tensor([ASKED]), mask, positions, held.cache).logits[0, -1]


@torch.inference_mode()
def as_text(
    model: Any,
    *passages: tuple[int, ...],
    begin: tuple[int, ...] = START,
    hidden: Callable[[torch.Tensor], None] | None = None,
) -> Any:
    """Logits of all of it as text; `hidden` takes positions out of the attention mask."""
    ids = torch.tensor([[*begin, *(token for ids in passages for token in ids), *ASKED]])
    if hidden is None:
        return model(ids).logits[0, -1]
    seen = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
    hidden(seen)
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[None, None]
    return model(ids, attention_mask=mask).logits[0, -1]


@pytest.fixture(scope="module")
def llama(build: Callable[[Any], Any]) -> Any:
    return build(ROTARY["llama"])


@pytest.mark.parametrize("kind", ROTARY)
@pytest.mark.parametrize("positions", ["original", "consecutive"])
def test_a_passage_kept_whole_gives_the_texts_logits(build: Callable[[Any], Any], kind: str, positions: str) -> None:
    model = build(ROTARY[kind])
    torch.testing.assert_close(
        after(presser(model, positions=positions), ONE), as_text(model, ONE), rtol=1e-3, atol=1e-4
    )
    assert not after(presser(model, rate=4.0), ONE).allclose(as_text(model, ONE), atol=1e-2)


@pytest.mark.parametrize("kind", ROTARY)
def test_passages_by_themselves_are_text_of_which_none_sees_another(build: Callable[[Any], Any], kind: str) -> None:
    model = build(ROTARY[kind])

    def apart(seen: torch.Tensor) -> None:
        seen[len(ONE) : len(ONE) + len(TWO), : len(ONE)] = False

    expected = as_text(model, ONE, TWO, begin=(), hidden=apart)
    torch.testing.assert_close(after(presser(model), ONE, TWO, begin=()), expected, rtol=1e-3, atol=1e-4)
    assert not expected.allclose(as_text(model, ONE, TWO, begin=()), atol=1e-2)  # else it would not matter


def test_what_a_press_drops_the_question_does_not_see(llama: Any) -> None:
    start, kept = len(START), len(ONE) // 2  # streaming-llm keeps 4 + 9 of 27 in every head

    def thinned(seen: torch.Tensor) -> None:
        seen[start + len(ONE) :, start + 4 : start + len(ONE) - (kept - 4)] = False

    expected = as_text(llama, ONE, hidden=thinned)
    torch.testing.assert_close(after(presser(llama, rate=2.0), ONE), expected, rtol=1e-3, atol=1e-4)


def test_consecutive_positions_are_those_of_a_text_without_gaps(llama: Any) -> None:
    gaps, through = (presser(llama, rate=2.0, positions=positions) for positions in ("original", "consecutive"))
    start = gaps.start(START)
    places = torch.tensor([*range(4), *range(len(ONE) - 9, len(ONE))])
    moved = gaps.rotary.move(gaps(start, ONE).keys_LHMD, torch.arange(13) - places)
    torch.testing.assert_close(through(start, ONE).keys_LHMD, moved, rtol=1e-4, atol=1e-5)
    assert (gaps(start, ONE).length, through(start, ONE).length) == (27, 13)
    assert put_together(start, [through(start, ONE), through(start, TWO)], gaps.rotary).end == len(START) + 13 + 11


def test_a_model_without_rotary_positions_is_refused(build: Callable[[Any], Any]) -> None:
    gpt2 = build(GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=4))
    with pytest.raises(BackendError, match="needs rotary position embeddings"):
        Rotary.of(gpt2, "gpt2")


def test_a_model_whose_positions_are_others_is_refused(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rotary, "turn", lambda self, states, cos, sin: states.flip(-1))
    with pytest.raises(BackendError, match="its keys cannot be moved"):
        Rotary.of(llama, "tiny")


def test_attention_that_does_not_show_its_queries_is_refused(build: Callable[[Any], Any]) -> None:
    eager = build(ROTARY["llama"])
    eager.set_attn_implementation("eager")
    with pytest.raises(BackendError, match="cannot see the queries of attention 'eager'"):
        after(presser(eager), ONE)


@pytest.fixture
def system(tiny_folder: Path) -> Callable[..., Kv]:
    def made(reader: dict[str, str] | None = None, **options: Any) -> Kv:
        chosen = {"model": str(tiny_folder), "max_new_tokens": "8", **(reader or {})}
        kv = Kv(Kv.Options(retriever=Component("given"), reader=Component("hf", chosen), **options))
        kv.stats = kv.index(CORPUS)  # type: ignore[attr-defined]
        return kv

    return made


@pytest.mark.parametrize("positions", ["original", "consecutive"])
def test_whole_and_together_passages_answer_as_the_text_reader_does(system: Callable[..., Kv], positions: str) -> None:
    kv = system(rate=1.0, encode="together", positions=positions)
    contexts = [[passage_text(CORPUS[place]) for place in question.candidates or ()] for question in QUESTIONS]
    for answer, read in zip(kv.answer(QUESTIONS), kv.reader.read(QUESTIONS, contexts), strict=True):
        assert (answer.text, answer.status) == (read.text, read.status) and answer.text
        assert answer.usage.prompt_tokens == read.usage.prompt_tokens
        assert answer.usage.context_positions == read.usage.context_positions


@pytest.mark.parametrize("press", ["snapkv", "expected-attention", "kvzip", "random"])
def test_a_batch_says_what_each_question_says_alone(system: Callable[..., Kv], press: str) -> None:
    kv = system(press=press, rate=2.0)
    together = kv.answer(QUESTIONS)
    assert [answer.text for answer in together] == [kv.answer([question])[0].text for question in QUESTIONS]
    assert len({answer.text for answer in together}) > 1


def test_context_tokens_are_the_positions_kept(system: Callable[..., Kv]) -> None:
    for rate in (2.0, 4.0, 8.0):
        kv = system(rate=rate)
        for question, answer in zip(QUESTIONS, kv.answer(QUESTIONS), strict=True):
            texts = [passage_text(CORPUS[place]) for place in question.candidates or ()]
            sizes = kv.reader.context_tokens([[text] for text in texts])
            assert answer.usage.context_positions == sum(int(size / rate) for size in sizes)
            assert answer.usage.context_text_tokens == kv.reader.context_tokens([texts])[0]
            assert answer.usage.prompt_tokens < kv.reader.read([question], [texts])[0].usage.prompt_tokens or not texts
            assert set(answer.usage.seconds) == {"retrieve", "compress", "prefill", "decode"}
        assert (kv.traits.nominal_ratio, kv.traits.offline, kv.traits.compressor) == (rate, True, "kv-snapkv")


@pytest.mark.parametrize("where", ["memory", "folder"])
def test_stored_passages_answer_alike_and_their_bytes_are_counted(
    system: Callable[..., Kv], tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unstored = system(rate=2.0)
    named = "memory" if where == "memory" else str(tmp_path / "kv")
    kv = system(rate=2.0, store=named)
    texts = [answer.text for answer in unstored.answer(QUESTIONS)]
    assert [answer.text for answer in kv.answer(QUESTIONS)] == texts
    sizes = kv.reader.context_tokens([[passage_text(passage)] for passage in CORPUS.values()])
    each = 2 * 2 * 2 * 8 * 4  # keys and values, layers, heads, numbers of a head, bytes of float32
    assert kv.stats.bytes == each * sum(size // 2 for size in sizes)  # type: ignore[attr-defined]
    assert kv.stats.encoded_tokens == sum(sizes) and not kv.stats.cached  # type: ignore[attr-defined]
    assert unstored.stats.bytes == 0  # type: ignore[attr-defined]
    monkeypatch.setattr(Presser, "__call__", lambda *args: pytest.fail("a stored passage was read again"))
    if where == "folder":
        kv = system(rate=2.0, store=named)
        assert kv._store is not None and kv._store.made == 0
        assert kv.stats.encoding_seconds > 0  # type: ignore[attr-defined]
    assert [answer.text for answer in kv.answer(QUESTIONS)] == texts


def test_a_folder_keeps_presses_apart_and_says_when_a_file_is_damaged(
    system: Callable[..., Kv], tmp_path: Path
) -> None:
    for press in ("knorm", "keydiff"):
        system(press=press, rate=2.0, store=str(tmp_path))
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) == 2 * len(CORPUS)
    for file in files:
        file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"damaged: .*Delete it"):
        system(press="knorm", rate=2.0, store=str(tmp_path))


def test_passages_that_do_not_fit_are_left_out_and_the_answer_says_so(system: Callable[..., Kv]) -> None:
    whole = system(rate=2.0).answer(QUESTIONS[1:2])[0]
    fits = whole.usage.prompt_tokens
    kv = system({"max_prompt_tokens": str(fits)}, rate=2.0, positions="consecutive")
    assert kv.answer(QUESTIONS[1:2])[0].usage.context_positions == whole.usage.context_positions
    for encode in ("alone", "together"):
        cut = system({"max_prompt_tokens": str(fits - 1)}, rate=2.0, encode=encode).answer(QUESTIONS[1:2])[0]
        assert cut.status == "truncated" and 0 < cut.usage.context_positions < whole.usage.context_positions
    short = system({"max_prompt_tokens": "10"}).answer(QUESTIONS[:1])[0]
    assert short.status == "error" and "more than 10 tokens" in str(short.error)


def test_what_cannot_be_done_is_refused(
    system: Callable[..., Kv], tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="rate must be at least 1"):
        Kv.Options(rate=0.5)
    with pytest.raises(ValueError, match="cannot be stored"):
        Kv.Options(encode="together", store="memory")
    with pytest.raises(ConfigError, match="cannot use reader 'openai'"):
        Kv(Kv.Options(reader=Component("openai", {"model": "m", "base_url": "http://localhost:1/v1"})))
    prompt = tmp_path / "first.toml"
    prompt.write_text(
        'schema = 1\nname = "first"\nversion = 1\nwith_context = "{question} {context}"\nclosed_book = "{question}"\n'
    )
    with pytest.raises(ConfigError, match="puts the question before the passages"):
        system({"prompt": str(prompt)})
    other = Kv(Kv.Options(reader=Component("hf", {"model": str(tiny_folder)})))
    other.reader.weights.config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(BackendError, match="has layers of linear_attention"):
        other.index(CORPUS)
    monkeypatch.setattr(store, "memory_bytes", lambda: 1000)
    with pytest.raises(ConfigError, match="more than half of this machine's memory"):
        system(rate=2.0, store="memory")


@pytest.mark.model
def test_smollm2_answers_from_whole_keys_and_values_as_from_text() -> None:
    kv = Kv(Kv.Options(rate=1.0, retriever=Component("given"), reader=Component("hf", {"max_new_tokens": "16"})))
    kv.index(CORPUS)
    question = Question("2", "Who wrote Dune?", ("c",))
    [answer], [read] = kv.answer([question]), kv.reader.read([question], [[passage_text(CORPUS["c"])]])
    assert answer.text == read.text and "Frank" in answer.text
    assert answer.usage.prompt_tokens == read.usage.prompt_tokens
    torch.testing.assert_close(after(kv._presser, ONE), as_text(kv.reader.weights, ONE), rtol=1e-3, atol=1e-3)
