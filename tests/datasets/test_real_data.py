"""Whole files of one's own: set CLARA_BENCH_REAL_DATA to a folder with nq, hotpotqa, musique, 2wikimultihopqa in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clara_bench.tasks import definitions, sources

ROOT = Path(os.environ.get("CLARA_BENCH_REAL_DATA", ""))
FILES = [
    pytest.param(task, path, id=f"{task}/{path.parent.name}/{path.name}")
    for task in ("nq", "hotpotqa", "musique", "2wikimultihopqa")
    for split in ("dev", "train")
    for path in sorted((ROOT / task / split).glob("*"))
    if "CLARA_BENCH_REAL_DATA" in os.environ
]


@pytest.mark.skipif("CLARA_BENCH_REAL_DATA" not in os.environ, reason="CLARA_BENCH_REAL_DATA is not set")
@pytest.mark.parametrize(("task", "path"), FILES)
def test_a_real_file_loads_whole_with_its_corpus(task: str, path: Path) -> None:
    data = sources.load(definitions.load(task), sources.Source(data=str(path), split=path.parent.name))
    rows = next(file["rows"] for file in data.provenance["files"] if file["role"] == "data")
    assert len(data.examples) == rows > 0
    assert len({example.question.id for example in data.examples}) == rows
    for example in data.examples:
        question, gold = example.question, example.gold
        assert all(id in data.corpus for id in question.candidates)
        assert len(set(question.candidates)) == len(question.candidates)
        absent = {id for id in gold.supporting if id not in data.corpus}
        assert bool(absent) is (question.id in data.missing_gold)
        assert gold.hops is not None and 1 <= gold.hops <= 5
        assert all(fact.title and fact.sentence >= 0 for fact in gold.facts)


@pytest.mark.skipif("CLARA_BENCH_REAL_DATA" not in os.environ, reason="CLARA_BENCH_REAL_DATA is not set")
@pytest.mark.parametrize(("task", "path"), FILES)
def test_what_stands_among_the_candidates_is_in_the_corpus_once(task: str, path: Path) -> None:
    data = sources.load(definitions.load(task), sources.Source(data=str(path), corpus="none", split=path.parent.name))
    own = {id for example in data.examples for id in example.question.candidates}
    assert own == set(data.corpus), "without a corpus file, the corpus is the union of the candidates"
