"""How text reaches a terminal, a pipe or a file: nothing that data or a model wrote commands the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """The terminal; lines are not cut to a width where there is none."""
    from rich.console import Console

    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return Console() if on_terminal else Console(width=1000)


def printable(text: str) -> str:
    r"""The text without control characters, which could move the cursor or recolour what follows; lines stay.

    >>> printable("a\x1b[31mred\tb\nc")
    'a�[31mred b\nc'
    """
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", text.replace("\t", " "))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table; nothing in a cell is read as markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(printable(value)) for value in row))
    console().print(table)
