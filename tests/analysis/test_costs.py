"""`costs`: offline and online apart, nothing made up for what a run does not say, a break-even that is arithmetic."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from clara_bench.analysis import cost_tables
from clara_bench.analysis.costs import Costs, break_even, costs, pairs
from clara_bench.analysis.flops import Shape, from_scratch
from clara_bench.cli import main
from clara_bench.records.results import Run, find_runs

NQ = Path(__file__).parent.parent.parent / "results" / "nq"


@pytest.fixture(scope="module")
def published() -> dict[str, Run]:
    """Published runs over synthetic NQ questions, by label."""
    runs = [run for label in ("clara-8x", "bm25-text", "gold-clara-8x", "gold-text", "dense-text", "closed-book")
            for run in find_runs(NQ / label)]  # fmt: skip
    return {run.manifest["system"]["label"]: run for run in runs
            if run.manifest["data"]["provenance"]["source"] == "worlds"}  # fmt: skip


@pytest.fixture(scope="module")
def found(published: dict[str, Run]) -> dict[str, Costs]:
    return {label: costs(run) for label, run in published.items()}


def test_seconds_are_those_of_the_records_without_the_first_batch_of_each_session(found, published) -> None:
    run = published["clara-8x"]
    assert [session["questions"] for session in run.manifest["sessions"]] == [500]
    seconds = [record.seconds for record in run.records()[32:]]
    online = found["clara-8x"].online
    assert (online.questions, online.warm_up, online.batch) == (468, 32, 32)
    assert online.total is not None
    assert (online.total.median, online.total.p95) == pytest.approx(tuple(np.percentile(seconds, [50, 95])))
    assert online.mean == pytest.approx(fmean(seconds))
    parts = [record.answer.usage.seconds for record in run.records()[32:]]
    first = [one["retrieve"] + one["compress"] + one["prefill"] for one in parts]
    assert online.first_token is not None
    assert online.first_token.median == pytest.approx(np.median(first))


def test_a_warm_cache_that_does_not_say_what_it_took_is_told_and_never_counted_as_encoding(found) -> None:
    warm, cold = found["clara-8x"].offline, found["gold-clara-8x"].offline
    assert (warm.cached, warm.seconds, cold.cached) == (True, None, False)
    assert cold.seconds == pytest.approx(4.222, abs=0.01)
    assert found["dense-text"].offline.tokens == 132337
    [offline, *_] = cost_tables.tables(list(found.values()))
    assert offline.caption == (
        "Encoding not known, since a warm cache did not say what it took: clara-8x (8x nominal, 4.4x measured).",
    )


def session(run: Run, **index: Any) -> Run:
    """The run, with an index that says more."""
    [first, *_] = run.manifest["sessions"]
    told = {**first, "index": {**first["index"], **index}, "peak_memory_bytes": 2**30, "threads": 3}  # type: ignore[dict-item]
    return replace(run, manifest={**run.manifest, "sessions": [told]})  # type: ignore[typeddict-item]


def test_a_warm_run_reports_what_encoding_took_when_the_cache_was_filled(published) -> None:
    warm = costs(session(published["clara-8x"], encoding_seconds=7.5, encoded_tokens=110_000))
    assert (warm.offline.cached, warm.offline.seconds, warm.offline.tokens) == (True, 7.5, 110_000)
    assert (warm.offline.peak_memory, warm.online.threads) == (2**30, 3)


def test_the_ratio_has_all_spellings_of_one_number_and_rows_are_named_by_what_they_reached(found) -> None:
    ratio = found["clara-8x"].ratio
    assert ratio is not None
    assert ratio.kept == pytest.approx(1 / ratio.fold)
    assert ratio.removed == pytest.approx(1 - 1 / ratio.fold)
    assert ratio.positions_per_passage == pytest.approx(13)  # 12 memories and what separates them
    assert ratio.stored_vectors == 1944 * 12
    assert found["clara-8x"].name == "clara-8x (8x nominal, 4.4x measured)"
    assert found["closed-book"].ratio is None  # nothing to compress is no ratio of 1


def test_operations_of_text_are_those_of_its_prompts(found, published) -> None:
    shape = from_scratch(str(published["bm25-text"].manifest["models"]["backbone"]))
    assert shape == Shape(4, 128, 128, 128, 384, 3072)
    operations = found["bm25-text"].operations
    assert operations is not None
    prompts = [record.answer.usage.prompt_tokens for record in published["bm25-text"].records()]
    assert operations.prefill == pytest.approx(fmean(shape.forward(length) for length in prompts))
    assert (operations.passage, operations.retrieve) == (None, None)


def test_keys_and_values_made_ahead_are_attended_to_and_not_read_again(published) -> None:
    run, shape = published["bm25-text"], Shape(4, 128, 128, 128, 384, 3072)
    usages = [record.answer.usage for record in run.records()]
    rest = [usage.prompt_tokens - usage.context_positions for usage in usages]
    expected = {
        "alone": [shape.forward(new, usage.context_positions) for new, usage in zip(rest, usages, strict=True)],
        "together": [shape.forward(new + usage.context_text_tokens) for new, usage in zip(rest, usages, strict=True)],
    }
    for encode, prefill in expected.items():
        system = {**run.manifest["system"], "name": "kv", "options": {"encode": encode, "retriever": {}, "k": 5}}
        operations = costs(replace(run, manifest={**run.manifest, "system": system})).operations
        assert operations.prefill == pytest.approx(fmean(prefill))
        assert (operations.passage is None) == (encode == "together")


def test_the_break_even_is_the_cost_of_a_passage_over_what_a_question_saves(published, found) -> None:
    compressed = costs(session(published["clara-8x"], encoding_seconds=19.44))
    seconds, operations = break_even(found["bm25-text"], compressed)
    saved = found["bm25-text"].online.mean - compressed.online.mean
    assert seconds.passage == pytest.approx(0.01)
    assert seconds.questions == pytest.approx(0.01 / saved)
    assert operations.questions == pytest.approx(
        compressed.operations.passage / (found["bm25-text"].operations.question - compressed.operations.question)
    )
    assert [one.questions for one in break_even(compressed, found["bm25-text"])] == [None, None]  # saves nothing
    unknown = break_even(found["bm25-text"], found["clara-8x"])[0]
    assert unknown.questions is None
    assert unknown.saved > 0


def test_only_runs_over_the_same_questions_in_the_same_setting_are_held_against_each_other(found) -> None:
    names = {(text.run.manifest["system"]["label"], one.run.manifest["system"]["label"])
             for text, one in pairs(list(found.values()))}  # fmt: skip
    assert names == {("bm25-text", "clara-8x"), ("dense-text", "clara-8x"), ("gold-text", "gold-clara-8x")}


def test_the_command_prints_every_table_with_its_assumptions_in_every_format() -> None:
    words = ["costs", str(NQ / "gold-clara-8x"), str(NQ / "gold-text")]
    shown = CliRunner().invoke(main, [*words, "--wide"])
    assert shown.exit_code == 0, shown.output
    for title in ("Offline", "Online", "Compression ratio", "Floating-point operations", "Break-even"):
        assert title in shown.output
    assert "each passage is compressed once and kept" in " ".join(shown.output.split())
    told = json.loads(CliRunner().invoke(main, [*words, "-f", "json"]).output)
    assert {one["unit"] for one in told["break_even"]} == {"seconds", "operations"}
    rows = list(csv.DictReader(io.StringIO(CliRunner().invoke(main, [*words, "-f", "csv"]).output)))
    assert {row["system"] for row in rows} == {"gold-clara-8x", "gold-text"}


def test_a_run_records_its_peak_memory(capitals: Path, oracle: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["run", "-t", str(capitals), "-s", oracle, "--out", str(tmp_path / "runs")])
    assert done.exit_code == 0, done.output
    [run] = find_runs(tmp_path / "runs")
    assert run.manifest["sessions"][-1]["peak_memory_bytes"] > 2**20
    assert costs(run).offline.peak_memory > 2**20
