"""docs/metrics.md says what the code does."""

import re
import subprocess
import sys
from pathlib import Path

from clara_bench.metrics import get, names
from clara_bench.metrics.document import page

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_is_current():
    assert DOCUMENT.read_text(encoding="utf-8") == page(), (
        "run: python -m clara_bench.metrics.document > docs/metrics.md"
    )


def test_the_module_writes_the_page():
    command = [sys.executable, "-m", "clara_bench.metrics.document"]
    assert subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout == page()


def test_every_metric_has_one_row_of_five_cells_with_its_definition():
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    defined = [row for row in rows if len(re.findall(r"(?<!\\)\|", row)) == 6]
    found = [re.match(r"\| `([^`]+)` \|", row)[1] for row in defined]
    assert sorted(found) == sorted(names())
    for name, row in zip(found, defined, strict=True):
        assert get(name.replace("@k", "@5")).description.replace("|", "\\|") in row
