"""Which files make up a component's code: its own, those that they import, however they do, and nobody else's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from clara_bench.components import codebase
from clara_bench.components.registry import load

PLUGIN = "import json\nimport numpy\n{imports}\n\nclass Mine:\n    def run(self):\n{inside}\n        return None\n"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A plug-in file that imports at its top and in a method; its folder is where Python looks for modules."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(imports: str = "", inside: str = "") -> Path:
        file = tmp_path / "mine.py"
        file.write_text(PLUGIN.format(imports=imports, inside=f"        {inside or 'pass'}"))
        return file

    return write


def test_the_file_itself_counts_and_its_place_does_not(plugin: Callable[..., Path], tmp_path: Path) -> None:
    file = plugin()
    before = codebase.of_file(file)
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "mine.py"
    copy.write_bytes(file.read_bytes())
    assert codebase.of_file(copy) == before
    copy.write_text(copy.read_text() + "# another\n")
    assert codebase.of_file(copy).files != before.files


@pytest.mark.parametrize(
    ("imports", "inside"),
    [
        ("import lib_a", ""),
        ("import lib_a.part as part", ""),
        ("from lib_a import part", ""),
        ("from lib_a.part import VALUE", ""),
        ("", "import lib_a.part"),
        ("", "from lib_a import part"),
        ("import importlib", "importlib.import_module('lib_a.part')"),
        ("", "__import__('lib_a.part')"),
        ("import runpy", "runpy.run_path('beside.py')"),
        ("from lib_b import deep", ""),
    ],
)
def test_editing_a_module_that_a_plugin_imports_is_another_code(
    plugin: Callable[..., Path], tmp_path: Path, imports: str, inside: str
) -> None:
    for folder in ("lib_a", "lib_b"):
        (tmp_path / folder).mkdir()
    files = {
        "lib_a/__init__.py": "from .part import VALUE\n",
        "lib_a/part.py": "from . import deeper\nVALUE = 1\n",
        "lib_a/deeper.py": "",
        "lib_b/deep.py": "import lib_a.part\n",  # a package without __init__.py
        "beside.py": "import lib_a\n",
        "unrelated.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    file = plugin(imports, inside)
    before = codebase.of_file(file)
    (tmp_path / "unrelated.py").write_text("# edited")
    assert codebase.of_file(file) == before
    (tmp_path / "lib_a" / "deeper.py").write_text("# edited")
    assert codebase.of_file(file).files != before.files
    assert not {"lib_a", "lib_a.part"} & sys.modules.keys(), "nothing is imported to find out"


def test_other_peoples_packages_count_by_their_version(plugin: Callable[..., Path]) -> None:
    import numpy

    assert codebase.of_file(plugin("from Stemmer import Stemmer")).packages == {
        "PyStemmer": version("PyStemmer"),
        "numpy": numpy.__version__,
    }


@pytest.mark.parametrize("text", ["def (:", "\x00", "from . import nothing", "from .... import far", "import no.such"])
def test_what_cannot_be_followed_still_counts_as_a_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    assert codebase.of_file(file).files


def test_what_comes_with_clara_bench_is_left_out_and_an_outsider_is_not() -> None:
    assert codebase.of_component(load("reader", "hf")) == codebase.Codebase("", {})
    outsider = codebase.of_component(load("reader", "tiny"))
    assert outsider.files and "torch" in outsider.packages
