"""Chance lines are what a guess would score, and parts of the questions are runs like any."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench import ConfigError
from clara_bench.analysis import chance, parts, two_way
from clara_bench.cli import main
from clara_bench.records import results
from clara_bench.records.results import Run
from clara_bench.reporting import leaderboard, tables, views
from clara_bench.reporting.scored import CachedScorer, Scorer
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import Source
from clara_bench.types import Example, Gold, Question
from clara_bench.worlds import WorldConfig, coin_flip_line, generate

REAL = Path(__file__).parent.parent / "data"
SAYS = '''\
"""Answers every question with one word."""

from dataclasses import dataclass

from clara_bench import Answer, IndexStats


class Says:
    @dataclass(frozen=True)
    class Options:
        word: str = "yes"

    def __init__(self, options):
        self.options = options

    def index(self, corpus):
        return IndexStats(len(corpus), 0.0, 0)

    def answer(self, questions):
        return [Answer(self.options.word) for _ in questions]
'''


def asked(text: str, answer: str, kind: str | None = None) -> Example:
    return Example(Question("q", text), Gold((answer,), kind=kind))


@pytest.mark.parametrize(
    ("text", "answer", "kind", "expected"),
    [
        ("Are Local H and For Against both from the United States?", "yes", "comparison", ("yes", "no")),
        ("Did Ann win?", "No.", None, ("no", "yes")),
        ("Which river is shorter, Hodusk River or Sturvane River?", "Hodusk River", "comparison",
         ("Hodusk River", "Sturvane River")),
        ("Which river is shorter, Hodusk River or Sturvane River?", "Sturvane River", "comparison",
         ("Sturvane River", "Hodusk River")),
        ("Which music group has the most members, DC Talk, or Manchester Orchestra?", "Manchester Orchestra", None,
         ("Manchester Orchestra", "DC Talk")),
        ("Was Jamie Curry or Alyaksey Vasilewski born first?", "Alyaksey Vasilewski", "comparison",
         ("Alyaksey Vasilewski", "")),
        ("Who has more scope of profession, Edward Dmytryk or Otto Preminger?", "Otto Ludwig Preminger", "comparison",
         ("Otto Ludwig Preminger", "")),
        ("Of Rome and Paris, which is older?", "Rome", "comparison", ("Rome", "")),
        ("What do a Flaming beverage and a Gin and tonic have in common?", "cocktails", "comparison", None),
        ("Who directed the film that won the prize for drama or comedy?", "Ann Lee", "bridge", None),
        ("In which city is the operator of the dam based?", "Grencliff", "2hop", None),
    ],
)  # fmt: skip
def test_a_question_is_two_way_if_a_coin_can_answer_it(
    text: str, answer: str, kind: str | None, expected: tuple[str, str] | None
) -> None:
    assert two_way.options(asked(text, answer, kind)) == expected


def test_a_question_without_an_answer_is_not_two_way() -> None:
    assert two_way.options(Example(Question("q", "Is it?"), Gold(()))) is None


@pytest.mark.parametrize("task", ["hotpotqa", "2wikimultihopqa"])
def test_the_two_way_questions_of_a_world_are_its_comparisons(task: str) -> None:
    data = sources.load(definitions.load(task), Source(world={"questions": "80", "passages": "400"}))
    for example in data.examples:
        compares = example.gold.kind in two_way.COMPARISONS
        assert (two_way.options(example) is not None) == compares
        assert two_way.options(example) is None or all(two_way.options(example) or ())


@pytest.mark.parametrize("task", ["hotpotqa", "2wikimultihopqa"])
def test_most_real_comparisons_are_two_way_and_no_chain_is(task: str) -> None:
    data = sources.load(definitions.load(task), Source(data=str(REAL / task / "dev")))
    compared = [e for e in data.examples if e.gold.kind in two_way.COMPARISONS]
    assert compared
    assert sum(two_way.options(e) is not None for e in compared) >= 0.8 * len(compared)
    chains = [e for e in data.examples if e.gold.kind in ("compositional", "inference", "bridge")]
    assert sum(two_way.options(e) is not None for e in chains) <= 0.1 * len(chains)


Go = Callable[..., Run]


@pytest.fixture
def go(tmp_path: Path) -> Go:
    """Run a system that says one word on a world of 80 questions, with more arguments."""
    (tmp_path / "says.py").write_text(SAYS, encoding="utf-8")

    def start(task: str, word: str = "yes", *more: str) -> Run:
        out = tmp_path / "runs" / word
        arguments = ["run", "-t", task, "-s", f"{tmp_path / 'says.py'}:Says", "-o", f"word={word}", "--label", word,
                     "--world", "questions=80", "--world", "passages=400", "--out", str(out), *more]  # fmt: skip
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        return max(results.find_runs(out), key=lambda run: (run.path / "manifest.json").stat().st_mtime_ns)

    return start


def test_a_coin_is_right_on_half_of_the_two_way_questions(go: Go) -> None:
    run = go("2wikimultihopqa")
    found = {guess.label: guess.metrics for guess in chance.Chance().lines(run, ["em", "f1", "recall@5", "seconds"])}
    two = sum(two_way.options(example) is not None for example in run.examples)
    assert two == 40
    assert found[chance.COIN]["em"] == pytest.approx(two / 2 / 80)
    assert found[chance.COIN].keys() == {"em", "f1"}


def test_the_line_of_a_world_is_that_of_its_reader_of_random_passages(go: Go) -> None:
    run = go("2wikimultihopqa")
    [line] = [g for g in chance.Chance().lines(run, ["em"]) if g.label == chance.RELATION]
    expected = coin_flip_line(generate("2wikimultihopqa", WorldConfig(questions=80, passages=400)))["all"]
    assert line.metrics["em"] == pytest.approx(expected)


def test_fewer_passages_make_the_right_relation_easier_to_find(go: Go) -> None:
    of = {}
    for setting in ("gold", "distractor", "closed"):
        run = go("musique", "yes", "--setting", setting)
        found = {g.label: g.metrics["em"] for g in chance.Chance().lines(run, ["em"])}
        of[setting] = found.get(chance.RELATION)
    assert of["closed"] is None
    assert of["gold"] is not None
    assert of["distractor"] is not None
    assert of["gold"] > 0.5 > of["distractor"] > 0


def test_the_most_frequent_answer_scores_what_a_system_that_says_it_scores(go: Go) -> None:
    run = go("2wikimultihopqa", "no")
    [line] = [g for g in chance.Chance().lines(run, ["em"]) if g.label == chance.FREQUENT]
    said = [go("2wikimultihopqa", word) for word in ("no", "yes")]
    scores = [json.loads((one.path / "scores.json").read_text())["metrics"]["em"]["mean"] for one in said]
    assert line.metrics["em"] == pytest.approx(max(scores))


def test_lines_stand_below_their_section_and_are_never_ranked(go: Go, tmp_path: Path) -> None:
    runs = [go("2wikimultihopqa", word) for word in ("no", "maybe")]
    [board] = chance.added(leaderboard.boards(runs), runs)
    assert [row.label for row in board.sections[0].rows] == ["no", "maybe"]
    [table] = views.tables([board])
    names = [row[0].text for row in table.groups[0].rows]
    assert names == ["no", "maybe", chance.COIN, chance.FREQUENT, chance.RELATION]
    assert not any(cell.best or cell.tied for row in table.groups[0].rows[2:] for cell in row)
    done = CliRunner().invoke(main, ["leaderboard", str(tmp_path / "runs"), "--chance", "-f", "json"])
    assert done.exit_code == 0, done.output
    [shown] = json.loads(done.output)
    assert [guess["label"] for guess in shown["sections"][0]["guesses"]] == names[2:]
    wide = CliRunner().invoke(
        main, ["leaderboard", str(tmp_path / "runs"), "--chance", "--tasks-as-columns", "-f", "markdown"]
    )
    assert chance.RELATION in wide.output


def test_parts_of_the_questions_are_tables_of_their_own(go: Go, tmp_path: Path) -> None:
    runs = [go("2wikimultihopqa", word) for word in ("yes", "no")]
    found = parts.parts(runs, "two-way")
    made = chance.added(leaderboard.boards(found), found)
    assert [(board.task, board.questions) for board in made] == [
        ("2wikimultihopqa, two-way questions", 40),
        ("2wikimultihopqa, value questions", 40),
    ]
    guessed = {board.task: {g.label: g.metrics["em"] for g in board.sections[0].guesses} for board in made}
    assert guessed["2wikimultihopqa, two-way questions"][chance.COIN] == 0.5
    assert chance.COIN not in guessed["2wikimultihopqa, value questions"]
    text = tables.markdown(views.tables(made))
    assert "two-way questions" in text
    kinds = CliRunner().invoke(main, ["leaderboard", str(tmp_path / "runs"), "--by", "kind", "-f", "csv"])
    assert "2wikimultihopqa, bridge_comparison" in kinds.output


def test_a_part_scores_as_its_questions_do_in_the_whole(go: Go) -> None:
    run = go("2wikimultihopqa")
    whole = json.loads((run.path / "scores.json").read_text())["by_kind"]
    for board in leaderboard.boards(parts.parts([run], "kind")):
        [row] = board.rows
        kind = board.task.partition(", ")[2]
        assert row.metrics["em"].mean == whole[kind]["em"]["mean"]


def test_scores_kept_of_a_part_are_those_of_the_part(go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(tmp_path / "cache"))
    run = go("2wikimultihopqa")
    found = [run, *parts.parts([run], "kind"), *parts.parts([run], "two-way")]
    fresh = [Scorer()(part, ["em"]) for part in found]
    assert [CachedScorer()(part, ["em"]) for part in found] == fresh
    assert [CachedScorer()(part, ["em"]) for part in found] == fresh
    assert len({part.key for part in found}) == len(found) and {part.folder for part in found} == {run.path}


def test_compare_divides_the_questions_too(go: Go) -> None:
    one, other = go("2wikimultihopqa", "yes"), go("2wikimultihopqa", "no")
    done = CliRunner().invoke(
        main, ["compare", str(one.path), str(other.path), "-m", "em", "--by", "two-way", "-f", "json"]
    )
    assert done.exit_code == 0, done.output
    found = {name.rpartition("(")[2].rstrip(")"): change["em"]["n"] for name, change in json.loads(done.output).items()}
    assert found == {"two-way questions": 40, "value questions": 40}


def test_questions_in_forms_that_no_training_has_are_told_apart(go: Go) -> None:
    run = go("hotpotqa", "yes", "--world", "version=2", "--world", "unseen_forms=0.5")
    seen, unseen = parts.parts([run], "form")
    assert len(seen.examples) + len(unseen.examples) == 80 and 25 < len(seen.examples) < 55
    assert {example.gold.kind.rpartition("-")[2] for example in unseen.examples if example.gold.kind} == {"unseen"}
    assert not any("unseen" in (example.gold.kind or "") for example in seen.examples)
    with pytest.raises(ConfigError, match="--by form: the questions are all of one part"):
        parts.parts([go("hotpotqa", "no")], "form")


def test_questions_that_are_all_of_one_part_are_not_divided(go: Go) -> None:
    with pytest.raises(ConfigError, match="the questions are all of one part"):
        parts.parts([go("nq")], "two-way")
