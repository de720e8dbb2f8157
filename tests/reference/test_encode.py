"""Stores filled by several processes or machines: those that one process would have filled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench import ConfigError, DataError
from clara_bench.workers.processes import Processes
from reference.cli import main
from reference.memory.merge import merge
from reference.memory.store import Store
from reference.systems.encode import fill

TEXTS = [f"City {n % 9} has {n % 9} inhabitants." for n in (0, 1, 2, 0, 3, 4, 1, 5, 6, 7, 7, 8)]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Nine documents, three of them twice."""
    path = tmp_path / "corpus.jsonl"
    rows = [{"id": str(n), "title": "", "text": text} for n, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def test_workers_fill_the_store_that_one_process_fills_byte_for_byte(documents: Path, tmp_path: Path) -> None:
    alone, built = fill("tiny-8x", documents, tmp_path / "alone", "float16", shard_documents=4)
    pool = Processes(2)
    store, shared = fill("tiny-8x", documents, tmp_path / "shared", "float16", pool=pool, shard_documents=4)
    assert shards(store.folder) == shards(alone.folder)
    assert (shared.texts, shared.added) == (built.texts, built.added) == (12, 9)
    assert len(store) == 9
    assert fill("tiny-8x", documents, tmp_path / "shared", "float16", pool=pool)[1].added == 0


def test_merged_parts_hold_every_documents_memory(documents: Path, tmp_path: Path) -> None:
    alone, _ = fill("tiny-8x", documents, tmp_path / "alone", "float16")
    parts = [tmp_path / "one", tmp_path / "two"]
    for number, folder in enumerate(parts, 1):
        fill("tiny-8x", documents, folder, "float16", part=(number, 2))
    done = CliRunner().invoke(main, ["merge", *map(str, parts), "--store", str(tmp_path / "merged")])
    assert done.exit_code == 0, done.output
    merged = Store(tmp_path / "merged")
    assert merged.seconds_per_document is not None
    for ours, theirs in zip(merged.get(TEXTS), alone.get(TEXTS), strict=True):
        assert ours.shape == theirs.shape
        assert (ours.float() - theirs.float()).abs().max() < 1e-2  # batches of other lengths round otherwise


def test_foreign_and_damaged_stores_are_not_merged(documents: Path, tmp_path: Path) -> None:
    fill("tiny-8x", documents, tmp_path / "ours", "float16")
    fill("tiny-8x", documents, tmp_path / "int8", "int8")
    with pytest.raises(ConfigError, match="keeps float16, not int8"):
        merge([tmp_path / "ours", tmp_path / "int8"], tmp_path / "merged")
    with pytest.raises(ConfigError, match="is the one that the others go into"):
        merge([tmp_path / "ours"], tmp_path / "ours")
    [shard] = (tmp_path / "int8").glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match="1 shards are damaged"):
        merge([tmp_path / "int8"], tmp_path / "other")
    assert not list((tmp_path / "merged").glob("*.safetensors"))
