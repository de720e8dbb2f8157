"""The store of passage vectors, filled by a small but complete encoder: hashed bags of letters."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clara_bench.retrieve import embeddings
from clara_bench.retrieve.embeddings import embed


class LetterEncoder:
    """Counts letters; remembers how many texts it was asked to encode, and can be killed at it."""

    batch_size = 1

    def __init__(self, killed_after: int = 10**9) -> None:
        self.encoded = 0
        self.killed_after = killed_after

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.encoded >= self.killed_after:
            os.kill(os.getpid(), signal.SIGKILL)
        self.encoded += len(texts)
        return np.array([[text.count(letter) for letter in "etaoin"] for text in texts], dtype=np.float32)

    def cuts_passages(self, texts: Sequence[str]) -> list[bool]:
        return [len(text) > 32 for text in texts]

    def passage_tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        return np.array([min(32, len(text)) for text in texts])


TEXTS = [f"{'neat' * (number % 7)} notion {number}" for number in range(30)]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "SHARD_PASSAGES", 8)


def test_vectors_come_back_in_the_order_of_the_texts(tmp_path: Path) -> None:
    encoder = LetterEncoder()
    first = embed(TEXTS, encoder, tmp_path)
    again = embed(TEXTS[::-1], encoder, tmp_path)
    assert first.vectors.tolist() == encoder.passages(TEXTS).tolist()
    assert again.vectors.tolist() == first.vectors[::-1].tolist()
    assert (first.encoded, again.encoded) == (30, 0)
    assert first.vectors.dtype == np.float32
    assert first.tokens == again.tokens == sum(min(32, len(text)) for text in TEXTS)
    assert first.cut == again.cut == sum(len(text) > 32 for text in TEXTS) > 0
    assert len(list(tmp_path.iterdir())) == 4


def test_a_text_is_encoded_once_whatever_corpus_it_is_in(tmp_path: Path) -> None:
    encoder = LetterEncoder()
    twice = embed(["one", "two", "one"], encoder, tmp_path)
    assert (encoder.encoded, twice.encoded, twice.tokens) == (2, 2, 6)
    assert twice.vectors[0].tolist() == twice.vectors[2].tolist() != twice.vectors[1].tolist()
    other = embed(["two", "three"], encoder, tmp_path)
    assert (encoder.encoded, other.encoded, other.tokens) == (3, 1, 8)
    assert other.vectors[0].tolist() == twice.vectors[1].tolist()


def test_a_killed_job_goes_on_where_the_last_whole_shard_ended(tmp_path: Path) -> None:
    program = """
import pathlib, runpy, sys
from clara_bench.retrieve import embeddings
here = runpy.run_path(sys.argv[1])
embeddings.SHARD_PASSAGES = 8
embeddings.embed(here["TEXTS"], here["LetterEncoder"](killed_after=20), pathlib.Path(sys.argv[2]))
"""
    job = subprocess.run([sys.executable, "-c", program, __file__, str(tmp_path)])
    assert job.returncode == -signal.SIGKILL  # two shards of 8 are whole, 4 texts are lost
    resumed = LetterEncoder()
    result = embed(TEXTS, resumed, tmp_path)
    assert resumed.encoded == result.encoded == 14
    assert result.vectors.tolist() == LetterEncoder().passages(TEXTS).tolist()
    assert result.tokens == sum(min(32, len(text)) for text in TEXTS)


def test_the_cost_of_what_was_encoded_earlier_is_known(tmp_path: Path) -> None:
    assert embed(TEXTS[:10], LetterEncoder(), tmp_path).earlier_seconds == 0
    part = embed(TEXTS[:5], LetterEncoder(), tmp_path).earlier_seconds
    whole = embed(TEXTS, LetterEncoder(), tmp_path).earlier_seconds  # of the first 10, the others are new
    assert 0 < part < whole < 1


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "rename"])
def test_a_damaged_shard_is_thrown_away_and_made_anew(tmp_path: Path, damage: str) -> None:
    embed(TEXTS, LetterEncoder(), tmp_path)
    shard = min(tmp_path.iterdir())
    content = bytearray(shard.read_bytes())
    match damage:
        case "flip":
            content[len(content) // 2] ^= 1
        case "cut":
            del content[-10:]
        case "empty":
            content.clear()
        case "rename":
            shard.unlink()
            shard = tmp_path / f"{'0' * 64}.safetensors"
    shard.write_bytes(content)
    encoder = LetterEncoder()
    result = embed(TEXTS, encoder, tmp_path)
    assert 6 <= encoder.encoded <= 8
    assert result.vectors.tolist() == LetterEncoder().passages(TEXTS).tolist()
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.stem for path in tmp_path.iterdir())


def test_no_texts_need_no_shards(tmp_path: Path) -> None:
    assert embed([], LetterEncoder(), tmp_path).vectors.shape[0] == 0
    assert list(tmp_path.iterdir()) == []
