"""Workers as processes of this machine.

Each is started anew (spawned), so that no lock or thread of this process is copied, and has a pipe to this process,
which hands out one job at a time. When a worker ends, its job goes to another. When this process ends, so do they.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from clara_bench.errors import BackendError
from clara_bench.io.opening import read_bytes
from clara_bench.workers import R, T
from clara_bench.workers.outcome import Outcome, outcome, unpacked
from clara_bench.workers.waiting import Waiting

END_SECONDS = 5.0
"""After which a worker that was told to end is killed."""
GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Processes:
    """A pool of processes on this machine."""

    count: int

    def map(self, load: Callable[[], Callable[[T], R]], jobs: Iterable[T]) -> Iterator[tuple[int, R]]:
        """See `Pool.map`."""
        with tempfile.TemporaryDirectory(prefix="clara-bench-workers-") as folder:
            crew = _Crew(load, Path(folder), self.count)
            try:
                yield from crew.work(jobs)
            finally:
                crew.end()


@dataclass(eq=False, slots=True)
class _Worker:
    """A process as this one sees it."""

    process: SpawnProcess
    pipe: Connection
    output: Path
    job: tuple[int, Any] | None = None
    """What it does, with its place."""
    ready: bool = False

    def give(self, job: tuple[int, Any]) -> None:
        """Send a job; a worker that has just ended is noticed when it is listened to."""
        self.job = job
        try:
            self.pipe.send(job[1])
        except OSError:
            return

    @property
    def end(self) -> str:
        """How it ended, and the last that it said."""
        self.process.join(END_SECONDS)
        code = self.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        lines = read_bytes(self.output).decode(errors="replace").split("\n") if self.output.is_file() else []
        said = [line.strip() for line in lines if line.strip()]
        return f"{how}{f' ({said[-1][:200]})' if said else ''}"


@dataclass(slots=True)
class _Crew:
    load: Callable[[], Callable[[Any], Any]]
    folder: Path
    count: int
    workers: list[_Worker] = field(default_factory=list)
    started: int = 0

    def work(self, jobs: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Results as they come."""
        waiting = Waiting(jobs)
        if waiting.empty():
            return
        self._start(1)
        while not waiting.empty() or any(worker.job for worker in self.workers):
            for worker in self._heard():
                job = worker.job
                said = self._listen(worker, waiting)
                if said is not None and job is not None:
                    yield job[0], unpacked(said)
            for worker in self.workers:
                if worker.ready and worker.job is None and not waiting.empty():
                    worker.give(waiting.next())

    def _start(self, count: int) -> None:
        """Start workers until so many were."""
        context = multiprocessing.get_context("spawn")
        while self.started < count:
            ours, theirs = context.Pipe()
            output = self.folder / f"{self.started}.log"
            process = context.Process(target=_serve, args=(theirs, self.load, self.started, output), daemon=True)
            process.start()
            theirs.close()
            self.workers.append(_Worker(process, ours, output))
            self.started += 1

    def _heard(self) -> list[_Worker]:
        pipes = wait([worker.pipe for worker in self.workers])
        return [worker for worker in self.workers if worker.pipe in pipes]

    def _listen(self, worker: _Worker, waiting: Waiting) -> Outcome | None:
        """What a worker says; None if it has ended, and its job waits again.

        Raises:
            BenchError: it cannot load, or nobody is left.
        """
        try:
            said: Outcome = worker.pipe.recv()
        except (EOFError, OSError):
            self._lose(worker, waiting)
            return None
        if not worker.ready:
            unpacked(said)
            self._start(self.count)
        worker.ready, worker.job = True, None
        return said

    def _lose(self, worker: _Worker, waiting: Waiting) -> None:
        self.workers.remove(worker)
        worker.pipe.close()
        if worker.job is not None:
            waiting.again(worker.job)
        if not self.workers:
            self._start(self.count)
        if not self.workers:
            raise BackendError(
                f"all {self.started} workers have ended, the last {worker.end}. Nothing that was written is lost, and "
                "the same command goes on. If memory ran out, give fewer --workers or a smaller --batch"
            )
        warnings.warn(f"a worker {worker.end}: {len(self.workers)} go on, one of them with its batch", stacklevel=2)

    def end(self) -> None:
        """End every worker, whatever it does."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join(END_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()


def _serve(pipe: Connection, load: Callable[[], Callable[[Any], Any]], number: int, output: Path) -> None:
    """What a worker does: load, then job after job until nobody sends any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it, and ends its workers
    _redirect(output)
    _take_device(number)
    loaded = outcome(load)
    try:
        pipe.send(loaded._replace(value=None) if loaded.what == "done" else loaded)
        while loaded.what == "done":
            pipe.send(outcome(functools.partial(loaded.value, pipe.recv())))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the first process has gone
        return


def _redirect(output: Path) -> None:
    """Write what libraries print to a file: there is one progress bar, and it is the first process's."""
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)


def _take_device(number: int) -> None:
    """Where there are several GPUs, take one."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    known = given.split(",") if given else [str(place) for place, _ in enumerate(GPUS.glob("*"))]
    if len(known) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = known[number % len(known)]
