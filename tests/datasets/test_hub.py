"""The hub's column layout, through `datasets` itself, from folders on this disk."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clara_bench.datasets import read_rows
from clara_bench.datasets.hub import read_hub
from clara_bench.errors import BackendError
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import Source

pytest.importorskip("datasets")

DATA = Path(__file__).parent.parent / "data"
FILES = {
    "nq": "NQ-open.dev.slice.jsonl",
    "hotpotqa": "hotpot_dev_distractor_v1.slice.json.gz",
    "musique": "musique_ans_v1.0_dev.slice.jsonl.gz",
    "2wikimultihopqa": "dev.slice.json.gz",
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def columns(task: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row as the hub stores it: HotpotQA and 2Wiki keep sequences of records by column."""
    if task in {"nq", "musique"}:
        return row
    titles, sentences = zip(*row["context"], strict=True)
    names, indices = zip(*row["supporting_facts"], strict=True)
    return {
        "id": row["_id"], "question": row["question"], "answer": row["answer"], "type": row["type"],
        "supporting_facts": {"title": list(names), "sent_id": list(indices)},
        "context": {"title": list(titles), "sentences": list(sentences)},
        **({"evidences": row["evidences"]} if "evidences" in row else {}),
    }  # fmt: skip


def write_parquet(task: str, path: Path) -> None:
    import datasets

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [columns(task, row) for row in read_rows(DATA / task / "dev" / FILES[task])]
    datasets.Dataset.from_list(rows).to_parquet(path)


@pytest.mark.parametrize("task", FILES)
def test_a_hub_data_set_gives_the_same_questions_as_the_official_file(task: str, tmp_path: Path) -> None:
    write_parquet(task, tmp_path / "copy/data/validation-00000-of-00001.parquet")
    hub = sources.load(definitions.load(task), Source(data=f"hub:{tmp_path / 'copy'}"))
    official = sources.load(definitions.load(task), Source(data=str(DATA / task / "dev" / FILES[task]), corpus="none"))
    for one, other in zip(hub.examples, official.examples, strict=True):
        assert one.question == other.question
        assert (one.gold.supporting, one.gold.facts, one.gold.hops) == (
            other.gold.supporting, other.gold.facts, other.gold.hops,
        )  # fmt: skip
        assert one.gold.answers[0] == other.gold.answers[0]
    assert hub.corpus == official.corpus
    assert hub.provenance["source"] == "hub" and hub.provenance["path"] == "copy"
    assert hub.provenance["revision"] is None, "a folder has no revision; the data hash says what was read"


def test_a_folder_with_the_hubs_readme_has_its_configurations(tmp_path: Path) -> None:
    for name in ("distractor", "fullwiki"):
        write_parquet("hotpotqa", tmp_path / name / "validation-00000-of-00001.parquet")
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: distractor\n  data_files:\n  - split: validation\n    path: distractor/*\n"
        "- config_name: fullwiki\n  data_files:\n  - split: validation\n    path: fullwiki/*\n---\n"
    )
    data = sources.load(definitions.load("hotpotqa"), Source(data=f"hub:{tmp_path}:fullwiki"))
    assert len(data.examples) == 4 and data.provenance["name"] == "fullwiki"


@pytest.mark.parametrize("name", ["train.jsonl", "train.jsonl.gz"])
def test_a_folder_whose_files_were_replaced_under_their_dates_is_read_anew(name: str, tmp_path: Path) -> None:
    rows = []
    for question in ("one", "two"):
        content = json.dumps({"question": question}).encode()
        (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
        os.utime(tmp_path / name, (1e9, 1e9))
        rows += read_hub(str(tmp_path), None, "train", None).rows
    assert rows == [{"question": "one"}, {"question": "two"}]


def test_a_split_that_is_not_there_is_a_backend_error(tmp_path: Path) -> None:
    write_parquet("nq", tmp_path / "validation.parquet")
    with pytest.raises(BackendError, match="train: ValueError"):
        sources.load(definitions.load("nq"), Source(data=f"hub:{tmp_path}", split="train"))


def test_a_corpus_goes_with_hub_questions(tmp_path: Path) -> None:
    write_parquet("nq", tmp_path / "validation.parquet")
    data = sources.load(definitions.load("nq"), Source(data=f"hub:{tmp_path}", corpus=str(DATA / "nq/corpus.jsonl.gz")))
    assert len(data.corpus) == 17 and data.provenance["files"][0]["role"] == "corpus"


def test_an_unreachable_hub_is_one_clear_line() -> None:
    code = (
        "from clara_bench.datasets.hub import read_hub; from clara_bench.errors import BackendError\n"
        "try: read_hub('google-research-datasets/nq_open', 'nq_open', 'validation', 'main')\n"
        "except BackendError as error: print(error)"
    )
    nowhere = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=nowhere, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert (
        "google-research-datasets/nq_open" in done.stdout and "or download the files and use --data FILE" in done.stdout
    )


def test_rows_are_plain_python(tmp_path: Path) -> None:
    write_parquet("hotpotqa", tmp_path / "validation.parquet")
    found = read_hub(str(tmp_path), None, "validation", None)
    assert isinstance(found.rows[0], dict) and isinstance(found.rows[0]["context"]["title"], list)
