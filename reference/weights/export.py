"""Export of a checkpoint: the needed roles in 16 or 8 bits, with the training history.

    OUT/                    a checkpoint (see checkpoint.py); its manifest holds `history`, the stages before it
    OUT/log.jsonl           evaluations, and as many steps as say how the loss went
    OUT/log-<stage>.jsonl   the same of each stage before; log-<stage>-2.jsonl of the earlier one of two alike

The stages before are found by the folders that each names as its start, as far as these are still there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clara_bench import ConfigError
from clara_bench.io.opening import read_bytes
from clara_bench.io.parsing import decode
from reference.weights import checkpoint
from reference.weights.manifest import MANIFEST, read_manifest
from reference.weights.tensors import NumberFormat

STEPS = 500
"""Lines of steps kept of a log."""


class Trained(NamedTuple):
    """A stage in the training history of a checkpoint."""

    name: str
    training: Mapping[str, Any]
    log: str
    """Its log lines; "" for none."""


def export(
    source: Path,
    out: Path,
    roles: Sequence[str] = (),
    dtype: NumberFormat = "float16",
) -> int:
    """Copy a checkpoint for shipping; returns its size in bytes.

    Args:
        source: folder from training, such as RUN/best.
        out: a new folder, or one that holds a checkpoint already.
        roles: which to keep; () for all.
        dtype: number format in the files.

    Raises:
        ConfigError: no checkpoint, a role that it lacks, or a folder that holds something else.
        DataError: a file is damaged.
    """
    if out.exists() and not (out / MANIFEST).is_file():
        raise ConfigError(f"{out}: is there already and holds no checkpoint. Choose another folder")
    model = checkpoint.load(source, roles or None)
    stages = list(lineage(source))
    now, *before = stages
    training = {**now.training, "history": [dict(stage.training) for stage in before]}
    out.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(model, out, training, dtype)
    for name, stage in zip(["log.jsonl", *_logs(stage.name for stage in before)], stages, strict=True):
        if stage.log:
            (out / name).write_text(thinned(stage.log), encoding="utf-8")
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file())


def _logs(stages: Iterable[str]) -> Iterator[str]:
    """The log file of each earlier stage, latest first."""
    times: Counter[str] = Counter()
    for stage in stages:
        times[stage] += 1
        yield f"log-{stage}-{times[stage]}.jsonl" if times[stage] > 1 else f"log-{stage}.jsonl"


def lineage(folder: Path) -> Iterator[Trained]:
    """A checkpoint and those that it was trained from, as far as they exist."""
    seen: set[Path] = set()
    while folder.is_dir() and folder.resolve() not in seen:
        seen.add(folder.resolve())
        training = read_manifest(folder).training
        older = training.pop("history", None)
        yield Trained(
            str(training.get("stage", "")),
            _without_paths(training),
            _log(folder / "log.jsonl", folder.parent / "log.jsonl"),
        )
        if older is not None:  # exported before
            for stage, name in zip(older, _logs(stage["stage"] for stage in older), strict=True):
                yield Trained(stage["stage"], stage, _log(folder / name))
            return
        folder = Path(training.get("settings", {}).get("start") or "none")


def _log(*places: Path) -> str:
    return next((read_bytes(place).decode(errors="replace") for place in places if place.is_file()), "")


def _without_paths(training: Mapping[str, Any]) -> dict[str, Any]:
    """The command without the folder of the program that ran it."""
    command = list(training.get("command", ()))
    if command:
        program = Path(command[0]).name
        command[0] = "clara-reference" if program == "__main__.py" else program
    return {**training, **({"command": command} if command else {})}


def thinned(log: str) -> str:
    """Every evaluation, and evenly spaced steps."""
    lines = [line for line in log.splitlines() if line]
    steps = [
        number for number, line in enumerate(lines) if "evaluation" not in decode(line, dict[str, Any], "log.jsonl")
    ]
    apart = max(1, -(-len(steps) // STEPS))
    left_out = {number for place, number in enumerate(steps) if (place + 1) % apart and place + 1 < len(steps)}
    return "".join(line + "\n" for number, line in enumerate(lines) if number not in left_out)
