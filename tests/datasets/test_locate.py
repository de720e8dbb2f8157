"""Which file of a folder is read is never a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from clara_bench.datasets import locate
from clara_bench.errors import ConfigError, DataError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def test_the_preferred_pattern_wins_wherever_the_file_lies(tmp_path: Path) -> None:
    touch(tmp_path / "other.jsonl", tmp_path / "hotpotqa/dev/official.json.gz")
    assert locate.data_file(tmp_path, ["official*", "other*"], "hotpotqa", "dev").name == "official.json.gz"


@pytest.mark.parametrize("place", [".", "dev", "nq", "nq/dev"])
def test_a_folder_may_be_of_one_split_one_task_or_all(tmp_path: Path, place: str) -> None:
    touch(
        tmp_path / place / "questions.jsonl", tmp_path / "train/questions.jsonl", tmp_path / "musique/questions.jsonl"
    )
    assert locate.data_file(tmp_path, ["questions*"], "nq", "dev") == tmp_path / place / "questions.jsonl"


def test_two_equally_good_files_are_listed_and_neither_is_taken(tmp_path: Path) -> None:
    touch(tmp_path / "a.json", tmp_path / "a.json.gz")
    with pytest.raises(ConfigError, match=r"a\.json, .*a\.json\.gz.*Name the one you mean"):
        locate.data_file(tmp_path, ["a.json*"], "nq", "dev")


def test_files_of_other_kinds_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path / "dev.json.sha256", tmp_path / "dev.json~", tmp_path / "dev.json")
    assert locate.data_file(tmp_path, ["dev.json*"], "nq", "dev").name == "dev.json"


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"split 'dev': expected a\* or b\*, here or under dev/"):
        locate.data_file(tmp_path, ["a*", "b*"], "nq", "dev")


def test_a_path_that_is_not_there_says_what_data_may_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Expected 'worlds', 'hub', a raw file or a folder"):
        locate.data_file(tmp_path / "wrolds", ["a*"], "nq", "dev")


def test_a_corpus_is_found_beside_the_data_or_above_a_splits_folder(tmp_path: Path) -> None:
    touch(tmp_path / "corpus.jsonl", tmp_path / "dev/a.json", tmp_path / "elsewhere/a.json")
    assert locate.beside(tmp_path / "dev/a.json", ["corpus.json*"]) == tmp_path / "corpus.jsonl"
    assert locate.beside(tmp_path / "elsewhere/a.json", ["corpus.json*"]) is None
    touch(tmp_path / "dev/corpus.json.gz")
    assert locate.beside(tmp_path / "dev/a.json", ["corpus.json*"]) == tmp_path / "dev/corpus.json.gz"
