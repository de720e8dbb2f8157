from __future__ import annotations

from pathlib import Path

import pytest

from clara_bench import ConfigError
from clara_bench.running import suites

SUITE = """\
schema = 1
name = "mine"
description = "Two systems."
tasks = ["nq", "musique"]

[[entries]]
label = "a"
system = "rag"
setting = "corpus"
options = { k = 5, retriever = "bm25" }

[[entries]]
label = "b"
system = "closed-book"
setting = "closed"
tasks = ["nq"]
"""


def load(tmp_path: Path, text: str) -> suites.Suite:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return suites.load(str(file))


def test_a_suite_runs_every_entry_on_its_tasks(tmp_path: Path) -> None:
    requests = load(tmp_path, SUITE).requests()
    assert [(r.task, r.label) for r in requests] == [("nq", "a"), ("nq", "b"), ("musique", "a")]
    assert requests[0].system.options == {"k": "5", "retriever": "bm25"}


@pytest.mark.parametrize("name", suites.names())
def test_every_suite_of_ours_loads(name: str) -> None:
    assert suites.load(name).requests()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("schema = 1", "schema = 2", "schema 2 is unknown; this version reads 1"),
        ("schema = 1\n", "", "missing required field schema"),
        ("schema = 1", "schema = 1\nlimits = 3", "unknown key 'limits'. Did you mean 'limit'?"),
        ("schema = 1", "schema =", "not TOML"),
        (SUITE[SUITE.index("[[entries]]") :], "entries = []", "nothing to run"),
        ('tasks = ["nq", "musique"]', 'tasks = ["nq", "musique", "nq"]', "2 runs of nq"),
        ('tasks = ["nq"]', 'tasks = ["nqq"]', "unknown task of the suite 'nqq'. Did you mean 'nq'?"),
        ("[[entries]]", "[sources.hotpotqa]\ndata = 'x'\n[[entries]]", "unknown task of the suite 'hotpotqa'"),
        ('label = "b"\nsystem = "closed-book"\nsetting = "closed"', 'label = "a"\nsystem = "rag"\nsetting = "corpus"',
         "2 runs of nq · corpus · a. Give each its own label"),
        ('setting = "closed"', 'setting = "open"', "invalid enum value 'open'"),
    ],
)  # fmt: skip
def test_a_suite_that_says_something_impossible_is_refused(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=r"mine\.toml") as caught:
        load(tmp_path, SUITE.replace(before, after, 1))
    assert message in str(caught.value)


def test_labels_that_come_to_one_name_are_refused(tmp_path: Path) -> None:
    alike = SUITE.replace('label = "a"', 'label = "one name"').replace('label = "b"', 'label = "one-name"')
    with pytest.raises(ConfigError, match=r"2 runs of nq · corpus · one-name\. Give each its own label"):
        load(tmp_path, alike.replace('setting = "closed"', 'setting = "corpus"'))


def test_a_suite_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"mine.toml: not TOML: not UTF-8 \(byte 0xff\)"):
        suites.load(str(tmp_path / "mine.toml"))


def test_a_source_key_that_is_not_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'date' at \$.source. Did you mean 'data'"):
        load(tmp_path, SUITE.replace("[[entries]]", "[source]\ndate = 'x'\n[[entries]]", 1))
