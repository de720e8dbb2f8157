"""Writes the tables of README.md and docs/*.md that come from published runs.

python docs/refresh.py
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any, NamedTuple

import claims

from clara_bench import metrics
from clara_bench.analysis import chance
from clara_bench.analysis.parts import SEEN, UNSEEN, parts
from clara_bench.io.cache import write_atomic
from clara_bench.metrics import Metric
from clara_bench.metrics.statistics import Summary
from clara_bench.records.results import Run, find_runs, open_run
from clara_bench.reporting import tables, views
from clara_bench.reporting.comparison import compare
from clara_bench.reporting.formats import INDEX, cell, difference_cell, head, mean_cell, plain, trait_cell
from clara_bench.reporting.leaderboard import Board, Guess, Row, boards
from clara_bench.reporting.views import value_cell
from clara_bench.types import SETTINGS

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "reference"
HEADLINE = {
    "gold-text": "text",
    "gold-clara-8x": "CLaRa 8x",
    "gold-text-control-last": "text",
    "bm25-text": "BM25, text",
    "dense-text": "MiniLM, text",
    "clara-8x": "CLaRa 8x",
    "clara-8x-control-random": "CLaRa 8x",
}
"""The systems of the README's table and their controls, in its words."""
TASKS = {"nq": "NQ", "hotpotqa": "HotpotQA", "musique": "MuSiQue", "2wikimultihopqa": "2Wiki"}
CONTROLLED = (
    "closed-book", "gold-text", "gold-clara-8x", "iterative-text", "clara-8x", "bm25-then-clara-8x",
    "dense-then-clara-8x", "bm25-text", "dense-text",
)  # fmt: skip
"""The systems of the tables of controls, each above the same system over other evidence."""
EVIDENCE = {
    "closed": "none",
    "gold": "gold",
    "distractor": "5 of 20",
    "last": "last gold passage",
    "first": "first gold passage",
    "random": "5 random of 20",
    "shuffled": "5 of another question's 20",
    "empty": "none",
}
"""Settings and controls, in the words of tables."""
DIVIDED = {
    "hotpotqa, two-way questions": "HotpotQA two-way",
    "hotpotqa, value questions": "HotpotQA value",
    "2wikimultihopqa, two-way questions": "2Wiki two-way",
    "2wikimultihopqa, value questions": "2Wiki value",
}
"""Parts of the questions, in the words of tables."""
FORMS = {f"{task}, {form}": f"{name} {form.split()[0]}" for form in (SEEN, UNSEEN) for task, name in TASKS.items()}
"""Parts of the questions about worlds of version 3, in the words of tables."""
READ = {
    "bm25-text": ("BM25", "text"),
    "bm25-then-clara-8x": ("BM25", "8x memories"),
    "dense-text": ("MiniLM", "text"),
    "dense-then-clara-8x": ("MiniLM", "8x memories"),
    "trained-text": ("MiniLM, trained", "text"),
    "trained-then-clara-8x": ("MiniLM, trained", "8x memories"),
    "clara-8x-then-text": ("8x memories", "text"),
    "clara-8x": ("8x memories", "8x memories"),
}
"""By what the passages are found, and as what they are read."""
ELSEWHERE = re.compile("-control-|-then-")
"""In labels of runs that have tables of their own."""
COLUMNS = (
    "em", "f1", "cover_substring", "recall@1", "recall@2", "recall@5", "recall@10", "all_support@5",
    "context_positions", "effective_ratio_micro", "seconds",
)  # fmt: skip
MADE_UP = ("em", "f1", "recall@1", "recall@5", "all_support@5", "context_positions", "effective_ratio_micro", "seconds")
ABLATED = ("em", "f1", "recall@1", "recall@5", "all_support@5")
MEANS = ("recall@5", "context_positions", "effective_ratio_micro", "seconds")
SHORTENED = ("em", "cover_substring", "context_positions", "effective_ratio_micro", "seconds_compress", "seconds")
COSTS = (
    "em",
    "f1",
    "recall@5",
    "effective_ratio_micro",
    "seconds_retrieve",
    "seconds_compress",
    "seconds_prefill",
    "seconds_decode",
    "prompt_tokens",
)
DECLARED = ("compressor", "nominal_ratio", "offline", "query_dependent")
EMPTY: Mapping[str, str] = MappingProxyType({})


class Part(NamedTuple):
    """A table between <!-- name --> and <!-- /name --> on a page."""

    page: Path
    runs: Path
    columns: Sequence[str]
    made_up: bool = True
    """Whether its questions are about worlds, or real."""
    short: bool = False
    """A line a system, with the first column for each task and the means over tasks of the others."""
    shortened: bool = True
    """Whether systems that compress are shown."""
    against: Mapping[str, str] = EMPTY
    """By setting, the system that those that compress are compared with, question by question; no others are shown."""
    studies: bool = False
    """Whether the runs of studies count, which lie in folders of their own, but not worlds of version 3."""


LEADERBOARD = ROOT / "results" / "LEADERBOARD.md"
README, DETAILS = ROOT / "README.md", ROOT / "docs" / "results.md"
STUDIES = ROOT / "docs" / "reference-results.md"
TUNED = ROOT / "results" / "tuned"
WORLDS_3 = ROOT / "results" / "worlds-3"
PARTS = {
    "headline": Part(README, WORLDS_3, ("em", *MEANS), short=True),
    "results": Part(DETAILS, ROOT / "results", ("f1", *MEANS), made_up=False, short=True, shortened=False),
    "real": Part(README, TUNED, ("f1", *MEANS[:3]), made_up=False, short=True),
    "tuned": Part(DETAILS, TUNED, ("f1", "em", *MEANS), made_up=False, short=True),
    "tuned-whole": Part(DETAILS, TUNED, COLUMNS, made_up=False),
    "worlds": Part(DETAILS, ROOT / "results", ("em", *MEANS), short=True),
    "compressors": Part(
        DETAILS,
        ROOT / "results",
        ("f1", *SHORTENED),
        made_up=False,
        short=True,
        against={"gold": "gold-text", "corpus": "hybrid-text"},
    ),
    "results-whole": Part(DETAILS, ROOT / "results", COLUMNS, made_up=False),
    "worlds-whole": Part(DETAILS, ROOT / "results", MADE_UP),
    "families": Part(DETAILS, ROOT / "results", COSTS, studies=True),
    "controls": Part(DETAILS, ROOT / "results", ("em",)),
    "worlds-3": Part(DETAILS, WORLDS_3, ("em", *MEANS[:3])),
    "readers": Part(DETAILS, ROOT / "results", ("em", "recall@5")),
    "retrained": Part(STUDIES, REFERENCE / "retrained", ("em", "recall@5"), short=True),
    "similarity": Part(STUDIES, REFERENCE / "similarity", ("f1", "em", "recall@1", "recall@5"), short=True),
    "ablations": Part(STUDIES, ROOT / "results" / "ablations", ABLATED),
}


def table(found: list[Board], columns: Sequence[str]) -> str:
    """All boards as one Markdown table; percentages with their 95 % CI."""
    chosen = [metrics.get(name) for name in columns]
    first = ["task", "passages", "system", *(head(metric.name) for metric in chosen)]
    rows = [
        [board.task, section.setting, row.label, *(value_cell(metric, True, row) for metric in chosen)]
        for board in found
        for section in board.sections
        for row in section.rows
    ]
    lines = [first, ["---"] * 3 + ["---:"] * len(chosen), *rows]
    return _markdown(lines)


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def short_table(found: list[Board], columns: Sequence[str], against: Mapping[str, str] = EMPTY) -> str:
    """A line a system: the first metric on each task, and means over the tasks of the others."""
    first, *others = (metrics.get(name) for name in columns)
    scored, means = (f"{board.task} {first.name}" for board in found), (head(one.name) for one in others)
    lines = [["passages", "system", *scored, *means]]
    lines.append(["---", "---", *["---:"] * (len(lines[0]) - 2)])
    systems = by_system(found, first)
    for (setting, label), rows in systems.items():
        whole = systems.get((setting, against.get(setting, "")), {})
        scores = [
            _bold(label, board.task, _score(first, rows.get(board.task), whole.get(board.task)))
            if against
            else _score(first, rows.get(board.task), None)
            for board in found
        ]
        lines.append(
            [setting, label, *scores, *(mean_cell(metric, _mean(metric, rows), _traits(rows)) for metric in others)]
        )
    return _markdown(lines)


def guesses_table(found: list[Board], part: Part) -> str:
    """What guesses score, as further lines of a short table."""
    metric = metrics.get(part.columns[0])
    guessed: dict[str, dict[str, Guess]] = {}
    for board in chance.added(found, find_runs(part.runs)):
        for section in board.sections:
            for guess in section.guesses:
                guessed.setdefault(guess.label, {})[board.task] = guess
    unknown = ["–"] * (len(part.columns) - 1)
    return _markdown(
        [["any", label, *(_either(metric, by.get(b.task)) for b in found), *unknown] for label, by in guessed.items()]
    )


def headline_table() -> str:
    """The systems of `HEADLINE`: EM of each task on seen forms, and means over the tasks of what it rests on and costs.

    Cells without CI, so that a row is one line on a page; the widest CI is said below.
    """
    em, recall, tokens, ratio = (metrics.get(name) for name in ("em", *MEANS[:3]))
    first = ["passages", "system", *TASKS.values(), "recall@5", "context tokens", "ratio"]
    lines, widest = [first, ["---", "---", *["---:"] * (len(first) - 2)]], 0.0
    for (setting, label), rows in by_system(seen_forms(), em).items():
        if label in HEADLINE:
            scores = [rows[task].metrics["em"] for task in TASKS]
            widest = max([widest, *map(_longer_side, scores)])
            means = [plain(recall, _mean(recall, rows)), f"{_mean(tokens, rows):.0f}"]
            values = [plain(em, one.mean) for one in scores]
            name = HEADLINE[label].replace(" ", "\N{NO-BREAK SPACE}")
            evidence = EVIDENCE[label.partition("-control-")[2] or setting]
            lines.append([evidence, name, *values, *means, f"{_mean(ratio, rows):.1f}x"])
    guessed, evidence = form_lines()[EVIDENCE["distractor"], chance.RELATION], EVIDENCE["distractor"]
    values = [_either(em, guessed[f"{task}, {SEEN}"]) for task in TASKS]
    lines.append([evidence, chance.RELATION, *values, *["–"] * 3])
    told = f"95 % CIs are at most ±{100 * widest:.1f} points"
    return f"{_markdown(lines)}\n{told} ([all CIs, and chance](docs/results.md#worlds-of-version-3)).\n"


@cache
def seen_forms() -> list[Board]:
    """The boards of version 3 for forms of questions that training had; each has its task's name."""
    divided = [run for run in parts(find_runs(WORLDS_3), "form") if run.manifest["task"]["name"].endswith(f", {SEEN}")]
    found = boards(divided, ["em", *MEANS])
    return [replace(board, task=board.task.partition(",")[0]) for board in found]


def _longer_side(summary: Summary) -> float:
    """Of a CI."""
    assert summary.mean is not None and summary.ci95 is not None, f"{summary}"
    return max(summary.mean - summary.ci95[0], summary.ci95[1] - summary.mean)


def controls_table() -> str:
    """EM of systems, of the same systems over other evidence, and of guesses; also for parts of the questions."""
    return _evidence_table(controlled(), {**TASKS, **DIVIDED})


def forms_table() -> str:
    """The same on worlds of version 3: for the forms of questions that training had, and for those that it had not."""
    return _evidence_table(form_lines(), FORMS)


@cache
def form_lines() -> dict[tuple[str, str], dict[str, Row | Guess]]:
    """What `worlds-3` shows: by passages and system, what it has on each task for each kind of form."""
    divided = parts(find_runs(WORLDS_3), "form")
    return _controlled_lines(chance.added(boards(divided, ["em"]), divided))


def _evidence_table(lines: Mapping[tuple[str, str], Mapping[str, Row | Guess]], heads: Mapping[str, str]) -> str:
    em = metrics.get("em")
    shown = [[*place, *(_either(em, found.get(task)) for task in heads)] for place, found in lines.items()]
    return _markdown([["passages", "system", *heads.values()], ["---", "---", *["---:"] * len(heads)], *shown])


@cache
def controlled() -> dict[tuple[str, str], dict[str, Row | Guess]]:
    """What `controls` shows: by passages and system, what it has on each task and part of one."""
    runs = [run for run in find_runs(ROOT / "results") if len(run.path.relative_to(ROOT).parts) == 4 and _controls(run)]
    divided = parts([run for run in runs if f"{run.manifest['task']['name']}, two-way questions" in DIVIDED], "two-way")
    return _controlled_lines(chance.added(boards([*runs, *divided], ["em"]), [*runs, *divided]))


def _controls(run: Run) -> bool:
    base = run.manifest["system"]["label"].partition("-control-")[0]
    return run.manifest["data"]["provenance"]["source"] == "worlds" and base in CONTROLLED


def _controlled_lines(found: Sequence[Board]) -> dict[tuple[str, str], dict[str, Row | Guess]]:
    """By passages and system, what it has on each task: settings in order, a system above its controls."""
    lines: dict[tuple[int, int, int, str, str], dict[str, Row | Guess]] = {}
    for board in found:
        for section in board.sections:
            place, ranks = EVIDENCE[section.control or section.setting], SETTINGS.index(section.setting)
            control = list(EVIDENCE).index(section.control) if section.control else 0
            for row in section.rows:
                base = row.label.partition("-control-")[0]
                key = (ranks, CONTROLLED.index(base), control, place, base)
                lines.setdefault(key, {})[board.task] = row
            for guess in () if section.control or section.setting == "closed" else section.guesses:
                lines.setdefault((ranks, len(CONTROLLED), 0, place, guess.label), {})[board.task] = guess
    return {key[3:]: lines[key] for key in sorted(lines)}


def _either(metric: Metric, found: Row | Guess | None) -> str:
    if isinstance(found, Row):
        return cell(metric, found.metrics.get(metric.name))
    return plain(metric, found.metrics.get(metric.name) if found else None)


def readers_table(found: list[Board]) -> str:
    """EM by what found the passages and as what they are read, and recall at five, on each task."""
    em, recall = metrics.get("em"), metrics.get("recall@5")
    heads = [*TASKS.values(), *(f"{name} recall@5" for name in TASKS.values())]
    systems = {label: rows for (setting, label), rows in by_system(found, em).items() if setting == "distractor"}
    lines = [["found by", "read as", *heads], ["---", "---", *["---:"] * len(heads)]]
    for label, names in READ.items():
        rows = [systems[label][task].metrics for task in TASKS]
        found_at = [plain(recall, one["recall@5"].mean) for one in rows]
        lines.append([*names, *(cell(em, one["em"]) for one in rows), *found_at])
    return _markdown(lines)


def _score(metric: Metric, row: Row | None, baseline: Row | None) -> str:
    """A score; with a baseline other than itself also how far it is from that one's."""
    if row is None or baseline is None or row == baseline or metric.name not in row.metrics:
        return cell(metric, row.metrics.get(metric.name) if row else None)
    less = compare(open_run(Path(baseline.path)), open_run(Path(row.path)), [metric.name])
    return difference_cell(metric, row.metrics[metric.name], less[metric.name])


def _bold(label: str, task: str, text: str) -> str:
    """A difference to the full passages in bold where it is significant, see `claims`."""
    found = claims.tested("whole").get((label, task))
    return text if found is None or found.verdict.verdict == "undecided" else f"**{text}**"


def family_table(found: list[Board], columns: Sequence[str]) -> str:
    """A line a system: what it declares, means over tasks and trainings, and bytes of the index by passage."""
    chosen = [metrics.get(name) for name in columns]
    first = ["passages", "system", *DECLARED, *map(head, columns), head(INDEX)]
    lines = [first, ["---"] * (2 + len(DECLARED)) + ["---:"] * (len(columns) + 1)]
    for (setting, label), rows in by_system(found, chosen[0]).items():
        [traits, *_] = (row.traits for row in rows.values())
        bytes_ = [row.index_bytes for row in rows.values() if row.index_bytes is not None]
        means = [plain(metric, _mean(metric, rows)) for metric in chosen]
        declared = [trait_cell(traits.get(name)) for name in DECLARED]
        lines.append([setting, label, *declared, *means, f"{fmean(bytes_):.0f}" if bytes_ else "–"])
    return _markdown(lines)


def by_system(found: list[Board], first: Metric) -> dict[tuple[str, str], dict[str, Row]]:
    """By setting and label the row of each task; settings in their order, in each the best first."""
    systems: dict[tuple[str, str], dict[str, Row]] = {}
    for board in found:
        for section in board.sections:
            for row in section.rows:
                systems.setdefault((section.setting, row.label), {})[board.task] = row
    order = sorted(systems, key=lambda key: (SETTINGS.index(key[0]), -(_mean(first, systems[key]) or 0.0)))
    return {key: systems[key] for key in order}


def _traits(rows: Mapping[str, Row]) -> Mapping[str, Any]:
    return next(iter(rows.values())).traits


def _mean(metric: Metric, rows: Mapping[str, Row]) -> float | None:
    means = [row.metrics[metric.name].mean for row in rows.values() if metric.name in row.metrics]
    known = [mean for mean in means if mean is not None]
    return fmean(known) if known else None


def content(part: str) -> str:
    """The table of a part."""
    chosen = PARTS[part]
    if part == "headline":
        return headline_table()
    found = published(part)
    if part == "controls":
        return controls_table()
    if part == "worlds-3":
        return forms_table()
    if part == "readers":
        return readers_table(_boards(chosen.runs, chosen.studies))
    if chosen.short:
        guessed = guesses_table(found, chosen) if chosen.runs == TUNED else ""
        return short_table(found, chosen.columns, chosen.against) + guessed
    return (family_table if chosen.columns == COSTS else table)(found, chosen.columns)


def published(part: str) -> list[Board]:
    """The boards that a part shows."""
    chosen = PARTS[part]
    found = [board for board in _boards(chosen.runs, chosen.studies) if (board.source == "worlds") == chosen.made_up]
    return [
        replace(
            board,
            sections=tuple(
                replace(section, rows=tuple(row for row in section.rows if _shown(chosen, section.setting, row)))
                for section in board.sections
            ),
        )
        for board in found
    ]


def _shown(part: Part, setting: str, row: Row) -> bool:
    if ELSEWHERE.search(row.label):
        return part.page == README
    compresses = bool(row.traits["compressor"])
    if part.against:
        return setting in part.against and (compresses or row.label == part.against[setting])
    return part.shortened or not compresses


@cache
def _boards(folder: Path, studies: bool) -> list[Board]:
    """All boards of a folder, with every part's columns; a run lies in task/label/run, that of a study deeper."""
    found = [run for run in find_runs(folder) if WORLDS_3 not in run.path.parents]
    runs = [run for run in found if studies or len(run.path.relative_to(folder).parts) == 3]
    return boards(runs, list(dict.fromkeys(name for part in PARTS.values() for name in part.columns)))


def filled(text: str, part: str, content: str) -> str:
    """A text with new content between the marks of a part."""
    before, begin, rest = text.partition(f"<!-- {part} -->\n")
    _, end, after = rest.partition(f"<!-- /{part} -->")
    return before + begin + content + end + after


def leaderboard() -> str:
    """The content of results/LEADERBOARD.md: every published run."""
    runs = find_runs(ROOT / "results")
    found = chance.added(boards(runs), runs)
    intro = "# Leaderboard\n\nEvery run in this folder, written by `python docs/refresh.py`.\n\n"
    shown = views.tables(found)
    return intro + tables.markdown(shown, views.notes(shown))


if __name__ == "__main__":
    write_atomic(LEADERBOARD, leaderboard())
    for name, part in PARTS.items():
        text = part.page.read_text(encoding="utf-8")
        write_atomic(part.page, filled(text, name, content(name)))
