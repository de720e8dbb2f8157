"""docs/report.html shows the runs in results/."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from clara_bench.records.results import find_runs
from clara_bench.records.trainings import grouped

ROOT = Path(__file__).parents[2]


def test_the_published_report_has_a_row_for_each_published_system_and_is_small() -> None:
    page = (ROOT / "docs" / "report.html").read_bytes()
    assert len(page) < 4_000_000
    held = re.search(rb'id="report"[^>]*>([^<]+)<', page)
    assert held
    report = json.loads(gzip.decompress(base64.b64decode(held[1])))["report"]
    shown = {row["path"]: row["manifest"]["questions"]["hash"] for table in report["tables"] for row in table["rows"]}
    systems = grouped(find_runs(ROOT / "results"), "seed")
    published = {str(one.run.path.relative_to(ROOT)): one.run.manifest["questions"]["hash"] for one in systems}
    stale = "make it again: docs/report.md has the command"
    assert shown == published, stale
    assert report["left_out"] == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_its_summary_names_the_systems_to_use_for_each_set_of_questions(opened: Any, width: int) -> None:
    looking = opened((ROOT / "docs" / "report.html").as_uri(), viewport={"width": width, "height": 900})
    lines = looking.page.locator(".glance tbody tr")
    assert lines.count() >= 16
    assert all(re.search(r" from [\d,]+ tokens: (EM|F1) \d", line) for line in lines.all_inner_texts())
    assert looking.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
@pytest.mark.parametrize("view", ["frontier", "retrieval", "lost"])
def test_no_legend_is_cut_off_on_a_phone(opened: Any, view: str) -> None:
    looking = opened(f"{(ROOT / 'docs' / 'report.html').as_uri()}#/{view}", viewport={"width": 390, "height": 844})
    legend = looking.page.locator(".chart .role-legend-label text")
    legend.first.wait_for()
    ends = legend.evaluate_all("all => all.map((one) => one.getBoundingClientRect().right)")
    assert ends and max(ends) <= 390
