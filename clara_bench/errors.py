"""Errors that a user can fix, shown without a traceback.

    BenchError              exit code 2
    ├── DataError           a file or row with wrong content
    ├── ConfigError         an invalid task, suite, option or manifest
    │   └── UnknownName     an unknown name, with the nearest known one
    ├── MissingDependency   an optional package that is not installed
    └── BackendError        a model, server or disk that cannot be used now

A BenchError raised inside a system ends the run (records made so far stay); any other
exception fails the question it came from and the run goes on.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from clara_bench.aliases import meant


class BenchError(Exception):
    """One line that says what is wrong, where, what was expected and how to fix it."""


class DataError(BenchError):
    """A file or row has wrong content."""


class ConfigError(BenchError):
    """A task, suite, option or manifest is invalid."""


class UnknownName(ConfigError):
    """An unknown name.

    >>> str(UnknownName("metric", "recal@5", ["recall@5", "f1"]))
    "unknown metric 'recal@5'. Did you mean 'recall@5'? Known: f1, recall@5"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        super().__init__(f"{where + ': ' if where else ''}unknown {kind} '{name}'.{did_you_mean(name, known, kind)}")


LISTED = 30
"""Known names that a message lists."""


def did_you_mean(name: str, known: Iterable[str], kind: str = "") -> str:
    """A suggestion: the nearest known name, or our word for a common term of that kind; and all known names.

    >>> did_you_mean("recal@5", ["recall@5", "f1"])
    " Did you mean 'recall@5'? Known: f1, recall@5"
    >>> did_you_mean("oracle", ["gold", "injected"], "setting")
    " Did you mean 'gold' or 'injected'? Known: gold, injected"
    """
    names = sorted(known)
    meant_here = [one for one in meant(kind, name) if one in names]
    near = meant_here or difflib.get_close_matches(name[:100], names, n=1, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    listing = f" Known: {', '.join(names[:LISTED])}{more}" if names else " None is known"
    return hint + listing


class MissingDependency(BenchError):
    """An optional package is not installed."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(f"{feature} needs {package}: pip install 'clara-bench[{extra}]'")


class BackendError(BenchError):
    """A model, server or disk cannot be used now."""
