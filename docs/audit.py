"""Writes the tables of docs/worlds.md: what shortcuts score on worlds of each version.

python docs/audit.py
"""

from __future__ import annotations

from pathlib import Path

from clara_bench.io.cache import write_atomic
from clara_bench.worlds import SHORTCUTS, WorldConfig, audit, generate, practice

PAGE = Path(__file__).parent / "worlds.md"
TASKS = {"hotpotqa": "HotpotQA", "musique": "MuSiQue", "2wikimultihopqa": "2Wiki"}
VERSIONS = (1, 2, 3)
QUESTIONS, SEED = 480, 7
TRAINED = {"trained": "20 candidates", "trained, gold": "gold passages"}


def table() -> str:
    """Exact match on value questions, percent, each version of each task."""
    found = {(task, version): _values(task, version) for task in TASKS for version in VERSIONS}
    head = ["shortcut", *(f"{TASKS[task]}, v{version}" for task, version in found)]
    lines = [head, ["---"] + ["---:"] * len(found)]
    for name in (name for name in SHORTCUTS if name not in TRAINED):
        lines.append([f"{name} ({SHORTCUTS[name][0]})", *(f"{100 * values[name]:.1f}" for values in found.values())])
    for setting in ("distractor", "gold"):
        chances = (f"{100 * values[f'chance {setting}']:.1f}" for values in found.values())
        lines.append([f"*chance ({setting})*", *chances])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def trained_table() -> str:
    """What a classifier without names learns, beside chance; percent of value questions of each version."""
    lines = [["evidence", "task", *(f"v{version}" for version in VERSIONS)], ["---", "---", *["---:"] * len(VERSIONS)]]
    tasks = {"nq": "NQ", **TASKS}
    found = {(task, version): _values(task, version, trained=True) for task in tasks for version in VERSIONS}
    for name, evidence in TRAINED.items():
        chance = f"chance {SHORTCUTS[name][0]}"
        for task, told in tasks.items():
            of = [found[task, version] for version in VERSIONS]
            lines.append([evidence, told, *(f"{100 * one[name]:.1f} ({100 * one[chance]:.1f})" for one in of)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _values(task: str, version: int, trained: bool = False) -> dict[str, float]:
    world = generate(task, WorldConfig(seed=SEED, questions=QUESTIONS, version=version))
    found = [one for one in audit(world, practice(task, world) if trained else None) if one.kind == "value"]
    return {one.shortcut: one.score for one in found} | {f"chance {one.setting}": one.chance for one in found}


def filled(page: str, mark: str = "audit", content: str | None = None) -> str:
    """The page with a table in its place."""
    before, begin, rest = page.partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition(f"<!-- /{mark} -->")
    return f"{before}{begin}\n{content or table()}\n{end}{after}"


if __name__ == "__main__":
    write_atomic(PAGE, filled(filled(PAGE.read_text(encoding="utf-8")), "trained", trained_table()))
