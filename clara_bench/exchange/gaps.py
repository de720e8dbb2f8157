"""A run beside a published row: the gap in each metric, and every setting in which the two differ.

No test is made: a published number comes without answers, so nothing can be paired, and mostly without an interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clara_bench.errors import ConfigError
from clara_bench.exchange.published import MEAN, Entry
from clara_bench.metrics import Metric
from clara_bench.metrics.statistics import Summary
from clara_bench.records.manifest import Manifest
from clara_bench.records.results import Run
from clara_bench.reporting import captions
from clara_bench.reporting.formats import cell, csv_text, plain, signed
from clara_bench.reporting.scored import Scorer
from clara_bench.reporting.tables import Cell, Group, Table

NOT_STATED = "not stated"


class Setting(NamedTuple):
    """A setting, as the run and as the source has it."""

    name: str
    run: str
    published: str
    """"" where the source does not state it."""

    @property
    def differs(self) -> bool:
        """Whether the two are not known to be the same."""
        return self.run.casefold() != self.published.casefold()


@dataclass(frozen=True, slots=True)
class Value:
    """A metric of both."""

    entry: Entry
    metric: Metric | None
    """None where we have no such metric."""
    summary: Summary | None
    """The run's; None where the metric does not apply to it."""

    @property
    def gap(self) -> float | None:
        """The run minus what was published; None where one of them is not there."""
        return None if self.summary is None or self.summary.mean is None else self.summary.mean - self.entry.value


@dataclass(frozen=True, slots=True)
class Gap:
    """A run beside a published row."""

    run: Run
    values: tuple[Value, ...]
    settings: tuple[Setting, ...]

    @property
    def entry(self) -> Entry:
        """Any value of the row: their settings are the same."""
        return self.values[0].entry


def gap(run: Run, row: Sequence[Entry], names: Sequence[str], scorer: Scorer) -> Gap:
    """Hold a run beside a published row.

    Args:
        run: ours.
        row: the values of one published row.
        names: the metrics to show; () for all that the row has.
        scorer: scores the run.

    Raises:
        ConfigError: the row has no value of the run's task, or of the metrics asked for.
    """
    task = run.manifest["task"]["name"]
    tasks = sorted({entry.task for entry in row} - {MEAN})
    found = [entry for entry in row if entry.task == task and (not names or entry.metric in names)]
    if not found:
        of = sorted({entry.metric for entry in row if entry.task == task})
        wanted = f"metrics {', '.join(names)} on {task}; it has {', '.join(of)}" if of else f"task {task}"
        raise ConfigError(f"published row '{row[0].id}' has no {wanted}. Its tasks: {', '.join(tasks)}")
    known = [entry.metric for entry in found if entry.ours]
    scored = scorer(run, known).metrics
    values = tuple(Value(entry, entry.ours, scored.get(entry.metric)) for entry in found)
    return Gap(run, values, tuple(_settings(run.manifest, found[0])))


def _settings(manifest: Manifest, entry: Entry) -> list[Setting]:
    system, traits, request = manifest["system"], manifest["traits"], manifest["request"]
    options, staged = system["options"], manifest["setting"] in ("retrieved", "injected")
    pairs: dict[str, tuple[Any, Any]] = {
        "system": (system["label"], entry.system),
        "data": (captions.source(manifest["data"]["provenance"]), ""),
        "split": (request["source"]["split"], entry.split),
        "questions": (manifest["questions"]["count"], entry.n),
        "setting": (manifest["setting"], entry.setting),
        "passages read (k)": (options.get("k"), entry.k),
        "candidates a question": (request["first_stage"]["depth"] if staged else None, entry.depth),
        "corpus": (f"{manifest['data']['provenance']['passages']:,} passages", entry.corpus),
        "retriever": (_retriever(manifest), entry.retriever),
        "reader": (traits.get("backbone") or _name(options.get("reader")), entry.reader),
        "tuned": ({"tuned": True, "frozen": False}.get(traits.get("reader", "")), entry.tuned),
        "compressor": (traits.get("compressor") or _name(options.get("compressor")), entry.compressor),
        "rate": (traits.get("nominal_ratio"), entry.rate),
        "vectors a passage": (None, entry.vectors),
    }
    told = [Setting(name, _told(ours), _told(theirs)) for name, (ours, theirs) in pairs.items()]
    return [one for one in told if one.run or one.published]


def _retriever(manifest: Manifest) -> str:
    own = _name(manifest["system"]["options"].get("retriever"))
    stage = manifest["candidates"]["first_stage"] or ""
    return " of what ranks first: ".join(filter(None, (own, stage)))


def _name(option: Any) -> str:
    return str(option.get("name", "")) if isinstance(option, Mapping) else ""


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def tables(found: Sequence[Gap]) -> list[Table]:
    """For each gap one table of values and one of the settings that differ."""
    return [table for one in found for table in (_values(one), _differing(one))]


def _values(one: Gap) -> Table:
    rows = [
        (Cell(value.entry.metric), Cell(_ours(value)), Cell(_theirs(value)), Cell(_gap(value))) for value in one.values
    ]
    doubts = dict.fromkeys(said for value in one.values for said in value.entry.doubts)
    flags = dict.fromkeys(flag for value in one.values for flag in value.entry.flags)
    told = [*(f"Doubt: {said}." for said in doubts), *([f"Flags: {', '.join(flags)}."] if flags else [])]
    label = one.run.manifest["system"]["label"]
    title = f"{one.run.manifest['task']['name']} · {label} beside {one.entry.id}"
    group = Group(f"{one.entry.source}, {one.entry.table}: {one.entry.system}", tuple(rows))
    return Table(title, ("metric", "run", "published", "gap"), (group,), tuple(told))


def _ours(value: Value) -> str:
    return "–" if value.metric is None else cell(value.metric, value.summary)


def _theirs(value: Value) -> str:
    return f"{value.entry.written:g}" if value.metric is None else plain(value.metric, value.entry.value)


def _gap(value: Value) -> str:
    return "–" if value.metric is None else signed(value.metric, value.gap, value.entry.value)


def _differing(one: Gap) -> Table:
    differing = [each for each in one.settings if each.differs]
    same = [each.name for each in one.settings if not each.differs]
    rows = tuple((Cell(each.name), Cell(each.run or "–"), Cell(each.published or NOT_STATED)) for each in differing)
    caption = (f"The same in both: {', '.join(same)}.",) if same else ()
    return Table("Settings that differ", ("setting", "run", "published"), (Group(one.entry.id, rows),), caption)


def to_builtins(found: Sequence[Gap]) -> list[dict[str, Any]]:
    """Everything that is known of the gaps, for programs."""
    return [
        {
            "run": str(one.run.path),
            "published": one.entry.id,
            "source": one.entry.source,
            "table": one.entry.table,
            "metrics": {
                value.entry.metric: {
                    "run": value.summary and value.summary.mean,
                    "ci95": value.summary and value.summary.ci95,
                    "published": value.entry.value,
                    "gap": value.gap,
                    "doubts": list(value.entry.doubts),
                }
                for value in one.values
            },
            "flags": list(one.entry.flags),
            "settings": {each.name: {"run": each.run, "published": each.published, "differs": each.differs}
                         for each in one.settings},
        }
        for one in found
    ]  # fmt: skip


def to_csv(found: Sequence[Gap]) -> str:
    """A line for each metric."""
    head = ["run", "published", "source", "table", "metric", "value", "published_value", "gap", "flags", "differs"]
    lines = [
        [str(one.run.path), one.entry.id, one.entry.source, one.entry.table, value.entry.metric,
         value.summary.mean if value.summary else None, value.entry.value, value.gap, "; ".join(value.entry.flags),
         "; ".join(each.name for each in one.settings if each.differs)]
        for one in found
        for value in one.values
    ]  # fmt: skip
    return csv_text([head, *lines])
