"""The harness's own fraction of a run's time: everything except retrieval and the language model.

Run as a script it prints the numbers; `make perf` puts them into its table.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from clara_bench.components import registry
from clara_bench.components.registry import Component
from clara_bench.records import results
from clara_bench.running import runner
from clara_bench.running.run_config import Request
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import Source

QUESTIONS = 24


def measure() -> dict[str, float]:
    """Seconds of a run of SmolLM2-135M over a world, and the fraction outside the system and its loading.

    The fraction includes loading the data, freezing candidates, writing records and scoring, not importing torch.
    """
    registry.create("system", Component("rag"))
    source = Source(world={"questions": "100", "passages": "500"})
    request = Request("hotpotqa", Component("rag"), "corpus", source, limit=QUESTIONS)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        data = sources.load(definitions.load(request.task), source)
        run = runner.run(request, data, Path(folder))
        total = time.perf_counter() - start
        session = results.open_run(run.path).manifest["sessions"][-1]
    inside = session["answering_seconds"] + session["index"]["seconds"]
    return {"run_seconds": total, "harness_fraction": (total - inside) / total}


if __name__ == "__main__":
    print(measure())
