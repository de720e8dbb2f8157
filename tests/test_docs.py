"""The documentation tells the truth: its commands parse, its files exist, its tables are the leaderboard's."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from clara_bench.cli import main
from clara_bench.records.results import open_run
from clara_bench.reporting.scoring import score_run
from clara_bench.tasks import definitions

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "reference/README.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def commands() -> list[tuple[str, str]]:
    """Every `clara-bench …` of the pages and of the commands' own help, up to a comment or the end of its line."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        found += [(page.name, line) for line in re.findall(r"^ +(clara-bench .*)$", text, flags=re.M)]
        found += [(page.name, line) for line in re.findall(r"`(clara-bench [^`]*)`", text)]
    for command in main.commands.values():
        found += [
            (f"{command.name} --help", line) for line in re.findall(r"^ +(clara-bench .*)$", command.help or "", re.M)
        ]
    return found


def parse(group: click.Group, words: list[str]) -> None:
    name, *rest = words
    assert name in group.commands, f"no command {name}"
    command = group.commands[name]
    if isinstance(command, click.Group):
        parse(command, rest)
    else:
        command.make_context(name, rest)


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_documented_command_parses(page: str, line: str) -> None:
    words = shlex.split(line.split("   ")[0], comments=True)[1:]
    if words and words[0].startswith("-"):
        return
    parse(main, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_every_command_and_setting_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    from clara_bench.types import SETTINGS

    assert all(f"`{setting}`" in text for setting in SETTINGS)
    assert all(f"clara-bench {name}" in text for name in ("run", "leaderboard", "inspect", "score", "systems", "tasks"))


def test_every_dependency_is_justified() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[\[>=<~]", dependency)[0] for dependency in listed} - {"clara-bench"}
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [name for name in sorted(names) if name not in table] == []


def test_the_layers_of_contributing_are_those_that_imports_are_held_to() -> None:
    import tomllib

    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = [contract["layers"] for contract in linter["contracts"] if contract["type"] == "layers"]
    held = [[set(line.split(" | ")) for line in one] for one in layers]
    drawings = re.findall(r"(?:^    .*\n)+", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.M)
    drawn = [[set(re.split(r" {2,}", line.strip())[0].split(" · ")) for line in one.splitlines()] for one in drawings]
    assert [one for one in drawn if {"cli"} in one] == held


def test_the_tables_of_the_pages_are_the_leaderboards_of_the_published_results() -> None:
    refresh: Any = runpy.run_path(str(ROOT / "docs" / "refresh.py"))
    for part, chosen in refresh["PARTS"].items():
        text = chosen.page.read_text(encoding="utf-8")
        shown = text.partition(f"<!-- {part} -->\n")[2].partition(f"<!-- /{part} -->")[0]
        assert shown.strip() == refresh["content"](part).strip(), part
        assert "|" in shown, part


def test_the_table_of_training_curves_is_that_of_the_kept_points() -> None:
    curves: Any = runpy.run_path(str(ROOT / "docs" / "curves.py"))
    shown = (
        curves["PAGE"].read_text(encoding="utf-8").partition("<!-- curves -->\n")[2].partition("<!-- /curves -->")[0]
    )
    assert shown.strip() == curves["table"](curves["read"]()).strip()


def test_the_tables_of_latent_compressors_are_those_of_the_published_runs() -> None:
    latents: Any = runpy.run_path(str(ROOT / "docs" / "latents.py"))
    text = latents["PAGE"].read_text(encoding="utf-8")
    for part, content in latents["tables"]().items():
        assert text.partition(f"<!-- {part} -->\n")[2].partition(f"<!-- /{part} -->")[0].strip() == content.strip()


def published() -> list[Path]:
    roots = (ROOT / "results", ROOT / "reference" / "retrained")
    return sorted(path.parent for root in roots for path in root.rglob("manifest.json"))


@pytest.mark.parametrize("path", published(), ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_published_scores_are_those_of_the_published_records(path: Path) -> None:
    import msgspec

    run = open_run(path)
    committed = msgspec.json.decode((path / "scores.json").read_bytes())
    seed = run.manifest["request"]["seed"]
    scores = msgspec.json.decode(msgspec.json.encode(score_run(run, seed=seed)))
    assert scores == {key: value for key, value in committed.items() if key != "schema"}


@pytest.mark.parametrize("path", published(), ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_published_runs_name_no_folder_of_the_machine_they_were_made_on(path: Path) -> None:
    assert not re.search(r'"/|/home/|/root/|/tmp/', (path / "manifest.json").read_text(encoding="utf-8"))


def test_every_task_of_the_suites_exists() -> None:
    from clara_bench.running import suites

    for name in suites.names():
        suite = suites.load(name)
        assert suite.name == name
        assert set(suite.tasks) <= set(definitions.names())
        assert suite.requests()
