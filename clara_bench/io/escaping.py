"""Escaping of untrusted text: each output format has an escaper, which every cell and title passes.

Text from data, models or plug-ins never moves a cursor, opens a cell, starts a command or runs as a formula.
"""

from __future__ import annotations

import re

from clara_bench.io.redaction import without_secrets

LONGEST = 1500
"""Characters of a message."""
LONGEST_WORD = 400
"""Characters without a blank in a message; a path may have some hundred."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls but tab and line feed, other line ends, what turns the direction of writing, halves of pairs."""


def for_terminal(text: str) -> str:
    r"""The text without what could move the cursor, recolour or reorder what follows; lines stay.

    >>> for_terminal("a\x1b[31mred\tb\nc")
    'a�[31mred b\nc'
    """
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\t", " "))


def one_line(text: str) -> str:
    r"""The text as one line that a terminal shows, without credentials, the middle left out where it is long.

    >>> one_line("no\n such\x07 thing")
    'no such� thing'
    """
    words = (shortened(word, LONGEST_WORD) for word in for_terminal(without_secrets(text)).split())
    return shortened(" ".join(words), LONGEST)


def shortened(text: str, longest: int) -> str:
    """The beginning and the end of a long text.

    >>> shortened("abcdefghijklmnop", 9)
    'abcde...p'
    """
    if len(text) <= longest:
        return text
    first = 2 * longest // 3 - 1
    return f"{text[:first]}...{text[len(text) - (longest - first - 3) :]}"


def for_markdown(text: str) -> str:
    r"""The text as words of a GitHub table or heading.

    >>> for_markdown("a|b\n<i> ![x](y) f_1 _z_")
    'a\\|b &lt;i&gt; !\\[x\\](y) f_1 \\_z\\_'
    """
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\`*|\[\]~]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", plain)


_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "†": r"$\dagger$", "–": "--",
    "·": r"$\cdot$", "‡": r"$\ddagger$",
})  # fmt: skip


def for_latex(text: str) -> str:
    r"""The text as words of a LaTeX table, or of a comment, which a line feed would end.

    >>> for_latex("50 %\n\\end{table}")
    '50 \\% \\textbackslash{}end\\{table\\}'
    """
    return one_line(text).translate(_LATEX)


def for_csv(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula.

    >>> for_csv("=1+2"), for_csv("rag")
    ("'=1+2", 'rag')
    """
    plain = one_line(text)
    return f"'{plain}" if plain.startswith(("=", "+", "-", "@")) else plain


def for_csv_whole(text: str) -> str:
    r"""The text as a cell that no spreadsheet takes for a formula, with its lines and to its end.

    >>> for_csv_whole("\t=1+2"), for_csv_whole("a\nb")
    ("' =1+2", 'a\nb')
    """
    plain = for_terminal(text)
    return f"'{plain}" if plain.lstrip().startswith(("=", "+", "-", "@")) else plain


def for_json(text: str) -> str:
    r"""JSON that says the same, with controls that JSON lets through escaped too.

    >>> for_json('"a\x9b31m"')
    '"a\\u009b31m"'
    """
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
