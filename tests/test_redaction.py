"""Credentials and home folders reach nothing that others read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.io.redaction import at_home, redacted, without_secrets
from clara_bench.records.results import find_runs

SECRETS = [
    "https://someone:hunter2@host.example/v1",
    "https://someone:hunt@er2@host.example/v1",
    "postgres://hunter2@host",
    "https://host/v1?api_key=hunter2&x=1",
    "https://host/v1?key=hunter2",
    "Authorization: Bearer hunter2hunter2",
    "{'api_key': 'hunter2'}",
    "x-api-key=hunter2",
    "PASSWORD=hunter2",
    "access_token: hunter2",
    "hf_hunter2hunter2hunter2",
    "sk-proj-hunter2hunter2",
    "ghp_hunter2hunter2hunter2",
]
HARMLESS = [
    "runs/nq/rag[reader=hf,k=5]", "max_new_tokens=32", "token_pattern=\\w+", "api_key_env=OPENAI_API_KEY",
    "who@host.example", "http://localhost:8000/v1", "unexpected token: }", "tokenizer=m", "task-123",
]  # fmt: skip


@pytest.mark.parametrize("text", SECRETS)
def test_a_credential_is_taken_out_of_any_text(text: str) -> None:
    assert "hunt" not in without_secrets(f"GET {text} failed")
    assert without_secrets(without_secrets(text)) == without_secrets(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_credential_stays(text: str) -> None:
    assert redacted(text) == text


def test_an_option_whose_name_says_that_it_is_secret_is_hidden() -> None:
    given = {"reader.api_key": "abc", "reader.token": "abc", "reader.tokenizer": "abc", "max_new_tokens": 3}
    assert redacted(given) == {
        "reader.api_key": "***",
        "reader.token": "***",
        "reader.tokenizer": "abc",
        "max_new_tokens": 3,
    }


def test_a_home_folder_becomes_a_tilde_and_is_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    given = {"a": [f"{tmp_path}/models/x", f"no file {tmp_path}/y", f"{tmp_path}-else/z", "~/kept"]}
    assert redacted(given) == {"a": ["~/models/x", "no file ~/y", f"{tmp_path}-else/z", "~/kept"]}
    assert at_home("~/models/x") == f"{tmp_path}/models/x"


READER = """
from clara_bench import Reading, Usage
from dataclasses import dataclass


class Told:
    @dataclass(frozen=True)
    class Options:
        base_url: str = ""
        folder: str = ""
        api_key: str = ""

    def __init__(self, options):
        self.options = options

    def describe(self):
        return {"asked": self.options.base_url}

    def read(self, questions, contexts):
        if questions[0].id == "q1":
            raise RuntimeError(f"{self.options.base_url} says no to {self.options.api_key}, see {self.options.folder}")
        return [Reading("Oslo", Usage(1, 1, 1, 1)) for _ in questions]

    def context_tokens(self, contexts):
        return [1 for _ in contexts]
"""


@pytest.fixture
def told(capitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a reader that is given secrets and tells them; returns the output and all that was written."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "told.py").write_text(READER)

    def run(*more: str) -> tuple[str, dict[Path, str]]:
        given = {
            "reader": f"{tmp_path}/told.py:Told",
            "reader.base_url": "https://someone:hunter2@host.example/v1?api_key=hunter3",
            "reader.folder": f"{tmp_path}/private",
            "reader.api_key": "hunter4-of-no-known-form",
        }
        options = [word for key, value in given.items() for word in ("-o", f"{key}={value}")]
        out = tmp_path / "runs"
        done = CliRunner().invoke(main, ["run", "-t", str(capitals), "-s", "closed-book", "--setting", "closed",
                                         "--batch", "1", *options, "--out", str(out), *more])  # fmt: skip
        assert done.exit_code == 0, done.output
        return done.output, {path: path.read_text() for path in out.rglob("*") if path.is_file()}

    return run


def test_secrets_given_to_a_run_reach_no_label_manifest_record_or_message(told: Any, tmp_path: Path) -> None:
    output, files = told()
    shown = output + " ".join(map(str, files)) + "".join(files.values())
    assert "host.example" in shown and "says no to" in shown
    assert not [secret for secret in ("hunter2", "hunter3", "someone") if secret in shown]
    written = " ".join(str(path.relative_to(tmp_path)) for path in files) + "".join(files.values())
    assert str(tmp_path) not in written.replace(f"{tmp_path}/capitals", "")
    manifests = "".join(text for path, text in files.items() if path.name == "manifest.json")
    assert "hunter4" not in manifests + " ".join(map(str, files))


def test_a_credential_is_no_part_of_the_identity(told: Any) -> None:
    before = {path.parent for path in told()[1]}
    assert {path.parent for path in told("--label", "rag-again")[1]} != before  # another label, and nothing else
    assert len({path.name for path in before}) == 1


def test_a_run_that_was_given_a_secret_is_not_repeated_without_it(told: Any) -> None:
    manifest = next(path for path in told()[1] if path.name == "manifest.json")
    done = CliRunner().invoke(main, ["run", "--manifest", str(manifest), "--trust"])
    assert done.exit_code == 2
    assert "does not contain the option reader.api_key, which was secret" in done.output


def test_a_run_of_the_first_version_is_published_without_them(told: Any, tmp_path: Path) -> None:
    manifest = next(path for path in told()[1] if path.name == "manifest.json")
    found = json.loads(manifest.read_text())
    given = {"reader.base_url": "https://someone:hunter2@host", "x": f"{tmp_path}/y"}
    found["request"]["system"] = {"name": "closed-book", "options": given}
    found |= {"schema": 1, "models": {}, "system": {**found["system"], "options": {}}, "identity": {
        "task": "capitals", "version": 1, "seed": 0, "setting": "closed", "questions": found["questions"]["hash"],
        "candidates": found["candidates"]["hash"], "system": "closed-book", "options": {}, "models": {},
    }}  # fmt: skip
    del found["digest"], found["sessions"][0]["digest"]
    manifest.write_text(json.dumps(found))
    done = CliRunner().invoke(main, ["publish", str(manifest.parent), "--to", str(tmp_path / "results")])
    assert done.exit_code == 0, done.output
    [published] = find_runs(tmp_path / "results")
    options = published.manifest["request"]["system"]["options"]
    assert options == {"reader.base_url": "https://host", "x": "~/y"}


def test_the_home_folder_of_whoever_repeats_a_run_is_theirs(
    capitals: Path, tmp_path: Path, oracle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    command = ["run", "-t", str(capitals), "-s", oracle, "--out", str(tmp_path / "runs")]
    assert CliRunner().invoke(main, command).exit_code == 0
    [manifest] = (tmp_path / "runs").rglob("manifest.json")
    assert json.loads(manifest.read_text())["request"]["system"]["name"] == "~/oracle.py:Capitals"
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    monkeypatch.setenv("HOME", str(moved))
    again = ["run", "--manifest", str(moved / manifest.relative_to(tmp_path)), "--trust", "--out", str(moved / "again")]
    done = CliRunner().invoke(main, again)
    assert done.exit_code == 0, done.output
    moved.rename(tmp_path)
