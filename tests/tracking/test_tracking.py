"""`run --log`: what trackers are told, by a fake of each library's documented calls and by MLflow itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from clara_bench.cli import main

Calls = list[tuple[str, tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def ran(capitals: Path, oracle: str) -> Callable[..., Any]:
    def run(*more: str) -> Any:
        out = str(capitals.with_name("runs"))
        return CliRunner().invoke(main, ["run", "-t", str(capitals), "-s", oracle, "--out", out, *more])

    return run


def recording(calls: Calls, *names: str) -> Any:
    """An object whose methods of these names note their calls, and give it back."""
    fake = SimpleNamespace()
    for name in names:
        setattr(fake, name, lambda *given, _name=name, **named: calls.append((_name, given, named)) or fake)
    return fake


@pytest.mark.parametrize(
    ("library", "names"),
    [
        ("trackio", ("init", "log", "finish")),
        ("wandb", ("init", "log", "finish")),
        ("mlflow", ("set_experiment", "start_run", "log_params", "log_metrics", "end_run")),
    ],
)
def test_a_library_is_told_settings_progress_and_scores_in_this_order(
    library: str, names: tuple[str, ...], ran: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Calls = []
    monkeypatch.setitem(sys.modules, library, recording(calls, *names))
    done = ran("--log", library, "-m", "recall@2", "-o", "fail=q3")
    assert done.exit_code == 0, done.output
    assert list(dict.fromkeys(name for name, _, _ in calls)) == list(names)
    assert [name for name, _, _ in calls].count(names[-1]) == 1
    told = [(given[0], named["step"]) for name, given, named in calls if name in ("log", "log_metrics")]
    assert all(type(value) is float for numbers, _ in told for value in numbers.values())
    progress, scores = told[-2], told[-1]
    assert progress[0]["answered"] == progress[1] == scores[1] == 10
    assert scores[0]["em"] == 0.9 and scores[0]["em.low"] < 0.9 < scores[0]["em.high"]
    assert not any("@" in name for name in scores[0]) or library != "mlflow"
    settings = next(c for n, g, k in calls for c in [k.get("config"), *g] if isinstance(c, dict) and "task" in c)
    assert settings["option.fail"] == "q3" and settings["seed"] == "0"


def test_without_the_library_the_command_says_how_to_get_it_and_asks_nothing(
    ran: Callable[..., Any], capitals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    done = ran("--log", "wandb")
    assert done.exit_code == 2
    assert "--log wandb needs wandb: pip install 'clara-bench[wandb]'" in done.output
    assert not capitals.with_name("runs").exists()


def test_a_name_that_nobody_registered_is_refused_with_those_there_are(ran: Callable[..., Any]) -> None:
    done = ran("--log", "mlfow")
    assert done.exit_code == 2 and "Did you mean 'mlflow'?" in done.output


OWN = '''
class Own:
    """Writes what it is told into a file, and fails at the second number where it is told to."""
    def start(self, name, config):
        from pathlib import Path
        self.file = Path(__file__).with_suffix(".txt")
        self.file.write_text(f"start {name} {sorted(config)}\\n")
    def log(self, numbers, step):
        raise OSError("network is unreachable")
    def finish(self):
        self.file.write_text("finished")
'''


def test_a_tracker_that_fails_costs_no_answer_and_is_told_once(
    ran: Callable[..., Any], capitals: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    done = ran("--log", f"{tmp_path / 'own.py'}:Own")
    assert done.exit_code == 0, done.output
    assert done.output.count("Own is told nothing more: OSError: network is unreachable") == 1
    assert (tmp_path / "own.txt").read_text() == "finished"
    [records] = capitals.with_name("runs").rglob("records.jsonl")
    assert len(records.read_text().splitlines()) == 10


def test_a_tracker_that_cannot_start_is_one_line_and_nothing_is_asked(
    ran: Callable[..., Any], capitals: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN.replace("from pathlib", "raise OSError('no host')\n        from pathlib"))
    done = ran("--log", f"{tmp_path / 'own.py'}:Own")
    assert done.exit_code == 2
    assert "--log: Own cannot start: OSError: no host" in done.output
    assert not capitals.with_name("runs").exists()


def test_a_credential_among_the_options_is_not_told(ran: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from clara_bench.tracking.tracker import Tracking

    calls: Calls = []
    with Tracking([recording(calls, "start", "finish")]).of("a run", {"option.api_key": "hush"}, print):
        pass
    assert "hush" not in repr(calls) and [name for name, _, _ in calls] == ["start", "finish"]


def test_mlflow_keeps_the_run(ran: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    done = ran("--log", "mlflow", "-m", "recall@2")
    assert done.exit_code == 0, done.output
    assert "is told nothing more" not in done.output, done.output
    [kept] = mlflow.search_runs(experiment_names=["clara-bench"], output_format="list")
    assert kept.info.status == "FINISHED"
    assert kept.data.params["setting"] == "corpus"
    assert kept.data.metrics["em"] == 1.0 and kept.data.metrics["answered"] == 10
