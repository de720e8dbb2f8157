"""The identity of a run, which names its folder, and its manifest, from which it can be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from clara_bench.components import identity, registry
from clara_bench.components.identity import plain
from clara_bench.components.registry import Built, plugin_errors
from clara_bench.errors import ConfigError
from clara_bench.io.cache import file_digest
from clara_bench.io.redaction import redacted
from clara_bench.records.manifest import Manifest, differences
from clara_bench.records.results import offered_hash
from clara_bench.running.answering import as_recorded
from clara_bench.running.run_config import Request, label_of
from clara_bench.tasks.candidates import NEEDS_FIRST_STAGE, Frozen
from clara_bench.tasks.sources import TaskData
from clara_bench.types import System, Traits


@dataclass(frozen=True, slots=True)
class Account:
    """A request with what was built for it and what that is."""

    request: Request
    system: Built
    first_stage: Built | None
    identity: Mapping[str, Any]
    models: Mapping[str, Any]
    """What each component says of its models."""


def prepare(request: Request, data: TaskData) -> Account:
    """Build the components and say what they are.

    Raises:
        BenchError: one cannot be built, or what it says of itself cannot be recorded.
    """
    system = registry.build("system", request.system)
    for verb in ("index", "answer"):
        with plugin_errors(f"system '{request.system.name}': its method '{verb}'"):
            there = callable(getattr(system.instance, verb, None))
        if not there:
            raise ConfigError(f"system '{request.system.name}' has no method '{verb}': see clara-bench systems new")
    stage = registry.build("retriever", request.first_stage.retriever) if _staged(request) else None
    with plugin_errors(f"system '{request.system.name}': what it says of itself cannot be recorded"):
        found = redacted(plain(_identity(request, data, system, stage)))
        return Account(request, system, stage, found, plain(identity.models(system)))


def _staged(request: Request) -> bool:
    return request.setting in NEEDS_FIRST_STAGE


def _identity(request: Request, data: TaskData, system: Built, stage: Built | None) -> dict[str, Any]:
    """Everything that could change an answer or what counts as right.

    The limit is no part of it: a larger sample continues a smaller one.
    """
    task, drawn = data.task, request.sampling == "draw"
    return {
        "task": {"name": task.name, "version": task.version, "answer_scorer": task.answer_scorer},
        "setting": request.setting,
        "data": {"questions": data.data_hash, "passages": None if request.setting == "closed" else data.corpus_hash},
        "sample": {
            "seed": request.seed,
            "complete_gold": request.complete_gold,
            **({"draw": request.limit} if drawn else {}),
        },
        "first_stage": stage and {"depth": request.first_stage.depth, "retriever": identity.of(stage)},
        **({"control": request.control} if request.control else {}),
        "system": identity.of(system),
        **({"batch": request.batch} if identity.together(system) else {}),
    }


def manifest(account: Account, data: TaskData, frozen: Frozen) -> dict[str, Any]:
    """The manifest: everything needed to repeat and describe the run, without private data."""
    request, task = account.request, data.task
    limit = len(frozen.examples) if len(frozen.examples) < len(data.examples) else None
    content = {
        "request": plain(asdict(replace(request, limit=limit))),
        "identity": account.identity,
        "task": {
            "name": task.name,
            "version": task.version,
            "answer_scorer": task.answer_scorer,
            "metrics": list(task.metrics),
            "main_metric": task.main_metric,
        },
        "setting": request.setting,
        "questions": {
            "count": len(frozen.examples),
            "of": len(data.examples),
            "hash": frozen.questions_hash,
            "offered": offered_hash(frozen.examples),
        },
        "data": {"provenance": plain(data.provenance), "hash": data.data_hash, "corpus_hash": data.corpus_hash},
        "candidates": {
            "hash": frozen.candidates_hash,
            "passages": len(frozen.corpus),
            "first_stage": str(request.first_stage.retriever) if _staged(request) else None,
        },
        "system": {
            "name": request.system.name,
            "label": label_of(request),
            "options": registry.effective_options("system", request.system),
        },
        "models": account.models,
        "traits": _traits(account.system.instance),
    }
    return dict(redacted(content))


def _traits(system: System) -> dict[str, Any]:
    return asdict(as_recorded(getattr(system, "traits", Traits()), Traits, "the system's traits"))


def refuse_other(expected: Manifest, account: Account, frozen: Frozen) -> None:
    """Refuse to repeat a run with other data, code, models or options than it had.

    Raises:
        ConfigError: says what differs.
    """
    first_version = expected["schema"] == 1
    then, now = _of_first_version(expected, account, frozen) if first_version else _compared(expected, account, frozen)
    changed = sorted(differences(then, now))
    if changed:
        raise ConfigError(
            f"this run differs from its manifest in: {', '.join(changed)}. "
            "The same data (name them with --data and --corpus), models and plug-ins are needed"
        )


def _compared(expected: Manifest, account: Account, frozen: Frozen) -> tuple[dict[str, Any], dict[str, Any]]:
    hashes = {"questions": frozen.questions_hash, "candidates": frozen.candidates_hash}
    then = {"questions": expected["questions"]["hash"], "candidates": expected["candidates"]["hash"]}
    return {**expected["identity"], **then}, {**account.identity, **hashes}


def _of_first_version(expected: Manifest, account: Account, frozen: Frozen) -> tuple[dict[str, Any], dict[str, Any]]:
    """The identity in manifests of schema 1, as far as known."""
    request, then = account.request, dict(expected["identity"])
    file = Path(request.system.name.rpartition(":")[0])
    now = {
        "task": account.identity["task"]["name"],
        "version": account.identity["task"]["version"],
        "setting": request.setting,
        "seed": request.seed,
        "questions": frozen.questions_hash,
        "candidates": frozen.candidates_hash,
        "system": request.system.name,
        "plugin": file_digest(file) if file.suffix == ".py" and file.is_file() else None,
        "options": registry.effective_options("system", request.system),
        "models": account.models,
    }
    return _of_both(then, plain(now))


def _of_both(then: Any, now: Any) -> tuple[Any, Any]:
    """Both without the keys that only one version of clara-bench records."""
    if not isinstance(then, Mapping) or not isinstance(now, Mapping):
        return then, now
    pairs = {name: _of_both(then[name], now[name]) for name in then.keys() & now.keys()}
    return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}
