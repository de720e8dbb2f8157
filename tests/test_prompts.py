"""What the reader read is kept beside the records, survives a kill, and is shown."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.components import seen
from clara_bench.components.seen import Seen
from clara_bench.errors import DataError
from clara_bench.records import prompts
from clara_bench.records.packs import located
from clara_bench.records.prompts import NAME, PromptLog, read_prompts
from clara_bench.records.results import find_runs

WORLD = ["--data", "worlds", "--world", "questions=20", "--world", "passages=200", "--limit", "4"]


def invoke(*words: str) -> str:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == 0, done.output
    return done.output


def test_prompts_of_text_and_of_memories_are_kept_shown_and_published(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    for system, checkpoint in (("tiny-text", "tiny-text"), ("clara", "tiny-8x")):
        invoke("run", "-t", "nq", *WORLD, "-s", system, "-o", f"checkpoint={checkpoint}", "-o", "retriever=given",
               "--setting", "gold", "--out", str(out), "--label", system)  # fmt: skip
    runs = {run.manifest["system"]["label"]: run for run in find_runs(out)}
    for label, run in runs.items():
        kept = read_prompts(run.path)
        assert set(kept) == {example.question.id for example in run.examples}
        assert all(example.question.text in kept[example.question.id].prompt for example in run.examples), label
        assert not (run.path / NAME).exists()
    assert all("<memory x 12>" in line.prompt for line in read_prompts(runs["clara"].path).values())
    first = runs["clara"].examples[0].question.id
    assert "<memory x 12>" in invoke("inspect", str(runs["clara"].path), "-q", first, "--prompt", "--depth", "0")
    invoke("publish", str(out), "--to", str(tmp_path / "published"))
    for run in find_runs(tmp_path / "published"):
        assert read_prompts(run.path) == read_prompts(runs[run.manifest["system"]["label"]].path)


def test_a_compressor_s_result_is_kept_with_the_question_it_was_for(capitals: Path, tmp_path: Path) -> None:
    reader = tmp_path / "quoter.py"
    reader.write_text(
        "from clara_bench import Reading, Usage\n\n\nclass Quoter:\n    def describe(self):\n"
        "        return {'model': 'quoter'}\n\n    def context_tokens(self, contexts):\n"
        "        return [sum(len(t.split()) for t in texts) for texts in contexts]\n\n"
        "    def read(self, questions, contexts):\n"
        "        sizes = self.context_tokens(contexts)\n"
        "        return [Reading('Oslo', Usage(n, n, n + 5, 1)) for n in sizes]\n"
    )
    words = ["run", "-t", str(capitals), "-s", "rag", "-o", f"reader={reader}:Quoter", "-o", "k=2",
             "-o", "compressor=truncate", "-o", "compressor.rate=2", "--out", str(tmp_path / "runs")]  # fmt: skip
    invoke(*words)
    [run] = find_runs(tmp_path / "runs")
    kept = read_prompts(run.path)
    records = {record.id: record.answer.usage.context_positions for record in run.records()}
    assert {id: sum(len(text.split()) for text in line.context) for id, line in kept.items()} == records
    assert "read    " in invoke("inspect", str(run.path), "--depth", "0")


def test_no_prompts_keeps_none_and_inspect_says_so(capitals: Path, oracle: str, tmp_path: Path) -> None:
    invoke("run", "-t", str(capitals), "-s", oracle, "--no-prompts", "--out", str(tmp_path / "runs"))
    [run] = find_runs(tmp_path / "runs")
    assert list(run.path.glob("prompts*")) == []
    done = CliRunner().invoke(main, ["inspect", str(run.path), "--prompt"])
    assert "some prompts were not kept" in done.stderr


def told(*ids: str) -> dict[str, Seen]:
    return {id: Seen(f"prompt of {id}", ("text",)) for id in ids}


def test_a_second_session_goes_on_with_the_first_and_what_is_asked_again_takes_its_place(tmp_path: Path) -> None:
    with PromptLog(tmp_path) as log:
        log.append(told("q1", "q2"))
    with PromptLog(tmp_path) as log:
        log.append({"q2": Seen("again"), **told("q3")})
    assert [line.prompt for line in read_prompts(tmp_path).values()] == ["prompt of q1", "again", "prompt of q3"]
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.gz"]


def test_a_kill_loses_no_finished_line(tmp_path: Path) -> None:
    log = PromptLog(tmp_path)
    log.append(told("q1"))
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"id":"q2","pro')
    assert list(read_prompts(tmp_path)) == ["q1"]
    (tmp_path / f"{NAME}.gz").write_bytes(gzip.compress(b""))  # killed between writing one file and removing the other
    with PromptLog(tmp_path) as log:
        log.append(told("q3"))
    assert list(read_prompts(tmp_path)) == ["q1", "q3"]


def test_beyond_a_size_prompts_are_kept_on_demand_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "LARGEST", 100)
    for folder, keep in (("unasked", None), ("asked", True)):
        (tmp_path / folder).mkdir()
        with PromptLog(tmp_path / folder, keep) as log:
            log.append(told("q1"))
            if keep:
                log.append(told("q2"))
            else:
                with pytest.warns(UserWarning, match="Keep all with --prompts"):
                    log.append(told("q2"))
    assert list(read_prompts(tmp_path / "unasked")) == ["q1"]
    assert list(read_prompts(tmp_path / "asked")) == ["q1", "q2"]


def test_a_damaged_file_is_said_and_may_go(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"id": "q1"}\n')
    with pytest.raises(DataError, match="Remove the file: no score needs it"):
        read_prompts(tmp_path)


def test_published_runs_that_kept_none_are_read() -> None:
    [run, *_] = find_runs(Path(__file__).parent.parent / "results" / "nq" / "clara-8x")
    assert read_prompts(run.path) == {}
    assert (located(run.path) / "records.jsonl").is_file()


def test_nothing_is_told_where_nobody_listens_and_the_last_word_stays() -> None:
    seen.tell("q", prompt="lost")
    with seen.heard() as found:
        seen.tell("q", context=["a"])
        seen.tell("q", prompt="first")
        seen.tell("q", prompt="last")
    assert found == {"q": Seen("last", ("a",))}
