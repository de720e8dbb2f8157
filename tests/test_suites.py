from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench import ConfigError
from clara_bench.cli import main
from clara_bench.exchange.published import FILE, entries, read
from clara_bench.records.results import find_runs
from clara_bench.running import suites
from clara_bench.running.run_config import check
from clara_bench.tasks import definitions
from tests.conftest import Loopback

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


TRIED = SUITE.replace('setting = "corpus"', 'setting = "corpus"\nlimited = "retrieved"').replace(
    "schema = 1", "schema = 1\nlimit = 200"
)


def test_a_limit_below_the_suite_s_moves_an_entry_to_the_setting_of_trials_and_no_other_entry(tmp_path: Path) -> None:
    suite = load(tmp_path, TRIED)
    assert [(r.setting, r.limit) for r in suite.requests(20)] == [("retrieved", 20), ("closed", 20), ("retrieved", 20)]
    for limit in (None, 200, 500):
        assert [(r.setting, r.limit) for r in suite.requests(limit)][:2] == [
            ("corpus", limit or 200), ("closed", limit or 200),
        ]  # fmt: skip


def test_a_trial_says_which_rows_run_in_another_setting_than_the_suite_s(tmp_path: Path) -> None:
    suite = load(tmp_path, TRIED)
    said = suite.told(20)
    assert "--limit 20 is a trial" in said and "a runs in setting retrieved, not corpus" in said
    assert not suite.told(200) and not suite.told(None) and not load(tmp_path, SUITE).told(20)


def test_no_trial_of_the_real_suite_encodes_a_whole_corpus() -> None:
    suite = suites.load("real")
    searched = {r.label: r.setting for r in suite.requests(20)}
    assert searched["dense-text"] == searched["hybrid-text"] == "retrieved" and searched["bm25-text"] == "corpus"
    assert {r.label: r.setting for r in suite.requests()}["dense-text"] == "corpus"


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


def test_an_option_beside_a_suite_goes_to_every_entry_and_replaces_none_of_its_own(tmp_path: Path) -> None:
    suite = load(tmp_path, SUITE)
    requests = suite.requests(options={"reader.model": "m"})
    assert [r.system.options.get("reader.model") for r in requests] == ["m"] * 3
    assert requests[0].system.options["k"] == "5"
    with pytest.raises(ConfigError, match=r"-o k: entry 'a' of suite mine sets it\. Copy the suite"):
        suite.requests(options={"k": "3"})


def test_the_suite_for_servers_has_the_rows_of_text_of_the_real_suite() -> None:
    real, server = (suites.load(name).requests(20) for name in ("real", "real-api"))
    text = [r for r in real if r.system.name != "clara"]
    assert len(text) < len(real)
    assert [(r.task, r.label, r.setting, r.source) for r in text] == [
        (r.task, r.label, r.setting, r.source) for r in server
    ]


@pytest.mark.model
def test_any_server_reads_the_real_questions_by_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loopback: Loopback
) -> None:
    data = tmp_path / "data"
    shutil.copytree(Path(__file__).parent / "data", data)
    opened = data / "2wikimultihopqa" / "dev" / "dev_open1000.jsonl"
    with gzip.open(f"{opened}.gz", "wb") as packed:
        packed.write(opened.read_bytes())
    monkeypatch.chdir(tmp_path)
    loopback.reply = lambda _: "Oslo"
    given = ["-o", f"reader.base_url={loopback.url}", "-o", "reader.model=m", "-o", "reader.tokenizer=approximate"]
    done = CliRunner().invoke(main, ["run", "--suite", "real-api", *given, "--limit", "2"])
    assert done.exit_code == 0, done.output
    runs = find_runs(tmp_path / "runs")
    assert len(runs) == 20
    assert all(record.answer.text == "Oslo" for run in runs for record in run.records())


def test_the_paper_s_table_has_a_published_row_for_each_label_that_its_page_names() -> None:
    page = (Path(__file__).parents[1] / "docs" / "suites.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w-]+)` \| `(clara-t5-(normal|oracle)-[\w-]+)`", page)
    published = {entry.id: entry for entry in entries(read(FILE))}
    requests = {r.label: r for r in suites.load("paper").requests()}
    assert len(named) == 14
    for label, id, prefix in named:
        ours, theirs = requests[f"{prefix}-{label}"], published[id]
        assert (ours.setting, ours.first_stage.depth) == (theirs.setting, theirs.depth)


def test_every_entry_of_the_paper_s_table_is_possible_and_its_first_stage_is_bge() -> None:
    for request in suites.load("paper").requests():
        check(request, definitions.load(request.task))
        assert request.first_stage.retriever.options["model"] == "BAAI/bge-large-en-v1.5"
        if "recomp" in request.label:  # weights of one data set
            assert request.task == ("hotpotqa" if request.label.endswith("hotpotqa") else "nq")
