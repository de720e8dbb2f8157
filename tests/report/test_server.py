"""The page behind a server follows the runs, and only this machine can read it."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.errors import BackendError
from clara_bench.report.server import Following, server, state


@pytest.fixture
def following(runs: Path) -> Following:
    return Following([runs], lambda version: f"page of {version}", every=0.0)


@pytest.fixture
def address(following: Following) -> Iterator[str]:
    with server(following, 0) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def asked(address: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as reply:
        return str(reply.read().decode())


def test_the_page_is_made_again_when_a_run_goes_on(address: str, runs: Path) -> None:
    before = asked(f"{address}/version")
    assert asked(f"{address}/") == f"page of {before}"
    assert asked(f"{address}/version") == before == state([runs])
    with next(runs.glob("*/guesses/*/records.jsonl")).open("a") as file:
        file.write("{")
    assert asked(f"{address}/version") != before
    assert asked(f"{address}/") != f"page of {before}"


@pytest.mark.parametrize(("path", "host", "status"), [("/", "evil.example", 403), ("/../secret", "", 404)])
def test_other_names_and_other_files_are_refused(address: str, path: str, host: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        asked(f"{address}{path}", **({"Host": host} if host else {}))
    assert refused.value.code == status
    refused.value.close()


def test_a_port_that_is_taken_is_one_line(following: Following, address: str) -> None:
    port = int(address.rpartition(":")[2])
    with pytest.raises(BackendError, match=rf"port {port} of 127\.0\.0\.1: .* Choose another with --port"):
        server(following, port)


def test_the_command_serves_until_it_is_stopped(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def once(serving: ThreadingHTTPServer) -> None:
        thread = threading.Thread(target=serving.handle_request)
        thread.start()
        seen.append(asked(f"http://127.0.0.1:{serving.server_port}/"))
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", once)
    done = CliRunner().invoke(main, ["view", str(runs), "--port", "0", "--no-browser", "--title", "mine"])
    assert done.exit_code == 0, done.output
    assert "serving http://127.0.0.1:" in done.output
    assert "<title>mine</title>" in seen[0] and "connect-src &#39;self&#39;" in seen[0]
