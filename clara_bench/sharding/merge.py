"""Merges the shards of a run into the run that one command would have written, record for record.

Everything that names the run must be the same in all shards: its identity (system, options, models, setting, data,
sample), what the whole run asks, and the code that answered. The merged questions must have the whole run's hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clara_bench import judging
from clara_bench.components.seen import Seen
from clara_bench.errors import ConfigError
from clara_bench.io.cache import building
from clara_bench.judging import verdicts
from clara_bench.records import results
from clara_bench.records.log import LineLog, RecordLog
from clara_bench.records.manifest import Manifest, differences, write_manifest
from clara_bench.records.prompts import PromptLog, read_prompts
from clara_bench.records.results import Run, offered_hash, open_run, questions_hash
from clara_bench.reporting import scoring
from clara_bench.sharding.shard import Shard, joined, shard_of
from clara_bench.types import Example


def merge(folders: Sequence[Path], out: Path | None = None) -> Run:
    """Write the run that some shards make.

    Args:
        folders: of the shards, in any order.
        out: the run's folder; None for the one in which the same command without --shard would go on.

    Raises:
        ConfigError: a shard is missing, given twice, unfinished, of another run or by other code, or `out` is there.
        DataError: a shard cannot be read.
        BackendError: the disk cannot be written to.
    """
    shards = _in_order([open_run(folder) for folder in folders])
    examples = _questions(shards)
    target = out or _undivided(shards[0])
    if target.exists():
        raise ConfigError(f"{target} is there already. Choose another folder with -o, or remove it")
    with building(target) as scratch:
        merged = Run(scratch, _manifest(shards))
        results.write_questions(scratch, examples)
        write_manifest(scratch / "manifest.json", merged.manifest)
        _write_lines(shards, examples, scratch)
        scoring.write_scores(merged, scoring.score_run(merged))
    return open_run(target)


def _in_order(runs: Sequence[Run]) -> list[Run]:
    """The shards by number, all of one run and none missing.

    Raises:
        ConfigError: it is not so.
    """
    found: dict[int, Run] = {}
    for run in runs:
        shard = _shard(run)
        _refuse_foreign(runs[0], run)
        if shard.number in found:
            raise ConfigError(f"shard {shard} is given twice: {found[shard.number].path} and {run.path}. Leave one out")
        found[shard.number] = run
    of = _shard(runs[0]).of
    missing = [str(number) for number in range(1, of + 1) if number not in found]
    if missing:
        raise ConfigError(
            f"{len(missing)} of {of} shards are missing: {', '.join(missing[:20])}. "
            f"Run the same command with --shard {missing[0]}/{of}"
        )
    return [found[number] for number in sorted(found)]


def _shard(run: Run) -> Shard:
    shard = shard_of(run.manifest)
    if shard is None:
        raise ConfigError(f"{run.path} is a whole run, no shard. Shards are written by clara-bench run --shard 1/2")
    return shard


def _refuse_foreign(first: Run, run: Run) -> None:
    ours, theirs = _named(first.manifest), _named(run.manifest)
    changed = list(differences(ours, theirs))
    if changed:
        raise ConfigError(
            f"{run.path} is not of the same run as {first.path}. They differ in: {', '.join(changed)}. "
            "Answer all shards by the same command, code, data and models"
        )


def _named(manifest: Manifest) -> dict[str, Any]:
    """All of a shard's manifest that must be the same in each, and the code of all its sessions."""
    return {
        "identity": manifest["identity"],
        "task": manifest["task"],
        "data": {"hash": manifest["data"]["hash"], "corpus_hash": manifest["data"]["corpus_hash"]},
        "shard": {**manifest["shard"], "number": 0},
        "clara_bench": sorted({one["clara_bench"] for one in manifest["sessions"]}),
        "commit": sorted({one["git"]["commit"] if one["git"] else "" for one in manifest["sessions"]}),
        "packages": _versions([one["packages"] for one in manifest["sessions"]]),
    }


def _versions(packages: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """By package the versions of all sessions."""
    names = sorted({name for one in packages for name in one})
    return {name: sorted({one.get(name, "") for one in packages}) for name in names}


def _questions(shards: Sequence[Run]) -> list[Example]:
    """The questions of the whole run, each answered.

    Raises:
        ConfigError: they are not those that the shards were cut from, or one has no answer.
    """
    parts = []
    for run in shards:
        examples, records = run.answered()
        if len(records) < len(examples):
            raise ConfigError(
                f"{run.path}: {len(records)} of {len(examples)} questions are answered. Finish it by the same command"
            )
        parts.append(examples)
    part = shards[0].manifest["shard"]
    found, asked = joined(parts, part["batch"]), part["questions"]
    if questions_hash(found) != asked["hash"] or offered_hash(found) != asked.get("offered"):
        raise ConfigError(
            f"{shards[0].path}: the shards' questions are not the {asked['count']} that were divided. "
            "Put their files back as they were written, or answer them again with another --out"
        )
    return found


def _undivided(run: Run) -> Path:
    return run.path.with_name(run.path.name.removesuffix(_shard(run).suffix))


def _manifest(shards: Sequence[Run]) -> Manifest:
    first = shards[0].manifest
    whole = {name: value for name, value in first.items() if name != "shard"}
    sessions = [session for run in shards for session in run.manifest["sessions"]]
    part = first["shard"]
    whole |= {"questions": part["questions"], "candidates": part["candidates"], "sessions": sessions}
    return whole  # type: ignore[return-value]


def _write_lines(shards: Sequence[Run], examples: Sequence[Example], folder: Path) -> None:
    """Answers, prompts and verdicts, in the order of the questions."""
    records = {record.id: record for run in shards for record in run.records()}
    with RecordLog(folder) as log:
        log.append(records[example.question.id] for example in examples)
    prompts = {id: line for run in shards for id, line in read_prompts(run.path).items()}
    with PromptLog(folder, keep=True) as kept:
        found = (prompts[example.question.id] for example in examples if example.question.id in prompts)
        kept.append({line.id: Seen(line.prompt, line.context) for line in found})
    judged = [line for run in shards for line in verdicts.read(run.path / judging.FILE).values()]
    if judged:
        with LineLog(folder / judging.FILE) as file:
            file.write(judged)
