"""A compressor inside text RAG, from the command line to the records."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.records.results import open_run
from tests.paper import check_answered, paper_rows


def test_a_run_records_that_less_was_read_than_retrieved(
    capitals: Path, causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["compressor=truncate", "compressor.rate=4", f"reader.model={causal}", "reader.max_new_tokens=2", "k=3"]
    words = [word for option in options for word in ("-o", option)]
    result = CliRunner().invoke(
        main, ["run", "-t", str(capitals), "-s", "rag", *words, "--out", str(tmp_path / "runs")]
    )
    assert result.exit_code == 0, result.output
    [manifest] = (tmp_path / "runs").rglob("manifest.json")
    run = open_run(manifest.parent)
    usages = [record.answer.usage for record in run.records()]
    assert len(usages) == 10
    assert all(0 < usage.context_positions < usage.context_text_tokens for usage in usages)
    assert all(usage.seconds["compress"] > 0 for usage in usages)
    assert run.manifest["system"]["options"]["compressor"]["options"]["rate"] == 4


@pytest.mark.parametrize("name", ["closed-book", "-text", "-llmlingua2", "-provence", "-recomp-hotpotqa"])
def test_a_row_of_the_paper_s_table_runs_over_random_weights_of_its_kind(
    name: str, causal: Path, classifier: Path, writer: Path, tmp_path: Path
) -> None:
    options = {"reader.model": str(causal), "reader.dtype": "float32", "reader.max_new_tokens": "2"}
    models = {"-llmlingua2": classifier, "-provence": classifier, "-recomp-hotpotqa": writer}
    if name in models:
        options["compressor.model"] = str(models[name])
    if name == "-provence":
        options["compressor.remote_code"] = "false"
    check_answered(paper_rows(name, options, tmp_path / "runs"), 1 if name == "closed-book" else 2)
