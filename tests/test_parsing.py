"""What comes from outside is read through one door: a checked value, or one line that names the file and the place."""

from __future__ import annotations

import dataclasses
import gc
import gzip
import re
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clara_bench.errors import BenchError, ConfigError, DataError
from clara_bench.io import opening
from clara_bench.io.opening import read_bytes, read_lines
from clara_bench.io.parsing import convert, decode, decode_lines, decode_toml, in_bulk, read_json, read_toml


@dataclasses.dataclass
class Inner:
    usage: int = 0


@dataclasses.dataclass
class Outer:
    name: str
    inner: Inner = dataclasses.field(default_factory=Inner)
    others: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] | None = None


class Row(msgspec.Struct):
    text: str
    title: str = ""


def refused(path: Path, content: bytes, read: Any) -> str:
    path.write_bytes(content)
    with pytest.raises(BenchError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON: input data was truncated"),
        (b'{"name": "a"', "not JSON: input data was truncated"),
        (b'{"name": "\xff"}', "not UTF-8 (byte 0xff)"),
        (b'{"name": "\xed\xa0\x80"}', "not UTF-8 (byte 0xed)"),
        (b'{"name": "\\ud800"}', "not JSON: "),
        (b'{"name": NaN}', "not JSON: invalid character"),
        (b'{"name": "a", "inner": {"usage": 1e999}}', "number out of range"),
        (b'{"name": "a", "inner": {"usage": ' + b"9" * 5000 + b"}}", "integer value out of range"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"inner": ' * 100_000, "nested too deeply"),
        (b'{"name": 1}', "expected str at $.name, got int"),
        (b'{"name": "a"} {"name": "a"}', "not JSON: "),
        (b'{"name": "a", "inner": {"usagx": 1}}', "unknown key 'usagx' at $.inner. Did you mean 'usage'?"),
        (b'{"name": "a", "others": [{}, {"usagx": 1}]}', "unknown key 'usagx' at $.others[1]"),
        (b'{"name": "a", "by_name": {"x": {"usagx": 1}}}', "unknown key 'usagx' at $.by_name.x"),
    ],
)
def test_whatever_is_wrong_with_json_is_one_line_with_file_and_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    assert message in refused(tmp_path / "a.json", content, lambda path: read_json(path, Outer))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"= 3", "not TOML: "),
        (b"a = \xff", "not TOML: not UTF-8 (byte 0xff)"),
        (b"a = " + b"9" * 5000, "not TOML: a whole number of thousands of digits"),
        (b"a = " + b"[" * 5000, "not TOML: nested too deeply"),
        (b"a." * 5000 + b"b = 1", "nested too deeply"),
        (b"a = 9223372036854775808", "expected a number of at most 64 bits at $.a"),
        (b"[t]\na = [1.0, nan]", "expected a finite number at $.t.a.1, got nan"),
        (b"a = -inf", "expected a finite number at $.a, got -inf"),
    ],
)
def test_whatever_is_wrong_with_toml_is_one_line_with_file_and_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    assert message in refused(tmp_path / "a.toml", content, read_toml)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa = 1")
    assert read_toml(tmp_path / "a") == decode_toml("\ufeffa = 1", "a") == {"a": 1}
    assert list(read_lines(tmp_path / "a")) == [b"a = 1"]


@pytest.mark.parametrize("read", [read_bytes, lambda path: list(read_lines(path))], ids=["whole", "lines"])
def test_a_small_gzip_of_a_huge_text_is_refused_before_it_fills_the_memory(
    tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "UNPACKED", 1 << 20)
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        for _ in range(4):
            file.write(b"\n" * (1 << 20))
    with pytest.raises(DataError, match=r"a\.gz: it holds more than the 1,\d{3},\d{3} bytes that are read"):
        read(tmp_path / "a.gz")


def test_what_has_no_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LARGEST_PIPE", 1 << 22)
    with pytest.raises(DataError, match="/dev/zero: it holds more than"):
        read_bytes(Path("/dev/zero"))


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LONGEST_LINE", 1000)
    (tmp_path / "a").write_bytes(b"x\n" + b"x" * 5000)
    with pytest.raises(DataError, match="a line has more than the 1,000 bytes"):
        list(read_lines(tmp_path / "a"))


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"x" * 9999)[:-9], b""], ids=["other", "cut", "empty"])
def test_a_gzip_that_is_not_whole_is_refused_or_holds_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.gz").write_bytes(content)
    if content:
        with pytest.raises(DataError, match=r"a\.gz: not a whole gzip file"):
            read_bytes(tmp_path / "a.gz")
    else:
        assert read_bytes(tmp_path / "a.gz") == b""


@pytest.mark.parametrize("name", ["none", ".", "a\0b"])
def test_what_cannot_be_read_is_said_with_the_way_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: .*\. Look again"):
        read_bytes(tmp_path / name, "Look again", ConfigError)


def test_a_pipe_is_read(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b'{"name": "a"}',)).start()
    assert read_json(tmp_path / "pipe", Outer) == Outer("a")


def test_lines_are_numbered_as_an_editor_numbers_them() -> None:
    lines = [b'{"text": "a"}\n', b" \n", b'{"text": 1}\n']
    with pytest.raises(DataError, match=r"rows: line 3: expected str at \$.text, got int"):
        list(decode_lines(lines, Row, "rows"))


@pytest.mark.parametrize("key", ["titel", "Title", "titl", "title ", "title\x1b[2J"])
def test_a_misspelt_key_of_a_row_is_refused_and_another_one_passed_over(key: str) -> None:
    assert convert({"text": "a", "url": "b", "score": 1}, Row, "row 1") == Row("a")
    assert convert({"text": "a", "title": "b", "titles": "c"}, Row, "row 1") == Row("a", "b")
    with pytest.raises(DataError, match=r"row 1: unknown key 'tit.*Did you mean 'title'|row 1: unknown key 'Title'"):
        decode(msgspec.json.encode({"text": "a", key: "b"}), Row, "row 1")


OWN = {
    "clara_bench/components/codebase.py": "source code, which is parsed and not decoded",
    "clara_bench/components/summaries.py": "source code, which is parsed and not decoded",
    "clara_bench/reporting/scored.py": "source code, of which a digest is made",
    "clara_bench/running/provenance.py": "/proc/cpuinfo",
    "clara_bench/records/prompts.py": "packed byte by byte, as it was written",
    "clara_bench/records/results.py": "copied byte by byte",
    "clara_bench/reporting/scoring.py": "compared byte by byte",
    "clara_bench/running/suites.py": "a resource of the package",
    "clara_bench/tasks/definitions.py": "a resource of a package",
    "clara_bench/report/page.py": "a resource of the package",
    "clara_bench/report/bundle.py": "a script of a library, kept in the cache",
    "reference/memory/merge.py": "copied byte by byte",
}


def test_files_are_read_through_the_door_and_nowhere_else() -> None:
    root = Path(opening.__file__).parents[2]
    files = [file for package in ("clara_bench", "reference") for file in (root / package).rglob("*.py")]
    assert len(files) > 100
    around = {str(file.relative_to(root)) for file in files if re.search(r"\.read_(text|bytes)\(", file.read_text())}
    assert around <= OWN.keys(), "read by clara_bench.io.opening, or say here why not"


def test_garbage_is_searched_for_again_after_reading_in_bulk_even_if_that_failed():
    assert gc.isenabled()
    with pytest.raises(DataError), in_bulk():
        assert not gc.isenabled()
        with in_bulk():
            pass
        assert not gc.isenabled()
        raise DataError("no rows")
    assert gc.isenabled()
