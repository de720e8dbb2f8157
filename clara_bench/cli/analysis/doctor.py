"""clara-bench doctor: what is likely wrong with runs or with a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clara_bench.cli.options import data_options, source_from
from clara_bench.errors import BenchError, ConfigError
from clara_bench.io.terminal import note, say, say_json

if TYPE_CHECKING:
    from clara_bench.analysis.doctor.examine import Passages
    from clara_bench.analysis.doctor.findings import Finding
    from clara_bench.records.results import Run
    from clara_bench.tasks.sources import TaskData
    from clara_bench.types import Passage


@click.command()
@click.argument("what", nargs=-1, required=True)
@click.option("--train", type=click.Path(path_type=Path), metavar="FILE",
              help="Training rows with a question each: look for test questions among them.")  # fmt: skip
@click.option("--root", default="runs", show_default=True, type=click.Path(path_type=Path),
              help="Folder in which labels are looked up.")  # fmt: skip
@click.option("--strict", is_flag=True, help="Exit with code 1 if anything is found.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@data_options
@click.pass_context
def doctor(
    ctx: click.Context,
    /,
    what: tuple[str, ...],
    train: Path | None,
    root: Path,
    strict: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Look for likely faults in runs, or in a task's questions.

    Prints a line for each finding. WHAT is one task, or run directories, folders of runs and labels of runs below
    --root. Passages are read from where the runs had them, or from --data. docs/controls.md lists the checks.

    \b
    Examples:
      clara-bench doctor runs
      clara-bench doctor results/musique/bm25-text results/musique/clara-8x
      clara-bench doctor hotpotqa --data hotpot_dev_distractor_v1.json --train rows.jsonl --strict
    """
    from clara_bench.analysis.doctor import examine
    from clara_bench.analysis.doctor.training import read_questions
    from clara_bench.reporting.formats import counted

    rows = read_questions(train) if train else ()
    task = _task(what)
    if task is None:
        elsewhere = given["data"] if ctx.get_parameter_source("data") != click.core.ParameterSource.DEFAULT else None
        runs = _runs(what, root)
        found, said = examine.runs(runs, _at_hand(elsewhere), rows), counted(len(runs), "run")
    else:
        data = _load(task, source_from(given))
        found, said = examine.task(data, rows), f"{counted(len(data.examples), 'question')} of {data.task.name}"
    _print(found, said, as_json)
    if found and strict:
        raise SystemExit(1)


def _task(what: Sequence[str]) -> str | None:
    """The task that is named, if one is.

    Raises:
        ConfigError: it is named beside something else.
    """
    from clara_bench.tasks import definitions

    known = set(definitions.names())
    named = [one for one in what if one in known or one.endswith(".toml")]
    if named and len(what) > 1:
        raise ConfigError(f"doctor examines one task or several runs: '{named[0]}' is a task. Name it alone")
    return named[0] if named else None


def _runs(what: Sequence[str], root: Path) -> list[Run]:
    """The runs named, each once."""
    from clara_bench.reporting import pairs

    found = [run for one in what for run in pairs.find(one, root)]
    return list({run.path.resolve(): run for run in found}.values())


def _load(task: str, source: Any) -> TaskData:
    from clara_bench.tasks import definitions, sources

    return sources.load(definitions.load(task), source)


def _at_hand(data: str | None) -> Passages:
    """Finds the passages of runs; where they are not at hand, says so once and leaves their checks out."""
    loaded: dict[str, TaskData | None] = {}

    def of(run: Run) -> Mapping[str, Passage]:
        from clara_bench.running.run_config import as_request

        request = as_request(run.manifest, str(run.path))
        source = request.source if data is None else replace(request.source, data=data)
        key = repr((request.task, source))
        if key not in loaded:
            loaded[key] = None if data is None and source.on_hub else _loaded(request.task, source)
        there = loaded[key]
        if there is None or there.corpus_hash != run.manifest["data"]["corpus_hash"]:
            note(f"{run.path}: checks that need passages are left out. Name the run's data with --data")
            return {}
        return there.corpus

    return of


def _loaded(task: str, source: Any) -> TaskData | None:
    try:
        return _load(task, source)
    except BenchError as error:
        note(f"passages of {task} cannot be read: {error}")
        return None


def _print(found: Sequence[Finding], said: str, as_json: bool) -> None:
    if as_json:
        say_json([*found])
        return
    for finding in found:
        say(finding.line)
    from clara_bench.reporting.formats import counted

    say(f"{said}: {counted(len(found), 'finding') if found else 'no findings'}")
