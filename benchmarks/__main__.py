"""Measures every speed promise and prints a table; exit code 1 if one is broken."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks import harness, reading, report, retrieval, scoring, startup

PROMISES = {
    "help_seconds": 0.3,
    "scoring_seconds": 3.0,
    "comparing_seconds": 3.0,
    "scoring_both_seconds": 6.0,
    "bm25_over_bm25s": 1.2,
    "harness_fraction": 0.02,
    "report_first_seconds": 60.0,
    "report_seconds": 60.0,
    "report_gigabytes": 2.0,
    "report_megabytes": 30.0,
    "report_open_seconds": 3.0,
}


def main() -> None:
    """Run each benchmark once."""
    measured: dict[str, float] = {}
    for module in (startup, scoring, retrieval, reading, harness, report):
        measured |= module.measure()
    table = Table("measured", "value", "promise", "kept")
    broken = False
    for name, value in measured.items():
        limit = PROMISES.get(name)
        kept = "" if limit is None else "yes" if value <= limit else "NO"
        broken |= kept == "NO"
        table.add_row(name, f"{value:.4f}", "" if limit is None else f"at most {limit}", kept)
    Console().print(table)
    raise SystemExit(int(broken))


if __name__ == "__main__":
    main()
