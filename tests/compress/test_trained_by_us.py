"""`clara-bench compressors train`: what it learns from, that it learns, and what it leaves on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from transformers import BertModel

from clara_bench import BackendError, Component, ConfigError, DataError, Passage, Question, create
from clara_bench.cli import main
from clara_bench.compress.shared.spans import passage_text, words
from clara_bench.compress.shared.training import UNLABELLED, Settings, _token_labels, train
from clara_bench.compress.shared.word_labels import Labelled, Split, content, held_out, label, split
from clara_bench.read.models import find, load_tokenizer
from clara_bench.types import Example, Gold

from .conftest import bert_config, randomised, saved_tokenizer

PASSAGE = Passage("p", "Oslo", "Oslo was founded in 1048 and is the capital of Norway.")


def example(question: str, answer: str, *supporting: str) -> Example:
    return Example(Question(question, question, ("p", "other")), Gold((answer,), supporting=frozenset(supporting)))


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("body")
    randomised(BertModel(bert_config())).save_pretrained(folder)
    saved_tokenizer(folder, encoder=True)
    return str(folder)


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training questions in HotpotQA's official format."""
    folder = tmp_path_factory.mktemp("world")
    world = ["--world", "questions=30", "--world", "passages=200", "--world", "split=train"]
    done = CliRunner().invoke(main, ["worlds", "hotpotqa", str(folder), *world])
    assert done.exit_code == 0, done.output
    return folder / "train.jsonl"


def kept(row: Labelled) -> list[str]:
    return [row.text[start:end] for (start, end), stays in zip(words(row.text), row.kept, strict=True) if stays]


def test_words_of_all_questions_and_answers_that_need_a_passage_stay_in_it_and_no_others() -> None:
    corpus = {"p": PASSAGE, "other": Passage("other", "Bergen", "Bergen is a city of Norway.")}
    asked = [example("When was Oslo found?", "1048", "p"), example("Which capitals are there?", "Rome", "p")]
    [row] = label((one, corpus) for one in [*asked, example("Who was it?", "Bergen")])
    assert kept(row) == ["Oslo", "Oslo", "founded", "1048", "capital"]


def test_function_words_and_endings_do_not_count() -> None:
    assert content("Who was the one that WAS directing?") == content("directs") | {"one"}


def test_data_without_supporting_passages_are_refused() -> None:
    with pytest.raises(DataError, match="0 passages to learn from and 0 to judge by"):
        split((example(f"When {n}?", "1048"), {"p": PASSAGE}) for n in range(50))


def test_no_question_labels_both_a_passage_to_learn_from_and_one_to_judge_by() -> None:
    corpus = {str(n): Passage(str(n), f"City {n}", f"City {n} was founded in {1000 + n}.") for n in range(100)}
    asked = [
        (example(f"When was city {n} founded?", str(1000 + n), str(n), str((n + 1) % 100)), corpus) for n in range(100)
    ]
    parts = split(asked)
    judged = {row.text for row in parts.held_out}
    for one, _ in asked:
        texts = {passage_text(corpus[passage]) for passage in one.gold.supporting}
        assert held_out(one.question.text) or not texts & judged
    assert len(parts.held_out) > 0
    few = split(asked[:60])
    assert {row.text for row in few.train} <= {row.text for row in parts.train}


def test_a_classifier_learns_what_its_labels_say_and_the_same_seed_gives_the_same_bytes(
    body: str, tmp_path: Path
) -> None:
    texts = [f"the cat {n} sat on the mat and the dog sat on the log {n + 1}" for n in range(100, 160)]
    rows = [Labelled(text, tuple(text[a:b].isdigit() for a, b in words(text))) for text in texts]
    parts, settings = Split(rows[10:], rows[:10]), Settings(body, epochs=6, batch=10, learning_rate=3e-3)
    told: list[int] = []
    report = train(parts, settings, tmp_path / "a", {"made": "here"}, told.append)
    assert sum(told) == 6 * 50
    assert report["held_out"]["classifier_at_4x"] > 0.9 > report["held_out"]["first_words_at_4x"]
    assert report["labels"]["share_kept"] == pytest.approx(2 / 15, abs=1e-4)
    train(parts, settings, tmp_path / "b", {"made": "here"}, told.append)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert {"model.safetensors", "training.json"} <= set(names)
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


def test_the_command_trains_what_llmlingua2_style_runs(body: str, questions: Path, tmp_path: Path) -> None:
    given = ["compressors", "train", str(tmp_path / "out"), "--data", f"hotpotqa={questions}", "--body", body]
    done = CliRunner().invoke(main, [*given, "--epochs", "1"])
    assert done.exit_code == 0, done.output
    assert "classifier_at_4x" in done.output
    report = json.loads((tmp_path / "out" / "training.json").read_text())
    assert report["settings"]["epochs"] == 1
    assert len(report["data"]["hotpotqa"]["files"][0]["sha256"]) == 64
    compressor = create("compressor", Component("llmlingua2-style", {"model": str(tmp_path / "out"), "rate": "2"}))
    [text] = compressor.compress(Question("q", "Where?"), [PASSAGE])
    assert 0 < len(text.split()) <= len(words(f"{PASSAGE.title} {PASSAGE.text}")) / 2
    again = CliRunner().invoke(main, given)
    assert (again.exit_code, "is not empty" in again.output) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "hotpotqa=nowhere.json"], "nowhere.json"),
        (["--data", "hotpot=x.json"], "unknown task 'hotpot'"),
        (["--data", "x.json"], "expected KEY=VALUE"),
        (["--data", "hotpotqa={file}", "--body", "no/such/model/here"], "model 'no/such/model/here': no such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_one_clear_line(
    arguments: list[str], message: str, questions: Path, tmp_path: Path
) -> None:
    given = [argument.format(file=questions) for argument in arguments]
    done = CliRunner().invoke(main, ["compressors", "train", str(tmp_path / "out"), *given])
    assert done.exit_code == 2, done.output
    assert message in done.output.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_words_are_labelled_whatever_the_tokenizer_does_with_the_blank_before_them() -> None:
    row = Labelled("Oslo is old", (True, False, True))
    assert _token_labels(row, [(0, 0), (0, 2), (2, 4), (4, 7), (7, 11)]) == [UNLABELLED, 1, 1, 0, 1]
    assert _token_labels(row, [(0, 4), (5, 7), (8, 11), (7, 8)]) == [1, 0, 1, UNLABELLED]


@pytest.mark.parametrize("option", [("--seed", "99999999999999999999"), ("--learning-rate", "nan")])
def test_numbers_out_of_their_range_are_refused_before_training(
    option: tuple[str, str], questions: Path, tmp_path: Path
) -> None:
    given = ["compressors", "train", str(tmp_path / "out"), "--data", f"hotpotqa={questions}", *option]
    assert CliRunner().invoke(main, given).exit_code == 2


def test_an_encoder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    randomised(BertModel(bert_config())).save_pretrained(tmp_path)
    with pytest.raises(BackendError, match=r"has no tokenizer|cannot load a tokenizer"):
        load_tokenizer(find(str(tmp_path)))


def test_a_folder_without_a_trained_classifier_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clara-bench compressors train"):
        create("compressor", Component("llmlingua2-style", {"model": str(tmp_path)}))
