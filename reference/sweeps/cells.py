"""The trainings of a sweep, one after another. The same call goes on where it was stopped.

OUT/16x-five-gates-0/            a training: rate, stage, estimator, seed (see training/loop.py)
OUT/16x-five.start.json          the scores of its start, and the quality of all estimators' gradients there
OUT/16x.memories/                memories of the dev passages, which all trainings of a rate share
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from clara_bench import ConfigError
from clara_bench.io.cache import write_atomic
from reference.settings.config import Config, Estimator, Evaluation
from reference.weights.initialization import stage_settings, started


class Cell(NamedTuple):
    """One training."""

    rate: int
    stage: str
    estimator: Estimator
    seed: int

    @property
    def group(self) -> str:
        """What all estimators and seeds share."""
        return f"{self.rate}x-{self.stage}"

    def folder(self, out: Path) -> Path:
        """Where it is."""
        return out / f"{self.group}-{self.estimator}-{self.seed}"

    def start_file(self, out: Path) -> Path:
        """Scores of what it starts from: a number by name."""
        return out / f"{self.group}.start.json"

    def gradients_file(self, out: Path) -> Path:
        """The quality of each estimator's gradient there."""
        return out / f"{self.group}.gradients.json"


def cells(config: Config) -> Iterator[Cell]:
    """The trainings in their order: every estimator with the first seed comes before any with the second.

    Raises:
        ConfigError: a sweep without estimators or starts; a stage that does not choose documents without labels.
    """
    sweep = config.sweep
    for key in ("stages", "estimators", "starts", "seeds"):
        if not getattr(sweep, key):
            raise ConfigError(f"sweep.{key} is empty. Expected a config with [sweep], such as 'estimators'")
    for name in sweep.stages:
        if stage_settings(config, name).stage != "joint":
            raise ConfigError(f"sweep.stages: '{name}' has no estimator. Expected stages of type 'joint'")
    rates = [(stage, rate) for rate in sweep.starts for stage in sweep.stages]
    for (stage, rate), seed, estimator in product(rates, sweep.seeds, sweep.estimators):
        yield Cell(_rate(rate), stage, estimator, seed)


def _rate(key: str) -> int:
    if not key.isdigit():
        raise ConfigError(f"sweep.starts: '{key}' is no rate. Expected a table such as {{ 16 = \"tiny-16x\" }}")
    return int(key)


def config_of(config: Config, cell: Cell) -> Config:
    """The config of one training; its seed is also that of its rows."""
    settings = stage_settings(config, cell.stage)
    settings = replace(
        settings,
        start=config.sweep.starts[str(cell.rate)],
        seed=cell.seed,
        selection=replace(settings.selection, estimator=cell.estimator),
    )
    memory = replace(config.model.memory, rate=cell.rate)
    rows = {**config.data.get(cell.stage, {}), "seed": cell.seed}
    return replace(
        config,
        model=replace(config.model, memory=memory),
        stages={**config.stages, cell.stage: settings},
        data={**config.data, cell.stage: rows},
    )


def run(config: Config, out: Path, questions: int = 32, told: Callable[[str], None] = lambda line: None) -> None:
    """Measure every start, train every cell that is not finished, then measure gradients.

    Args:
        config: with a table `[sweep]`.
        out: folder for all that is written.
        questions: that gradients are measured on, at each start; 0 measures none.
        told: is given a line for each training.

    Raises:
        BenchError: see `cells` and `run_stage`.
    """
    grid = list(cells(config))
    shared: dict[int, Any] = {}
    for number, cell in enumerate(grid, 1):
        _once(cell.start_file(out), partial(_scores, config, cell, out))
        if not (cell.folder(out) / "last").exists():
            told(f"{number} of {len(grid)}: {cell.folder(out)}")
            _train(config, cell, out, shared)
    for cell in grid if questions else ():
        _once(cell.gradients_file(out), partial(_gradients, config, cell, questions))


def _train(config: Config, cell: Cell, out: Path, shared: dict[int, Any]) -> None:
    """Train a cell; trainings of a rate have the same compressor, and so share memories."""
    from reference.objectives.candidates import Kept
    from reference.training.launch import Shared, run_stage
    from reference.weights.initialization import begin

    own = config_of(config, cell)
    if cell.rate not in shared:
        shared.clear()  # the memories of the rate before
        shared[cell.rate] = Kept(begin(started(own, cell.stage), cell.stage))
    run_stage(own, cell.stage, cell.folder(out), shared=Shared(shared[cell.rate], _memories(out, cell)))


def _once(path: Path, measured: Callable[[], Any]) -> None:
    """Write what is measured, unless it is there."""
    if not path.exists():
        write_atomic(path, msgspec.json.format(msgspec.json.encode(measured()), indent=2))


def _scores(config: Config, cell: Cell, out: Path) -> dict[str, float]:
    """The evaluation of what a cell starts from."""
    from reference.training.evaluation import evaluator
    from reference.weights.initialization import begin

    asked = config.evaluation.get(cell.stage, Evaluation())
    if not asked.tasks:
        return {}
    own = started(config_of(config, cell), cell.stage)
    memories = _memories(out, cell)
    return evaluator(stage_settings(own, cell.stage), asked, memories=memories)(begin(own, cell.stage), 0)


def _gradients(config: Config, cell: Cell, questions: int) -> dict[str, Any]:
    from reference.lens.gradients import measure

    return measure(config_of(config, cell), cell.stage, questions, cell.seed)


def _memories(out: Path, cell: Cell) -> Path:
    return out / f"{cell.rate}x.memories"
