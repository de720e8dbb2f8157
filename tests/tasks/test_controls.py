"""A control gives the same system other evidence, says so, and is the same each time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clara_bench import ConfigError
from clara_bench.cli import main
from clara_bench.records import results
from clara_bench.reporting import leaderboard
from clara_bench.reporting.task_columns import by_task
from clara_bench.running import suites
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.candidates import freeze
from clara_bench.tasks.controls import Controlled, gold_in_order
from clara_bench.tasks.first_stage import FirstStage
from clara_bench.tasks.sources import Source, TaskData
from clara_bench.types import CONTROLS, Control, Setting

REAL = Path(__file__).parent.parent / "data"
WORLD = {"questions": "40", "passages": "400"}


def world(task: str) -> TaskData:
    return sources.load(definitions.load(task), Source(world=WORLD))


def offered(
    data: TaskData, setting: Setting, control: Control, seed: int = 0, reads: int | None = 5, limit: int | None = None
) -> dict[str, tuple[str, ...]]:
    chosen = Controlled(control, seed, reads)
    found = freeze(data, data.examples[:limit], setting, FirstStage(), control=chosen)
    assert set(found.corpus) == {id for e in found.examples for id in e.question.candidates or ()}
    return {example.question.id: example.question.candidates or () for example in found.examples}


@pytest.fixture(scope="module")
def musique() -> TaskData:
    return world("musique")


@pytest.mark.parametrize("task", ["nq", "hotpotqa", "musique", "2wikimultihopqa"])
def test_the_last_passage_of_a_chain_holds_the_answer_and_the_first_is_named_in_the_question(task: str) -> None:
    data = world(task)
    first, last = (offered(data, "gold", control) for control in ("first", "last"))
    chains = [e for e in data.examples if e.gold.kind not in ("comparison", "bridge_comparison", "bridge-backlink")]
    assert chains
    for example in chains:
        [one], [end] = first[example.question.id], last[example.question.id]
        assert {one, end} <= example.gold.supporting
        assert any(answer in data.corpus[end].text for answer in example.gold.answers)
        assert data.corpus[one].title in example.question.text


def test_the_order_of_real_gold_passages_is_that_of_the_decomposition() -> None:
    data = sources.load(definitions.load("musique"), Source(data=str(REAL / "musique" / "dev")))
    ordered = [
        e
        for e in data.examples
        if e.question.id in data.steps and frozenset(data.steps[e.question.id]) == e.gold.supporting
    ]
    assert len(ordered) > len(data.examples) // 2
    for example in ordered:
        last = data.corpus[gold_in_order(example, data)[-1]]
        assert any(answer.lower() in f"{last.title} {last.text}".lower() for answer in example.gold.answers)


def test_where_no_order_of_hops_is_known_the_gold_passages_keep_that_of_the_data(capitals: Path) -> None:
    data = sources.load(definitions.load(str(capitals)), Source(data=str(capitals.with_name("capitals.jsonl"))))
    [example] = [e for e in data.examples if e.question.id == "q3"]
    assert gold_in_order(example, data) == ("p3",)


@pytest.mark.parametrize("setting", ["gold", "distractor", "retrieved", "injected"])
def test_another_questions_passages_never_hold_ones_own_gold(musique: TaskData, setting: Setting) -> None:
    given = offered(musique, setting, "shuffled")
    own = {e.question.id: e for e in freeze(musique, musique.examples, setting, FirstStage()).examples}
    for example in musique.examples:
        assert given[example.question.id]
        assert not set(given[example.question.id]) & example.gold.supporting
        assert given[example.question.id] != own[example.question.id].question.candidates


def test_random_passages_are_as_many_as_the_system_reads(musique: TaskData) -> None:
    own = {example.question.id: example for example in musique.examples}
    for id, ids in offered(musique, "distractor", "random", reads=5).items():
        assert len(set(ids)) == 5
        assert set(ids) <= set(own[id].question.candidates or ())
    for id, ids in offered(musique, "gold", "random", reads=5).items():
        assert len(set(ids)) == len(own[id].gold.supporting)
    assert {len(ids) for ids in offered(musique, "corpus", "random", reads=3).values()} == {3}
    assert {len(ids) for ids in offered(musique, "distractor", "random", reads=None).values()} == {20}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_is_the_same_each_time_and_in_a_smaller_sample(musique: TaskData, control: Control) -> None:
    whole = offered(musique, "distractor", control)
    assert whole == offered(musique, "distractor", control)
    few = offered(musique, "distractor", control, limit=7)
    assert few == {id: whole[id] for id in few}


@pytest.mark.parametrize("control", ["random", "shuffled"])
def test_another_seed_is_another_draw(musique: TaskData, control: Control) -> None:
    assert offered(musique, "distractor", control) != offered(musique, "distractor", control, seed=1)


@pytest.mark.parametrize(
    ("setting", "control", "reads", "message"),
    [
        ("closed", "last", 5, "gives no passages to replace"),
        ("corpus", "shuffled", 5, "in setting 'corpus' there are none"),
        ("corpus", "random", None, "has no option k"),
    ],
)
def test_a_control_that_cannot_be_is_refused(
    musique: TaskData, setting: Setting, control: Control, reads: int | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        offered(musique, setting, control, reads=reads)


def test_one_gold_passage_needs_gold_passages() -> None:
    folder = REAL / "nq" / "dev"
    data = sources.load(definitions.load("nq"), Source(data=str(sorted(folder.glob("*open*"))[0])))
    with pytest.raises(ConfigError, match=r"the gold passages of .* questions of nq are not in the data"):
        offered(data, "corpus", "last")


def run(capitals: Path, system: str, *more: str) -> Result:
    data = str(capitals.with_name("capitals.jsonl"))
    out = str(capitals.parent / "runs")
    return CliRunner().invoke(main, ["run", "-t", str(capitals), "-s", system, "--data", data, "--out", out, *more])


def rows(capitals: Path) -> dict[str, Sequence[str]]:
    [board] = leaderboard.boards(results.find_runs(capitals.parent / "runs"))
    return {section.passages: [row.label for row in section.rows] for section in board.sections}


def test_any_system_runs_under_a_control_with_a_row_of_its_own(capitals: Path, oracle: str) -> None:
    for more in ([], ["--control", "random"], ["--control", "shuffled"], ["--control", "empty"], ["--control", "last"]):
        done = run(capitals, oracle, "--setting", "distractor", "--label", "mine", *more)
        assert done.exit_code == 0, done.output
    assert rows(capitals) == {
        "distractor: the question's own 10 passages": ["mine"],
        "distractor, control shuffled: the 9 passages of another question": ["mine-control-shuffled"],
        "distractor, control random: 10 passages drawn at random": ["mine-control-random"],
        "distractor, control empty: no passages": ["mine-control-empty"],
        "distractor, control last: the last gold passage alone": ["mine-control-last"],
    }
    found = {r.manifest["system"]["label"]: r for r in results.find_runs(capitals.parent / "runs")}
    assert {run.manifest["request"].get("control") for run in found.values()} == {None, *CONTROLS} - {"first"}
    assert len({run.path.name for run in found.values()}) == len(found)
    [table] = by_task(leaderboard.boards(list(found.values())))
    assert "distractor, control empty: no passages" in [group.title for group in table.groups]


def test_a_control_run_repeats_from_its_manifest(capitals: Path, oracle: str, tmp_path: Path) -> None:
    assert run(capitals, oracle, "--setting", "distractor", "--control", "shuffled").exit_code == 0
    [first] = results.find_runs(capitals.parent / "runs")
    done = CliRunner().invoke(main, ["run", "--manifest", str(first.path), "--trust", "--out", str(tmp_path / "again")])
    assert done.exit_code == 0, done.output
    [again] = results.find_runs(tmp_path / "again")
    assert again.path.name == first.path.name
    assert again.examples == first.examples


def test_a_retriever_cannot_drop_the_passages_of_a_control(tmp_path: Path) -> None:
    """BM25 finds no passage that shares no word with the question, such as the second one of a chain."""
    reader = tmp_path / "echo.py"
    reader.write_text(
        "from clara_bench import Reading, Usage\n\n\nclass Echo:\n"
        "    def read(self, questions, contexts):\n"
        "        return [Reading(str(len(texts)), Usage()) for texts in contexts]\n\n"
        "    def context_tokens(self, contexts):\n        return [len(texts) for texts in contexts]\n",
        encoding="utf-8",
    )
    common = ["run", "-t", "musique", "-s", "rag", "-o", f"reader={reader}:Echo", "--world", "passages=400",
              "--world", "questions=40", "--out", str(tmp_path / "runs")]  # fmt: skip
    for more in (["--setting", "gold", "--control", "last"], ["--setting", "distractor", "--control", "random"]):
        done = CliRunner().invoke(main, [*common, *more])
        assert done.exit_code == 0, done.output
    last, drawn = (
        {record.answer.text for record in found.records()}
        for found in sorted(results.find_runs(tmp_path / "runs"), key=lambda r: r.manifest["setting"], reverse=True)
    )
    assert (last, drawn) == ({"1"}, {"5"})


def test_a_dry_run_knows_the_control(capitals: Path, oracle: str) -> None:
    done = run(capitals, oracle, "--setting", "distractor", "--control", "last", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "control-last" in done.output
    refused = run(capitals, oracle, "--setting", "closed", "--control", "last", "--dry-run")
    assert refused.exit_code == 2
    assert "gives no passages to replace" in refused.output


def test_an_unknown_control_is_refused_with_the_known_ones(capitals: Path, oracle: str) -> None:
    done = run(capitals, oracle, "--control", "shufled")
    assert done.exit_code == 2
    assert "Did you mean 'shuffled'?" in done.output


def test_a_suite_may_hold_controls(tmp_path: Path) -> None:
    text = (
        'schema = 1\nname = "mine"\ndescription = "d"\ntasks = ["nq"]\n\n'
        '[[entries]]\nlabel = "a"\nsystem = "rag"\nsetting = "gold"\ncontrol = "last"\n\n'
        '[[entries]]\nlabel = "a"\nsystem = "rag"\nsetting = "gold"\n'
    )
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    assert [request.control for request in suites.load(str(tmp_path / "mine.toml")).requests()] == ["last", None]


def test_a_run_without_a_control_keeps_its_identity(capitals: Path, oracle: str) -> None:
    assert run(capitals, oracle).exit_code == 0
    [found] = results.find_runs(capitals.parent / "runs")
    assert "control" not in json.loads((found.path / "manifest.json").read_text())["identity"]
