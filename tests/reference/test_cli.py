"""clara-reference from end to end: a stage after the other, then everything that a trained model is for."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clara_bench.worlds import WorldConfig, generate
from reference.cli import main
from reference.settings.shipped import CONFIGS, checkpoint_folder
from tests.reference.scholar import Scholar, serving

STAGES = ("text", "pretrain", "instruct", "joint")


def invoke(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, done.output


def succeed(*arguments: str | Path) -> str:
    code, output = invoke(*arguments)
    assert code == 0, output
    return output


def refuse(*arguments: str | Path) -> str:
    code, output = invoke(*arguments)
    [line] = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert code == 2, output
    return line


def stage(folder: Path, name: str, *more: str | Path, before: str = "") -> str:
    start = ["--start", folder / before / "best"] if before else []
    return succeed("train", "debug", "--stage", name, "--out", folder / name, *start, *more)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of each stage, every one from the one before, as tiny.toml says to."""
    folder = tmp_path_factory.mktemp("runs")
    for name, before in zip(STAGES, ("", *STAGES), strict=False):
        stage(folder, name, *(["--store", folder / "memories"] if name == "joint" else []), before=before)
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl.gz"
    rows = [{"id": str(n), "title": f"City {n}", "text": f"City {n} has {n} inhabitants."} for n in range(7)]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def test_help_is_shown_without_importing_a_language_model_library():
    code = "import sys; from click.testing import CliRunner; from reference.cli import main; " + (
        "print(CliRunner().invoke(main, ['train', '--help']).output); "
        "print({'torch', 'numpy', 'transformers', 'deepspeed'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--stage NAME" in shown and shown.endswith("set()\n")


@pytest.mark.parametrize("name", list(main.commands))
def test_every_command_explains_itself_with_an_example_that_parses(name: str):
    text = main.commands[name].help or ""
    examples = re.findall(r"^ *(clara-reference .*)$", text, re.MULTILINE)
    assert examples
    for example in examples:
        _, command, *words = shlex.split(example)
        main.commands[command].make_context(command, words)


def test_each_stage_starts_from_the_one_before(runs: Path):
    roles = {name: manifest(runs / name / "best")["roles"] for name in STAGES}
    assert roles["text"] == ["generator"]
    assert sorted(roles["instruct"]) == ["compressor", "generator"]
    assert sorted(roles["joint"]) == ["compressor", "generator", "reasoner"]
    before, after = (runs / name / "best" / "compressor.safetensors" for name in ("instruct", "joint"))
    assert before.read_bytes() == after.read_bytes()


def test_a_checkpoint_says_how_it_came_about(runs: Path):
    training = manifest(runs / "joint" / "best")["training"]
    assert training["data"]["candidates"] == 10 and training["evaluation"]["questions"] == 2
    assert training["settings"]["start"].endswith("instruct/best") and training["settings"]["selection"]["k"] == 3
    assert {"score", "em", "nq/recall@1", "recall@5"} <= training["scores"].keys()


def test_the_text_stage_is_judged_on_reading_and_not_on_finding(runs: Path):
    scores = manifest(runs / "text" / "best")["training"]["scores"]
    assert {"score", "em", "f1", "nq/em", "nq/f1"} == scores.keys()


@pytest.mark.parametrize("name", ["supervised", "reinforce"])
def test_the_twins_of_joint_training_run_as_well(runs: Path, name: str):
    assert "step 3" in stage(runs, name, before="instruct")
    assert (runs / name / "best" / "reasoner.safetensors").is_file()


def test_a_sweep_trains_each_cell_once_and_prints_what_came_out(runs: Path, tmp_path: Path):
    start = json.dumps(str(runs / "instruct" / "best"))
    (tmp_path / "few.toml").write_text(
        f"base = {json.dumps(str(CONFIGS / 'debug.toml'))}\n"
        f"[sweep]\nstages = ['joint']\nestimators = ['gates', 'posterior']\n"
        f"seeds = [0, 1]\nstarts = {{ 16 = {start} }}\n"
        "[stages.joint]\nsteps = 1\nfreeze = ['generator']\n"
    )
    sweep = ("sweep", tmp_path / "few.toml", "--out", tmp_path / "out", "--questions", "1")
    succeed(*sweep, "--table")
    assert not (tmp_path / "out").exists()
    said = succeed(*sweep)
    rows = [line.split()[:5] for line in said.splitlines() if line.startswith("16 ")]
    assert [row[:4] for row in rows] == [["16", "joint", name, step] for name, step in
                                         (("start", "0"), ("gates", "1"), ("posterior", "1"))]  # fmt: skip
    assert [row[4] for row in rows[1:]] == ["2", "2"]
    logs = {path: path.read_bytes() for path in (tmp_path / "out").glob("*/log.jsonl")}
    assert len(logs) == 4
    assert "1 of 4" not in succeed(*sweep)
    assert logs == {path: path.read_bytes() for path in logs}


def test_settings_are_overridden_by_dotted_keys(runs: Path, tmp_path: Path):
    changed = ("--set", "steps=1", "--set", "model.memory.rate=32", "--set", "data.pretrain.questions=1")
    stage_ = ("train", "debug", "--stage", "pretrain", "--start", runs / "text" / "best", "--out", tmp_path / "run")
    succeed(*stage_, *changed, "--set", "evaluation.pretrain.tasks=[]", "--set", "parallel.micro_batch=4")
    said = manifest(tmp_path / "run" / "best")
    assert said["model"]["memory"]["rate"] == 32 and said["slots"] == 4
    assert said["training"]["step"] == 1 and said["training"]["data"]["questions"] == 1
    assert said["training"]["settings"]["parallel"]["micro_batch"] == 4 and said["training"]["scores"] == {}


def test_the_same_command_goes_on_and_does_nothing_twice(runs: Path):
    log = (runs / "text" / "log.jsonl").read_bytes()
    stage(runs, "text")
    assert (runs / "text" / "log.jsonl").read_bytes() == log
    assert "was begun here" in refuse("train", "debug", "--stage", "text", "--out", runs / "text", "--no-resume")


def test_a_folder_trained_on_other_data_is_refused_and_the_option_named(runs: Path):
    again = ("train", "debug", "--stage", "text", "--out", runs / "text")
    said = refuse(*again, "--set", "data.text.seed=5")
    assert f"{runs / 'text'}: another run was begun here: data.seed is absent, not 5" in said


def test_what_cannot_be_trained_is_refused_in_one_line(runs: Path, tmp_path: Path):
    out = ("--out", tmp_path / "run")
    assert "Did you mean 'tiny'" in refuse("train", "tinny", "--stage", "text", *out)
    assert "no stage 'txt'" in refuse("train", "debug", "--stage", "txt", *out)
    assert "$.stages" in refuse("train", "debug", "--stage", "text", *out, "--set", "stepps=3")
    assert "expected KEY=VALUE" in refuse("train", "debug", "--stage", "text", *out, "--set", "steps")
    assert "expected int" in refuse("train", "debug", "--stage", "text", *out, "--set", "steps=many")
    assert "leave --store out" in refuse("train", "debug", "--stage", "text", *out, "--store", tmp_path / "s")
    assert "no such path" in refuse("train", "debug", "--stage", "text", *out, "--start", "nowhere")
    joint = ("train", "debug", "--stage", "joint", *out)
    assert "needs a trained compressor" in refuse(*joint, "--start", runs / "text" / "best")
    endless = ("--set", "data.joint.worlds=0", "--store", tmp_path / "s", "--start", runs / "instruct" / "best")
    assert "no end" in refuse(*joint, *endless)
    assert not (tmp_path / "run" / "best").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("data.tex.passages=300", "data.tex: there is no such stage. Did you mean 'text'?"),
        ("data.text.pasages=300", "data.text: unknown key 'pasages'. Did you mean 'passages'?"),
        ("data.text.passages=5", "passages is 5, expected 200 to 1000000"),
        ("data.text.documents=[]", "the weights of `passages` are []"),
        ("data.text.first={hard=1}", "unknown kind 'hard'"),
        ("data.text.questions=many", "expected int at $.questions, got str"),
        ("evaluation.tex.questions=3", "evaluation.tex: there is no such stage. Did you mean 'text'?"),
        ('evaluation.text.tasks=["nqq"]', "unknown task 'nqq'. Did you mean 'nq'?"),
        ("evaluation.text.questions=900", "questions is 900, expected 1 to"),
        ("evaluation.text.setting=corpus", "invalid enum value 'corpus'"),
        ("parallel.offload=true", "parallel.offload needs parallel.zero 1, 2 or 3"),
        ('freeze=["generator"]', "`freeze` leaves nothing that learns"),
        ("compressor_start=thinned", "trains no compressor, so that it cannot begin from a thinned one"),
        ("optimiser.betas=[0.9, 1.5]", "expected float < 1.0 at $.stages"),
        ("optimiser.learning_rate=nan", "expected float"),
        ("model.backbone.scratch.layers=2147483648", "expected int <= 1000 at $.model.backbone.scratch.layers"),
        ("model.backbone.scratch.hidden_size=2147483648", "expected int <= 65536"),
        ("model.backbone.scratch.heads=3", "hidden_size is 32, expected a multiple of twice its 3 heads"),
        ("base=debug.toml", "the base is named in the file alone"),
    ],
)
def test_plan_refuses_what_train_refuses_before_anything_is_made(given: str, message: str, tmp_path: Path):
    assert message in refuse("plan", "debug", "--stage", "text", "--set", given)
    assert message in refuse("train", "debug", "--stage", "text", "--out", tmp_path / "run", "--set", given)
    assert not list(tmp_path.iterdir())


def test_documents_are_encoded_once_and_in_parts(runs: Path, corpus: Path, tmp_path: Path):
    encode = ("encode", runs / "joint" / "best", corpus, "--store", tmp_path / "store")
    assert "4 of 4 documents compressed now, 4 stored" in succeed(*encode, "--part", "1/2")
    assert "3 of 7 documents compressed now, 7 stored" in succeed(*encode)
    assert "0 of 7 documents compressed now" in succeed(*encode)
    assert "keeps float16, not int8" in refuse(*encode, "--precision", "int8")
    assert "expected I/N" in refuse(*encode, "--part", "3/2")


def test_a_damaged_shard_is_named_and_built_anew(runs: Path, corpus: Path, tmp_path: Path):
    encode = ("encode", runs / "joint" / "best", corpus, "--store", tmp_path / "store")
    succeed(*encode)
    [shard] = (tmp_path / "store").glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    output = succeed(*encode)
    assert f"{shard.name}: was damaged and is built anew" in output and "7 of 7 documents compressed now" in output


def test_the_lens_compares_with_untrained_and_random(runs: Path, tmp_path: Path):
    picture = tmp_path / "lens.png"
    output = succeed(
        "lens", runs / "joint" / "best", "--questions", "5", "--passages", "200", "--picture", picture, "--show", "2"
    )
    assert all(name in output for name in ("by the reasoner", "by the compressor", "untrained", "documents"))
    assert picture.stat().st_size > 1000
    assert "has no role 'reasoner'" in refuse("lens", runs / "instruct" / "best")
    assert "ending in .png" in refuse("lens", runs / "joint" / "best", "--picture", tmp_path / "lens.gif")
    assert "1 questions" in refuse("lens", runs / "joint" / "best", "--questions", "1")


def test_an_exported_checkpoint_is_half_the_size_and_keeps_its_history(runs: Path, tmp_path: Path):
    out = tmp_path / "shipped"
    assert "MB" in succeed("export", runs / "joint" / "best", out)
    said = manifest(out)
    assert [one["stage"] for one in (said["training"], *said["training"]["history"])] == [*reversed(STAGES)]
    names = {path.name for path in out.glob("log*.jsonl")}
    assert names == {"log.jsonl", "log-instruct.jsonl", "log-pretrain.jsonl", "log-text.jsonl"}
    sizes = [(folder / "reasoner.safetensors").stat().st_size for folder in (out, runs / "joint" / "best")]
    assert 0.45 < sizes[0] / sizes[1] < 0.6
    again = tmp_path / "again"
    succeed("export", out, again, "--role", "generator")
    assert manifest(again)["roles"] == ["generator"] and len(manifest(again)["training"]["history"]) == 3
    assert (again / "log-text.jsonl").read_bytes() == (out / "log-text.jsonl").read_bytes()
    succeed("export", again, again)
    assert {path.name for path in again.glob("log*.jsonl")} == names


def test_stages_that_came_twice_both_keep_their_logs(runs: Path, tmp_path: Path):
    starts = [runs / "pretrain" / "best", tmp_path / "second" / "best"]
    for start, name in zip(starts, ("second", "third"), strict=True):
        succeed("train", "debug", "--stage", "pretrain", "--start", start, "--out", tmp_path / name)
    succeed("export", tmp_path / "third" / "best", tmp_path / "out")
    logs = [(tmp_path / "out" / f"log{name}.jsonl").read_text() for name in ("", "-pretrain", "-pretrain-2", "-text")]
    runs_of = [tmp_path / "third", tmp_path / "second", runs / "pretrain", runs / "text"]
    assert logs == [(folder / "log.jsonl").read_text() for folder in runs_of]


def test_exporting_never_overwrites_what_is_no_checkpoint(runs: Path, tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "holds no checkpoint" in refuse("export", runs / "text" / "best", tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_pretraining_rows_are_synthesised(tmp_path: Path):
    scholar = Scholar(generate("hotpotqa", WorldConfig(questions=1, passages=200)), 2)
    lines = [json.dumps({"text": document}) + "\n" for document in scholar.documents[:2]]
    (tmp_path / "documents.jsonl").write_text("".join(lines), encoding="utf-8")
    with serving(scholar) as url:
        command = ("synthesize", tmp_path / "documents.jsonl", tmp_path / "rows.jsonl", "--model", "scholar")
        output = succeed(*command, "--base-url", url, "--kind", "simple", "--limit", "1")
        for options in (("--part", "1/2"), ("--part", "2/2"), ("--merge", "2")):
            parted = (*command[:2], tmp_path / "merged.jsonl", *command[3:], "--base-url", url, "--kind", "simple")
            succeed(*parted, *options)
    assert "pairs per document" in output
    assert len((tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    assert len((tmp_path / "part-2-of-2-merged.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    assert len((tmp_path / "merged.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_launchers_may_pass_the_local_rank():
    assert "Usage" in succeed("--local_rank=0", "train", "--help")


def test_two_processes_train_and_fill_one_store(runs: Path, tmp_path: Path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command += ["-m", "reference", "train", "debug"]
    command += ["--stage", "joint", "--from", str(runs / "instruct" / "best"), "--out", str(tmp_path / "run")]
    command += ["--store", str(tmp_path / "store"), "--set", "steps=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 1") == 1
    assert manifest(tmp_path / "run" / "best")["training"]["ranks"] == 2


def test_the_training_of_the_shipped_weights_begins_again_as_their_log_says(tmp_path: Path):
    command = [sys.executable, "-m", "reference", "train", "tiny", "--stage", "text", "--out", str(tmp_path)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    shipped = _losses(checkpoint_folder("tiny-text") / "log-text.jsonl")
    deadline = time.monotonic() + 900
    try:
        while max(again := _losses(tmp_path / "log.jsonl"), default=0) < 6 and process.poll() is None:
            assert time.monotonic() < deadline, "no six steps in a quarter of an hour"
            time.sleep(0.2)
    finally:
        process.kill()
        process.wait()
    assert {step: again[step] for step in (3, 6)} == pytest.approx({step: shipped[step] for step in (3, 6)}, rel=1e-3)


def _losses(log: Path) -> dict[int, float]:
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}


def test_documented_commands_parse():
    for path in (*CONFIGS.glob("*.toml"), *CONFIGS.parent.glob("*.md")):
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^(?:#| ) +(clara-reference .*)$", text, re.MULTILINE):
            _, name, *words = shlex.split(line, comments=True)
            command = main.commands[name]
            assert isinstance(command, click.Command)
            command.make_context(name, words)
