"""Output to the terminal, a pipe or a file, without terminal commands from untrusted text.

Characters that a console lacks are replaced by the nearest ones, so that output never fails.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clara_bench.io.escaping import for_json, for_terminal, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.text import Text

WIDE = 1000
"""Columns where there is no terminal: lines are not cut."""

_NEAREST = str.maketrans({
    "–": "-", "—": "-", "±": "+-", "†": "+", "‡": "++", "…": "...", "·": "-", "•": "*", "×": "x", "≈": "~", "�": "?",
    "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"',
})  # fmt: skip


def degrade() -> None:
    """Make standard output and error replace characters that their encoding lacks."""
    codecs.register_error("degrade", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="degrade")


def _nearest(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError), f"only encoding degrades, not {error!r}"
    lacking = error.object[error.start : error.end].translate(_NEAREST)
    return lacking.encode("ascii", "replace").decode(), error.end


def say(text: object, end: str = "\n") -> None:
    """Write text of one or more lines to standard output."""
    _write(sys.stdout, for_terminal(str(text)) + end)


def note(text: object) -> None:
    """Write a line to standard error: a warning, or how far something has come."""
    _write(sys.stderr, one_line(str(text)) + "\n")


def json_text(value: Any) -> str:
    """A value as indented JSON."""
    import msgspec

    return for_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()) + "\n"


def say_json(value: Any) -> None:
    """Write a value as indented JSON to standard output."""
    _write(sys.stdout, json_text(value))


def _write(stream: Any, text: str) -> None:
    if stream is not None:  # as under pythonw
        stream.write(text)
        stream.flush()


def somebody_is_there() -> bool:
    """Whether a question can be answered."""
    return sys.stdin is not None and sys.stdin.isatty()


def console(width: int = WIDE, fixed: bool = False) -> Console:
    """Standard output, where nothing is read as markup.

    As wide as the terminal or, where there is none, as $COLUMNS says; else, or where it is fixed, of `width` columns.
    """
    from rich.console import Console

    known = (sys.stdout is not None and sys.stdout.isatty()) or os.environ.get("COLUMNS", "").isdigit()
    return Console(width=None if known and not fixed else width, markup=False, emoji=False, highlight=False)


def shown(text: str, style: str = "", no_wrap: bool = False) -> Text:
    """Text of others as rich shows it."""
    from rich.text import Text

    return Text(for_terminal(text), style=style, no_wrap=no_wrap)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table."""
    from rich.table import Column, Table

    table = Table(*(Column(shown(name)) for name in head), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(shown(value) for value in row))
    console().print(table)


def bar(*after: Any, **options: Any) -> Progress:
    """A progress bar on standard error: the task's description, the bar, done of total, then other columns."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    first = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    return Progress(*first, *after, console=Console(stderr=True, markup=False, emoji=False), **options)
