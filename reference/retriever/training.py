"""Trains a dense retriever by the trainer of sentence-transformers: contrastive, with in-batch and hard negatives.

OUT/best/              the encoder as sentence-transformers saves it: `-o retriever=dense -o retriever.model=OUT/best`
OUT/training.json      settings, rows, start, and what the dev questions gave
OUT/log.jsonl          a line for each logged step and each evaluation
OUT/checkpoints/       what resuming needs
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from clara_bench import ConfigError, DataError, MissingDependency
from clara_bench.io.cache import write_atomic
from clara_bench.io.opening import read_bytes
from clara_bench.io.parsing import decode
from clara_bench.io.progress import progress
from clara_bench.io.quiet import without_bars
from reference.retriever.encoders import starting
from reference.retriever.examples import Share, dev_samples, examples, shares
from reference.settings.config import Config
from reference.training.deepspeed import LAUNCHER

MEASURE = "eval_dev_ndcg@10"
"""What the best step is chosen by: over 20 candidates of a dev question, by the library's `RerankingEvaluator`."""
PACKAGES = ("sentence-transformers", "transformers", "torch", "clara-bench")
PLAN, LOG, BEST, STEPS = "training.json", "log.jsonl", "best", "checkpoints"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a retriever is trained."""

    model: str
    """Hub id or folder of a sentence encoder, or a checkpoint, whose text reader is the start."""
    stages: tuple[str, ...]
    """Whose rows are read, one stage after the other, as CLaRa's reasoner does."""
    budget: float = 1.0
    """The share of each stage's steps."""
    negatives: int = 1
    """Hard negatives an example: candidates of the question that are not gold."""
    learning_rate: float = 5e-5
    warmup: float = 0.1
    """The share of steps in which the learning rate rises; it falls linearly after."""
    evaluations: int = 4
    """How often dev questions are asked, evenly over the steps."""
    dev_questions: int = 50
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str | None = None
    """A torch device; None for a GPU where there is one."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.budget <= 1:
            raise ConfigError(f"budget {self.budget}: expected a number above 0, at most 1")
        if not 0 < self.learning_rate <= 1:
            raise ConfigError(f"learning rate {self.learning_rate}: expected a number above 0, at most 1")


def train(config: Config, settings: Settings, out: Path) -> dict[str, Any]:
    """Train or resume; returns what OUT/training.json holds.

    Raises:
        ConfigError: a stage without candidates, or a folder in which a training of other settings was begun.
        BackendError: the model to start from cannot be loaded.
        MissingDependency: a library of the trainer is not installed.
    """
    _require("datasets", "hub")
    _require("accelerate", "hf")
    taken = shares(config, settings.stages, settings.budget)
    batch = config.stages[settings.stages[0]].batch
    plan = _plan(config, settings, taken, batch)
    _check_folder(out, plan)
    with tempfile.TemporaryDirectory() as scratch, without_bars(), _alone():
        model = starting(settings.model, Path(scratch), settings.device)
        trainer = _trainer(model, config, settings, taken, batch, out)
        with progress("training", trainer.args.max_steps, "steps") as advance:
            _follow(trainer, out / LOG, advance)
            last = _last(out / STEPS)
            trainer.args.eval_on_start = last is None and settings.evaluations > 0  # the curve begins with the start
            trainer.train(resume_from_checkpoint=last)
        trainer.model.save_pretrained(str(out / BEST), create_model_card=False)
    done = {**plan, "best": _best(trainer.state), "log": LOG}
    write_atomic(out / PLAN, _written(done))
    return done


def _plan(config: Config, settings: Settings, taken: Sequence[Share], batch: int) -> dict[str, Any]:
    """What decides the weights."""
    data = {share.stage: {"rows": share.rows, "data": config.data.get(share.stage, {})} for share in taken}
    return {
        "settings": {key: value for key, value in asdict(settings).items() if key != "device"},
        "batch": batch,
        "steps": sum(share.rows for share in taken) // batch,
        "candidates": batch * (1 + settings.negatives),
        "data": data,
        "packages": {name: version(name) for name in PACKAGES},
    }


def _check_folder(out: Path, plan: dict[str, Any]) -> None:
    """Note the plan in the folder, which must hold no training of another one."""
    if (out / PLAN).exists():
        begun = decode(read_bytes(out / PLAN), dict[str, Any], str(out / PLAN))
        asked = decode(_written(plan), dict[str, Any], "the settings")
        for key in ("settings", "data"):
            if begun.get(key) != asked[key]:
                raise ConfigError(f"{out}: holds a training of other {key}. Name another folder, or remove this one")
    out.mkdir(parents=True, exist_ok=True)
    if not (out / PLAN).exists():
        write_atomic(out / PLAN, _written(plan))


def _written(plan: dict[str, Any]) -> bytes:
    return (json.dumps(plan, indent=1, ensure_ascii=False) + "\n").encode()


@contextmanager
def _alone() -> Iterator[None]:
    """Hide what a launcher said, since the trainer would join its processes; leave the environment as it was."""
    before = dict(os.environ)
    for name in LAUNCHER:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _trainer(model: Any, config: Config, settings: Settings, taken: Sequence[Share], batch: int, out: Path) -> Any:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer
    from sentence_transformers.sentence_transformer.evaluation import RerankingEvaluator
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from transformers import PrinterCallback

    rows = list(examples(config, taken, settings.negatives, settings.seed))
    if len(rows) < batch:
        raise DataError(
            f"stages {', '.join(settings.stages)}: {len(rows)} rows with a gold passage, fewer than a batch ({batch}). "
            "Expected rows that name their supporting passages"
        )
    dev = dev_samples(config, settings.stages[-1], settings.dev_questions) if settings.evaluations else []
    trainer = SentenceTransformerTrainer(
        model=model,
        args=_arguments(settings, len(rows) // batch, batch, out, model.device.type == "cpu"),
        train_dataset=Dataset.from_list(rows),
        loss=MultipleNegativesRankingLoss(model),
        evaluator=RerankingEvaluator(dev, name="dev", at_k=10, write_csv=False) if dev else None,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(settings: Settings, steps: int, batch: int, out: Path, cpu: bool) -> Any:
    from sentence_transformers import SentenceTransformerTrainingArguments

    every = math.ceil(steps / max(1, settings.evaluations))
    chosen = {"load_best_model_at_end": True, "metric_for_best_model": MEASURE, "greater_is_better": True}
    return SentenceTransformerTrainingArguments(
        output_dir=str(out / STEPS),
        max_steps=steps,
        per_device_train_batch_size=batch,
        learning_rate=settings.learning_rate,
        warmup_steps=math.ceil(settings.warmup * steps),
        batch_sampler=in_order,
        eval_strategy="steps" if settings.evaluations else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        logging_steps=max(1, min(10, steps // 10)),
        bf16=settings.precision == "bfloat16",
        use_cpu=cpu,
        seed=settings.seed,
        report_to="none",
        disable_tqdm=True,
        **(chosen if settings.evaluations else {}),
    )


def in_order(dataset: Any, batch_size: int, drop_last: bool, **given: Any) -> Any:
    """Batches of rows in their order, as CLaRa reads them: those of a batch are about one world."""
    from sentence_transformers.base.sampler import DefaultBatchSampler

    return DefaultBatchSampler(range(len(dataset)), batch_size=batch_size, drop_last=True, **given)


def _follow(trainer: Any, log: Path, advance: Callable[[int], None]) -> None:
    """Write the log and move the progress on as the training goes."""
    from transformers import TrainerCallback

    class Follower(TrainerCallback):  # type: ignore[misc]
        """Told by the trainer."""

        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            advance(1)

        def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            lines = [json.dumps(line) + "\n" for line in state.log_history]
            write_atomic(log, "".join(lines).encode())

    trainer.add_callback(Follower())


def _last(folder: Path) -> str | None:
    """The newest complete checkpoint; the trainer writes its state last."""
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return str(max(found, key=lambda path: int(path.name.rpartition("-")[2]))) if found else None


def _best(state: Any) -> dict[str, Any]:
    """The step whose weights are kept, and its evaluation."""
    found = [line for line in state.log_history if MEASURE in line and line["step"]]
    if not found:
        return {"step": state.global_step}
    best = max(found, key=lambda line: float(line[MEASURE]))
    return {key.removeprefix("eval_dev_"): value for key, value in best.items() if key == "step" or "dev_" in key}


def _require(package: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingDependency("training a retriever", package, extra)
