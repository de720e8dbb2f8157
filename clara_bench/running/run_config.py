"""The configuration of a run: checked before data are read, stored in the manifest, read from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from clara_bench import metrics
from clara_bench.components import registry
from clara_bench.components.registry import Component
from clara_bench.errors import ConfigError
from clara_bench.io.parsing import convert
from clara_bench.io.redaction import at_home, redacted
from clara_bench.metrics.plugin import is_file
from clara_bench.tasks.candidates import Sampling, refuse_setting
from clara_bench.tasks.controls import NO_SEARCH, Controlled
from clara_bench.tasks.definitions import Task
from clara_bench.tasks.first_stage import FirstStage
from clara_bench.tasks.sources import Source
from clara_bench.types import Control, Setting


@dataclass(frozen=True, slots=True)
class Request:
    """All that a person says to start a run; the manifest keeps it as given."""

    task: str
    """A task's name, or the path of its TOML."""
    system: Component
    setting: Setting
    source: Source = field(default_factory=Source)
    label: str = ""
    """The system's name on the leaderboard; by default its name and options."""
    first_stage: FirstStage = field(default_factory=FirstStage)
    limit: int | None = None
    seed: int = 0
    complete_gold: bool = False
    batch: int = 32
    """Questions per call of the system."""
    sampling: Sampling = "order"
    control: Control | None = None
    """The evidence that takes the place of the setting's own."""
    metrics: tuple[str, ...] = ()
    """Scored beside those of the task; they decide no answer, and are no part of the run's identity."""


LONGEST_LABEL = 200
"""Bytes; file systems take 255."""


def as_request(manifest: Mapping[str, Any], where: str) -> Request:
    """The request that a manifest keeps.

    Raises:
        DataError: it is not one.
    """
    request = convert(at_home(manifest["request"]), Request, f"{where}: request", "Put the file back as it was written")
    return replace(request, sampling="draw") if manifest["schema"] == 1 else request


def controlled(request: Request) -> Request:
    """The request as it is run: where a control leaves nothing to rank, a retriever takes the passages as given.

    BM25, for one, returns no passage that shares no word with the question, and the control would not be read.
    """
    options = registry.effective_options("system", request.system)
    chosen = options.get("retriever")
    if request.control not in NO_SEARCH or not isinstance(chosen, Mapping) or chosen.get("name") == "given":
        return request
    kept = {name: value for name, value in request.system.options.items() if not name.startswith("retriever.")}
    return replace(request, system=replace(request.system, options={**kept, "retriever": "given"}))


def control_of(request: Request) -> Controlled | None:
    """The control of a request with what decides its passages."""
    if request.control is None:
        return None
    reads = registry.effective_options("system", request.system).get("k")
    counted = isinstance(reads, int) and not isinstance(reads, bool)
    return Controlled(request.control, request.seed, reads if counted else None)


def check(request: Request, task: Task) -> None:
    """Refuse what can be refused before any data is read.

    Raises:
        UnknownName, ConfigError: an unknown system, retriever, metric or option, a number out of its range, or a
            setting the task cannot carry.
    """
    registry.effective_options("system", request.system)
    registry.effective_options("retriever", request.first_stage.retriever)
    for name in (*task.metrics, task.main_metric):
        if is_file(name):
            raise ConfigError(f"task '{task.name}': metric '{name}' is code in a file. Choose it with -m instead")
    for name in (*task.metrics, task.main_metric, *request.metrics):
        metrics.get(name, task.answer_scorer)
    refuse_setting(task, request.setting)
    least = {"limit": (request.limit, 1), "depth": (request.first_stage.depth, 1), "batch": (request.batch, 1),
             "seed": (request.seed, 0)}  # fmt: skip
    for name, (given, lowest) in least.items():
        if given is not None and given < lowest:
            raise ConfigError(f"--{name} must be at least {lowest}, got {given}")
    if not label_of(request):
        raise ConfigError(f"the label '{request.label}' has no letter or digit. It names a folder; give another one")
    if len(label_of(request).encode()) > LONGEST_LABEL:
        raise ConfigError(
            f"the label '{label_of(request)}' is longer than {LONGEST_LABEL} bytes. It names a folder; give a --label"
        )


def label_of(request: Request) -> str:
    """Name on the leaderboard and of the folder: letters, digits, `_`, `.`, `+` and `-`; of a control, with its name.

    Without credentials and home folders. A shell takes no part of it for anything else; names that come out alike are
    told apart where they are shown.
    """
    system = replace(request.system, options=redacted(request.system.options))
    label = redacted(request.label or str(system.short))
    if request.control is not None:
        label = f"{label}-control-{request.control}"
    return re.sub(r"[^\w.+-]+", "-", label).strip("-.")
