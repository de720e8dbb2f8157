"""Verdicts are asked for once, kept beside the records, and counted for what they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench import metrics
from clara_bench.cli import main
from clara_bench.errors import BackendError, ConfigError
from clara_bench.judging import FILE, verdicts
from clara_bench.judging.asking import ask
from clara_bench.judging.prompts import PROMPTS, JudgePrompt, get_judge_prompt
from clara_bench.records.results import open_run
from clara_bench.types import Answer, Answered, Example, Gold, Question, Record

CITIES = {
    "Oslo": "Norway", "Rome": "Italy", "Paris": "France", "Lima": "Peru", "Cairo": "Egypt", "Quito": "Ecuador",
}  # fmt: skip
EXAMPLES = [
    Example(Question(f"q{number}", f"What is the capital of {country}?"), Gold((city, f"{city} City")))
    for number, (city, country) in enumerate(CITIES.items())
]
ANSWERS = [
    Answer("Oslo City"),
    Answer("Roma"),
    Answer("Paris"),
    Answer(" ", status="empty"),
    Answer("", status="error", error="out of order"),
    Answer("Quito"),
]
RECORDS = [Record(f"q{number}", answer) for number, answer in enumerate(ANSWERS)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / FILE


def mean(name: str, file: Path):
    from clara_bench.reporting.scoring import score

    return score(EXAMPLES, RECORDS, [name], "squad", "closed", verdicts=file).metrics.get(name)


def test_each_answer_is_judged_once_and_empty_and_failed_ones_count_as_zero_unasked(server, file: Path) -> None:
    name = server.named()
    said = ask(metrics.get(name), EXAMPLES, RECORDS, file)
    assert (said.judged, said.unparsed, said.unanswered, said.prompt_tokens) == (4, 0, 0, 400)
    assert len(server.requests) == 4
    summary = mean(name, file)
    assert (summary.mean, summary.n, summary.failed) == (3 / 6, 6, 1)
    ask(metrics.get(name), EXAMPLES, RECORDS, file)
    assert len(server.requests) == 4


def test_the_file_keeps_prompt_reply_value_and_cost_of_each_verdict(server, file: Path) -> None:
    name = server.named("reader.input_price=10", "reader.output_price=0")
    said = ask(metrics.get(name), EXAMPLES, RECORDS, file)
    lines = {line["id"]: line for line in map(json.loads, file.read_text(encoding="utf-8").splitlines())}
    assert lines["q1"]["value"] == 0.0
    assert lines["q1"]["reply"].endswith("**Verdict:** INCORRECT")
    assert "- Rome\n- Rome City\n\nAnswer to be judged:\nRoma\n" in lines["q1"]["prompt"]
    assert lines["q1"]["usage"]["usd"] == pytest.approx(0.001)
    assert said.usd == pytest.approx(0.004)
    assert "4 answers judged, 0 replies that are no verdict, 0 without a reply; 400 prompt tokens" in str(said)


def test_a_reply_that_is_no_verdict_has_no_value_and_is_counted_apart(server, file: Path) -> None:
    server.reply = lambda message: "Hard to say." if "Paris" in message else "Verdict: correct"
    name = server.named()
    said = ask(metrics.get(name), EXAMPLES, RECORDS, file)
    assert (said.judged, said.unparsed, said.unanswered) == (3, 1, 0)
    summary = mean(name, file)
    assert (summary.mean, summary.n, summary.unscored) == (3 / 5, 5, 1)


def test_an_answer_without_a_reply_is_judged_by_the_next_call_and_the_others_are_not(server, file: Path) -> None:
    server.reply = lambda message: 400 if "Quito" in message else "CORRECT"
    name = server.named()
    said = ask(metrics.get(name), EXAMPLES, RECORDS, file)
    assert (said.judged, said.unanswered) == (3, 1)
    assert "HTTP 400" in said.first_error
    assert mean(name, file).unscored == 1
    server.reply, asked = (lambda message: "CORRECT"), len(server.requests)
    assert ask(metrics.get(name), EXAMPLES, RECORDS, file).unanswered == 0
    assert len(server.requests) == asked + 1


def test_a_judge_that_answers_nothing_ends_with_one_error_and_what_was_judged_stays(server, file: Path) -> None:
    ask(metrics.get(server.named()), EXAMPLES[:2], RECORDS[:2], file)
    kept = file.read_bytes()
    server.reply = lambda message: 500
    with pytest.raises(BackendError, match="has answered none of the first 1 questions"):
        ask(metrics.get(server.named("reader.give_up_after=1")), EXAMPLES, RECORDS, file)
    assert file.read_bytes() == kept


def test_a_line_cut_short_by_a_kill_is_judged_again(server, file: Path) -> None:
    ask(metrics.get(server.named()), EXAMPLES, RECORDS, file)
    file.write_bytes(file.read_bytes()[:-20])
    assert len(verdicts.read(file)) == 3
    assert ask(metrics.get(server.named()), EXAMPLES, RECORDS, file).judged == 4
    assert len(server.requests) == 5


def test_a_verdict_that_was_edited_to_more_than_right_is_refused(server, file: Path) -> None:
    ask(metrics.get(server.named()), EXAMPLES, RECORDS, file)
    file.write_text(file.read_text(encoding="utf-8").replace('"value":1.0', '"value":7.0'), encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"question 'q\d': metric 'judge.*' returned 7.0, expected a number from 0 to 1"
    ):
        mean(server.named(), file)


def test_a_changed_answer_model_or_prompt_is_judged_anew_and_a_changed_address_of_a_key_is_not(
    server, file: Path, tmp_path: Path
) -> None:
    ask(metrics.get(server.named()), EXAMPLES, RECORDS, file)
    ask(metrics.get(server.named("reader.concurrency=1", "reader.api_key_env=OTHER")), EXAMPLES, RECORDS, file)
    assert len(server.requests) == 4
    changed = [Record("q1", Answer("Rome")), *RECORDS[2:]]
    assert ask(metrics.get(server.named()), EXAMPLES, changed, file).judged == 3
    assert len(server.requests) == 5
    ask(metrics.get(server.named("reader.max_new_tokens=99")), EXAMPLES, RECORDS, file)
    assert len(server.requests) == 9
    for message in ("{references} {answer} one", "{references} {answer} two"):
        (tmp_path / "mine.toml").write_text(f'name = "m"\nversion = 1\nmessage = "{message}"\n', encoding="utf-8")
        server.reply = lambda message: "CORRECT"
        ask(metrics.get(server.named(f"prompt={tmp_path / 'mine.toml'}")), EXAMPLES, RECORDS, file)
    assert len(server.requests) == 17


def test_a_prompt_of_ones_own_has_its_own_verdicts(server, file: Path, tmp_path: Path) -> None:
    text = (
        'schema = 1\nname = "graded"\nversion = 1\nmessage = "Grade {answer}, as {references} for {question}"\n'
        "verdicts = { FULL = 1.0, HALF = 0.5, NONE = 0.0 }\n"
    )
    (tmp_path / "graded.toml").write_text(text, encoding="utf-8")
    server.reply = lambda message: "half." if "Roma" in message else "Verdict: FULL"
    name = server.named(f"prompt={tmp_path / 'graded.toml'}")
    ask(metrics.get(name), EXAMPLES, RECORDS, file)
    assert mean(name, file).mean == pytest.approx(3.5 / 6)
    assert server.requests[0]["messages"][0]["content"].startswith("Grade ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('message = "{answer.__class__}"', "unknown field '{answer.__class__}'"),
        ('message = "{answer!r}"', "unknown field '{answer}'"),
        ('message = "{context} {answer}"', "unknown field '{context}'"),
        ('message = "right or wrong?"', "the field {answer} is not in"),
        ('message = "{answer"', "Write {{ and }} for braces"),
        ('message = "{answer}"\nverdicts = { YES = 2.0 }', "values from 0 to 1"),
        ('message = "{answer}"\nverdict = { YES = 1.0 }', "unknown key 'verdict'"),
        ('mesage = "{answer}"', "mesage"),
    ],
)
def test_a_prompt_that_cannot_be_filled_is_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "p.toml").write_text(f'name = "p"\nversion = 1\n{line}\n', encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        get_judge_prompt(str(tmp_path / "p.toml"))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Verdict: CORRECT", 1.0),
        ("The answer differs.\n\nVerdict: INCORRECT.", 0.0),
        ("**Verdict: correct**", 1.0),
        ("Verdict: CORRECT\nNo, wait.\nVerdict: INCORRECT", 0.0),
        ("INCORRECT", 0.0),
        ("The answer is not CORRECT", None),
        ("Verdict: CORRECT or INCORRECT", None),
        ("", None),
    ],
)
def test_only_a_verdict_line_or_a_lone_verdict_is_one(reply: str, value: float | None) -> None:
    assert PROMPTS["correct"].value(reply) == value


def test_answers_with_braces_are_put_into_the_prompt_as_they_are() -> None:
    asked = Answered(Question("q", "{answer}?"), Gold(("{x}",)), Answer("{question} {0}"))
    filled = JudgePrompt("p", 1, "{question}|{references}|{answer}").fill(asked)
    assert filled == "{answer}?|- {x}|{question} {0}"


OWN = '''
from clara_bench import Verdict

class Lengthy:
    """1 if the answer is as long as some reference."""

    def judge(self, answers):
        for place, one in reversed(list(enumerate(answers))):
            right = len(one.answer.text) in map(len, one.gold.answers)
            yield place, Verdict(float(right), reply="counted", prompt=one.question.text)

class Careless:
    """It forgets."""

    def judge(self, answers):
        yield 0, 1.0
'''


def test_a_judge_of_ones_own_is_a_class_in_a_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    name = f"{tmp_path / 'own.py'}:Lengthy"
    assert ask(metrics.get(name), EXAMPLES, RECORDS, file).judged == 4
    assert mean(name, file).mean == 4 / 6  # Roma is as long as Rome
    with pytest.raises(ConfigError, match=r"returned 1\.0, expected a clara_bench.Verdict"):
        ask(metrics.get(f"{tmp_path / 'own.py'}:Careless"), EXAMPLES, RECORDS, file)


def run_of(capitals: Path, oracle: str, out: str) -> list[str]:
    """The command that asks the oracle."""
    data = str(capitals.with_name("capitals.jsonl"))
    return ["run", "-t", str(capitals), "-s", oracle, "--data", data, "--out", out]


def invoke(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


def test_score_asks_and_what_only_reads_does_not_ask(server, capitals: Path, oracle: str, tmp_path: Path) -> None:
    out = str(tmp_path / "runs")
    given = run_of(capitals, oracle, out)
    invoke(*given, "--label", "whole", "--limit", "6")
    invoke(*given, "--label", "lame", "--limit", "6", "-o", "fail=q0", "-m", server.named())
    asked = len(server.requests)
    assert asked in (5, 6)  # all but q0, if that is among the six
    [whole], [lame] = Path(out).glob("*/whole/*"), Path(out).glob("*/lame/*")
    assert server.named() in json.loads((lame / "scores.json").read_bytes())["metrics"]
    compared = invoke("compare", str(whole), str(lame), "-m", server.named(), "-m", "em", "--json")
    assert list(json.loads(compared)[str(lame)]) == ["em"]
    said = invoke("score", str(whole), "-m", server.named())
    assert "6 answers judged, 0 replies that are no verdict" in said
    compared = invoke("compare", str(whole), str(lame), "-m", server.named(), "--json")
    assert json.loads(compared)[str(lame)][server.named()]["n"] == 6
    assert "reader.model=m" in invoke("leaderboard", out, "-m", server.named(), "-f", "markdown")
    assert len(server.requests) == asked + 6


def test_a_published_run_keeps_its_verdicts_and_is_scored_alike(
    server, capitals: Path, oracle: str, tmp_path: Path
) -> None:
    out = str(tmp_path / "runs")
    given = run_of(capitals, oracle, out)
    invoke(*given, "--label", "whole", "-m", server.named())
    [run] = Path(out).glob("*/whole/*")
    invoke("publish", str(run), "--to", str(tmp_path / "results"))
    [path] = [tmp_path / "results" / "capitals" / "whole" / run.name]
    from clara_bench.reporting.scoring import score_run

    asked = len(server.requests)
    assert score_run(open_run(path)).metrics == score_run(open_run(run)).metrics
    assert server.named() in score_run(open_run(path)).metrics
    said = invoke("score", str(path), "-m", server.named("reader.max_new_tokens=9"), code=2)
    assert "is a published run and cannot be extended" in said
    assert len(server.requests) == asked


def test_answers_from_a_file_are_judged_with_the_verdicts_beside_it(server, capitals: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"id": "q0", "answer": "Oslo"}\n{"id": "q1", "answer": "Milan"}\n', encoding="utf-8")
    data = str(capitals.with_name("capitals.jsonl"))
    for _ in range(2):
        said = invoke("score", str(capitals), str(answers), "--data", data, "-m", server.named(), "--json")
        assert '"mean": 0.1' in said
    assert len(server.requests) == 2
    assert answers.with_name("answers.jsonl.verdicts.jsonl").is_file()


def test_a_reader_without_read_each_judges_in_batches_so_that_a_kill_costs_one(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clara_bench.judging import judge

    monkeypatch.setattr(judge, "BATCH", 2)
    (tmp_path / "local.py").write_text(LOCAL, encoding="utf-8")
    name = f"judge[reader={tmp_path / 'local.py'}:Local]"
    with pytest.raises(ConfigError, match="out of memory"):
        ask(metrics.get(name), EXAMPLES, RECORDS, file)
    assert len(verdicts.read(file)) == 2


LOCAL = """
from clara_bench import Reading, Usage

class Local:
    calls = 0

    def read(self, questions, contexts):
        self.calls += 1
        if self.calls == 2:
            raise MemoryError("out of memory")
        return [Reading("Verdict: CORRECT", Usage()) for _ in questions]

    def context_tokens(self, contexts):
        return [0 for _ in contexts]
"""
