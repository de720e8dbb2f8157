"""The script that trains on one GPU, with two steps a stage and a model of two layers, on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reference.weights.adapter import is_adapter
from reference.weights.manifest import read_manifest

ROOT = Path(__file__).parents[2]
TOY = ROOT / "reference" / "configs" / "real-gpu-toy.toml"


def script(folder: Path) -> list[str]:
    """Run the script in a folder; the lines that it printed."""
    done = subprocess.run(
        [str(ROOT / "scripts" / "gpu_run.sh"), "./real-gpu-toy.toml", "reader-toy"],
        cwd=folder,
        env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tokenizer):
    from tests.reference.conftest import pretrained

    place = tmp_path_factory.mktemp("gpu")
    (place / "data").symlink_to(ROOT / "tests" / "data")
    model = pretrained(place / "model", tokenizer)
    (place / "real-gpu-toy.toml").write_text(f'base = "{TOY}"\n[model.backbone]\nmodel = "{model}"\n')
    return place / "runs" / "real-gpu-toy", script(place), place


def test_one_command_trains_the_reader_and_clara_at_two_rates(finished) -> None:
    out, said, _ = finished
    assert is_adapter(out / "adapter")
    for rate in (4, 16):
        kept = read_manifest(out / "shipped" / f"{rate}x")
        assert kept.model.memory.rate == rate and kept.training["step"] == 2
    assert said[-1].startswith("runs/real-gpu-toy: adapter (LoRA weights of the reader)")


def test_each_stage_leaves_its_curve_and_is_evaluated_at_the_end_on_every_task(finished) -> None:
    out, _, _ = finished
    for stage in ("reader", "4x", "16x"):
        lines = [json.loads(line) for line in (out / stage / "log.jsonl").read_text().splitlines()]
        assert any("cross_entropy" in line for line in lines)
        scores = read_manifest(out / stage / "best").training["scores"]
        assert {f"{task}/f1" for task in ("nq", "hotpotqa", "musique", "2wikimultihopqa")} <= scores.keys()


def test_the_same_command_trains_nothing_again(finished) -> None:
    out, _, place = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    script(place)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
