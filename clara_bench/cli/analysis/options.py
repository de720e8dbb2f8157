"""Options that several commands share and that need the analysis of runs."""

from __future__ import annotations

import click

from clara_bench.cli.options import Command

WAYS = ("kind", "two-way", "form")


def by_option(command: Command) -> Command:
    """--by."""
    return click.option(
        "--by",
        type=click.Choice(WAYS),
        help="Tables for parts of the questions: each kind that the data set names, two-way and value questions, or "
        "seen and unseen forms of questions about worlds.",
    )(command)
