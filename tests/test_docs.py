"""The documentation tells the truth: its commands parse, its files exist, its tables are the leaderboard's."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.records.packs import located
from clara_bench.records.results import find_runs, open_run
from clara_bench.reporting.scoring import score_run
from clara_bench.tasks import definitions
from reference.cli import main as reference

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "reference/README.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
PROGRAMS = {"clara-bench": main, "clara-reference": reference}


def commands() -> list[tuple[str, str]]:
    """Every command line of the pages and of the commands' own help, up to a comment or the end of its line."""
    found = []
    for page in PAGES:
        text = re.sub(r"\\\n +", "", page.read_text(encoding="utf-8"))
        found += [
            (page.name, line) for line in re.findall(r"^ +((?:clara-bench|clara-reference) .*)$", text, flags=re.M)
        ]
        found += [(page.name, line) for line in re.findall(r"`((?:clara-bench|clara-reference) [^`]*)`", text)]
    for program in PROGRAMS.values():
        for command in program.commands.values():
            lines = re.findall(r"^ +((?:clara-bench|clara-reference) .*)$", command.help or "", re.M)
            found += [(f"{command.name} --help", line) for line in lines]
    return found


def parse(group: click.Group, words: list[str]) -> None:
    name, *rest = group.with_command(words) if hasattr(group, "with_command") else words
    assert name in group.commands, f"no command {name}"
    command = group.commands[name]
    if isinstance(command, click.Group):
        parse(command, rest)
    elif rest:  # else its name alone is mentioned
        command.make_context(name, rest)


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_documented_command_parses(page: str, line: str) -> None:
    program, *words = shlex.split(line.split("   ")[0], comments=True)
    if words and not words[0].startswith("-"):
        parse(PROGRAMS[program], words)


def anchors(page: Path) -> set[str]:
    """What GitHub names the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_every_command_is_in_the_readme_and_every_setting_among_the_concepts() -> None:
    from clara_bench.types import SETTINGS

    readme, concepts = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/concepts.md"))
    assert all(f"`{setting}`" in concepts for setting in SETTINGS)
    assert all(f"clara-bench {name}" in readme for name in ("run", "leaderboard", "inspect", "score", "list", "show"))


def test_the_readme_links_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"reference-results.md"}
    assert {page for page in pages if f"](docs/{page}" not in readme} == set()


def test_the_first_screen_of_the_readme_is_short() -> None:
    screen = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    table = [line for line in screen.splitlines() if line.startswith("|")]
    prose = re.sub(r"<!--.*?-->|!?\[[^\]]*\]\([^)]*\)|^[|#].*$|^    .*$", "", screen, flags=re.M)
    assert 6 <= len(table) - 2 <= 8
    assert len(screen.splitlines()) <= 40
    assert [sentence for sentence in re.split(r"(?<=[.:;])\s", prose) if len(sentence.split()) > 30] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_list_of_commands_cuts_no_sentence_at_80_columns(program: str) -> None:
    listed = CliRunner().invoke(PROGRAMS[program], ["--help"], terminal_width=80, max_content_width=80).output
    assert [line for line in listed.partition("Commands:")[2].splitlines() if line.endswith("...")] == []


def test_every_suite_is_on_its_page() -> None:
    from clara_bench.running import suites

    page = (ROOT / "docs" / "suites.md").read_text(encoding="utf-8")
    assert [name for name in suites.names() if f"`{name}`" not in page] == []


def test_the_config_and_the_rows_of_the_training_page_are_read(tmp_path: Path) -> None:
    from reference.data.paper_forms import FORMS
    from reference.settings.config import load

    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    config = page.partition("   base = ")[2].partition("\n\n   `base`")[0]
    (tmp_path / "mine.toml").write_text(re.sub(r"^ +", "", "base = " + config, flags=re.M), encoding="utf-8")
    (tmp_path / "mistral-7b.toml").write_bytes((ROOT / "reference" / "configs" / "mistral-7b.toml").read_bytes())
    assert load(tmp_path / "mine.toml").data["joint"] == {"path": "joint.jsonl"}
    for name, form in FORMS.items():
        section = page.partition(f"\n### {name}\n")[2].partition("\n###")[0]
        rows = re.findall(r"^    (\{.*\})$", section, flags=re.M)
        assert rows
        fields = {key for line in rows for key in json.loads(line)}
        assert all(form.row(msgspec.json.decode(line, type=form.line), "row") for line in rows)
        assert all(f"`{key}`" in page for key in fields | set(form.line.__struct_fields__))


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


def test_the_leaderboard_page_shows_every_published_run() -> None:
    refresh: Any = runpy.run_path(str(ROOT / "docs" / "refresh.py"))
    assert refresh["LEADERBOARD"].read_text(encoding="utf-8") == refresh["leaderboard"]()


def test_the_tables_of_estimators_are_those_of_the_kept_logs_and_three_differences_stand() -> None:
    made: Any = runpy.run_path(str(ROOT / "docs" / "estimators.py"))
    page = made["PAGE"].read_text(encoding="utf-8")
    assert made["filled"](page) == page
    shown = page.partition("<!-- estimators -->")[2].partition("<!-- /estimators -->")[0]
    stand = [line.split(" | ")[:4] for line in shown.splitlines() if line.endswith(("lower |", "higher |"))]
    assert stand == [
        ["| 16 and 8", "straight-through", "gates", "recall@1"],
        ["| 16 and 8", "gumbel", "gates", "recall@1"],
        ["| 16", "gumbel", "gates", "recall@5"],
    ]


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


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.svg")), ids=lambda path: path.name)
def test_pictures_hold_real_text_and_no_background_and_say_what_they_show(path: Path) -> None:
    picture = path.read_text(encoding="utf-8")
    assert "<text" in picture
    assert "fill: #ffffff" not in picture
    title, described = (re.search(rf"<{tag} id=\"{tag}\">([^<]+)</{tag}>", picture) for tag in ("title", "desc"))
    assert title and described and "Horizontal: " in described[1]
    assert 'role="img" aria-labelledby="title desc"' in picture
    assert path.stat().st_size < 120_000
    assert any(f"{path.name})" in page.read_text(encoding="utf-8") for page in PAGES)


def published() -> list[Path]:
    kept = ("results", "reference/retrained", "reference/similarity", "reference/costs", "benchmarks/vllm")
    return [run.path for name in kept for run in find_runs(ROOT / name)]


@pytest.mark.parametrize("path", published(), ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_published_scores_are_those_of_the_published_records(path: Path) -> None:
    run = open_run(path)
    committed = msgspec.json.decode((located(path) / "scores.json").read_bytes())
    scores = msgspec.json.decode(msgspec.json.encode(score_run(run)))
    if committed["schema"] == 1:  # its intervals are bootstraps
        scores, committed = (_without_intervals(found) for found in (scores, committed))
    assert scores == {key: value for key, value in committed.items() if key != "schema"}


def _without_intervals(found: Any) -> Any:
    """Scores without intervals and their seed."""
    if not isinstance(found, dict):
        return found
    return {key: _without_intervals(value) for key, value in found.items() if key not in ("ci95", "seed")}


@pytest.mark.parametrize("path", published(), ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_published_runs_name_no_folder_of_the_machine_they_were_made_on(path: Path) -> None:
    assert not re.search(r'"/|/home/|/root/|/tmp/', (located(path) / "manifest.json").read_text(encoding="utf-8"))


def test_every_task_of_the_suites_exists() -> None:
    from clara_bench.running import suites

    for name in suites.names():
        suite = suites.load(name)
        assert suite.name == name
        assert set(suite.tasks) <= set(definitions.names())
        assert suite.requests()
