"""What a kill leaves on the disk: nothing half written, and nothing for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clara_bench.io.cache import building, write_atomic

pytest.importorskip("fcntl")

KILLED = {
    "file": "os.fsync = lambda _: os.kill(os.getpid(), 9); write_atomic(folder / 'scores.json', 'new')",
    "folder": "with building(folder / 'index') as scratch: os.kill(os.getpid(), 9)",
}


def other_process(code: str, folder: Path) -> int:
    before = f"import os, pathlib; from clara_bench.io.cache import *; folder = pathlib.Path({str(folder)!r}); "
    lines = before + code if not code.startswith("with") else f"{before}\n{code}"
    return subprocess.run([sys.executable, "-c", lines], check=False).returncode


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("what", KILLED)
def test_what_a_kill_leaves_is_removed_by_the_next_write_into_the_folder(what: str, tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("old")
    assert other_process(KILLED[what], tmp_path) == -9
    assert len(hidden(tmp_path)) == 1
    assert (tmp_path / "scores.json").read_text() == "old"
    assert other_process("write_atomic(folder / 'other', '')", tmp_path) == 0
    assert hidden(tmp_path) == []


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    with building(tmp_path / "index") as scratch:
        (scratch / "part").write_text("one")
        assert other_process("write_atomic(folder / 'other', '')", tmp_path) == 0
        assert (scratch / "part").read_text() == "one"
    assert (tmp_path / "index" / "part").read_text() == "one"
    assert hidden(tmp_path) == []


def test_hidden_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".scores.json.swp").write_text("an editor's")
    assert other_process("write_atomic(folder / 'other', '')", tmp_path) == 0
    assert hidden(tmp_path) == [".scores.json.swp"]


def test_a_written_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", "content")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_name_may_be_as_long_as_the_disk_allows(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125)
    write_atomic(path, "content")
    assert path.read_text() == "content"
