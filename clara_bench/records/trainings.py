"""Runs of one system that differ in a seed alone: several trainings, or several draws.

A run whose label ends with `-seedN` is another training of the system with the label before it. Its options may then
name another checkpoint, model or adapter. Runs of one label whose options differ in seeds only are several draws.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from clara_bench.records.manifest import SystemPart
from clara_bench.records.results import Run

By = Literal["seed", "label", "run"]
"""What makes runs one system: all but the seed, the label up to `-seedN`, or nothing, so that each stands alone."""

SEED = re.compile(r"-seed\d+(?=$|-control-)")
WEIGHTS = frozenset({"checkpoint", "model", "adapter"})
"""Options that name what a training made."""


@dataclass(frozen=True, slots=True)
class System:
    """A system in one setting: one run, or one for each seed."""

    runs: tuple[Run, ...]

    @property
    def run(self) -> Run:
        """The first of its runs."""
        return self.runs[0]

    @property
    def label(self) -> str:
        """The label that its runs share."""
        label = self.run.manifest["system"]["label"]
        return base(label) if len(self.runs) > 1 else label


def base(label: str) -> str:
    """A label without its seed; what a control adds to a label stays.

    >>> base("gold-cocom-seed2"), base("clara-8x"), base("clara-8x-seed1-control-random")
    ('gold-cocom', 'clara-8x', 'clara-8x-control-random')
    """
    return SEED.sub("", label)


def grouped(runs: Sequence[Run], by: By = "seed") -> list[System]:
    """The systems that runs belong to, each where its first run was.

    Runs that answer other questions, in other settings or from other candidates, are other systems.
    """
    if by == "run":
        return [System((run,)) for run in runs]
    groups: dict[bytes, list[Run]] = {}
    for run in runs:
        groups.setdefault(_key(run, by), []).append(run)
    return [system for group in groups.values() for system in _systems(group, by)]


def _key(run: Run, by: By) -> bytes:
    manifest = run.manifest
    task, asked = manifest["task"], manifest["questions"]["hash"]
    place = [task["name"], task["version"], asked, manifest["setting"], manifest["candidates"]["hash"]]
    told = [*place, manifest["request"].get("control"), base(manifest["system"]["label"])]
    if by == "seed":
        told += [_without(manifest["system"]["options"], frozenset({"seed"}) | WEIGHTS), manifest["traits"]]
    return _bytes(told)


def _systems(group: Sequence[Run], by: By) -> list[System]:
    if by == "seed" and not _by_seed_alone([run.manifest["system"] for run in group]):
        return [System((run,)) for run in group]
    return [System(tuple(sorted(group, key=lambda run: (run.manifest["system"]["label"], str(run.path)))))]


def _by_seed_alone(systems: Sequence[SystemPart]) -> bool:
    """Whether each has a seed of its own, by label or option; under one label, other weights may be another method."""
    alike: dict[str, set[bytes]] = {}
    seeds = set()
    for system in systems:
        label, options = system["label"], system["options"]
        alike.setdefault(label, set()).add(_bytes(_without(options, frozenset({"seed"}))))
        seeds.add((label, _bytes(options)))
    return len(seeds) == len(systems) and all(len(found) == 1 for found in alike.values())


def _bytes(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def _without(value: Any, names: frozenset[str]) -> Any:
    """Options without those of some names, at any depth."""
    if not isinstance(value, Mapping):
        return value
    return {name: _without(inner, names) for name, inner in value.items() if name not in names}
