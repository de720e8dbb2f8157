"""Rows of the suite `paper` over the small real files, with other weights than the published ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from clara_bench import Component
from clara_bench.records.results import Run
from clara_bench.running import runner, suites
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.first_stage import FirstStage
from clara_bench.tasks.sources import Source

DATA = Path(__file__).parent / "data"


def paper_rows(name: str, options: dict[str, str], out: Path) -> list[Run]:
    """The runs on HotpotQA of the rows whose label ends so, in both settings, with BM25 in the place of BGE."""
    asked = [r for r in suites.load("paper").requests() if r.task == "hotpotqa" and r.label.endswith(name)]
    data = sources.load(definitions.load("hotpotqa"), Source(str(DATA / "hotpotqa")))
    runs = []
    for request in asked:
        system = replace(request.system, options={**request.system.options, **options})
        stage = FirstStage(Component("bm25"), request.first_stage.depth)
        source = Source(str(DATA / "hotpotqa"))
        runs.append(runner.run(replace(request, system=system, first_stage=stage, source=source, limit=2), data, out))
    return runs


def check_answered(runs: list[Run], settings: int = 2) -> None:
    """Every question was answered, in each setting, by something that read passages where the setting has any."""
    assert len(runs) == settings
    for run in runs:
        records = run.records()
        assert len(records) == 2
        assert all(record.answer.status in ("ok", "truncated", "empty") for record in records), records
        if run.manifest["setting"] != "closed":
            assert all(record.answer.retrieved for record in records)
