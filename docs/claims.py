"""What the pages may call significant: families of comparisons, tested together, and tables of them.

A family is every comparison that one table makes. A difference is significant if its p is below 0.05 after Holm over
the family. `tests/test_claims.py` holds each page against this: a sentence that claims a difference is one of `CLAIMS`.

python docs/claims.py    writes the tables between <!-- claims-NAME --> and <!-- /claims-NAME -->
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import NamedTuple

from clara_bench import metrics
from clara_bench.analysis import cost_tables
from clara_bench.analysis.costs import costs
from clara_bench.analysis.parts import SEEN, parts
from clara_bench.io.cache import write_atomic
from clara_bench.metrics.differences import Difference, over_tasks
from clara_bench.records.results import Run, find_runs
from clara_bench.records.trainings import System, grouped
from clara_bench.reporting import comparison, tables
from clara_bench.reporting.comparison import Verdict
from clara_bench.reporting.formats import signed
from clara_bench.reporting.scored import CachedScorer, Remembering, Scorer

ROOT = Path(__file__).parent.parent
ANALYSIS = ROOT / "docs" / "analysis.md"
RESULTS, REFERENCE = ROOT / "docs" / "results.md", ROOT / "docs" / "reference-results.md"
TASKS = {"nq": "NQ", "hotpotqa": "HotpotQA", "musique": "MuSiQue", "2wikimultihopqa": "2Wiki"}
MEAN = "mean"
MEASURED = ("em", "f1", "recall@1", "recall@5")

Pair = tuple[str, str]
"""Baseline and system, as `FOLDER/LABEL`; `worlds` and `real` are the runs of results/ over such questions."""


class Family(NamedTuple):
    """Comparisons that are tested together."""

    page: Path
    """Where its table stands."""
    metric: str
    rows: Mapping[str, Pair]
    """What each row says, with what it compares on each task."""
    means: bool = False
    """Whether the mean over the tasks is compared, in place of each task."""
    shown: bool = True
    """Whether its table stands on the page; what is long is shown elsewhere."""


COMPRESSORS = (
    "truncate-2x", "truncate-4x", "random-drop-2x", "random-drop-4x", "selective-context-2x", "selective-context-4x",
    "llmlingua-2x", "llmlingua-4x", "longllmlingua-2x", "longllmlingua-4x", "llmlingua2-style-2x",
    "llmlingua2-style-4x", "recomp-extractive-2x", "recomp-extractive-4x", "recomp-abstractive",
    "recomp-abstractive-16", "exit-0.2", "exit-0.25",
)  # fmt: skip
RATES = {"recomp-abstractive": "2x", "recomp-abstractive-16": "4x", "exit-0.2": "2x", "exit-0.25": "4x"}
"""The truncation that a compressor without a rate is held against: the longer of its two goes with 2x."""
SETTINGS = {"gold-": "gold-text", "": "hybrid-text"}
LATENTS = ("cocom", "icae", "autocompressor", "pisco", "pooled", "xrag")


def _whole() -> dict[str, Pair]:
    return {
        f"{prefix}{name}": (f"real/{whole}", f"real/{prefix}{name}")
        for prefix, whole in SETTINGS.items()
        for name in COMPRESSORS
    }


def _beside_control(control: str) -> dict[str, Pair]:
    return {
        f"{prefix}{name}": (f"real/{prefix}{control}-{RATES.get(name) or name[-2:]}", f"real/{prefix}{name}")
        for prefix in SETTINGS
        for name in COMPRESSORS
        if not name.startswith(control)
    }


_BETWEEN_RETRIEVERS = {
    "bm25-text minus dense-text": ("real/dense-text", "real/bm25-text"),
    "hybrid-text minus dense-text": ("real/dense-text", "real/hybrid-text"),
    "hybrid-text minus bm25-text": ("real/bm25-text", "real/hybrid-text"),
}

_BY_SIMILARITY = {
    said: (f"similarity/{before}", f"similarity/{after}")
    for said, (before, after) in {
        "untrained: late minus flattened": ("frozen-flattened", "frozen-late"),
        "late: trained minus untrained": ("frozen-late", "trained-late"),
        "flattened: trained minus untrained": ("frozen-flattened", "trained-flattened"),
        "trained: late minus flattened": ("trained-flattened", "trained-late"),
        "late, trained, minus flattened, untrained": ("frozen-flattened", "trained-late"),
    }.items()
}
FAMILIES = {
    "memories": Family(
        RESULTS,
        "em",
        {
            f"memories, {rate} nominal": ("worlds/gold-text", f"worlds/gold-clara-{rate}")
            for rate in ("8x", "16x", "32x")
        },
    ),
    "pipelines": Family(
        RESULTS,
        "em",
        {
            f"{name} minus {other}": (f"worlds/{other}", f"worlds/{name}")
            for other in ("bm25-text", "dense-text", "trained-text", "clara-8x")
            for name in ("clara-8x", "clara-16x", "iterative-text")
            if name != other and (other != "clara-8x" or name == "iterative-text")
        },
    ),
    "pipelines-means": Family(
        RESULTS,
        "em",
        {
            f"clara-8x minus {other}": (f"worlds/{other}", "worlds/clara-8x")
            for other in ("bm25-text", "dense-text", "trained-text")
        },
        means=True,
    ),
    "controls": Family(
        RESULTS,
        "em",
        {
            "text: last gold passage minus all gold": ("worlds/gold-text", "worlds/gold-text-control-last"),
            "8x memories: last gold passage minus all gold": (
                "worlds/gold-clara-8x",
                "worlds/gold-clara-8x-control-last",
            ),
            "text: five random minus BM25's five": ("worlds/bm25-text", "worlds/bm25-text-control-random"),
            "8x memories: five random minus their own five": ("worlds/clara-8x", "worlds/clara-8x-control-random"),
            "8x memories, their own five minus text, five random": (
                "worlds/bm25-text-control-random",
                "worlds/clara-8x",
            ),
        },
    ),
    "worlds-3": Family(
        RESULTS,
        "em",
        {
            "gold: 8x memories minus text": ("worlds-3/gold-text", "worlds-3/gold-clara-8x"),
            "text: last gold passage minus all gold": ("worlds-3/gold-text", "worlds-3/gold-text-control-last"),
            "8x memories: last gold passage minus all gold": (
                "worlds-3/gold-clara-8x",
                "worlds-3/gold-clara-8x-control-last",
            ),
            "text: BM25's five minus five random": ("worlds-3/bm25-text-control-random", "worlds-3/bm25-text"),
            "8x memories: their own five minus five random": ("worlds-3/clara-8x-control-random", "worlds-3/clara-8x"),
            "clara-8x minus bm25-text": ("worlds-3/bm25-text", "worlds-3/clara-8x"),
            "clara-8x minus dense-text": ("worlds-3/dense-text", "worlds-3/clara-8x"),
            "found by BM25: read as memories minus text": ("worlds-3/bm25-text", "worlds-3/bm25-then-clara-8x"),
            "read as memories: found by memories minus BM25": ("worlds-3/bm25-then-clara-8x", "worlds-3/clara-8x"),
            "read as memories: found by memories minus MiniLM": ("worlds-3/dense-then-clara-8x", "worlds-3/clara-8x"),
        },
    ),
    "worlds-3-means": Family(
        RESULTS,
        "em",
        {
            "gold: 8x memories minus text": ("worlds-3/gold-text", "worlds-3/gold-clara-8x"),
            "clara-8x minus bm25-text": ("worlds-3/bm25-text", "worlds-3/clara-8x"),
            "clara-8x minus dense-text": ("worlds-3/dense-text", "worlds-3/clara-8x"),
            "found by BM25: read as memories minus text": ("worlds-3/bm25-text", "worlds-3/bm25-then-clara-8x"),
            "read as memories: found by memories minus BM25": ("worlds-3/bm25-then-clara-8x", "worlds-3/clara-8x"),
            "read as memories: found by memories minus MiniLM": ("worlds-3/dense-then-clara-8x", "worlds-3/clara-8x"),
        },
        means=True,
    ),
    "readers": Family(
        RESULTS,
        "em",
        {
            "read as text: found by memories minus BM25": ("worlds/bm25-text", "worlds/clara-8x-then-text"),
            "read as memories: found by memories minus BM25": ("worlds/bm25-then-clara-8x", "worlds/clara-8x"),
            "found by BM25: read as memories minus text": ("worlds/bm25-text", "worlds/bm25-then-clara-8x"),
            "found by memories: read as memories minus text": ("worlds/clara-8x-then-text", "worlds/clara-8x"),
            "found by MiniLM, trained: read as memories minus text": (
                "worlds/trained-text",
                "worlds/trained-then-clara-8x",
            ),
            "read as text: found by memories minus MiniLM, trained": (
                "worlds/trained-text",
                "worlds/clara-8x-then-text",
            ),
            "read as memories: found by memories minus MiniLM, trained": (
                "worlds/trained-then-clara-8x",
                "worlds/clara-8x",
            ),
        },
    ),
    "real": Family(
        RESULTS,
        "f1",
        {
            "gold-text minus closed-book": ("real/closed-book", "real/gold-text"),
            **{
                f"{name} minus gold-text": ("real/gold-text", f"real/{name}")
                for name in ("hybrid-text", "bm25-text", "dense-text")
            },
            **_BETWEEN_RETRIEVERS,
        },
    ),
    "tuned": Family(
        RESULTS,
        "f1",
        {
            "gold-text minus closed-book": ("tuned/closed-book", "tuned/gold-text"),
            "bm25-text minus gold-text": ("tuned/gold-text", "tuned/bm25-text"),
            "bm25-text minus closed-book": ("tuned/closed-book", "tuned/bm25-text"),
            "gold-truncate-4x minus gold-text": ("tuned/gold-text", "tuned/gold-truncate-4x"),
            "gold-recomp-extractive-4x minus gold-text": ("tuned/gold-text", "tuned/gold-recomp-extractive-4x"),
            "gold-recomp-extractive-4x minus gold-truncate-4x": (
                "tuned/gold-truncate-4x",
                "tuned/gold-recomp-extractive-4x",
            ),
            "gold-kv-streaming-llm-4x minus gold-text": ("tuned/gold-text", "tuned/gold-kv-streaming-llm-4x"),
            "gold-kv-streaming-llm-4x minus gold-kv-random-4x": (
                "tuned/gold-kv-random-4x",
                "tuned/gold-kv-streaming-llm-4x",
            ),
            "gold-kv-streaming-llm-4x minus gold-truncate-4x": (
                "tuned/gold-truncate-4x",
                "tuned/gold-kv-streaming-llm-4x",
            ),
        },
    ),
    "real-clara": Family(
        RESULTS,
        "f1",
        {
            f"gold-clara-4x minus {said}": (f"tuned/{label}", "tuned/gold-clara-4x")
            for said, label in {
                "closed-book": "closed-book",
                "the same over another question's passages": "gold-clara-4x-control-shuffled",
                "untrained, pooled": "gold-untrained-pooled-4x",
                "untrained, words": "gold-untrained-words-4x",
                "its words alone": "gold-words-4x",
                "gold-truncate-4x": "gold-truncate-4x",
                "gold-kv-streaming-llm-4x": "gold-kv-streaming-llm-4x",
                "gold-text": "gold-text",
            }.items()
        },
    ),
    "retrievers": Family(RESULTS, "recall@5", _BETWEEN_RETRIEVERS),
    "whole": Family(RESULTS, "f1", _whole(), shown=False),
    "truncation": Family(RESULTS, "f1", _beside_control("truncate"), shown=False),
    "truncation-means": Family(RESULTS, "f1", _beside_control("truncate"), means=True),
    "random-drop-means": Family(
        RESULTS,
        "f1",
        {row: pair for row, pair in _beside_control("random-drop").items() if "lingua-" in row},
        means=True,
    ),
    "retrained": Family(
        REFERENCE,
        "em",
        {name: (f"worlds/{name}", f"retrained/{name}") for name in ("gold-text", "gold-clara-8x", "clara-8x")},
    ),
    "retrained-text": Family(
        REFERENCE,
        "em",
        {
            "memories of gold passages minus text": ("retrained/gold-text", "retrained/gold-clara-8x"),
            "clara-8x minus bm25-text": ("worlds/bm25-text", "retrained/clara-8x"),
            "clara-8x minus dense-text": ("worlds/dense-text", "retrained/clara-8x"),
        },
    ),
    "ablations": Family(
        REFERENCE,
        "f1",
        {
            "straight-through (`find`) minus generator alone": ("ablations/generator-only", "ablations/find"),
            "straight-through minus untrained reasoner": ("ablations/untrained", "ablations/find"),
            "REINFORCE over five (`find+choose`) minus `find`": ("ablations/find", "ablations/find+choose"),
            "reasoner from the compressor minus random": ("ablations/random-start", "ablations/find"),
            "late interaction minus flattened": ("ablations/flattened", "ablations/find"),
            "late interaction minus pooled": ("ablations/mean-pooled", "ablations/find"),
            "temperature 0.02 minus 0.5": ("ablations/temperature-0.5", "ablations/find"),
            "REINFORCE minus straight-through, one document": ("ablations/find", "ablations/reinforce"),
            "labels minus straight-through, one document": ("ablations/find", "ablations/labels"),
            "`find+labels` minus `find+choose`": ("ablations/find+choose", "ablations/find+labels"),
        },
    ),
    "ablations-recall": Family(
        REFERENCE,
        "recall@5",
        {"`find+labels` minus `find+choose`": ("ablations/find+choose", "ablations/find+labels")},
    ),
    **{
        f"estimators-{metric}": Family(
            REFERENCE,
            metric,
            {
                "REINFORCE": ("ablations/find", "ablations/reinforce"),
                "labels": ("ablations/find", "ablations/labels"),
            },
            means=True,
            shown=False,
        )
        for metric in ("recall@1", "recall@5", "f1")
    },
    "latents-once": Family(
        REFERENCE,
        "em",
        {
            f"{prefix}{name}": (f"single/{prefix}salient", f"single/{prefix}{name}")
            for prefix in ("gold-", "")
            for name in LATENTS
        },
    ),
    "similarity": Family(REFERENCE, "f1", _BY_SIMILARITY),
    "similarity-recall": Family(REFERENCE, "recall@5", _BY_SIMILARITY),
    "reading": Family(
        REFERENCE,
        "em",
        {"generator trained on what is found, minus not": ("single/trained-late", "similarity/trained-late-reading")},
    ),
    "reading-means": Family(
        REFERENCE,
        "em",
        {"generator trained on what is found, minus not": ("single/trained-late", "similarity/trained-late-reading")},
        means=True,
    ),
    "latents-methods": Family(
        REFERENCE,
        "em",
        {
            f"gold-{name}, three trainings": ("latents/gold-salient", f"latents/gold-{name}")
            for name in ("cocom", "pooled")
        },
        means=True,
    ),
    "mixes": Family(
        REFERENCE,
        "em",
        {
            "without MSE": ("single/gold-salient", "single/gold-salient-no-mse"),
            "simple questions alone": ("single/gold-salient", "single/gold-salient-simple"),
        },
    ),
}


@dataclass(frozen=True, slots=True)
class Tested:
    """A comparison, and what is left of it in its family."""

    less: Difference
    verdict: Verdict


@cache
def scorer() -> Scorer:
    """One for all families."""
    return Remembering(CachedScorer())


@cache
def systems() -> Mapping[str, Mapping[str, System]]:
    """By `FOLDER/LABEL` and task; `single`: first trainings of latents and similarity; of `worlds-3` the seen forms."""
    found: dict[str, dict[str, System]] = {}
    folders = {"results": "results", "retrained": "reference/retrained", "similarity": "reference/similarity"}
    for name, folder in folders.items():
        runs = find_runs(ROOT / folder)
        for system in grouped([_seen(run) for run in runs]):
            found.setdefault(f"{_folder(system.run, name)}/{system.label}", {})[_task(system.run)] = system
        for run in runs:
            if {"latents", "similarity"} & set(run.path.parts):
                label = run.manifest["system"]["label"]
                found.setdefault(f"single/{label}", {})[_task(run)] = System((run,))
    return found


def _seen(run: Run) -> Run:
    """Of a run on worlds of version 3 the questions in forms that training had; any other run whole."""
    if "worlds-3" not in run.path.parts:
        return run
    return next(part for part in parts([run], "form") if part.manifest["task"]["name"].endswith(SEEN))


def _folder(run: Run, name: str) -> str:
    studies = [study for study in ("ablations", "latents", "tuned", "worlds-3") if study in run.path.parts]
    real = run.manifest["data"]["provenance"]["source"] != "worlds"
    return studies[0] if studies else name if name != "results" else "real" if real else "worlds"


def _task(run: Run) -> str:
    return run.manifest["task"]["name"].partition(",")[0]


@cache
def tested(name: str) -> Mapping[tuple[str, str], Tested]:
    """Each comparison of a family, by row and task (or `mean`)."""
    family = FAMILIES[name]
    found = {
        (row, task): less for row, pair in family.rows.items() for task, less in _differences(family, *pair).items()
    }
    verdicts = comparison.verdicts(list(found.values()))
    return {key: Tested(less, verdict) for (key, less), verdict in zip(found.items(), verdicts, strict=True)}


def _differences(family: Family, baseline: str, system: str) -> dict[str, Difference]:
    before, after = systems()[baseline], systems()[system]
    columns = [
        tuple(comparison.measured(one[task], MEASURED, scorer())[family.metric] for one in (before, after))
        for task in TASKS
    ]
    if family.means:
        return {MEAN: over_tasks([(pair[0], pair[1]) for pair in columns])}
    return {
        task: comparison.compare_systems(before[task], after[task], MEASURED, scorer())[family.metric] for task in TASKS
    }


def verdicts_of(name: str, row: str = "") -> dict[str, list[str]]:
    """`row task` by verdict, of a family or of one row of it."""
    found: dict[str, list[str]] = {"higher": [], "lower": [], "undecided": []}
    for (said, task), one in tested(name).items():
        if row in ("", said):
            found[one.verdict.verdict].append(f"{said} {task}")
    return found


def counts(name: str) -> tuple[int, int, int]:
    """How many comparisons a family has; how many are significant after Holm, and after Benjamini-Hochberg."""
    found = [one.verdict for one in tested(name).values()]
    holm = sum(one.verdict != "undecided" for one in found)
    return len(found), holm, sum(one.p_bh is not None and one.p_bh < 0.05 for one in found)


def table(name: str) -> str:
    """The differences of a family in points, significant ones in bold, with the counts below."""
    family = FAMILIES[name]
    places = [MEAN] if family.means else list(TASKS)
    head = ["minus its baseline", *(TASKS.get(place, "mean of four tasks") for place in places)]
    lines = [head, ["---", *["---:"] * len(places)]]
    for row in family.rows:
        lines.append([row, *(_cell(family.metric, tested(name)[row, place]) for place in places)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{_counted(name)}\n"


def _cell(metric: str, one: Tested) -> str:
    text = signed(metrics.get(metric), one.less.mean, one.less.mean)
    if one.less.ci95 is not None:
        low, high = (signed(metrics.get(metric), end, end) for end in one.less.ci95)
        text = f"{text} ({low} to {high})"
    return text if one.verdict.verdict == "undecided" else f"**{text}**"


def _counted(name: str) -> str:
    number, holm, bh = counts(name)
    detectable = [one.less.detectable for one in tested(name).values() if one.less.detectable is not None]
    said = {"em": "EM", "f1": "F1"}.get(FAMILIES[name].metric, FAMILIES[name].metric)
    return (
        f"{said} in points with the paired 95 % CI. Bold: significant, p < 0.05 after Holm over the {number} "
        f"comparisons of this table ({holm}; by Benjamini-Hochberg {bh}). Detectable with 80 % power before "
        f"correction: ±{100 * median(detectable):.1f} (median)."
    )


def block(name: str) -> str:
    """What stands between the marks of a family."""
    if FAMILIES[name].shown:
        return table(name)
    number, holm, bh = counts(name)
    lower, higher = (len(verdicts_of(name)[way]) for way in ("lower", "higher"))
    return (
        f"Of the {number} comparisons, {holm} are significant after Holm ({lower} lower, {higher} higher), "
        f"{bh} after Benjamini-Hochberg.\n"
    )


def filled(text: str, name: str) -> str:
    """A page with the block of a family in its place."""
    before, begin, rest = text.partition(f"<!-- claims-{name} -->\n")
    _, end, after = rest.partition(f"<!-- /claims-{name} -->")
    return before + begin + block(name) + end + after if begin and end else text


def costs_block() -> str:
    """The break-even of compressing ahead, from the runs in reference/costs, which began with an empty cache."""
    found = [costs(run) for run in find_runs(ROOT / "reference" / "costs")]
    return tables.markdown([cost_tables.break_even_table(found)])


def with_costs(text: str) -> str:
    """A page with that block in its place."""
    before, begin, rest = text.partition("<!-- costs -->\n")
    _, end, after = rest.partition("<!-- /costs -->")
    return before + begin + costs_block() + end + after


def pages() -> Sequence[Path]:
    """Those that hold blocks."""
    return list(dict.fromkeys(family.page for family in FAMILIES.values()))


if __name__ == "__main__":
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for name, family in FAMILIES.items():
            text = filled(text, name) if family.page == page else text
        write_atomic(page, text)
    write_atomic(ANALYSIS, with_costs(ANALYSIS.read_text(encoding="utf-8")))
