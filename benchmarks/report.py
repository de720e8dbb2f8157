"""The report of many large runs: how long it takes to build, how large it is, and how fast a browser opens it.

Run as a script it prints the numbers; `make perf` puts them into its table. The runs are copies of one, each with its
own share of right answers and its own rankings.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from clara_bench.components.registry import Component
from clara_bench.records.manifest import write_manifest
from clara_bench.running import runner
from clara_bench.running.run_config import Request
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import Source

QUESTIONS, RUNS, OFFERED = 12_576, 50, 20
ROOT = Path(__file__).parent.parent
TASK = """\
schema = 1
name = "many"
version = 1
title = "Many"
description = "Many questions, twenty passages each."
reader = "generic"
answer_scorer = "squad"
metrics = ["em", "f1"]
main_metric = "em"
settings = ["distractor"]
default_setting = "distractor"
licence = "CC0-1.0"
data = "data.jsonl"
"""
SYSTEM = '''
class First:
    """Answers with the title of the first passage."""
    def index(self, corpus):
        from clara_bench import IndexStats
        self.corpus = corpus
        return IndexStats(passages=len(corpus), seconds=0.0, bytes=8)
    def answer(self, questions):
        from clara_bench import Answer, Ranked, Usage
        return [Answer(self.corpus[q.candidates[0]].title,
                       tuple(Ranked(p, -float(n)) for n, p in enumerate(q.candidates)),
                       Usage(context_positions=300, context_text_tokens=300)) for q in questions]
'''


def measure(questions: int = QUESTIONS, runs: int = RUNS) -> dict[str, float]:
    """Seconds, GB and MB of the report of such runs, scored for the first time and again, and seconds to open it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make(place, questions, runs)
        file = place / "report.html"
        first, _ = _build(place / "runs", file, place / "cache")
        again, gigabytes = _build(place / "runs", file, place / "cache")
        return {
            "report_first_seconds": first,
            "report_seconds": again,
            "report_gigabytes": gigabytes,
            "report_megabytes": file.stat().st_size / 1e6,
            **opened(file),
        }


def _build(runs: Path, file: Path, cache: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "clara_bench", "report", str(runs), "-o", str(file)]
    start = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, "CLARA_BENCH_CACHE": str(cache)}, cwd=ROOT)
    took = time.perf_counter() - start
    return took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def make(place: Path, questions: int, runs: int) -> None:
    """Write the runs below `place`/runs."""
    (place / "system.py").write_text(SYSTEM, encoding="utf-8")
    (place / "data.jsonl").write_text("".join(_rows(questions)), encoding="utf-8")
    (place / "many.toml").write_text(TASK, encoding="utf-8")
    source = Source(data=str(place / "data.jsonl"))
    request = Request(str(place / "many.toml"), Component(f"{place / 'system.py'}:First"), "distractor", source)
    run = runner.run(request, sources.load(definitions.load(request.task), source), place / "one")
    for number in range(runs):
        _copy(run.path, place / "runs" / "many" / f"system-{number}" / run.path.name, number)


def _rows(count: int) -> Iterator[str]:
    draw = random.Random(0)
    words = [
        f"{a}{b}{c}" for a in ("ba", "ke", "mi", "so", "tu") for b in ("la", "ne", "ri") for c in ("th", "nd", "x")
    ]
    pool = [
        {"id": f"p{n}", "title": f"{draw.choice(words)} {n}", "text": " ".join(draw.choices(words, k=60))}
        for n in range(2_000)
    ]
    for number in range(count):
        chosen = draw.sample(pool, OFFERED)
        asked = {
            "id": f"q{number}",
            "question": f"What is {' '.join(draw.choices(words, k=8))}?",
            "hops": 2 + number % 3,
        }
        gold = [{**one, "supporting": place < 2} for place, one in enumerate(chosen)]
        yield json.dumps({**asked, "answers": [chosen[0]["title"]], "passages": gold}) + "\n"


def _copy(run: Path, target: Path, number: int) -> None:
    shutil.copytree(run, target)
    draw = random.Random(number)
    manifest = json.loads((run / "manifest.json").read_bytes())
    label = f"system-{number}"
    manifest["system"]["label"] = manifest["request"]["label"] = label
    write_manifest(target / "manifest.json", manifest)
    records = map(json.loads, (run / "records.jsonl").read_bytes().splitlines())
    changed = (msgspec.json.encode(_changed(record, draw, 0.3 + 0.01 * number)) for record in records)
    (target / "records.jsonl").write_bytes(b"".join(line + b"\n" for line in changed))


def _changed(record: dict[str, Any], draw: random.Random, right: float) -> dict[str, Any]:
    answer = record["answer"]
    draw.shuffle(answer["retrieved"])
    answer["retrieved"] = [[id, -float(rank)] for rank, (id, _) in enumerate(answer["retrieved"])]
    answer["text"] = answer["text"] if draw.random() < right else f"{answer['retrieved'][0][0]} or so"
    answer["usage"]["context_positions"] = 300 - 5 * round(100 * right) // 2
    return record | {"answer_ranks": [1 + [id for id, _ in answer["retrieved"]].index(answer["retrieved"][0][0])]}


def opened(file: Path) -> dict[str, float]:
    """Seconds until a browser has drawn the page; {} where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    if program is None:
        return {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(300_000)
        start = time.perf_counter()
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]")
        took = time.perf_counter() - start
        browser.close()
    return {"report_open_seconds": took}


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])))
