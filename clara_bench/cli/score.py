"""clara-bench score, publish: compute metrics from records or predictions; copy finished runs to the results folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clara_bench.cli.options import data_options, refuse_others, source_from
from clara_bench.errors import ConfigError
from clara_bench.io.terminal import note, print_table, say, say_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clara_bench.judging.asking import Account
    from clara_bench.predictions import Predictions
    from clara_bench.reporting.scoring import Scores
    from clara_bench.types import Example, Record

    Totals = Mapping[str, float]
    Accounts = Mapping[str, Account]


@click.command()
@click.argument("what")
@click.argument("answers", required=False, type=click.Path(path_type=Path))
@click.option("-m", "--metric", "names", multiple=True, metavar="METRIC",
              help="Metric: a name, FILE.py:CLASS, or judge[...]. Repeatable. Default: the task's own.")  # fmt: skip
@click.option("--setting", metavar="SETTING", help="Setting in which the answers were made. Default: the task's own.")
@click.option("--limit", type=int, metavar="N", help="Score only a seeded sample of N questions.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0),
              help="Seed of the sample.")  # fmt: skip
@click.option("--named-by", type=click.Choice(["id", "title", "number"]),
              help="How ANSWERS names passages, if a name is ambiguous.")  # fmt: skip
@click.option("--qrels", type=click.Path(path_type=Path), metavar="FILE",
              help="Gold passages from a TREC or BEIR file of judgements in place of the data's own.")  # fmt: skip
@click.option("--variant", metavar="NAME",
              help="Which answers to score, if ANSWERS has several per question (a filter, an epoch).")  # fmt: skip
@click.option("--complete-gold", is_flag=True, help="Keep only questions whose gold passages are all in the data.")
@click.option("--json", "as_json", is_flag=True, help="Print {metric: {mean, ci95, n, unscored, failed}}.")
@data_options
@click.pass_context
def score(
    ctx: click.Context,
    /,
    what: str,
    answers: Path | None,
    names: tuple[str, ...],
    seed: int,
    as_json: bool,
    **given: Any,
) -> None:
    """Score a run, or a file of predictions for a task.

    WHAT is a run directory, or a task followed by ANSWERS: JSON lines of id and answer and optionally retrieved
    (passage ids, best first) and support (pairs of title and sentence number). Other formats are detected: official
    predictions of the data sets, KILT, TREC and BEIR runs, DPR, FlashRAG, lm-evaluation-harness, inspect, OpenAI
    batches, CSV and TSV, {id: answer}, each also as .gz. docs/predictions.md shows all formats.

    \b
    Examples:
      clara-bench score runs/nq/rag/corpus-0123456789ab
      clara-bench score hotpotqa answers.jsonl --data hotpot_dev_distractor_v1.json --setting distractor --json
      clara-bench score 2wikimultihopqa pred.json --data dev.json --aliases id_aliases.json
      clara-bench score nq run.trec --qrels judged.qrels -m ndcg@10
      clara-bench score runs/nq/rag/corpus-0123456789ab -m ./mine.py:StartsRight
      clara-bench score runs/nq/rag/corpus-0123456789ab -m 'judge[reader.model=MODEL,reader.base_url=http://localhost:8000/v1]'
    """
    if answers is None:
        refuse_others(ctx, {"what", "names", "as_json"}, "a run directory")
        scores, total, accounts = _run_scores(Path(what), names)
    else:
        scores, total, accounts = _predictions(what, answers, names, seed, given)
    if as_json:
        say_json(scores.metrics)
    else:
        _print_table(scores, total)
    for judge, said in accounts.items():
        note(f"{judge}: {said}")
    missing = [name for name in names if name not in scores.metrics]
    if missing:
        note(f"not applicable to these answers: {', '.join(missing)}")


def _run_scores(path: Path, names: tuple[str, ...]) -> tuple[Scores, Totals, Accounts]:
    from clara_bench.judging import FILE
    from clara_bench.records.packs import located
    from clara_bench.records.results import open_run
    from clara_bench.reporting.scoring import score_run, totals, unasked_files, write_scores

    if not located(path).exists():
        raise ConfigError(f"no such run: {path}. To score a file of answers: clara-bench score TASK ANSWERS.jsonl")
    run = open_run(path)
    accounts = _judged(*run.answered(), names, path / FILE) if names else {}
    scores = score_run(run, names)
    if not names and not unasked_files(run):
        write_scores(run, scores)
    return scores, totals(run.records()), accounts


def _judged(
    examples: Sequence[Example], records: Sequence[Record], names: Sequence[str], file: Path
) -> dict[str, Account]:
    """Ask the judges among some metrics; what each said, and what that cost."""
    from clara_bench import metrics
    from clara_bench.judging.asking import ask
    from clara_bench.metrics.plugin import is_judge

    judges = filter(is_judge, map(metrics.get, dict.fromkeys(names)))
    return {metric.name: ask(metric, examples, records, file) for metric in judges}


def _predictions(
    what: str, answers: Path, names: tuple[str, ...], seed: int, given: dict[str, Any]
) -> tuple[Scores, Totals, Accounts]:
    from clara_bench.cli.run import check_setting
    from clara_bench.exchange import trec
    from clara_bench.judging import FILE
    from clara_bench.predictions import read_predictions
    from clara_bench.reporting import scoring
    from clara_bench.tasks import definitions, sources
    from clara_bench.tasks.candidates import refuse_impossible, select

    task = definitions.load(what)
    setting = check_setting(given["setting"] or task.default_setting)
    source = source_from(given)
    data = sources.load(task, source)
    examples = select(data, given["limit"], seed, given["complete_gold"])
    if given["setting"]:
        refuse_impossible(data, examples, setting)
    found = read_predictions(answers, data, given["named_by"], given["variant"])
    if given["qrels"]:
        examples = tuple(trec.with_qrels(examples, trec.read_qrels(given["qrels"]), str(given["qrels"])))
    asked = {example.question.id for example in examples}
    records = [record for record in found.records if record.id in asked]
    _tell(answers, found, records, len(examples))
    verdicts = answers.with_name(f"{answers.name}.{FILE}")
    accounts = _judged(examples, records, names, verdicts)
    scores = scoring.score(
        examples, records, names or task.metrics, task.answer_scorer, setting, found.without, verdicts
    )
    return scores, scoring.totals(records), accounts


def _tell(path: Path, found: Predictions, records: Sequence[Record], questions: int) -> None:
    """Report the detected format on stderr."""
    lines = [f"{path}: read as {found.form}: {len(records)} of {questions} questions", *found.notes]
    if len(records) < len(found.records):
        lines.append(f"{len(found.records) - len(records)} answers to questions left out of the sample")
    for line in lines:
        note(line)


def _print_table(scores: Scores, total: Totals) -> None:
    rows = []
    for name, s in scores.metrics.items():
        interval = "–" if s.ci95 is None else f"{s.ci95[0]:.4f} – {s.ci95[1]:.4f}"
        mean = "–" if s.mean is None else f"{s.mean:.4f}"
        rows.append([name, mean, interval, str(s.n), str(s.unscored), str(s.failed)])
    print_table(["metric", "mean", "95 % interval", "n", "unscored", "failed"], rows)
    say("answers: " + ", ".join(f"{count} {status}" for status, count in scores.statuses.items()))
    if any(total.values()):
        told = {"prompt_tokens": "prompt tokens", "generated_tokens": "generated tokens", "usd": "US dollars"}
        say(
            "in total: "
            + ", ".join(
                f"{count:,.4f} {told[name]}" if name == "usd" else f"{count:,} {told[name]}"
                for name, count in total.items()
            )
        )


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "root", default="results", show_default=True, type=click.Path(path_type=Path),
              help="Folder of published results.")  # fmt: skip
def publish(runs: tuple[Path, ...], root: Path) -> None:
    """Add copies of finished RUNS to the results folder.

    RUNS are run directories, or folders of them. The copies are packed, one file for each task.

    \b
    Example:
      clara-bench publish runs/nq --to results
    """
    from clara_bench.records.results import find_runs
    from clara_bench.records.results import publish as copy
    from clara_bench.reporting.scoring import score_run, write_scores

    found = [run for folder in runs for run in find_runs(folder)]
    for run in found:
        write_scores(run, score_run(run))
    for path in copy(found, root):
        say(path)
