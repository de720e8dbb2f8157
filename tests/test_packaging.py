"""What is installed: every package of the source tree, and rooms that a person can take in."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(file.parent for top in ("clara_bench", "reference") for file in (ROOT / top).rglob("__init__.py"))


def test_every_package_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    here = {".".join(folder.relative_to(ROOT).parts) for folder in PACKAGES}
    assert {name for name in listed if not name.startswith("clara_bench_tasks")} == here


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_package_holds_at_most_a_dozen_modules_and_says_what_it_is_for(folder: Path) -> None:
    modules = [file for file in folder.glob("*.py") if file.name not in ("__init__.py", "__main__.py")]
    assert len(modules) <= 12, sorted(file.name for file in modules)
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))


def test_every_data_file_of_a_package_is_installed() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    for folder in PACKAGES:
        patterns = tool["package-data"].get(".".join(folder.relative_to(ROOT).parts), [])
        data = [file for file in folder.iterdir() if file.suffix in (".toml", ".typed", ".json", ".jsonl")]
        assert all(any(file.match(pattern) for pattern in patterns) for file in data), (folder, data)
