"""The published files become rows whose positives are the annotated support."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from clara_bench import DataError
from reference.data.official_files import read_official
from reference.data.sources import open_source

DATA = Path(__file__).parent.parent / "data"
FILES = {
    "hotpotqa/train/hotpot_train_v1.1.slice.json.gz": 10,
    "musique/train/musique_ans_v1.0_train.slice.jsonl.gz": 20,
    "2wikimultihopqa/train/train.slice.json.gz": 10,
    "nq/dev/nq-open-oracle.slice.jsonl.gz": 1,
}


@pytest.mark.parametrize("name", FILES)
def test_questions_come_with_their_passages_and_support(name: str) -> None:
    rows = list(read_official(DATA / name))
    assert rows and all(len(row.documents) == FILES[name] for row in rows)
    assert all(1 <= len(row.positives) <= 4 and len(row.turns) == 1 and row.id for row in rows)
    assert all("\n" in document for row in rows for document in row.documents)


def test_the_support_of_hotpotqa_is_found_by_title() -> None:
    row = next(read_official(DATA / "hotpotqa/train/hotpot_train_v1.1.slice.json.gz"))
    gold = {row.documents[place].partition("\n")[0] for place in row.positives}
    raw = json.loads(gzip.open(DATA / "hotpotqa/train/hotpot_train_v1.1.slice.json.gz").read())[0]
    assert gold == {title for title, _ in raw["supporting_facts"]} and row.id == raw["_id"]


def test_unanswerable_questions_are_left_out() -> None:
    rows = list(read_official(DATA / "musique/dev/musique_full_v1.0_dev.slice.jsonl.gz"))
    assert rows and len(rows) < 2 * len({row.id for row in rows})


def test_a_stage_reads_an_official_file() -> None:
    name = "musique/train/musique_ans_v1.0_train.slice.jsonl.gz"
    source = open_source("joint", {"official": name}, DATA)
    assert source.size == len(list(read_official(DATA / name))) and len(source[0].documents) == 20


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[{]", "rows: "),
        ('[{"answer": "A"}]', "missing required field question"),
        ('{"question": "Q?", "answer": "A"}', "question 1: it has no passages"),
        ('{"question": "Q?", "ctxs": [{"title": "T", "text": "t"}]}', "question 1: it has no answer"),
    ],
)
def test_another_kind_of_file_is_refused_with_the_reason(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "rows").write_text(text)
    with pytest.raises(DataError, match=why):
        list(read_official(tmp_path / "rows"))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_official(tmp_path / "missing"))
