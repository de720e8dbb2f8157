"""clara-bench run: ask systems questions and store the answers."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clara_bench.cli.options import changed, data_options, pairs, refuse_others, source_from
from clara_bench.errors import ConfigError
from clara_bench.io.terminal import note, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clara_bench.records.results import Run
    from clara_bench.reporting.tables import Table
    from clara_bench.reporting.views import View
    from clara_bench.running.estimate import Estimate
    from clara_bench.running.run_config import Request
    from clara_bench.sharding.shard import Shard
    from clara_bench.tasks.sources import TaskData
    from clara_bench.tracking.tracker import Tracking
    from clara_bench.types import Answer
    from clara_bench.workers import Pool


@click.command()
@click.option("-t", "--task", "tasks", multiple=True, metavar="TASK", help="Name or TOML file of a task. Repeatable.")
@click.option("-s", "--system", "systems", multiple=True, metavar="SYSTEM",
              help="Name of a system, or FILE.py:CLASS. Repeatable.")  # fmt: skip
@click.option("-o", "--option", "options", multiple=True, metavar="KEY=VALUE",
              help="Option of the system, such as k=5 or retriever.model=PATH; with --suite, of each entry. "
                   "Repeatable.")  # fmt: skip
@click.option("--suite", metavar="SUITE", help="Name or TOML file of a suite, instead of --task and --system.")
@click.option("--manifest", metavar="FILE", help="Repeat the run that wrote this manifest.json.")
@click.option("--trust", is_flag=True, help="With --manifest: execute, download and send what it names without asking.")
@click.option("--setting", metavar="SETTING",
              help="closed, gold, distractor, injected, retrieved or corpus. Default: the task's own.")  # fmt: skip
@click.option("--control", metavar="CONTROL",
              help="Other evidence than the setting's: shuffled (another question's), random, empty, last or first "
                   "(that gold passage alone).")  # fmt: skip
@click.option("--candidates", default="bm25", show_default=True, metavar="RETRIEVER",
              help="First-stage retriever of the settings retrieved and injected.")  # fmt: skip
@click.option("--depth", default=20, show_default=True, help="Candidates per question in retrieved and injected.")
@click.option(
    "--limit",
    type=int,
    metavar="N",
    help="First N questions of a seeded order. A larger N later extends the same run.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the sample.")
@click.option("--batch", default=32, show_default=True, help="Questions per call of the system.")
@click.option("--label", default="", help="Name of the system on the leaderboard.")
@click.option("-m", "--metric", "metrics", multiple=True, metavar="METRIC",
              help="Metric beside the task's own: a name, FILE.py:CLASS or judge[...]. Repeatable.")  # fmt: skip
@click.option("--complete-gold", is_flag=True, help="Keep only questions whose gold passages are all in the data.")
@click.option("--retry-failed", is_flag=True,
              help="Ask every failed question again, not only server and network failures.")  # fmt: skip
@click.option("--prompts/--no-prompts", default=None,
              help="Keep what the reader read. Default: up to 64 MiB a run.")  # fmt: skip
@click.option("--log", "logs", multiple=True, metavar="TRACKER",
              help="Tell progress and scores to trackio, mlflow, wandb or FILE.py:CLASS. Repeatable.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), metavar="N",
              help="Answer in N processes of this machine; with --ray, in N actors.")  # fmt: skip
@click.option("--ray", metavar="ADDRESS", help="Answer in actors of a Ray cluster: its address, auto, or local.")
@click.option("--shard", metavar="NUMBER/OF", help="Answer one part of each run, such as 3/16; see clara-bench merge.")
@click.option("--dry-run", is_flag=True, help="Report questions, tokens, time and cost of the runs; run nothing.")
@click.option("--out", default="runs", show_default=True, type=click.Path(path_type=Path), help="Folder for runs.")
@data_options
@click.pass_context
def run(
    ctx: click.Context,
    /,
    suite: str | None,
    manifest: str | None,
    out: Path,
    retry_failed: bool,
    prompts: bool | None,
    dry_run: bool,
    logs: tuple[str, ...],
    workers: int | None,
    ray: str | None,
    shard: str | None,
    **given: Any,
) -> None:
    """Run systems on tasks. The same command resumes an interrupted run.

    \b
    Examples:
      clara-bench run --suite quick
      clara-bench run --suite quick --dry-run
      clara-bench run --suite real-api -o reader.model=Qwen/Qwen2.5-1.5B-Instruct --limit 20
      clara-bench run -t nq -t hotpotqa -s rag -o retriever=dense -o k=5 --limit 100
      clara-bench run -t hotpotqa -s rag --data hotpot_dev_distractor_v1.json --setting distractor
      clara-bench run -t musique -s rag --setting gold --control last --limit 100
      clara-bench run -t nq -s rag --limit 100 -m f1_first -m ./mine.py:StartsRight
      clara-bench run -t nq -s rag --workers 4
      clara-bench run --suite quick --log mlflow
      clara-bench run -t nq -s rag --shard 3/16
      clara-bench run --manifest results/nq/bm25-text/RUN/manifest.json --data data/nq --trust
    """
    from clara_bench.sharding.shard import Shard, shard_of
    from clara_bench.tracking.tracker import tracking
    from clara_bench.workers.choice import pool

    expected = None
    if manifest is not None:
        request, expected = _from_manifest(Path(manifest), ctx, given)
        requests = [request]
    elif suite is not None:
        requests = _from_suite(suite, ctx, given)
    else:
        requests = _from_options(given)
    if dry_run:
        refuse_others(
            ctx, set(ctx.params) - {"workers", "ray", "shard", "logs"}, "--dry-run, which estimates whole runs;"
        )
        _estimate(requests, out)
        return
    part = Shard.parse(shard) if shard else shard_of(expected) if expected else None
    finished = _run_all(requests, out, retry_failed, expected, prompts, part, pool(workers, ray), tracking(logs))
    _report(finished)


def _from_options(given: dict[str, Any]) -> list[Request]:
    from clara_bench.components.registry import Component
    from clara_bench.running.run_config import Request
    from clara_bench.tasks import definitions
    from clara_bench.tasks.first_stage import FirstStage

    if given["trust"]:
        raise ConfigError("--trust only applies to --manifest; what you name yourself runs without asking")
    if not given["tasks"] or not given["systems"]:
        raise ConfigError("name at least one --task and one --system, or a --suite: clara-bench run --suite quick")
    source = source_from(given)
    options = pairs(given["options"], "-o")
    if given["label"] and len(given["systems"]) > 1:
        raise ConfigError("--label names one system; it cannot be used with several")
    return [
        Request(
            task=task,
            system=Component(system, options),
            setting=check_setting(given["setting"] or definitions.load(task).default_setting),
            source=source,
            label=given["label"],
            first_stage=FirstStage(Component(given["candidates"]), given["depth"]),
            limit=given["limit"],
            seed=given["seed"],
            complete_gold=given["complete_gold"],
            batch=given["batch"],
            control=check_control(given["control"]),
            metrics=given["metrics"],
        )
        for task in dict.fromkeys(given["tasks"])
        for system in dict.fromkeys(given["systems"])
    ]


def check_setting(name: str) -> Any:
    """The setting's name, if it is one.

    Raises:
        UnknownName: it is not.
    """
    from clara_bench.errors import UnknownName
    from clara_bench.types import SETTINGS

    if name not in SETTINGS:
        raise UnknownName("setting", name, SETTINGS)
    return name


def check_control(name: str | None) -> Any:
    """The control's name, if it is one; None for none.

    Raises:
        UnknownName: it is not.
    """
    from clara_bench.errors import UnknownName
    from clara_bench.types import CONTROLS

    if name is not None and name not in CONTROLS:
        raise UnknownName("control", name, CONTROLS)
    return name


_HOW = frozenset({"out", "retry_failed", "prompts", "dry_run", "workers", "ray", "shard"})
"""Parameters that decide how runs are made, whatever they are."""


def _from_suite(name: str, ctx: click.Context, given: dict[str, Any]) -> list[Request]:
    from clara_bench.running import suites

    refuse_others(ctx, {"suite", "options", "limit", "batch", "metrics", *_HOW}, "--suite")
    suite = suites.load(name)
    limit = given["limit"]
    if told := suite.told(limit):
        note(told)
    overrides = {key: given[key] for key in ("batch", "metrics") if key in changed(ctx)}
    return [replace(request, **overrides) for request in suite.requests(limit, pairs(given["options"], "-o"))]


def _from_manifest(path: Path, ctx: click.Context, given: dict[str, Any]) -> tuple[Request, Any]:
    from clara_bench.records.manifest import read_manifest
    from clara_bench.records.packs import located
    from clara_bench.running.run_config import as_request
    from clara_bench.running.trust import refuse_hidden, refuse_other_code

    allowed = {"manifest", "data", "corpus", "aliases", "trust", "metrics", *_HOW} - {"shard"}
    refuse_others(ctx, allowed, "--manifest")
    place = located(path)
    found = read_manifest(place / "manifest.json" if place.is_dir() else place)
    request = as_request(found, str(path))
    places = {key: given[key] for key in ("data", "corpus", "aliases") if key in changed(ctx)}
    left = sorted(set(request.metrics) - set(given["metrics"]))
    if left:
        note(f"{path}: scored by {', '.join(left)} too when it was run. Add -m to do so again")
    request = replace(request, source=replace(request.source, **places), metrics=given["metrics"])
    refuse_hidden(request)
    refuse_other_code(request, found)
    if not given["trust"]:
        _ask(request, path)
    return request, found


def _ask(request: Request, path: Path) -> None:
    """Show the user what a manifest would do, and ask for permission.

    Raises:
        ConfigError: it may not, or nobody is there to ask.
    """
    from clara_bench.io.terminal import note, somebody_is_there
    from clara_bench.running.trust import effects

    found = effects(request)
    if not found:
        return
    note(f"{path}: repeating this run")
    for line in found:
        note(f"  {line}")
    if not somebody_is_there():
        raise ConfigError(
            f"{path}: needs permission, and there is no terminal to ask ({'; '.join(found)}). Add --trust to allow it"
        )
    if not click.confirm("Go on?", err=True):
        raise ConfigError(f"{path}: not repeated: permission denied")


def _run_all(
    requests: list[Request],
    out: Path,
    retry_failed: bool,
    expected: Any,
    prompts: bool | None,
    shard: Shard | None,
    workers: Pool | None,
    tracked: Tracking,
) -> list[Run]:
    from clara_bench.components import registry
    from clara_bench.running import runner
    from clara_bench.running.progress import bars, describe
    from clara_bench.running.run_config import check
    from clara_bench.tasks import definitions

    for request in requests:
        check(request, definitions.load(request.task))
    finished, data = [], _loader()
    with bars(len(requests)) as (progress, started), registry.sharing("reader"):
        for number, request in enumerate(requests, 1):
            started(number, request)
            with (
                contextlib.chdir("."),  # a plug-in may change it, and the next run's paths start from here
                tracked.of(describe(request), _settings(request), progress) as told,
            ):
                how = (told, retry_failed, expected, prompts, shard, workers)
                finished.append(runner.run(request, data(request), out, *how))
                tracked.scored(finished[-1])
    return finished


def _settings(request: Request) -> dict[str, str]:
    """What was asked for, as trackers show it."""
    asked = {name: getattr(request, name) for name in ("task", "setting", "control", "limit", "seed", "batch")}
    options = {f"option.{key}": value for key, value in request.system.options.items()}
    given = {**asked, "system": request.system.name, "label": request.label, **options}
    return {key: str(value) for key, value in given.items() if value not in (None, "")}


def _loader() -> Callable[[Request], TaskData]:
    """Loads the data of a request; those of the last one are kept, since most requests of a suite share them."""
    from clara_bench.tasks import definitions, sources

    loaded: dict[str, TaskData] = {}

    def load(request: Request) -> TaskData:
        key = repr((request.task, request.source))
        if key not in loaded:
            loaded.clear()
            loaded[key] = sources.load(definitions.load(request.task), request.source)
        return loaded[key]

    return load


def _estimate(requests: list[Request], out: Path) -> None:
    """Print what the runs would be, and what the numbers are from."""
    from clara_bench.cli.table import write_tables
    from clara_bench.running.estimate import earlier_runs, estimate

    earlier, data = earlier_runs(list(dict.fromkeys([Path("results"), out]))), _loader()
    found = [estimate(request, data(request), earlier) for request in requests]
    write_tables([_table(found)], tuple(dict.fromkeys(one.source for one in found if not one.measured_in)), "rich")


def _table(found: Sequence[Estimate]) -> Table:
    from clara_bench.reporting.tables import Cell, Group, Table

    places = list(dict.fromkeys((one.task, one.setting) for one in found))
    groups = [
        Group(
            f"{task}, {setting}",
            tuple(
                tuple(map(Cell, (one.label, *_amounts([one]))))
                for one in found
                if (one.task, one.setting) == (task, setting)
            ),
        )
        for task, setting in places
    ]
    total = Group("all", (tuple(map(Cell, (f"{len(found)} runs", *_amounts(found)))),))
    measured = [one.measured_in for one in found if one.measured_in]
    said = f"{len(measured)} of {len(found)}: tokens and seconds a question as in earlier runs, such as"
    return Table(
        "Dry run: nothing is asked or written",
        ("system", "questions", "prompt tokens", "time", "US $"),
        (*groups, *([total] * (len(found) > 1))),
        (f"{said} {measured[0]}.",) if measured else (),
    )


def _amounts(found: Sequence[Estimate]) -> list[str]:
    """Sums over runs; a dash where one of them is not known."""
    seconds, dollars = [one.seconds for one in found], [one.usd for one in found]
    known = [value for value in seconds if value is not None]
    priced = [value for value in dollars if value is not None]
    return [
        f"{sum(one.questions for one in found):,}",
        f"~{sum(one.prompt_tokens for one in found):,.0f}",
        _duration(sum(known)) if len(known) == len(found) else "–",
        f"~{sum(priced):.2f}" if len(priced) == len(found) else "–",
    ]


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"~{seconds:.0f} s" if minutes < 2 else f"~{minutes:.0f} min" if minutes < 120 else f"~{minutes / 60:.1f} h"


def _report(finished: list[Run]) -> None:
    from clara_bench.cli.board import cached_scorer, show
    from clara_bench.reporting.leaderboard import boards
    from clara_bench.reporting.views import to_score

    view = _view(finished)
    show(boards(finished, to_score(view), scorer=cached_scorer()), "rich", None, view)
    say("Written:")
    for run in finished:
        here = run.path.is_relative_to(Path.cwd())
        say(f"  {run.path.relative_to(Path.cwd()) if here else run.path}")
    for told in dict.fromkeys(told for run in finished for told in run.manifest["sessions"][-1].get("adapted", ())):
        note(f"warning: {told}")
    for run in finished:
        _tell_of_judges(run)
    shares = [_failed(run) for run in finished]
    if min(shares) == 1:
        raise SystemExit(1)


def _view(finished: Sequence[Run]) -> View:
    """The usual columns and, behind the main metric, those chosen for the runs."""
    from clara_bench.reporting.views import BRIEF, DEFAULT, View

    chosen = [name for run in finished for name in run.manifest["request"].get("metrics", ())]
    main = [run.manifest["task"]["main_metric"] for run in finished]
    return View(tuple(dict.fromkeys((*main, *chosen, *BRIEF)))) if chosen else DEFAULT


def _tell_of_judges(run: Run) -> None:
    """What each judge that was chosen said of a run, and what that cost."""
    from clara_bench import judging, metrics
    from clara_bench.judging.asking import account
    from clara_bench.metrics.plugin import is_judge

    for metric in filter(is_judge, map(metrics.get, run.manifest["request"].get("metrics", ()))):
        note(f"{run.path}: {metric.name}: {account(metric, *run.answered(), run.path / judging.FILE)}")


def _failed(run: Run) -> float:
    """The fraction of failed questions; reported on stderr if there are any."""
    from clara_bench.types import FAILURES

    records = run.records()
    failures = [record.answer for record in records if record.answer.status in FAILURES]
    if failures:
        note(
            f"{run.path}: {len(failures)} of {len(records)} questions failed, the first with: {failures[0].error}; "
            f"see clara-bench inspect --only failed, {_mend(failures)}"
        )
    return len(failures) / len(records)


def _mend(failures: Sequence[Answer]) -> str:
    from clara_bench.types import ASKED_AGAIN

    again = sum(answer.status in ASKED_AGAIN for answer in failures)
    told = [f"the same command asks {again} of them again"] if again else []
    return "; ".join([*told, *(["retry with --retry-failed"] if again < len(failures) else [])])
