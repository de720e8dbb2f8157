"""From a folder of documents to a leaderboard, as docs/quickstart.md says; with answers and without."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.cli import main

pytest.importorskip("pypdf")
pytest.importorskip("bs4")

ROOT = Path(__file__).parent.parent
FAST = '''\
"""A reader that answers with the first passage's last words; no model."""

from clara_bench import Reading, Usage


class Fast:
    def read(self, questions, contexts):
        counts = self.context_tokens(contexts)
        said = [" ".join(texts[0].split()[-5:]) if texts else "I do not know" for texts in contexts]
        return [Reading(text, Usage(n, n, n + 9, 5)) for text, n in zip(said, counts, strict=True)]

    def context_tokens(self, contexts):
        return [sum(len(text.split()) for text in texts) for texts in contexts]
'''


def commands() -> list[str]:
    """The page's four commands: those of its first block."""
    page = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    block = next(block for block in re.findall(r"(?:^    .+\n)+", page, flags=re.M) if "clara-bench init" in block)
    return [line.strip().removeprefix("clara-bench ") for line in block.splitlines()]


def invoke(*words: str) -> tuple[str, str]:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's documents and questions in it, where the user stands."""
    shutil.copytree(ROOT / "tests" / "data" / "quickstart", tmp_path / "handbook")
    (tmp_path / "fast.py").write_text(FAST, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def follow(*more: str) -> list[str]:
    """What the page's commands print, `more` behind each run."""
    return [invoke(*shlex.split(command), *(more if command.startswith("run ") else ()))[0] for command in commands()]


def test_the_page_leads_from_documents_to_a_leaderboard_in_four_commands(desk: Path) -> None:
    written, *_, board = follow("-o", "reader=./fast.py:Fast")
    assert len(commands()) == 4
    assert "10 questions, 10 of them with answers" in written
    assert "3 documents in 4 passages" in written
    assert re.search(r"closed: no passages\nclosed-book.* 0\.00", board)
    [row] = re.findall(r"^rag.*$", board, flags=re.M)
    assert float(re.findall(r"([\d.]+) [±(]", row)[2]) >= 80.0  # answer_recall@1, BM25 over four passages


@pytest.mark.model
def test_the_page_works_with_the_default_reader(desk: Path) -> None:
    *_, board = follow("--limit", "1")
    assert "SmolLM2-135M-Instruct" in board


def test_questions_without_answers_are_asked_and_compared_and_never_scored_zero(desk: Path) -> None:
    (desk / "handbook" / "questions.csv").write_text(
        "question\nWhen does the harbour open?\nWho built the lighthouse?\n"
    )
    written, _ = invoke("init", "handbook")
    assert "2 questions, 0 of them with answers" in written
    for k in ("1", "2"):
        invoke("run", "-t", "handbook/task.toml", "-s", "rag", "-o", "reader=./fast.py:Fast", "-o", f"k={k}")
    runs = sorted(path.parent for path in desk.glob("runs/*/*/*/manifest.json"))
    for run in runs:
        scores = json.loads((run / "scores.json").read_text())["metrics"]
        assert (scores["em"]["mean"], scores["em"]["n"], scores["em"]["unscored"]) == (None, 0, 2)
        assert scores["context_positions"]["mean"] > 0
    board = json.loads(invoke("leaderboard", "runs", "--format", "json")[0])
    assert {row["metrics"]["em"]["mean"] for row in board[0]["sections"][0]["rows"]} == {None}
    assert "0.0" not in invoke("leaderboard", "runs", "-m", "em", "-m", "f1", "--format", "markdown")[0].split("–")[0]
    shown, _ = invoke("inspect", str(runs[0]))
    assert "gold    –" in shown and "harbour.pdf#1" in shown
    assert "0 of 0 questions (wrong)" in invoke("inspect", str(runs[0]), "--only", "wrong")[0]
    differences = json.loads(invoke("compare", *map(str, runs), "--json")[0])[str(runs[1])]
    assert differences["context_positions"]["n"] == 2
    assert differences["em"]["mean"] is None


def test_some_answers_are_scored_and_the_rest_is_not(desk: Path) -> None:
    (desk / "handbook" / "questions.csv").write_text("question,answer\nWhen?,six\nWho?,\nWhere?,\n")
    invoke("init", "handbook")
    invoke("run", "-t", "handbook/task.toml", "-s", "rag", "-o", "reader=./fast.py:Fast")
    [file] = desk.glob("runs/*/*/*/scores.json")
    em = json.loads(file.read_text())["metrics"]["em"]
    assert (em["n"], em["unscored"], em["mean"]) == (1, 2, 0.0)


def test_gold_passages_by_id_give_recall_and_the_setting_gold(desk: Path) -> None:
    (desk / "handbook" / "questions.csv").write_text(
        'question,answer,supporting\nWhen does the harbour open?,six,"[""harbour.pdf#1""]"\n'
    )
    invoke("init", "handbook")
    invoke("run", "-t", "handbook/task.toml", "-s", "rag", "-o", "reader=./fast.py:Fast", "--setting", "gold")
    invoke("run", "-t", "handbook/task.toml", "-s", "rag", "-o", "reader=./fast.py:Fast")
    assert "recall@5" in invoke("leaderboard", "runs")[0]


def test_documents_cut_otherwise_are_another_corpus(desk: Path) -> None:
    invoke("init", "handbook", "--chunk", "tokens=60", "--chunk", "overlap=10")
    run = ("run", "-t", "handbook/task.toml", "-s", "rag", "-o", "reader=./fast.py:Fast", "--limit", "1")
    invoke(*run)
    invoke(*run, "--chunk", "tokens=90")
    manifests = [json.loads(path.read_text()) for path in desk.glob("runs/*/*/*/manifest.json")]
    described = [manifest["data"]["provenance"]["files"][1] for manifest in manifests]
    assert sorted(file["chunks"]["tokens"] for file in described) == [60, 90]
    assert {file["chunks"]["overlap"] for file in described} == {10}
    assert len({manifest["data"]["corpus_hash"] for manifest in manifests}) == 2


def test_a_folder_of_documents_serves_any_task(desk: Path) -> None:
    run = ("run", "-t", "nq", "-s", "rag", "-o", "reader=./fast.py:Fast", "--limit", "1", "--setting", "corpus")
    data = str(ROOT / "tests" / "data" / "nq" / "dev" / "NQ-open.dev.slice.jsonl")
    invoke(*run, "--data", data, "--corpus", "handbook")
    [file] = desk.glob("runs/nq/*/*/records.jsonl")
    assert "#" in json.loads(file.read_text().splitlines()[0])["answer"]["retrieved"][0][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("rm -r handbook", "no such folder: handbook"),
        (
            "touch handbook/more.xlsx",
            "expected one file of questions (.csv, .tsv, .xlsx, .parquet, .jsonl), found 2 files",
        ),
        ("rm handbook/questions.csv", "found none. Name it with --questions"),
        ("rm handbook/*.pdf", "handbook: no documents"),
        ("touch handbook/task.toml", "handbook/task.toml exists already"),
    ],
)
def test_init_says_what_it_lacks_and_writes_nothing(change: str, message: str, desk: Path) -> None:
    import subprocess

    subprocess.run(change, shell=True, check=True, cwd=desk)
    done = CliRunner().invoke(main, ["init", "handbook"])
    assert done.exit_code == 2
    assert message in done.output
    assert not (desk / "handbook" / "task.toml").exists() or "touch handbook/task" in change


def test_questions_may_lie_elsewhere(desk: Path) -> None:
    (desk / "handbook" / "questions.csv").rename(desk / "asked.csv")
    invoke("init", "handbook", "--questions", "asked.csv")
    assert 'data = "../asked.csv"' in (desk / "handbook" / "task.toml").read_text()
    invoke("run", "-t", "handbook/task.toml", "-s", "rag", "-o", "reader=./fast.py:Fast", "--limit", "1")
