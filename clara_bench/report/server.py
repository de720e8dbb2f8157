"""A report behind a server on this machine, made again while runs go on.

The page asks for `version` every few seconds and loads itself again when it changes. Only 127.0.0.1 is served, and only
requests that name it, so that no other site's script can read the page through a name of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from clara_bench.errors import BackendError, BenchError
from clara_bench.io.cache import digest
from clara_bench.records.packs import places

HOST = "127.0.0.1"
EVERY = 5.0
"""Seconds between two looks at the files."""
WATCHED = ("manifest.json", "records.jsonl")

Build = Callable[[str], str]
"""Makes the page of a version."""


class Following:
    """The page of some folders, made again when their runs have changed."""

    def __init__(self, roots: Sequence[Path], build: Build, every: float = EVERY) -> None:
        self._roots, self._build, self._every = roots, build, every
        self._lock = threading.Lock()
        self._looked, self._version = float("-inf"), ""
        self._made: tuple[str, str] = ("", "")

    def version(self) -> str:
        """What changes whenever a run's files do."""
        if time.monotonic() - self._looked >= self._every:
            self._version, self._looked = state(self._roots), time.monotonic()
        return self._version

    def page(self) -> str:
        """The page of the runs as they are now.

        Raises:
            BenchError: none of them can be read.
        """
        with self._lock:
            version = self.version()
            if self._made[0] != version:
                self._made = version, self._build(version)
            return self._made[1]


def state(roots: Sequence[Path]) -> str:
    """A digest over names, sizes and times of the files of all runs below some folders."""
    told = []
    for _, real in (place for root in roots for place in places(root)):
        for file in sorted(file for name in WATCHED for file in real.rglob(f"{name}*")):
            held = file.stat()
            told.append(f"{file} {held.st_size} {held.st_mtime_ns}")
    return digest(told)[:16]


def server(following: Following, port: int) -> ThreadingHTTPServer:
    """A server that is not started yet; port 0 lets the system choose one.

    Raises:
        BackendError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = f"{self.headers.get('Host', '')}"
            if address not in (f"{HOST}:{self.server.server_port}", f"localhost:{self.server.server_port}"):  # type: ignore[attr-defined]
                self._say(403, "text/plain", "Open the address that clara-bench view printed.")
            elif self.path == "/version":
                self._say(200, "text/plain", following.version())
            elif self.path == "/":
                self._page()
            else:
                self._say(404, "text/plain", "There is one page: /")

        def _page(self) -> None:
            try:
                self._say(200, "text/html", following.page())
            except BenchError as error:
                self._say(500, "text/plain", str(error))

        def _say(self, status: int, kind: str, text: str) -> None:
            held = text.encode()
            self.send_response(status)
            for name, value in (("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(held))),
                                ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")):  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(held)

        def log_message(self, *_: object) -> None:
            """Say nothing of single requests."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise BackendError(f"port {port} of {HOST}: {error.strerror}. Choose another with --port, or 0") from error
