"""Writes the tables of docs/reference-results.md on estimators, from the logs in reference/estimators.

python docs/estimators.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clara_bench.io.cache import write_atomic
from reference.settings.config import load
from reference.settings.shipped import config_file
from reference.sweeps import differences, table

ROOT = Path(__file__).parent.parent
PAGE, LOGS = ROOT / "docs" / "reference-results.md", ROOT / "reference" / "estimators"
PLACES = {"estimators": "five", "estimators-one": "one"}
"""The stage of each place of the page."""
EMPTY = ("stage",)
"""Columns that are the same in every row."""


def tables(stage: str) -> str:
    """What each estimator reached at the end; of `five`, which has three trainings, its differences from the first."""
    config = load(config_file("estimators"), {"sweep": {"stages": [stage]}})
    rows = table.table(config, LOGS)
    last = str(max(int(row[table.HEAD.index("step")]) for row in rows))
    ended = [row for row in rows if row[table.HEAD.index("step")] in ("0", last)]
    tests = (differences.paired_table, differences.table) if stage == "five" else ()
    compared = [_markdown(differences.HEAD, test(config, LOGS)) for test in tests]
    return "\n".join([_markdown(table.HEAD, ended), *compared])


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    kept = [place for place, name in enumerate(head) if name not in EMPTY]
    lines = [[line[place] for place in kept] for line in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def filled(page: str) -> str:
    """The page with the tables in their places."""
    for place, stage in PLACES.items():
        before, begin, rest = page.partition(f"<!-- {place} -->\n")
        _, end, after = rest.partition(f"<!-- /{place} -->")
        page = f"{before}{begin}{tables(stage)}{end}{after}"
    return page


if __name__ == "__main__":
    write_atomic(PAGE, filled(PAGE.read_text(encoding="utf-8")))
