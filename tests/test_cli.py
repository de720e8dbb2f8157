from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.records.packs import located


def commands(group: click.Group, *above: str) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found += [(*above, name)]
        found += commands(command, *above, name) if isinstance(command, click.Group) else []
    return found


COMMANDS = commands(main)


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_an_example(command: tuple[str, ...]) -> None:
    code, text = invoke(*command, "--help")
    assert code == 0
    group = command in {("systems",), ("compressors",), ("tasks",), ("metrics",)}
    assert group or "Example" in text


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, click.testing, clara_bench.cli as c\n"
        "click.testing.CliRunner().invoke(c.main, ['--help'])\n"
        "print([m for m in 'torch numpy transformers datasets rich faiss bm25s'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "name at least one --task and one --system"),
        (["run", "-t", "hotpot", "-s", "rag"], "unknown task 'hotpot'. Did you mean 'hotpotqa'?"),
        (["run", "-t", "nq", "-s", "rga"], "unknown system 'rga'. Did you mean 'rag'?"),
        (["run", "-t", "nq", "-s", "rag", "-o", "topk=3"], "unknown option 'topk'"),
        (["run", "-t", "nq", "-s", "rag", "-o", "k"], "-o 'k': expected KEY=VALUE"),
        (["run", "-t", "nq", "-s", "rag", "-o", "k=2", "-o", "k=3"], "given twice"),
        (["run", "-t", "nq", "-s", "rag", "--setting", "golden"], "unknown setting 'golden'. Did you mean 'gold'?"),
        (["run", "-t", "nq", "-s", "rag", "--batch", "0"], "--batch must be at least 1"),
        (["run", "-t", "nq", "-s", "rag", "--limit", "0"], "--limit must be at least 1"),
        (["run", "-t", "nq", "-s", "rag", "--data", "no/such/file.json"], "no/such/file.json"),
        (["run", "--suite", "quik"], "unknown suite 'quik'. Did you mean 'quick'?"),
        (["run", "--suite", "quick", "-t", "nq"], "--task cannot be used with --suite"),
        (["run", "--manifest", "nowhere.json"], "nowhere.json: cannot be read"),
        (["run", "-t", "nq", "-s", "no.py:X"], "no such file no.py"),
        (["run", "-t", "nq", "-s", "rag", "-s", "closed-book", "--label", "x"], "--label names one system"),
        (["score", "nowhere"], "no such run"),
        (["score", "nq", "nowhere.jsonl"], "nowhere.jsonl: cannot be read: No such file or directory. Expected"),
        (["leaderboard", "nowhere"], "no such folder: nowhere"),
        (["inspect", "nowhere"], "'nowhere' is not a run or a folder"),
        (["show", "nowhere.py:It"], "no such file nowhere.py"),
        (["publish", "nowhere"], "no such folder: nowhere"),
        (["show", "recal@k"], "unknown name 'recal@k'. Did you mean 'recall@k'?"),
        (["show", "recall@0"], "unknown name 'recall@0'"),
        (["show", "nqq", "--kind", "task"], "unknown task 'nqq'. Did you mean 'nq'?"),
        (["show", "bm25", "--kind", "system"], "unknown system 'bm25'"),
        (["list", "retriver"], "unknown kind 'retriver'. Did you mean 'retrievers'?"),
        (["tasks", "show", "nqq"], "unknown task 'nqq'. Did you mean 'nq'?"),
        (["run", "-t", "nq", "-s", "rag", "--setting", "oracle"], "Did you mean 'gold' or 'injected'?"),
        (["run", "-t", "nq", "-s", "rag", "-o", "retriever=reranking"], "Did you mean 'rerank'?"),
        (["systems", "new", "Not A Name"], "cannot be a module name"),
        (["worlds", "nq", "out", "--world", "passages=many"], "passages"),
        (["worlds", "hotpotqa", "out", "--pairs"], "pairs of passages have the format of nq's questions"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = invoke(*arguments)
    assert code == 2, text
    lines = [line for line in text.splitlines() if line.startswith("Error")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in text


def test_a_world_of_pairs_gives_each_question_two_passages(tmp_path: Path) -> None:
    code, text = invoke("worlds", "nq", str(tmp_path / "w"), "--pairs", "--world", "questions=20")
    assert code == 0, text
    assert "all 50.0%" in text
    rows = [json.loads(line) for line in (tmp_path / "w" / "dev.jsonl").read_text().splitlines()]
    assert [len(row["ctxs"]) for row in rows] == [2] * 20


def test_the_audit_of_a_world_names_every_shortcut_and_fails_on_request() -> None:
    few = ("--world", "questions=40", "--world", "passages=400")
    code, text = invoke("worlds", "audit", "hotpotqa", *few, "--strict", "-f", "json")
    assert code == 1
    found = {(one["shortcut"], one["kind"]): one for one in json.loads(text)}
    assert len(found) == 16 and found["last passage", "value"]["score"] == 1.0
    code, text = invoke("worlds", "audit", "musique", *few, "--world", "version=2", "--kinds")
    assert code == 0 and "last passage, 4hop3" in text and "worlds of version 2" in text


def test_options_that_a_run_directory_settles_are_refused(hostile: Path) -> None:
    for option in ("--limit", "2"), ("--data", "x"), ("--setting", "closed"):
        code, text = invoke("score", str(hostile), *option)
        assert code == 2
        assert f"{option[0]} cannot be used with a run directory" in text


def test_a_metric_that_does_not_apply_is_said_so(hostile: Path) -> None:
    assert "not applicable to these answers: recall@3" in invoke("score", str(hostile), "-m", "em", "-m", "recall@3")[1]


def test_a_negative_seed_is_refused(hostile: Path) -> None:
    code, text = invoke("score", str(hostile), "--seed", "-1")
    assert code == 2
    assert "-1 is not in the range x>=0" in text


def test_a_task_is_shown_only_if_its_metrics_are_known(capitals: Path) -> None:
    assert invoke("tasks", "show", str(capitals))[0] == 0
    capitals.write_text(capitals.read_text().replace('"f1"', '"f2"'))
    code, text = invoke("tasks", "show", str(capitals))
    assert code == 2
    assert "unknown metric 'f2'" in text


def test_passages_of_other_data_are_not_shown_as_those_of_the_run(hostile: Path, capitals: Path) -> None:
    other = capitals.with_name("other.jsonl")
    other.write_text(capitals.with_name("capitals.jsonl").read_text().replace("is the capital", "was the capital"))
    code, text = invoke("inspect", str(hostile), "--data", str(other))
    assert code == 2
    assert "are not those of the run" in text
    assert "was the capital" not in text


def test_data_that_are_named_and_not_there_are_refused_not_left_out(hostile: Path) -> None:
    code, text = invoke("inspect", str(hostile), "--data", "nowhere.jsonl")
    assert code == 2
    assert "nowhere.jsonl" in text


def test_a_run_is_never_published_into_itself(hostile: Path) -> None:
    code, text = invoke("publish", str(hostile), "--to", str(hostile.parents[2]))
    assert code == 2
    assert "holds runs that are not published" in text
    assert not list(hostile.parents[2].glob("*.xz"))


@pytest.mark.parametrize("name", ["class", "os", "answer", "ranked", "index-stats", "_"])
def test_a_name_that_would_break_the_skeleton_is_refused(name: str, tmp_path: Path) -> None:
    code, text = invoke("systems", "new", name, "--folder", str(tmp_path))
    assert code == 2
    assert "cannot be a module name" in text
    assert not list(tmp_path.iterdir())


def test_inspect_shows_question_passages_answer_and_gold(capitals: Path, oracle: str, tmp_path: Path) -> None:
    data = str(capitals.with_name("capitals.jsonl"))
    out = str(tmp_path / "runs")
    code, text = invoke("run", "-t", str(capitals), "-s", oracle, "--data", data, "--out", out, "-o", "fail=q2")
    assert code == 0, text
    [run] = [line.strip() for line in text.splitlines() if line.startswith("  ") and "runs" in line]
    code, text = invoke("inspect", run, "--question", "q1")
    assert code == 0
    for expected in ("capital of Italy", "gold    Rome", "answer  'Rome'", "1 * p1", "Rome is the capital of Italy"):
        assert expected in text
    assert "RuntimeError: no answer today" in invoke("inspect", run, "--only", "failed")[1]
    assert "unknown question 'q99'" in invoke("inspect", run, "--question", "q99")[1]


def test_inspect_takes_labels_and_folders_and_shows_one_question_of_all_their_runs(
    capitals: Path, oracle: str, tmp_path: Path
) -> None:
    out = str(tmp_path / "runs")
    for label, limit in ("few", "1"), ("all", "10"):
        words = ["run", "-t", str(capitals), "-s", oracle, "--out", out, "--label", label, "--limit", limit]
        assert invoke(*words)[0] == 0
    code, text = invoke("inspect", "all", "--root", out, "--limit", "1")
    assert code == 0, text
    assert text.splitlines()[-1] == "1 of 10 questions (all)"
    assert "1 of 1 question (all)" in invoke("inspect", "few", "--root", out)[1]
    [asked] = [line.split()[1] for line in invoke("inspect", "few", "--root", out)[1].splitlines() if "─ q" in line]
    both = invoke("inspect", out, "-q", asked)[1]
    assert both.count(f"─ {asked} ") == 2
    assert both.count("capitals/few/corpus-") == both.count("capitals/all/corpus-") == 1
    assert "unknown question 'q99'" in invoke("inspect", out, "-q", "q99")[1]


@pytest.mark.parametrize(
    ("method", "kind"),
    [("answer", "system"), ("retrieve", "retriever"), ("compress", "compressor"), ("read", "reader")],
)
def test_a_plug_in_file_is_shown_and_its_kind_is_found_by_its_method(tmp_path: Path, method: str, kind: str) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from dataclasses import dataclass\n\nclass Own:\n    'Does it.'\n\n    @dataclass(frozen=True)\n"
        f"    class Options:\n        rate: float = 4.0\n        'How much.'\n\n    def {method}(self): ...\n\n"
        "class Other: ...\n"
    )
    code, text = invoke("show", f"{file}:Own")
    assert code == 0, text
    assert text.startswith(f"{kind} {file}:Own\nDoes it.")
    assert re.search(r"rate +float +4\.0 +How much\.", text)
    code, text = invoke("show", f"{file}:Other")
    assert code == 2
    assert "Expected a method answer() for a system, retrieve() for a retriever" in text


def test_a_new_system_works_as_written_and_passes_its_own_test(tmp_path: Path, capitals: Path) -> None:
    code, text = invoke("systems", "new", "my-system", "--folder", str(tmp_path / "mine"))
    assert code == 0, text
    file = tmp_path / "mine" / "my_system.py"
    assert len(file.read_text().splitlines()) <= 30
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_system.py"]
    subprocess.run(test, cwd=file.parent, check=True, capture_output=True)
    data = str(capitals.with_name("capitals.jsonl"))
    code, text = invoke(
        "run", "-t", str(capitals), "-s", f"{file}:MySystem", "--data", data, "--out", str(tmp_path / "r")
    )
    assert code == 0, text
    assert "exists already" in invoke("systems", "new", "my-system", "--folder", str(tmp_path / "mine"))[1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["list"], "closed-book"),
        (["list", "systems"], "rag          "),
        (["list", "retriever"], "bm25"),
        (["list", "compressors"], "llmlingua2-style"),
        (["list", "readers"], "openai"),
        (["list", "tasks"], "2wikimultihopqa"),
        (["list", "settings"], "injected"),
        (["list", "metrics"], "all_support@k"),
        (["list", "suites"], "quick"),
        (["show", "hotpotqa"], "CC BY-SA"),
        (["show", "rag"], "Passages given to the reader"),
        (["show", "bm25"], "k1"),
        (["show", "kv"], "'expected-attention'"),
        (["show", "recall@5"], "higher"),
        (["show", "quick"], "clara-bench run --suite quick"),
        (["show", "injected"], "--setting injected"),
    ],
)
def test_everything_that_there_is_is_listed_and_shown_by_name_alone(words: list[str], expected: str) -> None:
    code, text = invoke(*words)
    assert code == 0, text
    assert expected in text


@pytest.mark.parametrize(
    ("word", "leads"),
    [
        ("oracle", ["setting gold", "setting injected"]),
        ("open", ["setting corpus"]),
        ("closed-book", ["system closed-book", "See also: setting closed"]),
        ("reranking", ["retriever rerank"]),
        ("em", ["metric em"]),
        ("exact-match", ["metric em"]),
        ("vllm", ["reader vllm", "See also: reader openai"]),
        ("recomp", ["compressor recomp-extractive", "compressor recomp-abstractive"]),
    ],
)
def test_words_of_the_field_lead_home(word: str, leads: list[str]) -> None:
    code, text = invoke("show", word)
    assert code == 0, text
    assert all(line in text.splitlines() for line in leads)


def test_every_word_of_the_field_leads_to_something_that_is_there() -> None:
    from clara_bench.aliases import ALIASES
    from clara_bench.cli.catalogue import KINDS

    for kind, words in ALIASES.items():
        known = {entry.name for entry in KINDS[kind]()}
        assert {name for names in words.values() for name in names} <= known, kind


def test_every_component_has_a_line_of_its_own_and_none_is_imported_for_it() -> None:
    script = (
        "import sys\n"
        "from clara_bench.cli.catalogue import KINDS, COMPONENTS\n"
        "print([(kind, e.name) for kind in COMPONENTS for e in KINDS[kind]() if not e.about])\n"
        "print([m for m in 'torch numpy transformers datasets faiss bm25s openai'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]


@pytest.mark.parametrize(
    ("words", "now"),
    [
        (["systems", "list"], "clara-bench list systems"),
        (["tasks", "list"], "clara-bench list tasks"),
        (["metrics", "list"], "clara-bench list metrics"),
        (["tasks", "show", "nq"], "clara-bench show nq"),
        (["systems", "show", "bm25", "--kind", "retriever"], "clara-bench show bm25"),
        (["metrics", "show", "recall@5"], "clara-bench show recall@5"),
    ],
)
def test_commands_by_their_first_names_answer_with_the_new_one(words: list[str], now: str) -> None:
    code, text = invoke(*words)
    assert code == 0, text
    assert f"is now: {now}" in text


def test_make_help_names_every_target() -> None:
    root = Path(__file__).parent.parent
    done = subprocess.run(["make", "help"], cwd=root, capture_output=True, text=True, check=True)
    for target in ("bench", "test", "check", "fix", "perf", "help"):
        assert re.search(rf"^{target} +\S", done.stdout, flags=re.M), target


HOSTILE = """
from clara_bench import Answer, IndexStats, Traits


class Hostile:
    traits = Traits(backbone="\\x1b[2J[bold]")

    def index(self, corpus):
        return IndexStats(len(corpus), 0.0, 0)

    def answer(self, questions):
        if questions[0].id == "q1":
            raise RuntimeError("\\x1b]0;title\\x07[red]")
        return [Answer("[bold]Oslo[/] <script> \\x1b[31m") for _ in questions]
"""


@pytest.fixture
def hostile(capitals: Path) -> Path:
    """A run whose answers, errors and traits are full of markup and control characters."""
    file = capitals.with_name("hostile.py")
    file.write_text(HOSTILE, encoding="utf-8")
    out = capitals.with_name("hostile")
    code, text = invoke("run", "-t", str(capitals), "-s", f"{file}:Hostile", "--batch", "1", "--out", str(out))
    assert code == 0, text
    [manifest] = out.rglob("manifest.json")
    return manifest.parent


def test_nothing_a_model_wrote_commands_the_terminal(hostile: Path) -> None:
    shown = invoke("inspect", str(hostile))[1] + invoke("leaderboard", str(hostile))[1]
    assert "[bold]Oslo[/] <script>" in shown
    assert "RuntimeError: \ufffd]0;title\ufffd[red]" in shown
    assert not {"\x1b", "\x07"} & set(shown)


def test_a_run_says_how_many_questions_failed_and_why_the_first(capitals: Path, oracle: str) -> None:
    out = str(capitals.with_name("runs"))
    code, text = invoke("run", "-t", str(capitals), "-s", oracle, "-o", "fail=q2", "--out", out)
    assert code == 0
    assert "1 of 10 questions failed, the first with: RuntimeError: no answer today (oracle.py:" in text


def test_a_run_scored_again_is_not_written_to(hostile: Path) -> None:
    before = (hostile / "scores.json").stat()
    assert invoke("score", str(hostile))[0] == 0
    after = (hostile / "scores.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_broken_run_is_named_and_left_out_of_the_leaderboard(hostile: Path, capitals: Path, oracle: str) -> None:
    assert invoke("run", "-t", str(capitals), "-s", oracle, "--out", str(hostile), "--label", "whole")[0] == 0
    (hostile / "questions.jsonl").write_text("")
    code, text = invoke("leaderboard", str(hostile), "--format", "markdown")
    assert code == 0
    assert f"warning: left out: {hostile / 'questions.jsonl'}: not the 10 questions that were asked" in text
    assert "| whole |" in text
    assert "hostile-Hostile" not in text.partition("###")[2]


def test_a_folder_of_broken_runs_alone_is_refused(hostile: Path) -> None:
    (hostile / "records.jsonl").write_text("[]\n")
    code, text = invoke("leaderboard", str(hostile))
    assert code == 2
    assert "none of its runs can be read" in text


def test_scores_are_made_anew_when_a_run_is_published(hostile: Path, tmp_path: Path) -> None:
    before = (hostile / "scores.json").read_bytes()
    (hostile / "scores.json").write_text('{"em": 1.0}')
    code, text = invoke("publish", str(hostile), "--to", str(tmp_path / "results"))
    assert code == 0
    assert (located(Path(text.strip())) / "scores.json").read_bytes() == before


def bench(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "clara_bench", *arguments]


def test_a_full_disk_behind_standard_output_is_one_line(hostile: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(bench("leaderboard", str(hostile)), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: standard output: No space left on device")
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_ends_the_output_in_silence(hostile: Path) -> None:
    with subprocess.Popen(bench("inspect", str(hostile)), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        assert started.stdout is not None
        started.stdout.close()
        assert started.stderr is not None
        assert started.stderr.read() == b""


def test_a_thread_of_a_plugin_that_fails_is_a_warning_of_one_line(capitals: Path) -> None:
    file = capitals.with_name("threads.py")
    failing = "        from threading import Thread; Thread(target=lambda: 1 / 0).start()\n        if"
    file.write_text(HOSTILE.replace("        if", failing), encoding="utf-8")
    command = bench("run", "-t", str(capitals), "-s", f"{file}:Hostile", "--out", str(capitals.with_name("out")))
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert "ended: ZeroDivisionError: division by zero\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_says_that_nothing_is_lost_and_exits_130(capitals: Path) -> None:
    file = capitals.with_name("slow.py")
    file.write_text(HOSTILE.replace("        if", "        import time; time.sleep(9)\n        if"), encoding="utf-8")
    out = capitals.with_name("stopped")
    command = bench("run", "-t", str(capitals), "-s", f"{file}:Hostile", "--out", str(out))
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible)
    while not list(out.rglob("manifest.json")):
        assert started.poll() is None
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate()
    assert started.returncode == 130
    assert "the same command goes on from there" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("place", ["refuse_strange", "BenchError.__str__"])
def test_ctrl_c_while_arguments_are_read_or_an_error_is_shown_is_one_line_too(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"clara_bench.cli.{place}", interrupt)
    code, text = invoke("show", "nothing")
    assert code == 130
    assert text.strip().startswith("Error: stopped.")
    assert "\n" not in text.strip()


def interruptible() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
