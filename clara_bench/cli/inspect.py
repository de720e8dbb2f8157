"""clara-bench inspect: read single questions of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clara_bench.io.terminal import console, note, say, shown

if TYPE_CHECKING:
    from rich.panel import Panel

    from clara_bench.records.results import Run
    from clara_bench.reporting.inspection import Shown


@click.command()
@click.argument("what", metavar="RUN")
@click.option("--root", default="runs", show_default=True, type=click.Path(path_type=Path),
              help="Folder in which a label is looked up.")  # fmt: skip
@click.option("-q", "--question", metavar="ID", help="Show only this question.")
@click.option("--only", default="all", show_default=True, type=click.Choice(["all", "wrong", "right", "failed"]),
              help="Which questions to show.")  # fmt: skip
@click.option("--limit", default=10, show_default=True, type=click.IntRange(min=1),
              help="Maximum number of questions per run.")  # fmt: skip
@click.option("--depth", default=5, show_default=True, type=click.IntRange(min=0),
              help="Number of passages per question.")  # fmt: skip
@click.option("--prompt", is_flag=True, help="Show all that the reader read, where the run kept it.")
@click.option("--data", metavar="SOURCE", help="Data with the passages, if they have moved since the run.")
def inspect(
    what: str, root: Path, question: str | None, only: str, limit: int, depth: int, prompt: bool, data: str | None
) -> None:
    """Show questions of RUN: passages, text read, answer, gold.

    RUN is a run directory, a folder of runs, or the label of runs below --root.

    \b
    Examples:
      clara-bench inspect runs/nq/rag/corpus-0123456789ab --only wrong
      clara-bench inspect clara-8x --root results --limit 2
      clara-bench inspect runs/nq --question 1f2e3d --prompt
    """
    from clara_bench.reporting.inspection import holding
    from clara_bench.reporting.pairs import find

    runs = find(what, root)
    for run in runs if question is None else holding(runs, question):
        if len(runs) > 1:
            say(run.path)
        _show(run, question, only, limit, depth, prompt, data)


def _show(run: Run, question: str | None, only: str, limit: int, depth: int, prompt: bool, data: str | None) -> None:
    from clara_bench.report.passages import passages_of
    from clara_bench.reporting.formats import counted
    from clara_bench.reporting.inspection import questions

    found = questions(run, only, question)
    corpus = passages_of(run, data, note) if found and depth else {}
    screen = console(80)
    for one in found[:limit]:
        screen.print(_panel(one, depth, corpus, prompt))
    if prompt and any(one.read is None or not one.read.prompt for one in found[:limit]):
        note("some prompts were not kept: by an older run, by --no-prompts, or their system does not tell them")
    say(f"{min(limit, len(found))} of {counted(len(found), 'question')} ({only})")


def _panel(one: Shown, depth: int, corpus: Any, prompt: bool) -> Panel:
    """Everything as Text, so that nothing a model wrote is read as markup."""
    from rich.panel import Panel
    from rich.text import Text

    body = Text.assemble(*(shown(text, style) for text, style in _parts(one, depth, corpus, prompt)))
    question, gold = one.example.question, one.example.gold
    return Panel(body, title=shown(question.id), subtitle=shown(gold.kind or ""), title_align="left")


def _parts(one: Shown, depth: int, corpus: Any, prompt: bool) -> Iterator[tuple[str, str]]:
    """The parts shown for a question, each with its style."""
    from clara_bench.reporting.inspection import ranked_lines

    yield f"{one.example.question.text}\n", "bold"
    yield f"gold    {' | '.join(one.example.gold.answers) or '–'}\n", "green"
    if one.record is None:
        yield "never answered\n", "red"
    else:
        answer = one.record.answer
        yield f"answer  {answer.text!r}\n", "green" if one.em else "yellow" if one.scorable else ""
        yield f"status  {answer.status}{': ' + answer.error if answer.error else ''}", ""
        yield f"   em {_value(one.em)}  f1 {_value(one.f1)}   context tokens {answer.usage.context_positions}\n", ""
    for rank, is_gold, passage_id, text in ranked_lines(one, depth, corpus):
        yield f"{rank:3d} {'*' if is_gold else ' '} {passage_id}  ", "green" if is_gold else "dim"
        yield f"{text[:300]}\n", ""
    yield from _read(one, prompt)


def _read(one: Shown, prompt: bool) -> Iterator[tuple[str, str]]:
    """The prompt, or the start of each text that it was given."""
    if one.read is None:
        return
    if prompt:
        yield "prompt\n", "dim"
        yield f"{one.read.prompt}\n", ""
        return
    for text in one.read.context:
        yield "read    ", "dim"
        yield f"{text[:300]}\n", ""


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
