"""What a component is, in one line, without importing it: its class's docstring, read from the source."""

from __future__ import annotations

import ast
import importlib.util
from importlib.metadata import EntryPoint
from pathlib import Path


def summary(point: EntryPoint) -> str:
    """The first sentence of a class's docstring; "" where there is no source to read."""
    module, _, name = point.value.partition(":")
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # of a package that is broken or gone
        return ""
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    try:
        body = ast.parse(Path(spec.origin).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return ""
    found = [node for node in body if isinstance(node, ast.ClassDef) and node.name == name]
    return first_sentence(ast.get_docstring(found[0]) or "") if found else ""


def first_sentence(text: str) -> str:
    r"""The first sentence of a docstring, as one line.

    >>> first_sentence("BM25, as Lucene has it.\n\nOver words.")
    'BM25, as Lucene has it'
    """
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".")
