"""Time of `clara-bench --help`, compared with the bare interpreter.

Run as a script it prints the numbers; `make perf` puts them into its table.
"""

from __future__ import annotations

import subprocess
import sys
import time

REPEATS = 7


def measure() -> dict[str, float]:
    """Seconds of the help text and of an idle interpreter, the fastest of a few turns each."""
    helped = [sys.executable, "-m", "clara_bench", "--help"]
    nothing = [sys.executable, "-c", "pass"]
    turns = [(_seconds(helped), _seconds(nothing)) for _ in range(REPEATS)]
    return {"help_seconds": min(t[0] for t in turns), "interpreter_seconds": min(t[1] for t in turns)}


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    print(measure())
