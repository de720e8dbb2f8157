"""Each check finds a run or task made to trip it, and nothing in a clean one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench import DataError
from clara_bench.analysis.doctor import examine
from clara_bench.analysis.doctor.findings import Finding
from clara_bench.analysis.doctor.training import near_duplicates, read_questions
from clara_bench.cli import main
from clara_bench.records import results
from clara_bench.records.results import Run
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import Source, TaskData
from clara_bench.types import Gold
from tests.conftest import CITIES, TASK

PATIENT = '''\
"""Answers which country a city is the capital of, unless it is ill."""

from dataclasses import dataclass

from clara_bench import Answer, IndexStats, Ranked, Traits, Usage


class Patient:
    @dataclass(frozen=True)
    class Options:
        ill: str = ""
        weights: str = ""
        temperature: float = 0.0
        seed: int | None = None

    def __init__(self, options):
        self.options = options
        self.traits = Traits(weights=options.weights)

    def index(self, corpus):
        self.corpus = corpus
        return IndexStats(len(corpus), 0.0, 0)

    def answer(self, questions):
        return [self.one(question, number) for number, question in enumerate(questions)]

    def one(self, question, number):
        ill = self.options.ill
        city = question.text.removeprefix("Which country is ").removesuffix(" the capital of?")
        pids = sorted(self.corpus) if question.candidates is None else list(question.candidates)
        ranked = sorted(pids, key=lambda pid: self.corpus[pid].title != city)
        if ill == "words":
            ranked = ranked[1:]
        if ill == "drop" and number % 2:
            ranked = []
        text = self.corpus[ranked[0]].text.rpartition(" ")[2].rstrip(".") if ranked else "nowhere"
        said = {"constant": "I do not know", "long": f"The country that it is the capital of is {text}"}.get(ill, text)
        positions = 0 if not ranked or (ill == "empty" and number % 2) else 9
        if ill == "own":
            said, positions = CAPITALS[city], 9
        if ill == "knows":
            said = CAPITALS[city]
        if ill == "wrong":
            said = "Atlantis" + city
        status = "truncated" if ill == "cut" and number % 2 else "ok"
        retrieved = tuple(Ranked(pid, -rank) for rank, pid in enumerate(ranked))
        return Answer(said, retrieved, Usage(context_positions=positions, context_text_tokens=positions), status)
'''

Go = Callable[..., list[Finding]]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task that asks for the country of ten capitals, each passage titled by its city; returns its TOML."""
    passages = [
        {"id": f"p{i}", "title": city, "text": f"{city} is the capital of {country}."}
        for i, (city, country) in enumerate(CITIES.items())
    ]
    rows = [
        {"id": f"q{i}", "question": f"Which country is {city} the capital of?", "answers": [country],
         "passages": [{**p, "supporting": p["title"] == city} for p in passages]}
        for i, (city, country) in enumerate(CITIES.items())
    ]  # fmt: skip
    write_rows(tmp_path, rows)
    (tmp_path / "capitals.toml").write_text(TASK, encoding="utf-8")
    (tmp_path / "patient.py").write_text(f"{PATIENT}\n\nCAPITALS = {CITIES!r}\n", encoding="utf-8")
    return tmp_path / "capitals.toml"


def write_rows(folder: Path, rows: Sequence[object]) -> None:
    (folder / "capitals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def load(task: Path) -> TaskData:
    return sources.load(definitions.load(str(task)), Source(data=str(task.with_name("capitals.jsonl"))))


@pytest.fixture
def go(task: Path) -> Go:
    """Run the patient with options and more arguments, and examine what is there then."""

    def start(options: Sequence[str] = (), *more: str) -> list[Finding]:
        given = [word for option in options for word in ("-o", option)]
        out = str(task.parent / "runs")
        arguments = ["run", "-t", str(task), "-s", f"{task.with_name('patient.py')}:Patient", *given,
                     "--data", str(task.with_name("capitals.jsonl")), "--out", out, *more]  # fmt: skip
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        return found(results.find_runs(task.parent / "runs"), task)

    return start


def found(runs: Sequence[Run], task: Path) -> list[Finding]:
    return examine.runs(runs, lambda run: load(task).corpus)


def test_nothing_is_found_in_a_clean_run(go: Go) -> None:
    assert go() == []


@pytest.mark.parametrize(
    ("ill", "check", "count"),
    [
        ("words", "query-words", 10),
        ("drop", "dropped-queries", 5),
        ("cut", "truncated-prompts", 5),
        ("empty", "empty-contexts", 5),
        ("constant", "constant-output", 10),
        ("long", "cover-above-em", None),
        ("wrong", "chance-above-system", None),
    ],
)
def test_each_illness_of_a_run_is_found(go: Go, ill: str, check: str, count: int | None) -> None:
    [one] = [finding for finding in go([f"ill={ill}"]) if finding.check == check]
    assert one.count == count
    assert one.where.startswith("capitals/")
    assert one.line.endswith(one.fix)


def test_evidence_where_none_was_offered_is_found(go: Go) -> None:
    [one] = go(["ill=own"], "--setting", "closed")
    assert (one.check, one.count) == ("gold-leak", 10)


def test_a_closed_book_that_reads_nothing_is_clean(go: Go) -> None:
    assert {finding.check for finding in go(["ill=knows"], "--setting", "closed")} == set()


def test_a_control_that_scores_without_its_evidence_is_found(go: Go) -> None:
    [one] = go(["ill=knows"], "--setting", "distractor", "--control", "shuffled")
    assert one.check == "control-above-chance"
    assert "under control shuffled EM is 100.0%" in one.line


def test_a_control_at_chance_is_clean(go: Go) -> None:
    assert go([], "--setting", "distractor", "--control", "shuffled") == []


def test_gold_among_another_questions_passages_is_found(go: Go, task: Path) -> None:
    go([], "--setting", "distractor")
    [run] = results.find_runs(task.parent / "runs")
    told = {**run.manifest, "request": {**run.manifest["request"], "control": "shuffled"}}
    [leak] = [f for f in found([Run(run.path, told)], task) if f.check == "gold-leak"]  # type: ignore[arg-type]
    assert leak.count == 10


def test_one_training_of_trained_weights_is_found_and_two_are_clean(go: Go) -> None:
    assert [f.check for f in go(["weights=ours"], "--label", "mine")] == ["one-training"]
    assert go(["weights=ours", "seed=1"], "--label", "mine-seed1") == []


def test_answers_drawn_without_a_seed_are_found(go: Go) -> None:
    assert [f.check for f in go(["temperature=0.7"])] == ["no-seed"]


def test_answers_drawn_with_a_seed_are_clean(go: Go) -> None:
    assert go(["temperature=0.7", "seed=3"]) == []


def test_a_clean_task_has_no_findings(task: Path) -> None:
    assert examine.task(load(task)) == []


def with_gold(data: TaskData, **changed: object) -> TaskData:
    first, *others = data.examples
    return replace(data, examples=(replace(first, gold=replace(first.gold, **changed)), *others))


def test_a_reference_that_normalises_to_nothing_is_found(task: Path) -> None:
    [one] = [f for f in examine.task(with_gold(load(task), answers=("The",))) if f.check == "empty-references"]
    assert one.questions == ("q0",)


def test_an_answer_in_no_passage_is_found(task: Path) -> None:
    [one] = examine.task(with_gold(load(task), answers=("Atlantis",)))
    assert (one.check, one.count, one.of) == ("answer-nowhere", 1, 10)


def test_a_value_question_that_holds_its_answer_is_found_and_a_two_way_question_is_not(task: Path) -> None:
    [one] = examine.task(with_gold(load(task), answers=("Oslo",)))
    assert one.check == "answer-in-question"
    data = load(task)
    first, *others = data.examples
    two_way = replace(
        first,
        question=replace(first.question, text="Which is larger, Oslo or Rome?"),
        gold=Gold(("Oslo",), first.gold.supporting),
    )
    assert examine.task(replace(data, examples=(two_way, *others))) == []


def test_gold_passages_that_come_first_are_found(task: Path) -> None:
    rows = [json.loads(line) for line in task.with_name("capitals.jsonl").read_text().splitlines()]
    for row in rows:
        row["passages"].sort(key=lambda passage: not passage["supporting"])
    write_rows(task.parent, rows)
    [one] = examine.task(load(task))
    assert (one.check, one.count) == ("gold-leak", 10)


def test_training_questions_in_the_test_are_found_and_other_names_are_not(task: Path) -> None:
    train = ["which country is OSLO the capital of", "Which country is Bern the capital of?", "Who wrote Emma?"]
    [one] = examine.task(load(task), train)
    assert (one.check, one.count, one.questions) == ("training-questions", 1, ("q0",))
    assert examine.task(load(task), train[1:]) == []


def test_questions_of_one_wording_about_other_names_are_no_near_duplicates() -> None:
    train, dev = (
        [e.question.text for e in sources.load(
            definitions.load("nq"), Source(world={"questions": "60", "passages": "400"}, split=split)).examples]
        for split in ("train", "dev")
    )  # fmt: skip
    assert near_duplicates(dev, train) == set()
    assert near_duplicates(dev, [*train, f"Please: {dev[4]}"]) == {4}


def test_training_rows_without_a_question_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"query": "Who?"}\n{"text": "no question"}\n')
    with pytest.raises(DataError, match=r"rows\.jsonl: row 2 has no question"):
        read_questions(tmp_path / "rows.jsonl")


def test_the_command_prints_a_line_a_finding_and_fails_only_if_strict(go: Go, task: Path) -> None:
    go(["ill=drop"], "--label", "mine")
    runs = ["doctor", "mine", "--root", str(task.parent / "runs")]
    done = CliRunner().invoke(main, runs)
    assert done.exit_code == 0, done.output
    assert "dropped-queries: 5 of 10 questions found no passage, such as q1, q3, q5. " in done.output
    assert "1 run: 1 finding" in done.output
    assert CliRunner().invoke(main, [*runs, "--strict"]).exit_code == 1
    [shown] = json.loads(CliRunner().invoke(main, [*runs, "--json"]).output)
    assert (shown["check"], shown["count"]) == ("dropped-queries", 5)


def test_the_command_examines_a_task(task: Path) -> None:
    rows = task.parent / "rows.jsonl"
    rows.write_text('{"question": "Which country is Oslo the capital of?"}\n')
    done = CliRunner().invoke(main, ["doctor", str(task), "--train", str(rows), "--strict"])
    assert done.exit_code == 1
    assert "training-questions: 1 of 10" in done.output
    clean = CliRunner().invoke(main, ["doctor", str(task), "--strict"])
    assert (clean.exit_code, clean.output.strip()) == (0, "10 questions of capitals: no findings")


def test_passages_that_are_not_at_hand_are_said(go: Go, task: Path) -> None:
    go()
    task.with_name("capitals.jsonl").unlink()
    done = CliRunner().invoke(main, ["doctor", str(task.parent / "runs")])
    assert done.exit_code == 0
    assert "checks that need passages are left out" in done.output


def test_a_task_beside_runs_is_refused(task: Path) -> None:
    done = CliRunner().invoke(main, ["doctor", "nq", str(task)])
    assert done.exit_code == 2
    assert "Name it alone" in done.output
