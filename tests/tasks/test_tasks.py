"""Task files are strict, and the four official tasks say what they must."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from clara_bench.errors import ConfigError, UnknownName
from clara_bench.io.parsing import decode_toml
from clara_bench.tasks import definitions
from clara_bench.types import SETTINGS

MINIMAL = """\
schema = 1
name = "mine"
version = 1
reader = "generic"
data = "mine.jsonl"
"""


@pytest.mark.parametrize("name", ["nq", "hotpotqa", "musique", "2wikimultihopqa"])
def test_an_official_task_is_complete(name: str) -> None:
    task = definitions.load(name)
    assert task.name == task.sources.worlds == name
    for text in (task.title, task.description, task.licence, task.citation):
        assert text.strip()
    assert task.homepage.startswith("https://")
    assert task.main_metric in {"em", "f1"} <= set(task.metrics)
    assert set(task.settings) == set(SETTINGS)
    assert {"dev", "train"} == set(task.sources.local.splits) == set(task.counts)
    hub = task.sources.hub
    assert hub is not None and re.fullmatch("[0-9a-f]{40}", hub.revision or ""), "the hub revision is pinned"
    assert set(hub.splits) == {"dev", "train"}
    assert msgspec.to_builtins(task)["name"] == name, "a manifest can hold it"


def test_the_official_tasks_are_found_by_name() -> None:
    assert {"nq", "hotpotqa", "musique", "2wikimultihopqa"} <= set(definitions.names())


def test_an_unknown_task_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown task 'hotpot'\. Did you mean 'hotpotqa'"):
        definitions.load("hotpot")


def test_a_task_of_ones_own_needs_five_lines(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINIMAL)
    task = definitions.load(str(tmp_path / "mine.toml"))
    assert (task.folder, task.data, task.main_metric) == (str(tmp_path), "mine.jsonl", "f1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('metric = ["f1"]', "task.toml: unknown key 'metric'. Did you mean 'metrics'?"),
        ('folder = "/tmp"', "task.toml: unknown key 'folder'"),
        ('[sources]\nworld = "nq"', "task.toml: unknown key 'world' at $.sources. Did you mean 'worlds'?"),
        ('[sources.hub]\npath = "x"\nsplit = {}', "task.toml: unknown key 'split' at $.sources.hub"),
        ('[sources.hub]\npath = "x"', "task.toml: object missing required field splits at $.sources.hub"),
        ('settings = ["closed", "distractors"]', "unknown setting 'distractors'. Did you mean 'distractor'?"),
        ('default_setting = "golden"', "unknown setting 'golden'. Did you mean 'gold'?"),
        ('answer_scorer = "hotpot"', "unknown answer scorer 'hotpot'. Did you mean 'hotpotqa'?"),
        ("answer_scorer = 3", "expected str at $.answer_scorer, got int"),
        ("metrics = [1]", "expected str at $.metrics[0], got int"),
        ('metrics = "f1"', "expected array at $.metrics, got str"),
        ("title = 3", "expected str at $.title, got int"),
        ('main_metric = "recall@5"', "main_metric 'recall@5' is not among metrics: em, f1"),
        (f"[sources.local]\ncorpus = ['{'[' * 300}']", "expected str of length <= 255 at $.sources.local.corpus[0]"),
        ('metrics = ["f1", "f1"]', "metrics names 'f1' twice"),
        ('settings = ["corpus", "corpus"]', "settings names 'corpus' twice"),
        ('settings = ["gold"]', "default_setting 'corpus' is not among settings"),
        ("[counts]\ndef = [7405]", "counts: unknown split 'def'. Did you mean 'dev'?"),
        ("[counts]\ndev = 7405", "expected array at $.counts[...], got int"),
        ("= 3", "task.toml: not TOML"),
    ],
)
def test_a_mistake_in_a_task_file_is_named(change: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        definitions.parse(decode_toml(MINIMAL + change, "task.toml"), "task.toml")
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema 2 is unknown"),
        ("schema = 1", "", "object missing required field schema"),
        ('"generic"', '"squad"', "unknown reader 'squad'"),
        ('"mine"', '"../mine"', "must consist of letters, digits"),
        ('data = "mine.jsonl"', 'sha256 = "0"', "sha256 is the checksum of 'data'"),
    ],
)
def test_a_task_file_that_lacks_or_mistakes_a_key_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        definitions.parse(decode_toml(MINIMAL.replace(old, new), "task.toml"), "task.toml")
    assert message in str(caught.value)


def test_a_missing_task_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml: cannot be read"):
        definitions.load(str(tmp_path / "nothing.toml"))
