"""A tiny model and endless rows to train it on, the same in every process; as a program, one rank of several.

A document is a key and a value, such as "a3"; the question for it is the key in upper case, the answer the value.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import msgspec
import torch

from reference.data.row import Row, Turn
from reference.model import backbone
from reference.model.clara import Clara
from reference.settings.config import Adapters, Backbone, Config, Memory, ModelConfig, Scratch, TrainConfig

KEYS, VALUES = "abcdefgh", "01234567"
SHAPE = Scratch(hidden_size=32, intermediate_size=64, layers=2, heads=2, start="identity")


class Pairs:
    """Rows with a number of documents, their keys and values all different, and a question about one of them."""

    size = None

    def __init__(self, documents: int, among: int = 10**9, **signals: tuple[int, int]) -> None:
        """Args: `among` rows, over and over; `signals` to send to this process when a row is asked for, by position."""
        self.documents, self.among, self.signals = documents, among, dict(signals.values())

    def __getitem__(self, position: int) -> Row:
        if position in self.signals:
            os.kill(os.getpid(), self.signals[position])
        draw = random.Random(position % self.among)
        keys, values = draw.sample(KEYS, self.documents), draw.sample(VALUES, self.documents)
        gold = draw.randrange(self.documents)
        documents = tuple(key + value for key, value in zip(keys, values, strict=True))
        turn = Turn(keys[gold].upper(), values[gold])
        return Row(f"{position % self.among}", documents, (turn,), positives=(gold,))


def documents_of(stage: str) -> int:
    """How many documents the stage's rows have here."""
    return {"text": 1, "pretrain": 1, "instruct": 2}.get(stage, 4)


@cache
def _tokenizer():
    texts = [f"Question: {key.upper()}\nAnswer: {value} ; {key}" for key, value in zip(KEYS, VALUES, strict=True)]
    return backbone.train_tokenizer(texts * 9, 300)


def settings_of_model(kind: str = "lora", dropout: float = 0.0, **memory) -> ModelConfig:
    """The settings of a tiny model."""
    return ModelConfig(
        backbone=Backbone(scratch=SHAPE),
        adapters=Adapters(kind=kind, rank=4, alpha=8, dropout=dropout),
        memory=Memory(**{"rate": 8, "document_tokens": 16, **memory}),
    )


def new_model(settings: ModelConfig, roles: tuple[str, ...] = ("compressor", "generator"), seed: int = 0) -> Clara:
    """A tiny model, untrained."""
    return Clara(backbone.load(settings.backbone, 0, _tokenizer()), settings, roles, seed)


def config(model: ModelConfig, stage: str, **changes) -> Config:
    """A config with one stage, named like its kind."""
    plain = {"steps": 6, "batch": 8, "save_every": 3, "parallel": {"micro_batch": 4}, "selection": {"k": 2}}
    plain |= {"optimiser": {"learning_rate": 1e-2, **changes.pop("optimiser", {})}}
    return Config(model=model, stages={stage: msgspec.convert({"stage": stage, **plain, **changes}, TrainConfig)})


def losses(out: Path) -> list[float]:
    """The losses of a run, step by step."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def launch(ranks: int, **task) -> list[subprocess.Popen]:
    """Train in several processes; see `main` for the task."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.reference.trainee", json.dumps(task)],
            env={**os.environ, **(shared if ranks > 1 else {"OMP_NUM_THREADS": "1"}), **_rank(rank, ranks)},
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(ranks)
    ]


def _rank(rank: int, ranks: int) -> dict[str, str]:
    return {"RANK": str(rank), "LOCAL_RANK": str(rank)} if ranks > 1 else {}


def main(task: dict) -> None:
    """Train as the task says.

    Args:
        task: out, stage, kind and dropout of the model, changes of the settings, and maybe a signal that comes
            when the first rank asks for the first row of a step.
    """
    from reference.training.loop import train

    torch.set_num_threads(1)
    model = settings_of_model(task["kind"], task["dropout"])
    batch = config(model, task["stage"], **task["changes"]).stages[task["stage"]].batch
    signals = {"given": (task["at_step"] * batch, signal.Signals[task["signal"]])} if "signal" in task else {}
    rows = Pairs(documents_of(task["stage"]), **(signals if os.environ.get("RANK", "0") == "0" else {}))
    train(config(model, task["stage"], **task["changes"]), task["stage"], rows, Path(task["out"]), new_model(model))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
