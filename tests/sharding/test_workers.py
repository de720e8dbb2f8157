"""Runs answered by several processes: the same records, whatever happens to one of them."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clara_bench import BackendError, ConfigError, MissingDependency
from clara_bench.components.registry import Component
from clara_bench.records.prompts import read_prompts
from clara_bench.records.results import Run, open_run
from clara_bench.running import runner
from clara_bench.running.asking import Loading
from clara_bench.running.run_config import Request
from clara_bench.tasks import definitions, sources
from clara_bench.types import Corpus, Passage
from clara_bench.workers import Pool
from clara_bench.workers.processes import Processes

WORKING = '''
import os, signal, time, warnings
from clara_bench import ConfigError
from clara_bench.components import seen


class Working(Capitals):
    """Tells its prompts; dies, refuses or waits at the question that a file beside it names."""

    def answer(self, questions):
        here, asked = Path(__file__).parent, {question.id for question in questions}
        with Path(here / "workers.txt").open("a") as file:
            file.write(f"{os.getpid()}\\n")
        for question in questions:
            seen.tell(question.id, lambda: f"Q: {question.text}")
        for name, act in ACTS.items():
            file = here / name
            if file.exists() and file.read_text() in asked:
                act(file)
        warnings.warn("the answers are short")
        return super().answer(questions)


def once(file):
    file.unlink()
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(file):
    raise ConfigError("no such country")


ACTS = {
    "dies": lambda file: os.kill(os.getpid(), signal.SIGKILL), "dies-once": once, "refuses": refuse,
    "waits": lambda file: time.sleep(20),
}
'''

Go = Callable[..., Run]


@pytest.fixture
def system(oracle: str) -> str:
    file = Path(oracle.rpartition(":")[0])
    file.write_text(file.read_text() + WORKING, encoding="utf-8")
    return f"{file}:Working"


@pytest.fixture
def go(capitals: Path, system: str, tmp_path: Path) -> Go:
    def start(pool: Pool | None = None, out: str = "runs") -> Run:
        source = sources.Source(data=str(capitals.with_name("capitals.jsonl")))
        request = Request(str(capitals), Component(system), "corpus", source, batch=2)
        data = sources.load(definitions.load(str(capitals)), source)
        return runner.run(request, data, tmp_path / out, pool=pool)

    return start


def answered(run: Run) -> dict[str, object]:
    return {record.id: replace(record, seconds=None) for record in run.records()}


@pytest.mark.filterwarnings("ignore:the answers are short")
def test_a_killed_workers_batch_is_done_by_another_and_the_records_are_the_same(go: Go, tmp_path: Path) -> None:
    alone = go(out="alone")
    (tmp_path / "dies-once").write_text("q4")
    with pytest.warns(UserWarning, match=r"a worker was killed by SIGKILL: 1 go on, one of them with its batch"):
        run = go(Processes(2))
    assert answered(run) == answered(alone)
    assert read_prompts(run.path) == read_prompts(alone.path)
    assert run.manifest["identity"] == alone.manifest["identity"]
    [session] = run.manifest["sessions"]
    assert session["workers"] in (1, 2)
    assert session["questions"] == 10
    assert session["index"] == alone.manifest["sessions"][0]["index"]
    assert len(set((tmp_path / "workers.txt").read_text().split()) - {str(os.getpid())}) == 2


@pytest.mark.filterwarnings("ignore:the answers are short", "ignore:a worker was killed")
def test_when_every_worker_dies_the_answers_stay_and_the_same_command_goes_on(go: Go, tmp_path: Path) -> None:
    (tmp_path / "dies").write_text("q9")
    with pytest.raises(
        BackendError, match=r"all 2 workers have ended, the last was killed by SIGKILL.*fewer --workers"
    ):
        go(Processes(2))
    [folder] = (tmp_path / "runs").glob("*/*/*")
    assert len(open_run(folder).records()) == 8
    (tmp_path / "dies").unlink()
    assert len(go().records()) == 10


def test_what_a_worker_refuses_and_warns_of_is_said_here(go: Go, tmp_path: Path) -> None:
    (tmp_path / "refuses").write_text("q8")
    with pytest.warns(UserWarning, match="the answers are short"), pytest.raises(ConfigError, match="no such country"):
        go(Processes(2))


def test_a_worker_with_another_system_is_refused(system: str) -> None:
    load = Loading(Component(system), Corpus({"p": Passage("p", "t", "x")}), {"code": "another"}, Path.cwd())
    with pytest.raises(ConfigError, match=r"is another one in a worker\. It differs in: .*code"):
        load()


@pytest.fixture
def ray_local() -> Iterator[Pool]:
    """Four actors on this machine, where Ray is installed and starts within its own 30 seconds."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'clara-bench[ray]'")
    from clara_bench.workers.ray_actors import RayActors, cluster

    try:
        with cluster("local", 4):
            yield RayActors("local", 4)
    except BackendError as error:
        if "no Ray cluster" not in str(error):
            raise
        gc.collect()
        pytest.skip(str(error))  # its own parts wait for each other 15 and 30 seconds, too few on a busy machine
    gc.collect()  # Ray leaves processes to the collector, which warns of them


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray's own, of sockets and forks
def test_four_ray_actors_of_which_one_is_killed_give_the_same_records(go: Go, tmp_path: Path, ray_local: Pool) -> None:
    alone = go(out="alone")
    (tmp_path / "workers.txt").unlink()
    (tmp_path / "dies-once").write_text("q4")
    run = go(ray_local)
    assert not (tmp_path / "dies-once").exists()
    assert answered(run) == answered(alone)
    assert read_prompts(run.path) == read_prompts(alone.path)
    assert run.manifest["identity"] == alone.manifest["identity"]
    assert str(os.getpid()) not in (tmp_path / "workers.txt").read_text().split()


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_what_a_ray_actor_refuses_is_said_here(go: Go, tmp_path: Path, ray_local: Pool) -> None:
    (tmp_path / "refuses").write_text("q0")
    with pytest.raises(ConfigError, match="no such country"):
        go(ray_local)


def test_without_ray_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, go: Go) -> None:
    from clara_bench.workers.ray_actors import RayActors

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"--ray needs ray: pip install 'clara-bench\[ray\]'"):
        go(RayActors("auto"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopping_the_command_ends_its_workers_and_loses_nothing(
    capitals: Path, system: str, tmp_path: Path, how: signal.Signals
) -> None:
    (tmp_path / "waits").write_text("q9")
    words = ["run", "-t", str(capitals), "-s", system, "--data", str(capitals.with_name("capitals.jsonl"))]
    words += ["--batch", "2", "--workers", "2", "--out", str(tmp_path / "runs")]
    command = [sys.executable, "-m", "clara_bench", *words]
    pipes: Any = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, preexec_fn=heard, **pipes) as process:
        until(lambda: sum(len(p.read_bytes().splitlines()) for p in tmp_path.glob("runs/*/*/*/records.jsonl")) == 8)
        process.send_signal(how)
        output = process.communicate(timeout=60)[1]
    if how is signal.SIGINT:
        assert process.returncode == 130, output
        assert "Traceback" not in output
        workers = set((tmp_path / "workers.txt").read_text().split())
        assert not any(alive(int(pid)) for pid in workers)
    [folder] = (tmp_path / "runs").glob("*/*/*")
    assert len(open_run(folder).records()) == 8


def heard() -> None:
    """Hear Ctrl-C, which a shell has what it starts in the background ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def until(done: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "too slow"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return not re.search(r"^State:\s+Z", Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        return False


def test_each_worker_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from clara_bench.workers import processes

    monkeypatch.setattr(processes, "GPUS", tmp_path)
    for given, number, taken in [("4,6", 0, "4"), ("4,6", 1, "6"), ("4,6", 2, "4"), ("5", 3, "5"), ("", 1, "")]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        processes._take_device(number)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == taken
    for name in ("0", "1"):
        (tmp_path / name).mkdir()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    processes._take_device(1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
