"""`throughput`: every batch size answers the same questions, and operations are those that shapes tell."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest
from click.testing import CliRunner

from clara_bench.analysis.costs import costs
from clara_bench.analysis.flops import from_config
from clara_bench.cli import main
from clara_bench.cli.analysis.costs import _encoder
from clara_bench.components.registry import Component
from clara_bench.errors import BackendError
from clara_bench.io.parsing import read_json
from clara_bench.measuring import throughput
from clara_bench.measuring.throughput import measure
from clara_bench.retrieve.encoder import MINILM, place
from clara_bench.running.run_config import Request
from clara_bench.running.runner import run
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import Source

WORLD = {"questions": "6", "passages": "200", "seed": "3"}


def request(system: str, **options: str) -> Request:
    given = {key.replace("__", "."): value for key, value in options.items()}
    return Request("nq", Component(system, given), setting="distractor", source=Source("worlds", world=WORLD), limit=6)


@pytest.mark.model
def test_operations_of_a_dense_retriever_and_a_reader_are_within_two_per_cent_of_torch_s_counter(tmp_path: Path):
    asked = request("rag", retriever="dense", reader="tiny", reader__checkpoint="tiny-text")
    data = sources.load(definitions.load("nq"), asked.source)
    found = measure(asked, data, [1, 4], operations=True)
    assert [(one.batch, one.questions, one.failed) for one in found.speeds] == [(1, 6, 0), (4, 6, 0)]
    assert found.speeds[0].generated == found.speeds[1].generated > 0
    encoder = _encoder(Path(place(MINILM)))
    told = costs(run(asked, data, tmp_path), encoder=encoder).operations
    assert told is not None and told.retrieve is not None
    assert told.retrieve == pytest.approx(found.operations["retrieve"], rel=0.02)
    assert told.prefill + told.decode == pytest.approx(found.operations["read"], rel=0.02)
    assert found.operations["own"] == 0


@pytest.mark.model
def test_operations_of_a_text_compressor_are_those_of_its_encoder(tmp_path: Path):
    options = {"retriever": "bm25", "compressor": "recomp-extractive", "reader": "tiny"}
    asked = request("rag", **options, reader__checkpoint="tiny-text")
    data = sources.load(definitions.load("nq"), asked.source)
    found = measure(asked, data, [2], operations=True)
    shape = from_config(read_json(Path(place(MINILM)) / "config.json", dict), "c")
    assert found.operations["compress"] > 5 * shape.forward(40, logits=0) > 0
    assert "retrieve" in found.operations and found.operations["retrieve"] == 0


def test_one_batch_is_answered_before_the_clock_starts(monkeypatch: pytest.MonkeyPatch):
    handed: list[int] = []
    answer = throughput.answer_batch
    monkeypatch.setattr(throughput, "answer_batch", lambda s, q: handed.append(len(q)) or answer(s, q))
    asked = request("tests/measuring/quick.py:Quick")
    data = sources.load(definitions.load("nq"), asked.source)
    [speed] = measure(asked, data, [4], operations=False).speeds
    assert handed == [4, 4, 2]
    assert speed.questions == 6 and speed.rate == pytest.approx(6 / speed.seconds)


def test_a_system_that_fails_on_every_question_has_no_speed():
    asked = request("tests/measuring/quick.py:Failing")
    data = sources.load(definitions.load("nq"), asked.source)
    with pytest.raises(BackendError, match=r"all 6 questions failed, the last with: .*no model"):
        measure(asked, data, [4], operations=False)


def test_the_command_prints_a_line_for_each_batch_size():
    words = [
        "throughput",
        "-t",
        "nq",
        "-s",
        "tests/measuring/quick.py:Quick",
        "--setting",
        "distractor",
        "--limit",
        "6",
    ]
    words += [word for key, value in WORLD.items() for word in ("--world", f"{key}={value}")]
    done = CliRunner().invoke(main, [*words, "--batch", "4", "--batch", "1", "-f", "json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [one["batch"] for one in found["speeds"]] == [1, 4]
    assert fmean(one["questions_per_second"] for one in found["speeds"]) > 0
    plain = CliRunner().invoke(main, words)
    assert "questions a second" in plain.output and "Device " in plain.output
