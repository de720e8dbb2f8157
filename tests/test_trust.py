"""A manifest from somebody else is data: nothing that it names is run, fetched or sent before one has said so."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.records.manifest import read_manifest, write_manifest
from clara_bench.records.results import find_runs, open_run
from clara_bench.running.run_config import as_request
from clara_bench.running.trust import effects

Edit = Callable[..., Path]


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, done.output


@pytest.fixture
def manifest(capitals: Path, tmp_path: Path) -> Path:
    """Of a run of installed components alone."""
    (tmp_path / "said.py").write_text(
        "from clara_bench import Reading, Usage\nclass Said:\n"
        "    def read(self, questions, contexts):\n"
        "        return [Reading('x', Usage(1, 1, 1, 1)) for _ in questions]\n"
        "    def context_tokens(self, contexts):\n        return [1 for _ in contexts]\n"
    )
    given = ["-s", "closed-book", "-o", f"reader={tmp_path}/said.py:Said", "--setting", "closed", "--limit", "2"]
    assert invoke("run", "-t", str(capitals), *given, "--out", str(tmp_path / "runs"))[0] == 0
    return next((tmp_path / "runs").rglob("manifest.json"))


@pytest.fixture
def edit(manifest: Path, tmp_path: Path) -> Edit:
    """A manifest as a stranger could have written it, with a digest that fits."""

    def change(**request: Any) -> Path:
        found: dict[str, Any] = dict(read_manifest(manifest))
        asked = found["request"]
        request["source"] = {**asked["source"], **request.get("source", {})}
        found["request"] = {**asked, **request}
        found["system"] = {**found["system"], "name": found["request"]["system"]["name"]}
        write_manifest(tmp_path / "theirs.json", found)
        return tmp_path / "theirs.json"

    return change


EVIL = "from pathlib import Path\nPath(__file__).with_name('it-ran').touch()\n"


@pytest.mark.parametrize(
    "request_",
    [
        {"system": {"name": "{evil}:Any", "options": {}}},
        {"system": {"name": "rag", "options": {"reader": "{evil}:Any"}}},
        {"system": {"name": "rag", "options": {"retriever": "hybrid", "retriever.first": "{evil}:Any"}}},
        {"system": {"name": "rag", "options": {}},
         "first_stage": {"retriever": {"name": "{evil}:Any", "options": {}}, "depth": 2}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("trust", [(), ("--trust",)])
def test_code_that_is_not_what_the_run_ran_is_refused_before_it_runs(
    edit: Edit, tmp_path: Path, request_: dict[str, Any], trust: tuple[str, ...]
) -> None:
    (tmp_path / "evil.py").write_text(EVIL)
    text = json.dumps(request_).replace("{evil}", str(tmp_path / "evil.py"))
    code, said = invoke("run", "--manifest", str(edit(**json.loads(text))), *trust, "--out", str(tmp_path / "out"))
    assert code == 2
    assert "evil.py, or a file that it imports. It was not run" in said
    assert not (tmp_path / "it-ran").exists()


def test_code_is_not_run_where_nobody_can_be_asked(manifest: Path, tmp_path: Path) -> None:
    code, said = invoke("run", "--manifest", str(manifest), "--out", str(tmp_path / "out"))
    assert code == 2
    assert "runs the Python file" in said and "Add --trust to allow it" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("", 130)])
def test_a_person_is_shown_what_would_happen_and_decides(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("clara_bench.io.terminal.somebody_is_there", lambda: True)
    done = CliRunner().invoke(main, ["run", "--manifest", str(manifest), "--out", str(tmp_path / "out")], input=answer)
    assert done.exit_code == code, done.output
    assert f"runs the Python file {tmp_path}/said.py" in done.output
    assert (tmp_path / "out").exists() == (code == 0)


def test_with_trust_it_runs(manifest: Path, tmp_path: Path) -> None:
    code, said = invoke("run", "--manifest", str(manifest), "--trust", "--out", str(tmp_path / "out"))
    assert code == 0, said
    [run] = find_runs(tmp_path / "out")
    assert run.path.name == manifest.parent.name


def test_no_variable_is_sent_to_an_address_that_a_manifest_names(
    edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "hunter2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        options = {
            "reader": "openai",
            "reader.model": "m",
            "reader.base_url": address,
            "reader.api_key_env": "MY_SECRET",
        }
        path = edit(system={"name": "closed-book", "options": options})
        code, said = invoke("run", "--manifest", str(path), "--out", str(tmp_path / "out"))
        assert code == 2
        assert f"sends questions and passages to {address}" in said and "sends the value of $MY_SECRET" in said
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        ({"source": {"data": "hub"}}, "fetches the data set 'hub' from the Hugging Face hub"),
        ({"source": {"data": "hub:a/b"}}, "fetches the data set 'hub:a/b'"),
        ({"system": {"name": "rag", "options": {"reader.model": "a/b"}}}, "fetches 'a/b' from the Hugging Face hub"),
        ({"system": {"name": "rag", "options": {"reader.trust_remote_code": "true"}}}, "runs the Python code that"),
        ({"system": {"name": "rag", "options": {"compressor": "provence", "compressor.model": "./here",
          "compressor.remote_code": "true"}}}, "runs the Python code that comes"),
    ],
)  # fmt: skip
def test_what_would_be_fetched_or_run_is_told(edit: Edit, request_: dict[str, Any], line: str) -> None:
    given = {"system": {"name": "rag", "options": {}}, **request_}
    found = effects(as_request(read_manifest(edit(**given)), ""))
    assert [said for said in found if said.startswith(line)]


def test_a_run_of_what_is_installed_over_a_made_up_world_needs_no_word(edit: Edit) -> None:
    path = edit(system={"name": "rag", "options": {"k": "3"}}, task="nq", source={"data": "worlds"})
    assert effects(as_request(read_manifest(path), "")) == []


def test_inspecting_a_run_of_the_hub_asks_no_server(
    manifest: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(source={"data": "hub"}).replace(manifest)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked a server")

    monkeypatch.setattr("clara_bench.datasets.hub.read_hub", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    code, said = invoke("inspect", str(manifest.parent))
    assert code == 0
    assert "they come from the hub, which is not asked unasked" in said


def test_trust_is_said_of_a_manifest_alone() -> None:
    assert "--trust only applies to --manifest" in invoke("run", "-t", "nq", "-s", "rag", "--trust")[1]
    assert "--trust cannot be used with --suite" in invoke("run", "--suite", "quick", "--trust")[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["task"].update(answer_scorer="hotpotqa"),
        lambda found: found.update(setting="gold"),
        lambda found: found["questions"].update(count=1),
        lambda found: found["traits"].update(backbone="GPT-5"),
        lambda found: found.pop("digest"),
        lambda found: found.update(schema=1),
        lambda found: found.update(more="x"),
        lambda found: found["sessions"][0]["index"].update(bytes=1),
        lambda found: found["sessions"].append(found["sessions"][0]),
    ],
)
def test_a_manifest_edited_by_hand_is_refused_with_the_way_out(manifest: Path, change: Callable[[Any], None]) -> None:
    found = json.loads(manifest.read_text())
    change(found)
    manifest.write_text(json.dumps(found))
    for command in (("score", str(manifest.parent)), ("run", "--manifest", str(manifest))):
        code, said = invoke(*command)
        assert code == 2
        assert "Put the file back as it was written" in said


def test_a_manifest_whose_keys_agree_is_still_held_to_its_digest(manifest: Path) -> None:
    manifest.write_text(manifest.read_text().replace('"backbone": "Said"', '"backbone": "GPT-5"'))
    code, said = invoke("score", str(manifest.parent))
    assert code == 2
    assert "its digest is not that of its content: it was edited or damaged" in said
    assert "or run again with another --out" in said


def test_a_manifest_written_otherwise_but_saying_the_same_is_read(manifest: Path) -> None:
    manifest.write_text(json.dumps(json.loads(manifest.read_text()), indent=7))
    assert open_run(manifest.parent).records()
