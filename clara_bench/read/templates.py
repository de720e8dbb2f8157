"""Fields of prompts: `{question}` and its like, and nothing that a format string could reach beyond them."""

from __future__ import annotations

from collections.abc import Collection
from string import Formatter


def refuse_other_fields(template: str, allowed: Collection[str], required: Collection[str] = ()) -> None:
    """Refuse a template with a field that is not filled, or without one that must be.

    Raises:
        ValueError: names the field.
    """
    listed = ", ".join(f"{{{name}}}" for name in sorted(allowed))
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{error} in '{template:.80}'. Write {{{{ and }}}} for braces") from error
    for _, name, form, conversion in parts:
        if name is not None and (name not in allowed or form or conversion):
            raise ValueError(f"unknown field '{{{name}}}' in '{template:.80}'. Its fields: {listed}; {{{{ is a brace")
    for name in required:
        if name not in {found for _, found, _, _ in parts}:
            raise ValueError(f"the field {{{name}}} is not in '{template:.80}'. Put it where it belongs")
