"""Published runs lie in packs, and every command reads them as the folders that they were."""

from __future__ import annotations

import io
import lzma
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench import DataError
from clara_bench.cli import main
from clara_bench.records.packs import SUFFIX, located, read_pack, write_pack
from clara_bench.records.results import find_runs, open_run

ROOT = Path(__file__).parent.parent
NAMES = [f"one/corpus-1/{name}" for name in ("manifest.json", "questions.jsonl", "records.jsonl", "scores.json")]
LARGEST = 90_000_000
"""Bytes of everything that is tracked."""


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def runs(capitals: Path, oracle: str) -> Path:
    """Two finished runs."""
    out = capitals.with_name("runs")
    for more in (["--label", "whole"], ["--label", "lame", "-o", "fail=q3"]):
        invoke("run", "-t", str(capitals), "-s", oracle, "--out", str(out), *more)
    return out


@pytest.fixture
def results(runs: Path, tmp_path: Path) -> Path:
    """A results folder that holds them, packed."""
    invoke("publish", str(runs), "--to", str(tmp_path / "results"))
    return tmp_path / "results"


def test_a_task_s_runs_are_published_as_one_file_and_read_back_whole(runs: Path, results: Path) -> None:
    assert [path.name for path in results.iterdir()] == [f"capitals{SUFFIX}"]
    mine, theirs = find_runs(runs), find_runs(results)
    assert [run.path.parent.name for run in theirs] == ["lame", "whole"]
    assert [(run.manifest, run.answered()) for run in theirs] == [(run.manifest, run.answered()) for run in mine]


def test_a_run_in_a_pack_is_named_as_if_the_pack_were_a_folder(results: Path) -> None:
    first, second = (run.path for run in find_runs(results / "capitals"))
    assert first.parent == results / "capitals" / "lame"
    assert open_run(first).records()
    assert "Oslo" in invoke("inspect", str(second))
    assert "em" in invoke("score", str(second))
    assert "em" in invoke("compare", str(first), str(second))
    assert "whole" in invoke("leaderboard", str(results))
    assert not (results / "capitals").exists()


def test_what_is_published_later_joins_what_is_there(results: Path, capitals: Path, oracle: str) -> None:
    more = capitals.with_name("more")
    invoke("run", "-t", str(capitals), "-s", oracle, "--out", str(more), "--label", "third")
    invoke("publish", str(more), "--to", str(results))
    assert [run.path.parent.name for run in find_runs(results)] == ["lame", "third", "whole"]


def test_the_same_runs_give_the_same_bytes(runs: Path, results: Path, tmp_path: Path) -> None:
    invoke("publish", str(runs), "--to", str(tmp_path / "again"))
    name = f"capitals{SUFFIX}"
    assert (tmp_path / "again" / name).read_bytes() == (results / name).read_bytes()


def test_a_published_run_is_not_continued(results: Path, capitals: Path, oracle: str) -> None:
    done = CliRunner().invoke(
        main, ["run", "-t", str(capitals), "-s", oracle, "--out", str(results), "--label", "lame", "-o", "fail=q3"]
    )
    assert done.exit_code == 2
    assert "published run" in done.output


def test_a_published_run_is_published_elsewhere_and_stays_as_it_was(results: Path, tmp_path: Path) -> None:
    first, _ = (run.path for run in find_runs(results))
    assert invoke("publish", str(first), "--to", str(tmp_path / "elsewhere")).strip().endswith(f"/lame/{first.name}")
    assert [path.name for path in results.iterdir()] == [f"capitals{SUFFIX}"]
    assert len(find_runs(results / "capitals")) == 2


def test_a_folder_of_the_same_name_hides_no_pack(results: Path, capitals: Path, oracle: str) -> None:
    invoke("run", "-t", str(capitals), "-s", oracle, "--out", str(results), "--label", "third")
    for root in (results, results / "capitals"):
        assert [run.path.parent.name for run in find_runs(root)] == ["lame", "third", "whole"]


def test_a_folder_of_runs_that_is_taken_for_a_run_names_its_runs(results: Path) -> None:
    first, _ = (run.path for run in find_runs(results))
    with pytest.raises(DataError, match=f"Choose one of its runs: .*{first.name}"):
        open_run(first.parent)


@pytest.mark.parametrize(
    "name", ["../../x/manifest.json", "/one/two/manifest.json", "one/two/run.py", "one/two/three/four/manifest.json"]
)
def test_a_pack_holds_files_of_runs_alone(tmp_path: Path, name: str) -> None:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:xz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    (tmp_path / f"nq{SUFFIX}").write_bytes(held.getvalue())
    with pytest.raises(DataError, match="is no file of a run"):
        find_runs(tmp_path)
    assert not (tmp_path / "x").exists()


def test_links_in_a_pack_are_refused(tmp_path: Path) -> None:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:xz") as archive:
        entry = tarfile.TarInfo("one/two/manifest.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    (tmp_path / f"nq{SUFFIX}").write_bytes(held.getvalue())
    with pytest.raises(DataError, match="is no file of a run"):
        find_runs(tmp_path)


@pytest.mark.parametrize(
    "content", [b"no archive", lzma.compress(b"x" * 2000)[:60], b""], ids=["other", "cut", "empty"]
)
def test_a_damaged_pack_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"nq{SUFFIX}").write_bytes(content)
    with pytest.raises(DataError, match=r"nq\.runs\.tar\.xz: not a whole pack"):
        find_runs(tmp_path)


def test_a_pack_that_has_changed_is_unpacked_anew(tmp_path: Path) -> None:
    pack = tmp_path / f"nq{SUFFIX}"
    write_pack(pack, dict.fromkeys(NAMES, b"old"))
    assert (located(tmp_path / "nq" / NAMES[0])).read_bytes() == b"old"
    write_pack(pack, dict.fromkeys(NAMES, b"new"))
    os.utime(pack, ns=(1, 1))
    assert (located(tmp_path / "nq" / NAMES[0])).read_bytes() == b"new"
    assert read_pack(pack) == dict.fromkeys(NAMES, b"new")


def test_what_is_tracked_stays_small() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert sum(file.lstat().st_size for file in files if file.exists()) < LARGEST
    assert len(files) < 1000
