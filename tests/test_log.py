"""Records are added whole or not at all, whatever the disk does, and a run goes on where the file is whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from click.testing import CliRunner

from clara_bench import Answer, BackendError
from clara_bench.cli import main
from clara_bench.io.cache import disk_errors
from clara_bench.records import results
from clara_bench.records.log import RecordLog
from clara_bench.running.provenance import git_state, hardware
from clara_bench.types import Record

RECORDS = [Record(f"q{number}", Answer("x" * 100 * number)) for number in range(1, 6)]


def log(path: Path, *records: Record) -> None:
    with RecordLog(path) as file:
        file.append(records)


def test_what_is_appended_is_in_the_file_at_once(tmp_path: Path) -> None:
    with RecordLog(tmp_path) as file:
        for number, record in enumerate(RECORDS, 1):
            file.append([record])
            assert results.read_records(tmp_path) == RECORDS[:number]


@pytest.mark.parametrize("written", [0, 1, 150])
def test_records_that_do_not_fit_leave_nothing_behind_and_go_in_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    log(tmp_path, *RECORDS[:2])
    parts = [written]

    def full(file: int, data: bytes) -> int:
        if not parts or not parts[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[: parts.pop()])

    write = os.write
    with RecordLog(tmp_path) as file:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(BackendError, match=r"cannot write .*records\.jsonl: No space left on device"):
            file.append(RECORDS[2:])
        monkeypatch.undo()
        assert results.read_records(tmp_path) == RECORDS[:2]
        file.append(RECORDS[2:])
    assert results.read_records(tmp_path) == RECORDS


def test_a_disk_that_a_library_finds_full_is_named_like_any_other() -> None:
    full = Path("/dev/full")
    with pytest.raises(BackendError, match=r"cannot write /dev/full: \d+ requested and \d+ written\. Free"):
        with disk_errors(full), full.open("wb", buffering=0) as file:
            numpy.zeros(9000).tofile(file)


def test_a_look_at_the_checkout_writes_nothing_there(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    (tmp_path / "file").write_text("text", encoding="utf-8")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-qm", "message"]):
        subprocess.run([*git, *words], check=True)
    os.utime(tmp_path / "file", (1, 1))  # git would note that it is the same nevertheless
    index = (tmp_path / ".git" / "index").read_bytes()
    state = git_state(tmp_path)
    assert state is not None
    assert not state["dirty"]
    assert (tmp_path / ".git" / "index").read_bytes() == index


LIMITED = """
import resource, sys
from pathlib import Path
from clara_bench.cli import main
from clara_bench.io.cache import disk_errors
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
main(sys.argv[2:])
"""


@pytest.mark.parametrize("size", [700, 2500])
def test_a_run_that_filled_the_disk_is_finished_by_the_same_command(
    capitals: Path, oracle: str, tmp_path: Path, size: int
) -> None:
    command = ["run", "-t", str(capitals), "-s", oracle, "--data", str(capitals.with_name("capitals.jsonl"))]
    command += ["--batch", "2", "--out", str(tmp_path / "runs")]
    limited = subprocess.run([sys.executable, "-c", LIMITED, str(size), *command], capture_output=True, text=True)
    assert limited.returncode == 2, limited.stderr
    assert "File too large. Free some space" in limited.stderr
    subprocess.run([sys.executable, "-m", "clara_bench", *command], capture_output=True, check=True)
    [run] = results.find_runs(tmp_path / "runs")
    assert len(run.records()) == 10


@pytest.mark.parametrize("cut", [1, 30, 70_000])
def test_a_line_that_was_torn_off_is_cut_away(tmp_path: Path, cut: int) -> None:
    log(tmp_path, RECORDS[0], Record("q9", Answer("y" * 100_000)))
    file = tmp_path / "records.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    log(tmp_path, RECORDS[1])
    assert results.read_records(tmp_path) == RECORDS[:2]


def test_a_symbolic_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "records.jsonl").symlink_to(tmp_path / "mine")
    with pytest.raises(BackendError, match=r"records\.jsonl is a symbolic link and is not written to"):
        RecordLog(tmp_path)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_system_without_locks_warns_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.warns(UserWarning, match="this system cannot lock .*: let no other process write to it"):
        log(tmp_path, RECORDS[0])
    assert results.read_records(tmp_path) == RECORDS[:1]


def test_a_folder_that_cannot_be_locked_warns_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with pytest.warns(UserWarning, match="cannot be locked"):
        log(tmp_path, RECORDS[0])


def test_a_plugin_that_changes_the_working_directory_moves_nothing(
    capitals: Path, oracle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    source = Path(oracle.rpartition(":")[0]).read_text().replace("self.corpus = corpus", "self.corpus = corpus; WANDER")
    wandering = source.replace("WANDER", f"import os; os.chdir({str(tmp_path / 'elsewhere')!r})")
    assert wandering != source
    (tmp_path / "wandering.py").write_text(wandering)
    (tmp_path / "again.toml").write_text(capitals.read_text().replace('"capitals"', '"again"', 1))
    command = ["run", "-t", "capitals.toml", "-t", "again.toml", "-s", "wandering.py:Capitals", "--out", "runs"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert [len(run.records()) for run in results.find_runs(tmp_path / "runs")] == [10, 10]
    assert not list((tmp_path / "elsewhere").iterdir())
    assert "  runs/again/" in done.output


def test_a_system_that_does_not_tell_its_memory_says_so_in_the_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf_names")
    assert hardware()["memory_gib"] is None
