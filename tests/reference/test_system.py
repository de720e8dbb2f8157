"""clara and tiny-text as anybody's systems: what they read, what it cost, what they refuse."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from clara_bench import Component, ConfigError, DataError, Passage, Question, create
from clara_bench.cli import main
from reference.data.row import Row, Turn
from reference.model.clara import Clara
from reference.objectives.losses import cross_entropy_sum
from reference.settings.config import Adapters, Backbone, Memory, ModelConfig, Scratch
from reference.systems.clara import ClaraSystem
from reference.systems.serving import document
from reference.systems.text import TinyText
from reference.weights import checkpoint

ROLES = ("compressor", "reasoner", "generator")
SLOTS, K = 4, 3
GAP = 2
"""Tokens of the empty line behind a passage of text."""


@pytest.fixture
def model(tiny: Any) -> Clara:
    shape = Scratch(hidden_size=32, intermediate_size=64, layers=2, heads=2, start="identity")
    config = ModelConfig(
        backbone=Backbone(scratch=shape), adapters=Adapters(kind="full"), memory=Memory(rate=16, document_tokens=64)
    )
    clara = Clara(tiny, config, ROLES)
    with torch.no_grad():  # roles that have learned are not the same
        for parameter in clara.role("generator").parameters():
            parameter.add_(0.01 * torch.randn_like(parameter, generator=None))
    return clara


@pytest.fixture
def folder(model: Clara, tmp_path: Path) -> Path:
    path = tmp_path / "trained"
    checkpoint.save(model, path, {"stage": "joint", "step": 7, "settings": {"stage": "joint"}})
    return path


@pytest.fixture(scope="module")
def corpus() -> Mapping[str, Passage]:
    from clara_bench.worlds import WorldConfig, generate

    rows = generate("nq", WorldConfig(seed=5, questions=1, passages=200)).corpus[:30]
    return {row["id"]: Passage(row["id"], row["title"], row["text"]) for row in rows}


def clara(folder: Path, **options: str) -> ClaraSystem:
    return create(
        "system", Component("clara", {"checkpoint": str(folder), "k": str(K), "max_new_tokens": "3", **options})
    )


def tiny_text(folder: Path, **options: str) -> TinyText:
    given = {"checkpoint": str(folder), "k": str(K), "max_new_tokens": "3", **options}
    return create("system", Component("tiny-text", given))


def asked(corpus: Mapping[str, Passage], number: int = 4) -> list[Question]:
    ids = list(corpus)
    return [Question(str(n), f"Where was {corpus[ids[n]].title} born?", tuple(ids[n : n + 8])) for n in range(number)]


def tokens(model: Clara, corpus: Mapping[str, Passage], ids: list[str]) -> list[int]:
    return [len(model.prompter.document(document(corpus[one]))) for one in ids]


def learn(model: Clara, question: str, target: str) -> None:
    """Train the generator to say one thing to one question asked alone, until it does."""
    row = model.prompter.encode(Row("r", (), (Turn(question, target),)), (), "text", question_weight=0.0)
    model.role("generator").freeze(False)
    optimiser = torch.optim.Adam(model.role("generator").trainable().values(), 1e-2)
    for _ in range(200):
        read = model.read([row])
        loss = cross_entropy_sum(read.logits_PV, read.labels_P, read.weights_P)
        optimiser.zero_grad()
        (loss.total / loss.weight).backward()
        optimiser.step()
        if loss.total < 0.3:
            return
    raise AssertionError(f"not learned: {loss.total}")


def test_what_is_read_of_a_memory_is_its_vectors_and_a_separator(folder: Path, model: Clara, corpus: Any):
    system = clara(folder)
    system.index(corpus)
    for answer in system.answer(asked(corpus)):
        lengths = tokens(model, corpus, [ranked.passage_id for ranked in answer.retrieved[:K]])
        assert answer.usage.context_positions == K * (SLOTS + 1)
        assert answer.usage.context_text_tokens == sum(lengths) + K * GAP
        assert answer.usage.prompt_tokens > answer.usage.context_positions
        assert 0 <= answer.usage.generated_tokens <= 3
        assert set(answer.usage.seconds) == {"retrieve", "compress", "prefill", "decode"}


def test_the_text_reader_reads_every_token_of_the_same_evidence(folder: Path, model: Clara, corpus: Any):
    text, latent = tiny_text(folder, retriever="given"), clara(folder, retriever="given")
    for system in (text, latent):
        system.index(corpus)
    for read, compressed in zip(text.answer(asked(corpus)), latent.answer(asked(corpus)), strict=True):
        assert [one.passage_id for one in read.retrieved] == [one.passage_id for one in compressed.retrieved]
        assert read.usage.context_positions == read.usage.context_text_tokens == compressed.usage.context_text_tokens
        words = read.usage.prompt_tokens - read.usage.context_positions
        assert words == compressed.usage.prompt_tokens - compressed.usage.context_positions > 0


def test_candidates_are_ranked_by_the_cosine_of_whole_memories(folder: Path, model: Clara, corpus: Any):
    question = asked(corpus, 1)[0]
    [answer] = _answered(clara(folder, precision="float32"), corpus, [question])
    texts = [document(corpus[one]) for one in question.candidates]
    query_E = model.flatten(model.compress([question.text], role="reasoner"))[0]
    scores = torch.cosine_similarity(model.flatten(model.compress(texts)), query_E[None]).tolist()
    best = sorted(zip(scores, question.candidates, strict=True), reverse=True)
    assert [ranked.passage_id for ranked in answer.retrieved] == [one for _, one in best]
    assert [ranked.score for ranked in answer.retrieved] == pytest.approx([score for score, _ in best], abs=1e-5)


def test_16_a_reasoner_that_starts_as_a_copy_finds_a_text_by_itself(folder: Path, model: Clara, corpus: Any):
    restored = checkpoint.load(folder)
    restored.add_role("reasoner", like="compressor")
    checkpoint.save(restored, folder)
    questions = [Question(pid, document(corpus[pid]), tuple(corpus)) for pid in list(corpus)[:5]]
    found = [answer.retrieved[0] for answer in _answered(clara(folder, precision="float32"), corpus, questions)]
    assert [one.passage_id for one in found] == [question.id for question in questions]
    assert [one.score for one in found] == pytest.approx([1.0] * 5, abs=1e-5)


def test_questions_may_be_compressed_as_passages_are(folder: Path, model: Clara, corpus: Any):
    """The untrained reasoner, which a trained one is compared with."""
    with torch.no_grad():
        model.role("reasoner").lm.get_input_embeddings().weight.mul_(-1)
    checkpoint.save(model, folder, {"stage": "joint"})
    [question] = asked(corpus, 1)
    found = [_answered(clara(folder, reasoner=one), corpus, [question])[0] for one in ("trained", "compressor")]
    scores = [{ranked.passage_id: ranked.score for ranked in answer.retrieved} for answer in found]
    assert scores[0] != scores[1]
    query_E = model.flatten(model.compress([question.text]))[0]
    for pid, score in scores[1].items():
        expected = torch.cosine_similarity(model.flatten(model.compress([document(corpus[pid])])), query_E[None])
        assert score == pytest.approx(expected.item(), abs=1e-3)


def test_questions_may_be_compressed_as_passages_are_before_there_is_a_reasoner(folder: Path, corpus: Any):
    whole = clara(folder, reasoner="compressor")
    without = folder.with_name("without")
    checkpoint.save(checkpoint.load(folder, roles=("compressor", "generator")), without)
    [question] = asked(corpus, 1)
    found = [_answered(one, corpus, [question])[0] for one in (whole, clara(without, reasoner="compressor"))]
    assert found[0].retrieved == found[1].retrieved
    with pytest.raises(ConfigError, match="has no role 'reasoner'"):
        clara(without)


def test_searching_the_corpus_is_ranking_all_of_it(folder: Path, corpus: Any):
    questions = asked(corpus)
    given = [dataclasses.replace(question, candidates=tuple(sorted(corpus))) for question in questions]
    open_ = [dataclasses.replace(question, candidates=None) for question in questions]
    system = clara(folder)
    system.index(corpus)
    for searched, ranked in zip(system.answer(open_), system.answer(given), strict=True):
        assert [one.passage_id for one in searched.retrieved] == [one.passage_id for one in ranked.retrieved]
        assert searched.text == ranked.text and len(searched.retrieved) == 20


def test_where_nothing_is_offered_or_found_the_question_is_read_alone(folder: Path, corpus: Any):
    for system in (clara(folder), clara(folder, retriever="bm25"), tiny_text(folder)):
        nothing, something = _answered(system, corpus, [Question("q", "Who is zyzzyva?", ()), *asked(corpus, 1)])
        assert (nothing.retrieved, nothing.usage.context_positions) == ((), 0)
        assert something.retrieved and something.usage.context_positions > 0


def test_25_answers_from_the_store_are_those_of_memories_made_on_the_spot(folder: Path, corpus: Any):
    stored = _answered(clara(folder, precision="float32"), corpus, asked(corpus))
    fresh = _answered(clara(folder, store="none"), corpus, asked(corpus))
    assert [answer.text for answer in stored] == [answer.text for answer in fresh]
    assert [[one.passage_id for one in answer.retrieved] for answer in stored] == [
        [one.passage_id for one in answer.retrieved] for answer in fresh
    ]
    assert all(answer.usage.seconds["compress"] == 0 for answer in stored)
    assert all(answer.usage.seconds["compress"] > 0 for answer in fresh)


def test_without_a_store_nothing_is_kept_and_a_corpus_cannot_be_searched(folder: Path, corpus: Any):
    system = clara(folder, store="none")
    assert system.traits.offline is False
    assert system.index(corpus).bytes == 0
    with pytest.raises(ConfigError, match="nothing to search"):
        system.answer([Question("q", "Who?")])


def test_a_corpus_is_compressed_once_and_its_bytes_are_counted(folder: Path, model: Clara, corpus: Any, tmp_path: Path):
    first, second = (clara(folder, store=str(tmp_path / "store")).index(corpus) for _ in range(2))
    assert (first.cached, second.cached) == (False, True)
    assert first.encoded_tokens == sum(min(count, 64) for count in tokens(model, corpus, list(corpus)))
    assert second.encoded_tokens == first.encoded_tokens and first.bytes == second.bytes
    assert (
        second.encoding_seconds == first.encoding_seconds > 0
    )  # kept with the memories, not made up when they are read
    assert first.bytes > len(corpus) * SLOTS * 32 * 2


def test_a_store_that_holds_more_is_counted_by_this_corpus_alone(folder: Path, corpus: Any, tmp_path: Path):
    options = {"store": str(tmp_path / "store"), "search": "none"}
    whole = clara(folder, **options).index(corpus)
    half = clara(folder, **options).index(dict(list(corpus.items())[:15]))
    assert half.bytes == pytest.approx(whole.bytes / 2, abs=1) and half.cached


def test_the_stores_of_two_models_in_the_cache_do_not_mix(folder: Path, model: Clara, corpus: Any, tmp_path: Path):
    clara(folder).index(corpus)
    with torch.no_grad():
        model.memory.add_(0.1)
    checkpoint.save(model, tmp_path / "other")
    assert not clara(tmp_path / "other").index(corpus).cached
    with pytest.raises(ConfigError, match="another model"):
        clara(folder, store=str(tmp_path / "store")).index(corpus)
        clara(tmp_path / "other", store=str(tmp_path / "store")).index(corpus)


@pytest.mark.parametrize("name", ["clara", "tiny-text"])
def test_without_passages_the_question_is_asked_alone(name: str, folder: Path, model: Clara):
    system = create("system", Component(name, {"checkpoint": str(folder), "max_new_tokens": "3"}))
    [answer] = _answered(system, {}, [Question("q", "Who was born first?")])
    assert (answer.usage.context_positions, answer.usage.context_text_tokens, answer.retrieved) == (0, 0, ())
    assert answer.usage.prompt_tokens == len(model.prompter.question_prompt("Who was born first?"))


def test_the_reasoning_before_an_answer_is_counted_and_left_out(model: Clara):
    learn(model, "Where?", "Ann Lee ; Oslo")
    system = TinyText(TinyText.Options("", retriever=Component("given"), max_new_tokens=16), model)
    [answer] = _answered(system, {}, [Question("q", "Where?")])
    assert (answer.text, answer.status) == ("Oslo", "ok")
    assert answer.usage.generated_tokens == len(model.tokenizer(" Ann Lee ; Oslo")["input_ids"])


def test_an_answer_that_was_cut_off_says_so(model: Clara):
    learn(model, "Where?", "Ann Lee ; Oslo")
    system = TinyText(TinyText.Options("", retriever=Component("given"), max_new_tokens=2), model)
    [answer] = _answered(system, {}, [Question("q", "Where?")])
    assert answer.status == "truncated" and answer.usage.generated_tokens == 2


def test_saying_nothing_is_an_empty_answer(model: Clara):
    learn(model, "Where?", "")
    [answer] = _answered(ClaraSystem(ClaraSystem.Options(""), model), {}, [Question("q", "Where?")])
    assert (answer.text, answer.status) == ("", "empty")


def test_a_passage_longer_than_the_compressor_reads_is_marked(folder: Path, corpus: Any):
    pid, passage = next(iter(corpus.items()))
    long = {pid: dataclasses.replace(passage, text=passage.text * 5)}
    [answer] = _answered(clara(folder), long, [Question("q", "Who?", (pid,))])
    assert answer.status in ("truncated", "empty")
    assert answer.usage.context_text_tokens > 64 and answer.usage.context_positions == SLOTS + 1


def test_text_that_does_not_fit_is_cut_from_the_end_and_marked(folder: Path, model: Clara, corpus: Any):
    pids = list(corpus)[:3]
    long = {pid: dataclasses.replace(corpus[pid], text=corpus[pid].text * 60) for pid in pids}
    system = tiny_text(folder, retriever="given")
    [answer] = _answered(system, long, [Question("q", "Who was it?", tuple(pids))])
    assert answer.usage.prompt_tokens == 4096 - 3
    assert answer.usage.context_positions < answer.usage.context_text_tokens == sum(tokens(model, long, pids)) + 3 * GAP
    assert answer.status in ("truncated", "empty")


def test_a_question_that_does_not_fit_fails_alone(folder: Path, corpus: Any):
    pids = tuple(corpus)[:2]
    questions = [Question("long", "word " * 5000, pids), Question("short", "Who?", pids)]
    for system in (tiny_text(folder, retriever="given"), clara(folder, retriever="given")):
        long, short = _answered(system, corpus, questions)
        assert long.status == "error" and "4096 fit" in str(long.error)
        assert short.status != "error"


def test_passages_can_be_found_by_any_retriever_and_read_as_memories(folder: Path, corpus: Any):
    system = clara(folder, retriever="bm25")
    answers = _answered(system, corpus, [dataclasses.replace(q, candidates=None) for q in asked(corpus)])
    assert [answer.retrieved[0].passage_id for answer in answers] == list(corpus)[:4]
    assert all(answer.usage.context_positions == K * (SLOTS + 1) for answer in answers)


def test_a_candidate_given_twice_is_ranked_once_and_an_unknown_one_refused(folder: Path, corpus: Any):
    pids = list(corpus)[:2]
    system = clara(folder)
    [answer] = _answered(system, corpus, [Question("q", "Who?", (*pids, pids[0]))])
    assert sorted(one.passage_id for one in answer.retrieved) == sorted(pids)
    with pytest.raises(DataError, match="'nobody'"):
        system.answer([Question("q", "Who?", ("nobody",))])


def test_a_checkpoint_of_another_rate_or_estimator_or_role_is_refused(folder: Path, tmp_path: Path, model: Clara):
    clara(folder, rate="16", estimator="straight-through")
    with pytest.raises(ConfigError, match="rate 16, 4 is asked for"):
        clara(folder, rate="4")
    with pytest.raises(ConfigError, match="by 'straight-through', estimator 'gumbel'"):
        clara(folder, estimator="gumbel")
    del model.roles["reasoner"]
    checkpoint.save(model, tmp_path / "pretrained", {"settings": {"stage": "pretrain"}})
    with pytest.raises(ConfigError, match=r"no role .reasoner.*choose a retriever"):
        clara(tmp_path / "pretrained")
    with pytest.raises(ConfigError, match="another stage than choosing"):
        clara(tmp_path / "pretrained", retriever="bm25", estimator="soft")
    with pytest.raises(ConfigError, match="no such path"):
        clara(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="k must be at least 1"):
        clara(folder, k="0")


def test_traits_and_description_say_what_was_used(folder: Path, model: Clara, tmp_path: Path):
    system = clara(folder)
    assert dataclasses.asdict(system.traits) == {
        "backbone": "scratch-2x32", "reader": "tuned", "compressor": "clara", "offline": True,
        "query_dependent": False, "weights": "ours", "nominal_ratio": 16.0, "token_counts": "",
    }  # fmt: skip
    assert clara(folder, method="pooled").traits.compressor == "pooled"
    said = system.describe()
    assert (said["rate"], said["slots"], said["stage"], said["step"]) == (16, SLOTS, "joint", 7)
    assert str(tmp_path) not in json.dumps(said)
    with torch.no_grad():
        next(model.role("reasoner").parameters()).add_(1e-3)
    checkpoint.save(model, folder)
    assert clara(folder).describe()["fingerprint"] != said["fingerprint"]
    text = tiny_text(folder)
    assert (text.traits.reader, text.traits.offline, text.traits.weights) == ("tuned", None, "ours")
    assert "fingerprint" in text.describe()


@pytest.mark.parametrize("setting", ["closed", "gold", "distractor", "injected", "retrieved", "corpus"])
def test_the_harness_runs_both_under_every_setting(setting: str, folder: Path, capitals: Path, tmp_path: Path):
    command = ["run", "-t", str(capitals), "--setting", setting, "--out", str(tmp_path / "runs"), "--limit", "4"]
    for name in ("clara", "tiny-text"):
        options = ["-s", name, "-o", f"checkpoint={folder}", "-o", "k=2", "-o", "max_new_tokens=2", "--label", name]
        done = CliRunner().invoke(main, [*command, *options])
        assert done.exit_code == 0, done.output
        [path] = (tmp_path / "runs" / "capitals" / name).iterdir()
        scores = json.loads((path / "scores.json").read_text(encoding="utf-8"))
        assert not {"error", "out-of-memory", "missing"} & scores["statuses"].keys()
        least = {"closed": 0, "gold": SLOTS + 1}.get(setting, 2 * (SLOTS + 1))
        if name == "clara":
            assert scores["metrics"]["context_positions"]["mean"] == least


def _answered(system: Any, corpus: Mapping[str, Passage], questions: list[Question]) -> list[Any]:
    system.index(corpus)
    return list(system.answer(questions))
