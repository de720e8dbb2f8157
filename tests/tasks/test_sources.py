"""One switch gives the same kind of data from raw files, the hub and worlds, and says where it came from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clara_bench.datasets import read_rows
from clara_bench.errors import BenchError, ConfigError, DataError, UnknownName
from clara_bench.io.cache import file_digest
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import Source

DATA = Path(__file__).parent.parent / "data"
HOTPOT = DATA / "hotpotqa/dev/hotpot_dev_distractor_v1.slice.json.gz"


def load(task: str, **source: Any) -> sources.TaskData:
    return sources.load(definitions.load(task), Source(**source))


@pytest.mark.parametrize(
    ("task", "file", "num_questions"),
    [
        ("nq", "NQ-open.dev.slice.jsonl", 7),
        ("hotpotqa", "hotpot_dev_distractor_v1.slice.json.gz", 4),
        ("musique", "musique_ans_v1.0_dev.slice.jsonl.gz", 4),
        ("2wikimultihopqa", "dev.slice.json.gz", 5),
    ],
)
def test_one_folder_of_official_files_serves_all_tasks(task: str, file: str, num_questions: int) -> None:
    data = load(task, data=str(DATA))
    assert data.provenance["files"][0]["name"] == file
    assert data.provenance["files"][1]["role"] == "corpus"
    assert len(data.examples) == num_questions


def test_provenance_names_files_by_checksum_and_holds_no_path() -> None:
    data = load("2wikimultihopqa", data=str(DATA / "2wikimultihopqa"))
    files = {file["role"]: file for file in data.provenance["files"]}
    assert files["data"]["sha256"] == file_digest(DATA / "2wikimultihopqa/dev/dev.slice.json.gz")
    assert files["data"]["rows"] == 5 and files["corpus"]["rows"] == 13 and files["aliases"]["rows"] == 4
    assert data.provenance["passages"] == len(data.corpus) > 13
    assert "/" not in json.dumps(data.provenance)


def test_a_slice_says_how_many_questions_the_official_file_has() -> None:
    warning = load("hotpotqa", data=str(HOTPOT)).provenance["warning"]
    assert warning == "4 questions; the official dev files have 7405: not comparable with them"


def test_the_full_number_of_questions_carries_no_warning(tmp_path: Path) -> None:
    rows = [{"question": f"question {number}", "answer": ["yes"]} for number in range(3610)]
    (tmp_path / "NQ-open.dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "warning" not in load("nq", data=str(tmp_path)).provenance


def test_missing_gold_is_counted_in_the_provenance() -> None:
    data = load("hotpotqa", data=str(DATA / "hotpotqa/dev/hotpot_dev_fullwiki_v1.slice.json.gz"))
    assert data.provenance["questions_with_missing_gold"] == 1 == len(data.missing_gold)


def test_without_a_corpus_file_the_corpus_is_the_candidates() -> None:
    data = load("hotpotqa", data=str(HOTPOT), corpus="none")
    assert set(data.corpus) == {id for example in data.examples for id in example.question.candidates}
    assert [file["role"] for file in data.provenance["files"]] == ["data"]


def test_a_corpus_and_an_alias_table_can_be_named(tmp_path: Path) -> None:
    file = shutil.copy(DATA / "2wikimultihopqa/dev/dev.slice.json.gz", tmp_path / "questions.json.gz")
    folder = DATA / "2wikimultihopqa"
    named = load("2wikimultihopqa", data=str(file), corpus=str(folder / "2wikimultihopqa_corpus.json"),
                 aliases=str(folder / "id_aliases.partial.jsonl"))  # fmt: skip
    found = load("2wikimultihopqa", data=str(folder))
    assert (named.data_hash, named.corpus_hash) == (found.data_hash, found.corpus_hash)
    assert load("2wikimultihopqa", data=str(file)).data_hash != found.data_hash, "aliases are part of the truth"


def test_the_training_split_is_another_file() -> None:
    data = load("hotpotqa", data=str(DATA), split="train")
    assert data.provenance["files"][0]["name"] == "hotpot_train_v1.1.slice.json.gz"


def test_hashes_are_the_same_in_another_process() -> None:
    code = (
        "from clara_bench.tasks import definitions, sources; import sys;"
        "d = sources.load(definitions.load('musique'), sources.Source(sys.argv[1])); print(d.data_hash, d.corpus_hash)"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", code, str(DATA)], env={**os.environ, "PYTHONHASHSEED": seed},
                       capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    here = load("musique", data=str(DATA))
    assert outputs == {f"{here.data_hash} {here.corpus_hash}\n"}


def test_the_data_hash_changes_with_any_truth_and_the_corpus_hash_with_any_passage(tmp_path: Path) -> None:
    rows = read_rows(HOTPOT)

    def hashes(name: str, change: dict[str, Any]) -> tuple[str, str]:
        (tmp_path / name).write_text(json.dumps([{**rows[0], **change}, *rows[1:]]))
        data = load("hotpotqa", data=str(tmp_path / name))
        return data.data_hash, data.corpus_hash

    base = hashes("dev.json", {})
    assert hashes("again.json", {}) == base
    other_answer = hashes("answer.json", {"answer": "Arsenal"})
    assert other_answer[0] != base[0] and other_answer[1] == base[1]
    assert hashes("type.json", {"type": "comparison"})[0] != base[0]
    other_passages = hashes("context.json", {"context": [*rows[0]["context"], ["New", ["Text."]]]})
    assert other_passages[0] != base[0] and other_passages[1] != base[1]


@pytest.mark.parametrize(
    ("task", "source", "error", "message"),
    [
        ("hotpotqa", {"data": "wrolds"}, DataError, "no such file or folder: wrolds"),
        ("hotpotqa", {"data": str(DATA), "split": "tset"}, UnknownName, "unknown split 'tset'"),
        ("hotpotqa", {"data": str(DATA / "nq")}, DataError, "no file of task 'hotpotqa', split 'dev'"),
        ("hotpotqa", {"data": str(HOTPOT), "corpus": "no.jsonl"}, DataError, "no.jsonl: cannot be read"),
        ("hotpotqa", {"data": str(HOTPOT), "aliases": "x.jsonl"}, ConfigError, "alias table"),
        ("hotpotqa", {"data": str(HOTPOT), "world": {"seed": "1"}}, ConfigError, "--world sets options"),
        ("hotpotqa", {"data": str(HOTPOT), "revision": "main"}, ConfigError, "--revision is a revision"),
        ("hotpotqa", {"corpus": "x.jsonl"}, ConfigError, "has its own corpus"),
        ("hotpotqa", {"data": "hub", "split": "dve"}, UnknownName, "Did you mean 'dev'"),
        ("musique", {"data": str(HOTPOT)}, DataError, "not a known format of musique"),
    ],
)
def test_a_source_that_cannot_be_is_refused(
    task: str, source: dict[str, Any], error: type[BenchError], message: str
) -> None:
    with pytest.raises(error) as caught:
        load(task, **source)
    assert message in str(caught.value)


def test_a_custom_task_reads_the_file_beside_it_and_checks_its_checksum(capitals: Path) -> None:
    data = load(str(capitals))
    assert len(data.examples) == 10 == len(data.corpus)
    assert data.provenance["files"][0]["name"] == "capitals.jsonl"
    sha256 = file_digest(capitals.with_suffix(".jsonl"))
    capitals.write_text(capitals.read_text() + f'sha256 = "{sha256}"\n')
    assert load(str(capitals)).data_hash == data.data_hash
    with pytest.raises(UnknownName, match="unknown split 'train'"):
        load(str(capitals), split="train")
    with pytest.raises(ConfigError, match="but the data are 'capitals"):
        load(str(capitals), world={"seed": "1"})
    capitals.write_text(capitals.read_text().replace(sha256, "0" * 64))
    with pytest.raises(DataError, match="its SHA-256 is"):
        load(str(capitals))


def test_a_custom_task_may_have_a_corpus(capitals: Path) -> None:
    corpus = capitals.with_name("more.jsonl")
    corpus.write_text('{"id": "x", "title": "Bern", "text": "Bern is in Switzerland."}\n')
    capitals.write_text(capitals.read_text() + 'corpus = "more.jsonl"\n')
    assert len(load(str(capitals)).corpus) == 11
    assert len(load(str(capitals), corpus="none").corpus) == 10


def test_a_custom_task_without_worlds_or_data_says_so(capitals: Path) -> None:
    capitals.write_text(capitals.read_text().replace('data = "capitals.jsonl"', ""))
    with pytest.raises(ConfigError, match="has no synthetic worlds"):
        load(str(capitals))
    with pytest.raises(ConfigError, match="names no hub data set"):
        load(str(capitals), data="hub")


def test_a_changed_field_of_the_source_reaches_no_other_source() -> None:
    with pytest.raises(AttributeError):
        Source().data = "hub"  # type: ignore[misc]


OFFICIAL = ["nq", "hotpotqa", "musique", "2wikimultihopqa"]
SMALL = {"questions": "40", "passages": "300", "seed": "3"}


@pytest.mark.parametrize("task", OFFICIAL)
def test_a_world_is_the_default_and_its_passages_are_all_in_its_corpus(task: str) -> None:
    data = load(task, world=SMALL)
    assert (len(data.examples), len(data.corpus)) == (40, 300)
    assert not data.missing_gold
    for example in data.examples:
        assert example.gold.supporting <= set(example.question.candidates) <= set(data.corpus)
    assert data.provenance["source"] == "worlds" and data.provenance["config"]["seed"] == 3


@pytest.mark.parametrize("task", OFFICIAL)
def test_a_world_written_to_disk_reads_back_the_same(task: str, tmp_path: Path) -> None:
    paths = sources.write_world(definitions.load(task), SMALL, tmp_path / "world").paths
    assert [path.name for path in paths] == ["dev.jsonl", "corpus.jsonl"]
    written, made = load(task, data=str(tmp_path / "world")), load(task, world=SMALL)
    assert (written.data_hash, written.corpus_hash) == (made.data_hash, made.corpus_hash)


def test_the_split_chooses_the_world() -> None:
    dev, train = load("nq", world=SMALL), load("nq", world=SMALL, split="train")
    assert train.provenance["config"]["split"] == "train"
    assert not {p.title for p in dev.corpus.values()} & {p.title for p in train.corpus.values()}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"passage": "300"}, "unknown option 'passage'. Did you mean 'passages'"),
        ({"passages": "many"}, "--world: option 'passages': "),
        ({"passages": "10"}, "passages"),
        ({"split": "test"}, "'test'"),
    ],
)
def test_a_world_that_cannot_be_is_refused(option: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("nq", world=option)
    assert message in str(caught.value)
