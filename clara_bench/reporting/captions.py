"""Captions from manifests: what runs have in common, and how they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clara_bench.records.manifest import Manifest, ProvenancePart
from clara_bench.records.results import Run
from clara_bench.types import Control

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

Offered = tuple[int, int]
"""The fewest and the most passages that a question was offered."""


def source(provenance: ProvenancePart) -> str:
    """Where questions come from: a synthetic world, a data set on the hub, or a file.

    >>> source({"source": "worlds", "questions": 5, "passages": 9, "config": {"seed": 3, "tier": "hard"}})
    'synthetic world, hard, seed 3'
    """
    if provenance["source"] == "worlds":
        config = provenance.get("config", {})
        return ", ".join(["synthetic world", str(config.get("tier", "")), f"seed {config.get('seed', 0)}"])
    if provenance["source"] == "hub":
        return f"hub {provenance.get('path', '')}"
    return next((file["name"] for file in provenance.get("files", ()) if file["role"] == "data"), "files")


def sources(manifests: Sequence[Manifest]) -> list[str]:
    """Where the questions of each table come from; tables that would read alike also say what differs in their data."""
    words = [source(manifest["data"]["provenance"]) for manifest in manifests]
    tables = [(said, m["task"]["name"], m["questions"]["count"]) for said, m in zip(words, manifests, strict=True)]
    keys = {table: _differing([_data(m) for m, one in zip(manifests, tables, strict=True) if one == table])
            for table in tables}  # fmt: skip
    of_source = {said: list(dict.fromkeys(key for table in tables if table[0] == said for key in keys[table]))
                 for said in words}  # fmt: skip
    return [_with(said, _data(m), of_source[said]) for said, m in zip(words, manifests, strict=True)]


def told_apart(words: Sequence[str], manifests: Sequence[Manifest]) -> list[str]:
    """The words for each section's passages, no two alike: with what differs in their data, or else numbered."""
    same = {said: [_data(m) for m, one in zip(manifests, words, strict=True) if one == said] for said in words}
    told = [_with(said, _data(m), _differing(same[said])) for said, m in zip(words, manifests, strict=True)]
    numbers = [told[:place].count(said) + 1 for place, said in enumerate(told)]
    return [f"{said} (set {n} of candidates: rank it by itself)" if n > 1 else said
            for said, n in zip(told, numbers, strict=True)]  # fmt: skip


def _data(manifest: Manifest) -> dict[str, str]:
    """What decides which questions and passages there are, beyond what `source` says."""
    request, config = manifest["request"], manifest["data"]["provenance"].get("config", {})
    stage = request["first_stage"]["retriever"]["options"]
    found = {**{key: value for key, value in config.items() if key not in ("tier", "seed")},
             "data": request["source"]["data"], "corpus": request["source"]["corpus"] or "",
             "sample seed": request["seed"], **{f"retriever {key}": value for key, value in stage.items()},
             "complete gold": request["complete_gold"]}  # fmt: skip
    return {key: str(value) for key, value in found.items()}


def _differing(found: Sequence[Mapping[str, str]]) -> list[str]:
    return [key for key in dict.fromkeys(key for one in found for key in one) if len({o.get(key) for o in found}) > 1]


def _with(said: str, data: Mapping[str, str], keys: Sequence[str]) -> str:
    return ", ".join([said, *(f"{key.replace('_', ' ')} {data[key]}" for key in keys if data.get(key))])


def passages(manifests: Sequence[Manifest], offered: Offered | None) -> str:
    """Which passages the runs of a section could use: the setting, and what it means here.

    Args:
        manifests: of the runs, which share their candidates.
        offered: how many passages each question could use; None for the whole corpus.
    """
    first = manifests[0]
    setting, held = first["setting"], first["data"]["provenance"]["passages"]
    control = first["request"].get("control")
    if control:
        return f"{setting}, control {control}: {_controlled(control, offered)}"
    stage = first["candidates"]["first_stage"] or first["request"]["first_stage"]["retriever"]["name"]
    depth = first["request"]["first_stage"]["depth"]
    of = _read_of(manifests, offered)
    told = {
        "closed": "no passages",
        "gold": f"exactly the {_span(offered)}supporting {_passages(offered)}",
        "distractor": f"{of}the question's own {_span(offered)}{_passages(offered)}",
        "retrieved": f"{of}the first {depth} of {held:,} passages that {stage} ranks",
        "injected": f"{of}the first {depth} of {held:,} passages that {stage} ranks, the supporting ones put in",
        "corpus": f"{of}all {held:,} passages",
    }
    return f"{setting}: {told[setting]}"


def _controlled(control: Control, offered: Offered | None) -> str:
    """The evidence of a control, in words."""
    return {
        "empty": "no passages",
        "first": "the first gold passage alone",
        "last": "the last gold passage alone",
        "random": f"{_span(offered)}{_passages(offered)} drawn at random",
        "shuffled": f"the {_span(offered)}{_passages(offered)} of another question",
    }[control]


def _read_of(manifests: Sequence[Manifest], offered: Offered | None) -> str:
    """`five of `, where all systems read so many of the passages and there are more."""
    read = {manifest["system"]["options"].get("k") for manifest in manifests}
    [count] = read if len(read) == 1 else [None]
    if not isinstance(count, int) or isinstance(count, bool) or (offered is not None and offered[1] <= count):
        return ""
    return f"{_word(count)} of "


def _span(offered: Offered | None) -> str:
    if offered is None or offered == (1, 1):
        return ""
    low, high = offered
    return f"{low} " if low == high else f"{low} to {high} "


def _passages(offered: Offered | None) -> str:
    return "passage" if offered == (1, 1) else "passages"


def _word(count: int) -> str:
    return _NUMBERS[count] if 0 <= count < len(_NUMBERS) else str(count)


def differences(runs: Sequence[Run]) -> list[str]:
    """For each run what tells it from the others with its label; "" where it is alone.

    That is the options that differ; where none does, part of the run's name, or the folder it lies in.
    """
    labels = Counter(run.manifest["system"]["label"] for run in runs)
    namesakes = {
        label: [run for run in runs if run.manifest["system"]["label"] == label]
        for label, times in labels.items()
        if times > 1
    }
    told = {label: dict(zip(map(id, same), _told_apart(same), strict=True)) for label, same in namesakes.items()}
    return [told.get(run.manifest["system"]["label"], {}).get(id(run), "") for run in runs]


def _told_apart(runs: Sequence[Run]) -> list[str]:
    ways: tuple[Callable[[Sequence[Run]], list[str]], ...] = (
        _by_options,
        lambda same: [f"run {run.path.name.rpartition('-')[2]}" for run in same],
        lambda same: [f"in {run.path.parent}" for run in same],
    )
    found = [way(runs) for way in ways]
    distinct = (said for said in found if len(set(said)) == len(runs))
    return next(distinct, [f"{at} {run}" for _, run, at in zip(*found, strict=True)])


def _by_options(runs: Sequence[Run]) -> list[str]:
    """`k=10, reader.model=...`: the options of the system that differ, those of its parts by a dotted name."""
    options = [dict(_flat(run.manifest["system"]["options"])) for run in runs]
    keys = _differing(options)
    return [", ".join(f"{key}={one[key]}" for key in keys[:3] if key in one) for one in options]


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in options.items():
        if isinstance(value, Mapping):
            inner = value.get("options", {})
            yield prefix + key, str(value.get("name", ""))
            yield from _flat(inner if isinstance(inner, Mapping) else {}, f"{prefix}{key}.")
        else:
            yield prefix + key, str(value)
