"""`python -m clara_bench` and the command clara-bench: Ctrl-C ends them with one line, also while they are imported."""

from __future__ import annotations

import importlib
import sys

STOPPED = 130
"""The exit code that shells give Ctrl-C."""


def main(module: str = "clara_bench.cli", name: str = "clara-bench") -> None:
    """Import a command line, which takes a while, and run it."""
    try:
        commands = importlib.import_module(module).main
    except KeyboardInterrupt:
        sys.stderr.write("Error: stopped before anything was begun\n")
        sys.exit(STOPPED)
    commands(prog_name=name)


if __name__ == "__main__":
    main()
