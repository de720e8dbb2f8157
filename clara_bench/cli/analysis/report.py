"""clara-bench report, view, plot: runs as a page, behind a server, and as pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clara_bench.cli.board import cached_scorer, group_by
from clara_bench.errors import BenchError, ConfigError
from clara_bench.io.progress import progress
from clara_bench.io.terminal import note

if TYPE_CHECKING:
    from clara_bench.records.results import Run
    from clara_bench.records.trainings import By
    from clara_bench.report.collect import Collected
    from clara_bench.types import Passage


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is made from; see the options of the same names."""

    roots: tuple[Path, ...]
    title: str
    data: str | None
    trainings: tuple[Path, ...]
    group: By

    def gather(self, questions: int | None = None) -> Collected:
        """Everything that a report shows; runs that cannot be read are reported on stderr.

        Raises:
            BenchError: there is no run, or the named data or logs cannot be read.
        """
        from clara_bench.records.results import find_runs
        from clara_bench.report.collect import Wish, collect
        from clara_bench.report.curves import logs

        found = {run.path.resolve(): run for root in self.roots for run in find_runs(root, _left_out)}
        named = self.title or ", ".join(dict.fromkeys(root.resolve().name for root in self.roots))
        with progress("reading", len(found), "runs") as advance:
            wish = Wish(named, self.group, questions)
            passages = _passages(self.data)
            return collect(list(found.values()), wish, cached_scorer(), passages, logs(self.trainings), advance)


def gathered(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments of everything that is made from a report's data, as the command's first one: `Wanted`."""

    @functools.wraps(command)
    def wanting(
        roots: tuple[Path, ...], title: str, data: str | None, trainings: tuple[Path, ...], group: By, **more: Any
    ) -> None:
        command(Wanted(roots, title, data, trainings, group), **more)

    for option in reversed(
        [
            click.argument("roots", metavar="RUNS...", nargs=-1, required=True, type=click.Path(path_type=Path)),
            click.option("--title", default="", help="Title. Default: the names of the folders."),
            click.option("--data", metavar="SOURCE", help="Data with the passages, if they have moved since the runs."),
            click.option("--training", "trainings", multiple=True, metavar="FOLDER", type=click.Path(path_type=Path),
                         help="Folder with the logs of trainings (log.jsonl). Repeatable."),
            group_by,
        ]
    ):  # fmt: skip
        wanting = option(wanting)
    return wanting


@click.command()
@gathered
@click.option("-o", "--output", default="report.html", show_default=True, metavar="FILE",
              type=click.Path(path_type=Path), help="The page.")  # fmt: skip
@click.option("--questions", type=click.IntRange(min=0), metavar="N",
              help="Questions of a task shown in full. Default: up to 20,000 answers a task.")  # fmt: skip
@click.option(
    "--parts", is_flag=True, help="Put all questions into a folder parts/ beside the page, loaded when opened."
)
def report(
    wanted: Wanted,
    output: Path,
    questions: int | None,
    parts: bool,
) -> None:
    """Make one HTML page of RUNS to look at.

    It needs no server and no network. It shows a summary, leaderboards, quality against cost, retrieval, where answers
    are lost, any two systems side by side, single questions with passages, and how to make each row again. RUNS are run
    directories, or folders of them.

    \b
    Examples:
      clara-bench report runs
      clara-bench report results -o report.html --training reference/checkpoints
      clara-bench report runs/musique -o musique/index.html --parts
    """
    from clara_bench.report import page

    if output.suffix not in (".html", ".htm"):
        raise ConfigError(f"--output {output}: expected a name that ends in .html")
    page.require()
    every = questions if questions is not None or not parts else 2**53
    collected = wanted.gather(every)
    files = page.write(collected, output, parts)
    size = sum(file.stat().st_size for file in files)
    more = f" and {len(files) - 1} files in {output.parent / 'parts'}" if parts else ""
    note(f"written: {output}{more} ({size / 1e6:.1f} MB). Open it in a browser")


@click.command()
@gathered
@click.option("--port", default=8265, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 for a free one.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page in a browser.")
def view(
    wanted: Wanted,
    port: int,
    browser: bool,
) -> None:
    """Serve the report of RUNS and follow runs in progress.

    It is served on 127.0.0.1 until Ctrl-C, for this machine alone, and made again whenever a run has gone on.

    \b
    Examples:
      clara-bench view runs
      clara-bench view runs/musique --port 9000 --no-browser
    """
    import contextlib
    import webbrowser

    from clara_bench.report import page
    from clara_bench.report.server import HOST, Following, server

    page.require()

    def build(version: str) -> str:
        return page.html(wanted.gather(), live=version)

    following = Following(wanted.roots, build)
    following.page()
    with server(following, port) as serving:
        address = f"http://{HOST}:{serving.server_port}/"
        note(f"serving {address} until Ctrl-C")
        if browser:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            serving.serve_forever()


@click.command()
@gathered
@click.option("-o", "--output", required=True, metavar="FILE", type=click.Path(path_type=Path),
              help="An .svg, .png or .pdf file.")  # fmt: skip
@click.option("--chart", default="frontier", show_default=True,
              type=click.Choice(["frontier", "recall", "causes", "curves"]),
              help="Quality against cost, recall by depth, causes of wrong answers, or training curves.")  # fmt: skip
@click.option("--table", default="", metavar="WORDS", help="Words of the title of one set of questions.")
@click.option("--passages", default="", metavar="WORDS",
              help="Words of one section. Default: the one with most rows that search.")  # fmt: skip
@click.option("--quality", default="", metavar="METRIC", help="Metric of a frontier. Default: the task's main metric.")
@click.option("--cost", default="context_positions", show_default=True, metavar="METRIC", help="Cost of a frontier.")
@click.option("--linear", is_flag=True, help="Draw the cost of a frontier on a linear scale.")
@click.option("--hops", type=click.IntRange(min=1), help="Recall of the questions with so many hops alone.")
@click.option("--number", default="loss", show_default=True, help="What training curves show.")
@click.option("--width", default=640, show_default=True, type=click.IntRange(200, 4000), help="Width, in points.")
def plot(
    wanted: Wanted,
    output: Path,
    chart: str,
    table: str,
    passages: str,
    quality: str,
    cost: str,
    linear: bool,
    hops: int | None,
    number: str,
    width: int,
) -> None:
    """Draw one chart of RUNS for a paper, as SVG, PNG or PDF.

    The charts are those of the report.

    \b
    Examples:
      clara-bench plot results -o frontier.pdf --table "musique · synthetic" --cost context_tokens
      clara-bench plot runs -o recall.svg --chart recall --hops 2
      clara-bench plot results --training reference/checkpoints --chart curves -o loss.png --table nq
    """
    from clara_bench.report import plots
    from clara_bench.reporting.formats import named

    plots.require(output)
    report = wanted.gather(0).report
    chosen = plots.one_of(report.tables, table)
    section = plots.section_of(chosen, passages)
    draw = {
        "frontier": lambda: plots.frontier(chosen, section, named(quality), named(cost), not linear),
        "recall": lambda: plots.recall(chosen, section, hops),
        "causes": lambda: plots.causes(chosen, section),
        "curves": lambda: plots.curves(report.curves, number),
    }
    plots.write(draw[chart](), output, width, wanted.title)
    note(f"written: {output} ({chosen.title}; {chosen.sections[section].passages})")


def _passages(data: str | None) -> Callable[[Run], Mapping[str, Passage]]:
    """The passages of runs, each collection read once."""
    from clara_bench.report.passages import passages_of

    known: dict[str, Mapping[str, Passage]] = {}

    def find(run: Run) -> Mapping[str, Passage]:
        key = run.manifest["data"]["corpus_hash"]
        if key not in known:
            known[key] = passages_of(run, data, note)
        return known[key]

    return find


def _left_out(error: BenchError) -> None:
    note(f"warning: left out: {error}")
