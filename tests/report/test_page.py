"""The page in a browser: it loads nothing, runs nothing that data wrote, and every view answers to its address."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from clara_bench.records.results import find_runs
from clara_bench.report import page
from clara_bench.report.collect import Wish, collect
from clara_bench.report.server import Following, server
from clara_bench.reporting.scored import Scorer

pytestmark = pytest.mark.browser

VIEWS = ("summary", "leaderboard", "frontier", "retrieval", "lost", "compare", "questions", "provenance")


def test_every_view_is_drawn_without_errors_or_requests(looking: Any) -> None:
    for view in VIEWS:
        page = looking.go(f"#/{view}")
        assert page.locator("main h1").count() == 1
        assert page.locator("#tabs a[aria-current=page]").count() == 1
        assert "could not be drawn" not in looking.text()


def test_hostile_strings_stay_text(looking: Any) -> None:
    for place in range(10):
        page = looking.go(f"#/questions?q=q{place}&read=1")
    looking.go("#/questions?q=q4")
    assert "</script><script>window.hacked=1</script>" in looking.text()
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script, main style, main iframe").count() == 0


def test_the_leaderboard_sorts_filters_and_keeps_it_in_the_address(looking: Any) -> None:
    page = looking.go("#/leaderboard")
    names = "table.board tbody th a"
    assert page.locator(names).all_inner_texts() == ["reads", "guesses"]
    page.get_by_role("button", name="context tokens").click()
    page.wait_for_selector("th[aria-sort=ascending]")
    assert page.locator(names).all_inner_texts() == ["guesses", "reads"]
    assert "sort=context_positions" in page.url
    page.fill("#find", "rea")
    page.wait_for_selector("table.board tbody tr >> nth=1", state="detached")
    page.go_back()
    assert page.locator(names).all_inner_texts() == ["reads", "guesses"]


def test_the_leaderboard_says_in_words_what_each_system_reads(looking: Any) -> None:
    page = looking.go("#/leaderboard")
    page.get_by_text("What the systems read").click()
    shown = page.locator("dl.facts").inner_text()
    assert "guesses" in shown and "the passages that the system itself ranks first, as text" in shown


def test_the_frontier_switches_its_axes(looking: Any) -> None:
    page = looking.go("#/frontier")
    assert "EM, %" in page.locator(".chart svg").text_content()
    page.get_by_label("Quality").select_option("f1")
    page.wait_for_selector(".chart svg text:has-text('F1, %')", state="attached")
    assert "y=f1" in page.url


def test_compare_shows_only_different_questions(looking: Any) -> None:
    page = looking.go("#/compare?a=0&b=1")
    assert page.locator(".question").count() == 8
    assert set(page.locator(".question .kind").all_inner_texts()) == {"broken"}
    page.get_by_role("button", name="Both right").click()
    page.wait_for_selector(".question >> nth=2", state="detached")
    page.locator(".question").first.click()
    page.wait_for_selector("main[data-view=questions] h1.asked")
    assert page.inner_text("h1.asked") == "What is the capital of Norway?"


def test_a_permalink_opens_a_question_and_keys_lead_to_the_next(opened: Any, page_file: Path) -> None:
    found = opened(f"{page_file.as_uri()}#/questions?q=q1")
    assert found.page.inner_text("h1.asked") == "What is the capital of Italy?"
    assert found.page.locator(".passage.isgold").count() == 1
    assert "Rome is the capital of Italy." in found.text()
    found.page.keyboard.press("j")
    found.page.wait_for_selector("h1.asked:has-text('France')")
    found.page.keyboard.press("2")
    found.page.wait_for_selector("main[data-view=leaderboard]")


def test_it_prints(looking: Any) -> None:
    looking.go("#/leaderboard")
    assert looking.page.pdf()[:5] == b"%PDF-"


def test_parts_are_loaded_from_disk_when_a_question_is_opened(opened: Any, runs: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from clara_bench.cli import main

    file = tmp_path / "large" / "index.html"
    assert CliRunner().invoke(main, ["report", str(runs), "-o", str(file), "--parts"]).exit_code == 0
    found = opened(f"{file.as_uri()}#/questions?q=q1")
    assert "Rome is the capital of Italy." in found.text()


def test_words_that_a_compressor_deleted_are_struck_out(opened: Any, runs: Path, tmp_path: Path) -> None:
    import gzip
    import json

    from click.testing import CliRunner

    from clara_bench.cli import main

    folder = next(runs.glob("*/reads/*"))
    records = map(json.loads, (folder / "records.jsonl").read_text(encoding="utf-8").splitlines())
    [ranked] = [one["answer"]["retrieved"] for one in records if one["id"] == "q1"]
    context = ["Rome Rome capital Italy.", *("" for _ in ranked[1:])]
    line = {"id": "q1", "prompt": "", "context": context}
    (folder / "prompts.jsonl.gz").write_bytes(gzip.compress(json.dumps(line).encode() + b"\n"))
    file = tmp_path / "read.html"
    assert CliRunner().invoke(main, ["report", str(runs), "-o", str(file)]).exit_code == 0
    page = opened(f"{file.as_uri()}#/questions?q=q1&read=0").page
    first = page.locator(".passage").first
    assert [text.strip() for text in first.locator("del").all_inner_texts()] == ["is the", "of"]


def test_behind_a_server_the_page_follows_a_run_in_its_place(opened: Any, runs: Path) -> None:
    def build(version: str) -> str:
        return page.html(collect(find_runs(runs), Wish("x"), Scorer(), lambda run: {}), live=version)

    with server(Following([runs], build, every=0.0), 0) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        found = opened(f"http://127.0.0.1:{serving.server_port}/#/leaderboard?sort=f1")
        records = next(runs.glob("*/guesses/*/records.jsonl"))
        with found.page.expect_event("load"):
            records.write_bytes(b"".join(records.read_bytes().splitlines(keepends=True)[:4]))
        found.page.wait_for_selector("text=4 of 10 answered")
        assert found.page.url.endswith("#/leaderboard?sort=f1")
        found.page.close()
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(opened: Any, page_file: Path, scheme: str) -> None:
    found = opened(page_file.as_uri(), viewport={"width": 390, "height": 800}, color_scheme=scheme)
    for view in VIEWS:
        found.go(f"#/{view}")
        assert found.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, view


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened: Any, page_file: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = opened(page_file.as_uri(), color_scheme=scheme)
    for view in (*VIEWS, "questions?q=q1"):
        found.go(f"#/{view}")
        faults = axe.Axe().run(found.page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in faults if one["impact"] in ("serious", "critical")]
        assert serious == [], view
