"""What a first stage may do to a run: fill the candidates, at most so many, and nothing else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from clara_bench import ConfigError
from clara_bench.components.registry import Component
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.candidates import Frozen, freeze
from clara_bench.tasks.first_stage import FirstStage
from clara_bench.tasks.sources import TaskData

FIRST_STAGE = '''\
"""Finds what its list says for the question of that number, and counts its calls in calls.txt."""

from pathlib import Path

from clara_bench import IndexStats, Ranked


class Listed:
    def index(self, corpus):
        return IndexStats(len(corpus), 0.0, 0)

    def retrieve(self, questions, k):
        with Path(__file__).with_name("calls.txt").open("a") as file:
            file.write("called\\n")
        found = {listed}
        return [found.get(question.id, []) for question in questions]
'''


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def data(capitals: Path) -> TaskData:
    return sources.load(definitions.load(str(capitals)), sources.Source(data=str(capitals.with_name("capitals.jsonl"))))


def stage(folder: Path, listed: str, depth: int = 4) -> FirstStage:
    """A first stage of a file plug-in; `listed` is the Python of what it finds, by question id."""
    (folder / "stage.py").write_text(FIRST_STAGE.replace("{listed}", listed), encoding="utf-8")
    return FirstStage(Component(f"{folder / 'stage.py'}:Listed"), depth)


def offered(frozen: Frozen) -> dict[str, tuple[str, ...] | None]:
    return {example.question.id: example.question.candidates for example in frozen.examples}


@pytest.mark.parametrize("listed", ["{'q1': [Ranked('p1', 1.0)]}", "{}"], ids=["for one", "for none"])
def test_where_the_first_stage_finds_nothing_nothing_is_offered(data: TaskData, tmp_path: Path, listed: str) -> None:
    frozen = freeze(data, data.examples, "retrieved", stage(tmp_path, listed))
    assert offered(frozen)["q0"] == ()
    assert set(frozen.corpus) == ({"p1"} if "p1" in listed else set())


def test_gold_is_injected_where_the_first_stage_finds_nothing(data: TaskData, tmp_path: Path) -> None:
    frozen = freeze(data, data.examples, "injected", stage(tmp_path, "{}"))
    assert offered(frozen)["q3"] == ("p3",)


def test_the_whole_corpus_is_not_the_same_as_nothing(data: TaskData) -> None:
    assert set(offered(freeze(data, data.examples, "corpus", FirstStage())).values()) == {None}
    assert set(offered(freeze(data, data.examples, "closed", FirstStage())).values()) == {()}


def test_a_first_stage_that_returns_more_is_cut_to_the_depth(data: TaskData, tmp_path: Path) -> None:
    everything = "{f'q{n}': [Ranked(f'p{i}', -i) for i in range(10)] for n in range(10)}"
    frozen = freeze(data, data.examples, "retrieved", stage(tmp_path, everything, depth=4))
    assert set(offered(frozen).values()) == {("p0", "p1", "p2", "p3")}


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("{'q0': [Ranked('p1', 1.0)] * 2}", "question 'q0': retriever '.*' ranks passage 'p1' twice"),
        ("{'q0': [Ranked('atlantis', 1.0)]}", "ranks passage 'atlantis', which is not in the corpus"),
        ("{'q0': 'p1'}", "returned a ranking of type str"),
        ("{'q0': ['p1', 'p2']}", "ranks 'p1', expected a passage id and a finite score"),
    ],
)
def test_a_first_stage_that_returns_no_rankings_is_refused(
    data: TaskData, tmp_path: Path, listed: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        freeze(data, data.examples, "retrieved", stage(tmp_path, listed))


def test_the_ranking_is_made_once_and_anew_when_its_file_was_edited(
    data: TaskData, tmp_path: Path, cache: Path
) -> None:
    first = stage(tmp_path, "{'q0': [Ranked('p1', 2.0), Ranked('p2', 1.0)]}")
    before = freeze(data, data.examples, "retrieved", first)
    assert freeze(data, data.examples, "retrieved", first) == before
    assert (tmp_path / "calls.txt").read_text() == "called\n"
    [run_file] = cache.glob("candidates/*/*/run.trec.gz")
    run_file.write_bytes(gzip.compress(b"q0 Q0 p9 1 2.0 x\n"))
    assert offered(freeze(data, data.examples, "retrieved", first)) == offered(before)
    assert (tmp_path / "calls.txt").read_text() == "called\ncalled\n"


def test_ids_with_blanks_and_percent_signs_can_be_candidates(capitals: Path, tmp_path: Path) -> None:
    file = capitals.with_name("capitals.jsonl")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["id"] = f"question {row['id']}"
        for passage in row["passages"]:
            passage["id"] = {"p0": "New York", "p1": "50%20 off"}.get(passage["id"], passage["id"])
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = sources.load(definitions.load(str(capitals)), sources.Source(data=str(file)))
    frozen = freeze(data, data.examples, "retrieved", FirstStage(depth=10))
    assert {"New York", "50%20 off"} <= set(offered(frozen)["question q0"] or ())
