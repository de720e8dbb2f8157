"""How tables reach a terminal, a pipe or a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """The terminal; lines are not cut to a width where there is none."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=1000)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table; nothing in a cell is read as markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(value) for value in row))
    console().print(table)
