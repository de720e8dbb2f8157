"""Two systems over ten questions, as runs and as a page; and a browser that tells whatever the page complains of."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.records.results import find_runs
from clara_bench.report.collect import Collected, Wish, collect
from clara_bench.reporting.scored import Scorer

HOSTILE = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "</script><script>window.hacked=1</script>",
    "javascript:window.hacked=1",
    "<style>*{display:none}</style>",
    '"onmouseover="window.hacked=1',
    "{{ 7*7 }}{% raw %}",
    "abc\u202edcba\u2066",
    "<!--",
)
GUESSER = '''
class Guesser:
    """Answers what its file holds, whatever is asked."""
    def index(self, corpus):
        from clara_bench import IndexStats
        return IndexStats(passages=len(corpus), seconds=0.0, bytes=0)
    def answer(self, questions):
        from pathlib import Path
        from clara_bench import Answer, Ranked, Usage
        words = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split("\\x00")
        return [
            Answer(words[place % len(words)], tuple(Ranked(id, -float(n)) for n, id in enumerate(question.candidates)),
                   Usage(context_positions=3, context_text_tokens=9))
            for place, question in enumerate(questions)
        ]
'''


@pytest.fixture
def runs(answered: Callable[..., Path], capitals: Path, tmp_path: Path) -> Path:
    """Two systems' runs: one reads the passages, the other guesses, and writes what a page must not run."""
    (tmp_path / "words.txt").write_text("\x00".join(["Oslo", "Rome", *HOSTILE, "x" * 1_000_000]), encoding="utf-8")
    (tmp_path / "guesser.py").write_text(GUESSER, encoding="utf-8")
    answered("reads", "--setting", "distractor")
    data = ["--data", str(capitals.with_name("capitals.jsonl")), "--out", str(tmp_path / "runs")]
    system = f"{tmp_path / 'guesser.py'}:Guesser"
    given = ["run", "-t", str(capitals), "-s", system, *data, "--label", "guesses", "--setting", "distractor"]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    return tmp_path / "runs"


@pytest.fixture
def collected(runs: Path) -> Collected:
    """Their report, without passages."""
    return collect(find_runs(runs), Wish("capitals <b>&"), Scorer(), lambda run: {})


@pytest.fixture
def page_file(runs: Path, tmp_path: Path) -> Path:
    """Their page."""
    file = tmp_path / "report.html"
    done = CliRunner().invoke(main, ["report", str(runs), "-o", str(file), "--title", "<img src=x onerror=alert(1)>"])
    assert done.exit_code == 0, done.output
    return file


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on the path")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Looking:
    """A page that is open, and what it has complained of or asked the network for."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.said: list[str] = []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        self.page.on("console", lambda told: self.said.append(told.text) if told.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready]")

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1")):
            self.said.append(f"a request to {url}")

    def go(self, place: str) -> Any:
        """Go to a permalink and wait for its charts."""
        view = place.partition("?")[0].removeprefix("#/")
        self.page.evaluate("place => { location.hash = place }", place)
        self.page.wait_for_selector(f"main[data-view={view}]")
        self.page.wait_for_selector(".chart:not(:has(svg))", state="detached")
        return self.page

    def text(self) -> str:
        """What the page says."""
        return str(self.page.inner_text("main"))


@pytest.fixture
def opened(chromium: Any) -> Iterator[Callable[..., Looking]]:
    """Opens pages; at the end none of them must have complained."""
    found: list[Looking] = []

    def look(address: str, **context: Any) -> Looking:
        found.append(Looking(chromium, address, **context))
        return found[-1]

    yield look
    for one in found:
        one.context.close()
    assert [one.said for one in found] == [[] for _ in found]


@pytest.fixture
def looking(opened: Callable[..., Looking], page_file: Path) -> Looking:
    """The page, open."""
    return opened(page_file.as_uri())
