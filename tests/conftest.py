"""What every test may use: a cache of its own for the session, and a tiny task made of a real file."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

CITIES = {
    "Oslo": "Norway", "Rome": "Italy", "Paris": "France", "Lima": "Peru", "Cairo": "Egypt", "Quito": "Ecuador",
    "Tunis": "Tunisia", "Vienna": "Austria", "Prague": "Czechia", "Madrid": "Spain",
}  # fmt: skip

TASK = """\
schema = 1
name = "capitals"
version = 1
title = "Capitals"
description = "Capitals of countries, one passage each."
reader = "generic"
answer_scorer = "squad"
metrics = ["em", "f1", "recall@1", "recall@5", "all_support@5", "context_positions", "seconds"]
main_metric = "em"
settings = ["closed", "gold", "distractor", "injected", "retrieved", "corpus"]
default_setting = "corpus"
licence = "CC0-1.0"
data = "capitals.jsonl"
"""

ORACLE = '''\
"""A system that reads the capital from the passage that names the country; it counts its calls in calls.txt."""

from dataclasses import dataclass
from pathlib import Path

from clara_bench import Answer, IndexStats, Ranked, Usage


class Capitals:
    @dataclass(frozen=True)
    class Options:
        fail: str = ""
        error: str = "RuntimeError"
        wrong_count: bool = False
        calls: str = ""

    def __init__(self, options):
        self.options = options

    def index(self, corpus):
        self.corpus = corpus
        return IndexStats(passages=len(corpus), seconds=0.0, bytes=0)

    def answer(self, questions):
        if self.options.calls:
            with Path(self.options.calls).open("a") as file:
                file.writelines(f"{question.id}\\n" for question in questions)
        answers = [self.answer_one(question) for question in questions]
        return answers[1:] if self.options.wrong_count else answers

    def answer_one(self, question):
        if question.id == self.options.fail:
            raise {"RuntimeError": RuntimeError, "TimeoutError": TimeoutError, "MemoryError": MemoryError}[
                self.options.error
            ]("no answer today")
        country = question.text.removeprefix("What is the capital of ").removesuffix("?")
        pids = list(self.corpus) if question.candidates is None else question.candidates
        ranked = sorted(pids, key=lambda pid: country not in self.corpus[pid].text)
        text = self.corpus[ranked[0]].title if ranked else "nowhere"
        retrieved = tuple(Ranked(pid, -rank) for rank, pid in enumerate(ranked))
        return Answer(text, retrieved, Usage(context_positions=7, context_text_tokens=7))
'''


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing a test builds lands in the user's cache; workers of one session share a folder."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    _share_models(shared / "cache")
    before = os.environ.get("CLARA_BENCH_CACHE")
    os.environ["CLARA_BENCH_CACHE"] = str(shared / "cache")
    yield
    if before is None:
        del os.environ["CLARA_BENCH_CACHE"]
    else:
        os.environ["CLARA_BENCH_CACHE"] = before


def _share_models(cache: Path) -> None:
    """Unpacked weights outlive a session: they are large, named by content, and the same every time."""
    kept = Path(__file__).parent.parent / ".pytest_cache" / "models"
    kept.mkdir(parents=True, exist_ok=True)
    cache.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):  # another worker was first
        (cache / "models").symlink_to(kept)


@pytest.fixture
def capitals(tmp_path: Path) -> Path:
    """A custom task of ten questions; returns its TOML."""
    passages = [
        {"id": f"p{i}", "title": city, "text": f"{city} is the capital of {country}."}
        for i, (city, country) in enumerate(CITIES.items())
    ]
    rows = [
        {
            "id": f"q{i}",
            "question": f"What is the capital of {country}?",
            "answers": [city],
            "passages": [{**p, "supporting": p["title"] == city} for p in passages],
        }
        for i, (city, country) in enumerate(CITIES.items())
    ]
    (tmp_path / "capitals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "capitals.toml").write_text(TASK, encoding="utf-8")
    return tmp_path / "capitals.toml"


@pytest.fixture
def oracle(tmp_path: Path) -> str:
    """A file plug-in that answers the capitals; returns FILE.py:CLASS."""
    (tmp_path / "oracle.py").write_text(ORACLE, encoding="utf-8")
    return f"{tmp_path / 'oracle.py'}:Capitals"


@dataclass
class Loopback:
    """An OpenAI-compatible server on this machine, and what it was asked."""

    url: str
    requests: list[Any] = field(default_factory=list)
    reply: Callable[[str], str | int] = str
    """What is said to the last message; a number is an HTTP status."""

    def named(self, *more: str) -> str:
        """The metric `judge` that asks it."""
        options = ["reader.model=m", f"reader.base_url={self.url}", "reader.retries=0", "reader.timeout_seconds=5"]
        return f"judge[{','.join([*options, *more])}]"


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.requests.append(body)
            said = made.reply(body["messages"][-1]["content"])
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": str(said)}}
            usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
            content = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
            data = json.dumps({**content, "usage": usage} if isinstance(said, str) else {"error": {"message": "no"}})
            self.send_response(200 if isinstance(said, str) else said)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data.encode())

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Loopback(f"http://127.0.0.1:{httpd.server_address[1]}/v1")
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield made
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def answered(capitals: Path, oracle: str, tmp_path: Path):
    """Runs the oracle and gives the run directory."""

    def run(label: str, *extra: str) -> Path:
        given = ["run", "-t", str(capitals), "-s", oracle, "--data", str(capitals.with_name("capitals.jsonl"))]
        from click.testing import CliRunner

        from clara_bench.cli import main

        done = CliRunner().invoke(main, [*given, "--out", str(tmp_path / "runs"), "--label", label, *extra])
        assert done.exit_code == 0, done.output
        [folder] = (tmp_path / "runs").glob(f"*/{label}/*")
        return folder

    return run
