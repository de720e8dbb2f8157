"""Resuming: the identity of a run, its progress, and everything needed for the next step.

    OUT/stage.json          what is trained, from what, and on what
    OUT/resume/state.json   progress; written last, so it never names an incomplete folder
    OUT/resume/step-N/      weights that learn, optimiser and schedule, as DeepSpeed writes them

Untrained weights are not written: they are where the stage started, and stage.json holds their fingerprints.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from torch import distributed

from clara_bench import BackendError, ConfigError, DataError
from clara_bench.io.cache import write_atomic
from clara_bench.io.escaping import shortened
from clara_bench.io.parsing import read_json
from reference.objectives.stages import Stage
from reference.settings.config import ModelConfig, TrainConfig
from reference.training.deepspeed import Process
from reference.training.unpickling import restricted

MAY_CHANGE = (
    "evaluate_every",
    "save_every",
    "parallel.micro_batch",
    "parallel.offload",
    "parallel.activation_checkpointing",
)
"""Settings that do not decide what the run computes."""


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The identity of a run; settings that are newer than the run have their defaults."""

    schema: Literal[1] = 1
    name: str
    settings: TrainConfig
    model: ModelConfig
    backbone: str
    """Fingerprint."""
    start: dict[str, str]
    """Fingerprint of each role before the first step."""
    data: dict[str, Any] | None = None
    """Options of the rows; None for runs older than this field."""


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Progress of a run."""

    schema: Literal[1] = 1
    step: int = 0
    """Optimiser steps done."""
    ranks: int = 0
    """Processes that wrote the folder; 0 if there is none yet."""
    best_step: int = 0
    best_score: float | None = None
    finished: bool = False

    @property
    def folder(self) -> str:
        """Of DeepSpeed's files, within OUT/resume."""
        return f"step-{self.step:07d}"


def seed(settings: TrainConfig, step: int, rank: int) -> None:
    """Seed every random number generator from the step and the rank, so that their states need not be saved."""
    number = int.from_bytes(sha256(f"{settings.seed} {step} {rank}".encode()).digest()[:8], "big")
    torch.manual_seed(number)
    np.random.seed(number % 2**32)
    random.seed(number)


def open_run(
    out: Path, stage: Stage, name: str, process: Process, resume: bool, data: Mapping[str, Any] | None = None
) -> State:
    """Start a run in a folder, or read the progress of the run in it.

    Raises:
        ConfigError: the folder holds another run, or `resume` is False and it holds one.
        DataError: a file in it is damaged.
        BackendError: the folder cannot be written.
    """
    ours, path = _identity(stage, name, data or {}), out / "stage.json"
    begun = path.exists()
    if begun and not resume:
        raise ConfigError(f"{out}: training was begun here. Resume it, choose another folder, or delete this one")
    if begun:
        _same(_read(path, Identity), ours, out)
    barrier(process)  # nobody may look after the first has written
    if not begun and process.rank == 0:
        try:
            out.mkdir(parents=True, exist_ok=True)
            write_atomic(path, msgspec.json.format(msgspec.json.encode(ours), indent=2))
        except OSError as error:
            raise BackendError(f"{out}: no training can be written there ({error}). Choose another folder") from error
    state_path = out / "resume" / "state.json"
    return _read(state_path, State) if state_path.exists() else State()


def save(engine: Any, out: Path, state: State, process: Process) -> None:
    """Save everything that the next step needs; a kill at any moment leaves the last save intact.

    Raises:
        BackendError: the disk is full, or not writable.
    """
    folder = out / "resume"
    try:
        if process.rank == 0:
            shutil.rmtree(folder / state.folder, ignore_errors=True)
        barrier(process)
        engine.save_checkpoint(folder, tag=state.folder, save_latest=False, exclude_frozen_parameters=True)
        if process.rank == 0:
            for file in (folder / state.folder).iterdir():
                _sync(file)
            write_atomic(folder / "state.json", msgspec.json.encode(state))
            for other in folder.iterdir():
                if other.is_dir() and other.name != state.folder:
                    shutil.rmtree(other)
        barrier(process)
    except (OSError, RuntimeError) as error:  # torch calls a full disk a RuntimeError
        raise BackendError(
            f"{folder}: cannot save ({error}). Make room and start again: it goes on at the last save"
        ) from error


def convert(out: Path, state: State, process: Process) -> str:
    """Convert the last save for any number of processes; returns the name of its folder within OUT/resume.

    Raises:
        BackendError: DeepSpeed's converter failed.
    """
    folder, name = out / "resume", f"{state.folder}-universal"
    if process.rank == 0 and not (folder / name).exists():
        unfinished = folder / f"{name}.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        command = [sys.executable, "-m", "reference.training.unpickling", "--inject_missing_state"]
        command += ["--input_folder", str(folder / state.folder), "--output_folder", str(unfinished)]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**_without_launcher(), "DS_ACCELERATOR": "cpu"}, check=False
        )
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise BackendError(
                f"{folder / state.folder}: not converted for {process.ranks} processes: {' '.join(last)}"
            )
        unfinished.rename(folder / name)
    barrier(process)
    return name


def restore(engine: Any, out: Path, folder: str) -> None:
    """Load a save into an engine.

    Raises:
        DataError: it is damaged.
    """
    path = out / "resume"
    try:
        with restricted():
            loaded, _ = engine.load_checkpoint(path, tag=folder, load_module_strict=False)
    except Exception as error:  # a damaged or planted file makes torch and DeepSpeed raise whatever they stumble over
        said = shortened(" ".join(str(error).split()), 300)
        raise DataError(f"{path / folder}: cannot be resumed from ({said}). Delete {path} to start over") from error
    if loaded is None:
        raise DataError(f"{path / folder}: nothing to resume from. Delete {path} to start over")
    _part_groups(engine)


def _part_groups(engine: Any) -> None:
    """Restore each parameter group's learning rate and step count.

    From a universal checkpoint ZeRO-3 gives every group the first one's rate, and all of them one and the same tensor
    to count steps in, which then runs ahead by as many as there are groups (DeepSpeed 0.19.8).
    """
    optimiser = engine.basic_optimizer
    for group, rate in zip(optimiser.param_groups, engine.lr_scheduler.get_last_lr(), strict=True):
        group["lr"] = rate
    for moments in optimiser.state.values():
        if isinstance(moments.get("step"), torch.Tensor):
            moments["step"] = moments["step"].clone()


def barrier(process: Process) -> None:
    """Wait for all processes."""
    if process.ranks > 1:
        distributed.barrier()


def _identity(stage: Stage, name: str, data: Mapping[str, Any]) -> Identity:
    model = stage.model
    return Identity(
        name=name,
        settings=stage.config,
        model=model.config,
        backbone=model.backbone_fingerprint,
        start={role: model.fingerprint(role) for role in model.roles},
        data=dict(data),
    )


def _same(theirs: Identity, ours: Identity, out: Path) -> None:
    if theirs.data is None:
        theirs = msgspec.structs.replace(theirs, data=ours.data)
    before, now = (_flat(msgspec.to_builtins(one)) for one in (theirs, ours))
    for key in sorted(before.keys() | now.keys()):
        known = key in before and key in now
        if not (known and before[key] == now[key]) and key.removeprefix("settings.") not in MAY_CHANGE:
            was, wanted = (repr(flat[key]) if key in flat else "absent" for flat in (before, now))
            raise ConfigError(
                f"{out}: another run was begun here: {key} is {was}, not {wanted}. "
                "Choose another folder, or delete this one"
            )


def _flat(tables: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _without_launcher() -> dict[str, str]:
    from reference.training.deepspeed import LAUNCHER

    return {name: value for name, value in os.environ.items() if name not in LAUNCHER}


def _read(path: Path, kind: Any) -> Any:
    return read_json(path, kind, f"Delete {path.parent} to start over")


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
