"""How cost grows: processor time and memory of each step, from 1,000 to 1,000,000 passages and 100 to 12,576 questions.

    python -m benchmarks.growth runs/growth

Each size has a process of its own. It does every step once on ten passages or questions first, so that imports and
other constant costs do not count. Memory is the peak during a step, with all that was loaded for it, beyond what the
process had before the first one. Processor time, unlike time on the clock, leaves out other programs on the same core;
the least of several processes counts. What is below `FLOOR` cannot be told from what is constant, and is not fitted.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.report import ROOT, SYSTEM, TASK, _rows
from clara_bench.components.registry import Component
from clara_bench.io.cache import file_digest
from clara_bench.reporting import leaderboard, scoring
from clara_bench.reporting.scored import Scorer
from clara_bench.running import runner
from clara_bench.running.run_config import Request
from clara_bench.tasks import candidates, definitions, sources
from clara_bench.tasks.first_stage import FirstStage
from clara_bench.tasks.sources import Source

SIZES = {
    "questions": (100, 500, 1_500, 5_000, 12_576),
    "passages": (1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
}
REPEATS = {"questions": 3, "passages": 2}
SETTINGS = 'settings = ["distractor", "corpus", "retrieved"]'
WARM, ASKED, WORDS = 10, 100, 40
FLOOR, LIMIT = {"s": 0.002, "MB": 8}, 1.05
Result = TypeVar("Result")


class Meter:
    """Seconds and bytes of steps; Linux alone lets a process reset its peak memory."""

    def __init__(self) -> None:
        self.used: dict[str, tuple[float, float]] = {}
        gc.collect()
        self._before = _memory("VmRSS")

    def __call__(self, step: str, work: Callable[[], Result]) -> Result:
        """Do a step and write down what it took."""
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        start = time.process_time()
        result = work()
        self.used[step] = time.process_time() - start, _memory("VmHWM") - self._before
        return result


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * float(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def passages(folder: Path, count: int, meter: Meter) -> None:
    """Load a corpus, hash its file and freeze candidates over it: all of it, and the best 20 by BM25."""
    source = Source(str(folder / "asked.jsonl"), corpus=str(folder / f"corpus-{count}.jsonl"))
    data = meter("load and hash passages", lambda: sources.load(definitions.load(str(folder / "many.toml")), source))
    meter("hash the file", lambda: file_digest(folder / f"corpus-{count}.jsonl"))
    stage = FirstStage()
    meter("freeze the corpus", lambda: candidates.freeze(data, data.examples, "corpus", stage))
    meter("index with BM25, freeze 20 a question", lambda: candidates.freeze(data, data.examples, "retrieved", stage))


def questions(folder: Path, count: int, meter: Meter) -> None:
    """Load questions, freeze their candidates, run a system that reads nothing, score, and rank two runs."""
    task = str(folder / "many.toml")
    source = Source(str(folder / f"questions-{count}.jsonl"))
    request = Request(task, Component(f"{folder / 'system.py'}:First"), "distractor", source)
    data = meter("load and hash questions", lambda: sources.load(definitions.load(task), source))
    meter("freeze their passages", lambda: candidates.freeze(data, data.examples, "distractor", FirstStage()))
    with tempfile.TemporaryDirectory() as out:
        run = meter("run, records and scores included", lambda: runner.run(request, data, Path(out)))
        meter("score", lambda: scoring.score_run(run, data.task.metrics))
        meter("leaderboard of two runs", lambda: leaderboard.boards([run, run], scorer=Scorer()))


AXES = {"passages": passages, "questions": questions}


def write(folder: Path) -> None:
    """Write the largest files, and smaller ones that are their beginnings."""
    folder.mkdir(parents=True, exist_ok=True)
    own = 'settings = ["distractor"]'
    assert own in TASK, "the task has other settings"
    (folder / "many.toml").write_text(TASK.replace(own, SETTINGS), encoding="utf-8")
    (folder / "system.py").write_text(SYSTEM, encoding="utf-8")
    for count in (WARM, *SIZES["questions"]):
        _written(folder / f"questions-{count}.jsonl", _rows(count))
    asked = _texts(np.random.default_rng(1), 12)
    rows = ({"id": f"q{n}", "question": text, "answers": ["x"]} for n, text in enumerate(islice(asked, ASKED)))
    _written(folder / "asked.jsonl", (f"{json.dumps(row)}\n" for row in rows))
    for count in (WARM, *SIZES["passages"]):
        _written(folder / f"corpus-{count}.jsonl", _corpus(count))


def _written(path: Path, lines: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines)


def _corpus(count: int) -> Iterator[str]:
    for number, text in enumerate(islice(_texts(np.random.default_rng(0), WORDS), count)):
        yield json.dumps({"id": f"p{number}", "title": f"Passage {number}", "text": text}) + "\n"


def _texts(dice: np.random.Generator, length: int) -> Iterator[str]:
    """Texts whose words are as unevenly frequent as in English (Zipf's law)."""
    names = np.random.default_rng(2)
    words = np.array(["".join(names.choice(list("abcdefghiklmnoprstuvy"), 6)) for _ in range(50_000)])
    reached = np.cumsum(1 / np.arange(1, len(words) + 1))
    while True:
        places = np.searchsorted(reached, dice.random((1000, length)) * reached[-1])
        yield from map(" ".join, words[places].tolist())


def measured(axis: str, count: int, folder: Path) -> dict[str, dict[str, float]]:
    """What each step of one size took, in a process and a cache of its own."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "benchmarks.growth", str(folder), axis, str(count)]
        env = {**os.environ, "CLARA_BENCH_CACHE": cache}
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=env, cwd=ROOT).stdout
    return {step: {"s": used[0], "MB": used[1] / 1e6} for step, used in json.loads(output.splitlines()[-1]).items()}


def exponent(sizes: Sequence[int], costs: Sequence[float], floor: float) -> float:
    """The slope of a line through the logarithms of sizes and costs; 0 if fewer than two costs reach the floor.

    >>> round(exponent((1, 10, 100, 1000), [0.1, 20, 200, 2000], floor=1), 6)
    1.0
    """
    told = [pair for pair in zip(sizes, costs, strict=True) if pair[1] >= floor]
    return float(np.polyfit(*np.log(told).T, 1)[0]) if len(told) > 1 else 0.0


def report(axis: str, folder: Path) -> bool:
    """Print the table of an axis; whether every exponent is within the limit."""
    sizes, kept = SIZES[axis], True
    found = [[measured(axis, count, folder) for _ in range(REPEATS[axis])] for count in sizes]
    print(f"| {axis} | {' | '.join(f'{size:,}' for size in sizes)} | exponent |")
    print(f"|---|{'---:|' * (len(sizes) + 1)}")
    for step, unit in itertools.product(found[0][0], FLOOR):
        costs = [min(one[step][unit] for one in repeats) for repeats in found]
        slope = exponent(sizes, costs, FLOOR[unit])
        kept &= slope <= LIMIT
        print(f"| {' | '.join([f'{step}, {unit}', *(f'{cost:,.3g}' for cost in costs), f'{slope:.2f}'])} |", flush=True)
    return kept


def main() -> None:
    """Measure both axes, or one size where the command names it."""
    folder = Path(sys.argv[1]).absolute()
    if len(sys.argv) > 2:
        axis, count = sys.argv[2], int(sys.argv[3])
        AXES[axis](folder, WARM, Meter())
        meter = Meter()
        AXES[axis](folder, count, meter)
        print(json.dumps(meter.used))
        return
    write(folder)
    kept = [report(axis, folder) for axis in SIZES]
    raise SystemExit(int(not all(kept)))


if __name__ == "__main__":
    main()
