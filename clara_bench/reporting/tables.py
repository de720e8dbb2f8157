"""Tables for people, as Markdown and LaTeX: rows in groups, ranked only within a group.

In: text. Out: text, each cell through its format's escaper. The command line draws the same tables on a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clara_bench.io.escaping import for_latex, for_markdown


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as it is shown."""

    text: str
    best: bool = False
    """The best of its column in its group."""
    tied: bool = False
    """Tied with the best."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that may be ranked."""

    title: str
    """What they have in common, in words."""
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Groups under one head; the first column names the row, the others hold numbers."""

    title: str
    head: tuple[str, ...]
    groups: tuple[Group, ...]
    caption: tuple[str, ...] = ()
    """What holds for every row, a sentence each."""


def markdown(tables: Sequence[Table], notes: Sequence[str] = ()) -> str:
    """GitHub tables, one a group; the best value in bold, ties marked by ≈."""
    parts = [part for table in tables for part in _markdown_parts(table)]
    return "\n\n".join([*parts, *(f"*{for_markdown(note)}*" for note in notes)]) + "\n"


def _markdown_parts(table: Table) -> Iterator[str]:
    yield f"### {for_markdown(table.title)}"
    for group in table.groups:
        yield f"**{for_markdown(group.title)}**"
        lines = [list(map(for_markdown, table.head)), ["---"] + ["---:"] * (len(table.head) - 1)]
        lines += [[_in_markdown(cell) for cell in row] for row in group.rows]
        yield "\n".join(f"| {' | '.join(line)} |" for line in lines)
    yield from map(for_markdown, table.caption)


def _in_markdown(cell: Cell) -> str:
    text = for_markdown(cell.text)
    if cell.best:
        return f"**{text}**"
    return f"{text} ≈" if cell.tied else text


def latex(tables: Sequence[Table], notes: Sequence[str] = ()) -> str:
    r"""A tabular (booktabs) for each table: the best value in bold, ties marked by $^{\approx}$; notes as comments."""
    return (
        "\n\n".join(["\n".join(_latex_lines(table)) for table in tables] + [f"% {for_latex(n)}" for n in notes]) + "\n"
    )


def _latex_lines(table: Table) -> Iterator[str]:
    width = len(table.head)
    yield f"% {for_latex(table.title)}"
    yield from (f"% {for_latex(sentence)}" for sentence in table.caption)
    yield rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}"
    yield r"\toprule"
    yield _latex_row(list(map(for_latex, table.head)))
    for group in table.groups:
        yield r"\midrule"
        yield rf"\multicolumn{{{width}}}{{l}}{{\emph{{{for_latex(group.title)}}}}} \\"
        yield from (_latex_row(list(map(_in_latex, row))) for row in group.rows)
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _in_latex(cell: Cell) -> str:
    text = for_latex(cell.text)
    if cell.best:
        return rf"\textbf{{{text}}}"
    return rf"{text}$^{{\approx}}$" if cell.tied else text
