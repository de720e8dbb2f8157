"""What came of something done in a worker, as it travels to the process that asked: a value, or why there is none."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from clara_bench.errors import BackendError, BenchError, ConfigError, DataError

KINDS = {kind.__name__: kind for kind in (DataError, ConfigError, BackendError)}
"""Errors that are raised again as what they were; others as a BenchError, since their classes need more than a text."""


class Outcome(NamedTuple):
    """A value or an error, and warnings."""

    what: Literal["done", "refused", "failed"]
    value: Any
    """What was returned; of an error, its kind and text; of a failure, its traceback."""
    warned: list[str]


def outcome(act: Callable[[], Any]) -> Outcome:
    """Call something."""
    with warnings.catch_warnings():
        warned: list[str] = []
        warnings.showwarning = lambda message, *_, **__: warned.append(str(message))
        try:
            return Outcome("done", act(), warned)
        except BenchError as error:
            kind = next((name for name, kind in KINDS.items() if isinstance(error, kind)), "")
            return Outcome("refused", (kind, str(error)), warned)
        except Exception:
            return Outcome("failed", traceback.format_exc(), warned)


def unpacked(found: Outcome) -> Any:
    """The value; warnings are given, and errors raised, here.

    Raises:
        BenchError: what was raised there.
    """
    for text in found.warned:
        warnings.warn(text, stacklevel=2)
    if found.what == "refused":
        kind, text = found.value
        raise KINDS.get(kind, BenchError)(text)
    if found.what == "failed":
        raise RuntimeError(f"a worker failed:\n{found.value}")
    return found.value
