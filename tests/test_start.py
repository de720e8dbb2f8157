"""How the two programs start: at once, and Ctrl-C ends them with one line from the beginning."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]


def started(program: str, code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Start a program as pip's script does, with a `click` that runs some code in place of the real one."""
    (folder / "click.py").write_text(code)
    module, _, function = PROGRAMS[program].partition(":")
    script = f"import sys\nfrom {module} import {function}\nsys.exit({function}())"
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_ctrl_c_while_the_program_is_imported_is_one_line(program: str, tmp_path: Path) -> None:
    done = started(program, "raise KeyboardInterrupt", tmp_path)
    assert (done.returncode, done.stderr) == (130, "Error: stopped before anything was begun\n")


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_is_imported_before_ctrl_c_is_caught(program: str, tmp_path: Path) -> None:
    code = "import sys; print(*(name for name in ('msgspec', 'pathlib', 'rich') if name in sys.modules)); sys.exit(5)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import {PROGRAMS[program].partition(':')[0]}; {code}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (5, ""), done.stderr


def test_every_public_name_is_there() -> None:
    import clara_bench

    assert all(getattr(clara_bench, name) is not None for name in clara_bench.__all__)
    assert set(clara_bench.__all__) <= set(dir(clara_bench))
    with pytest.raises(AttributeError, match="has no attribute 'Answr'"):
        clara_bench.Answr  # noqa: B018
