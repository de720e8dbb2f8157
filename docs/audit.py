"""Writes the table of docs/worlds.md: what shortcuts score on worlds of both versions.

python docs/audit.py
"""

from __future__ import annotations

from pathlib import Path

from clara_bench.io.cache import write_atomic
from clara_bench.worlds import SHORTCUTS, WorldConfig, audit, generate

PAGE = Path(__file__).parent / "worlds.md"
TASKS = {"hotpotqa": "HotpotQA", "musique": "MuSiQue", "2wikimultihopqa": "2Wiki"}
QUESTIONS, SEED = 480, 7


def table() -> str:
    """Exact match on value questions, percent, version 1 and then version 2 of each task."""
    found = {(task, version): _values(task, version) for task in TASKS for version in (1, 2)}
    head = ["shortcut", *(f"{TASKS[task]}, v{version}" for task, version in found)]
    lines = [head, ["---"] + ["---:"] * len(found)]
    for name in SHORTCUTS:
        lines.append([f"{name} ({SHORTCUTS[name][0]})", *(f"{100 * values[name]:.1f}" for values in found.values())])
    for setting in ("distractor", "gold"):
        chances = (f"{100 * values[f'chance {setting}']:.1f}" for values in found.values())
        lines.append([f"*chance ({setting})*", *chances])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _values(task: str, version: int) -> dict[str, float]:
    world = generate(task, WorldConfig(seed=SEED, questions=QUESTIONS, version=version))
    found = [one for one in audit(world) if one.kind == "value"]
    return {one.shortcut: one.score for one in found} | {f"chance {one.setting}": one.chance for one in found}


def filled(page: str) -> str:
    """The page with the table in its place."""
    before, begin, rest = page.partition("<!-- audit -->\n")
    _, end, after = rest.partition("<!-- /audit -->")
    return f"{before}{begin}\n{table()}\n{end}{after}"


if __name__ == "__main__":
    write_atomic(PAGE, filled(PAGE.read_text(encoding="utf-8")))
