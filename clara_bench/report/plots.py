"""The charts of a report as files for papers: SVG, PNG or PDF, from the same specifications as the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clara_bench import metrics
from clara_bench.analysis.explain import CAUSES
from clara_bench.errors import ConfigError, UnknownName
from clara_bench.io.cache import write_atomic
from clara_bench.report import charts
from clara_bench.report.bundle import converter
from clara_bench.report.charts import VEGA, Spec
from clara_bench.report.model import FAMILIES, Curve, Row, Table, Value
from clara_bench.reporting.formats import INDEX, head

SUFFIXES = (".svg", ".png", ".pdf")
PIXELS = 3.0
"""Pixels of a PNG by unit of its width."""


def one_of(tables: Sequence[Table], words: str) -> Table:
    """The only table whose title holds some words.

    Raises:
        ConfigError: none does, or several do.
    """
    found = [table for table in tables if words.lower() in table.title.lower()]
    if len(found) != 1:
        titles = "; ".join(table.title for table in found or tables)
        said = "none" if not found else f"{len(found)}"
        raise ConfigError(f"--table '{words}': {said} of the sets of questions have these words. Name one of: {titles}")
    return found[0]


def section_of(table: Table, words: str) -> int:
    """The section whose passages hold some words; the one that a summary begins with where there are none.

    Raises:
        ConfigError: no section does.
    """
    if not words:
        return table.choices[0].section if table.choices else 0
    found = [n for n, section in enumerate(table.sections) if words.lower() in section.passages.lower()]
    if not found:
        told = "; ".join(section.passages for section in table.sections)
        raise ConfigError(f"--passages '{words}': no section has these words. Name one of: {told}")
    return found[0]


def frontier(table: Table, section: int, quality: str = "", cost: str = "context_positions", log: bool = True) -> Spec:
    """A metric against a cost.

    Raises:
        UnknownName: no row has such a metric.
        ConfigError: no row has both.
    """
    quality = quality or table.main_metric
    rows = [row for row in table.rows if row.section == section]
    for name in (quality, cost):
        known = {one for row in rows for one, value in row.metrics.items() if value[0] is not None}
        if name not in known:
            raise UnknownName("metric of these rows", name, known)
    places = [(row, _mean(row, cost), row.metrics[quality]) for row in rows if quality in row.metrics]
    whole = [(row, x, value) for row, x, value in places if x is not None and value[0] is not None]
    if not whole:
        raise ConfigError(f"no row has both {quality} and {cost}. Name others with --quality and --cost")
    spec, scale = charts.frontier("light"), _scale(quality)
    spec["data"][0]["values"] = sorted(
        (_point(row, x, value, scale, _on_front(x, value, whole, quality)) for row, x, value in whole),
        key=lambda point: float(point["x"]),
    )
    spec["axes"][0]["title"] = f"{head(cost)} a {'passage' if cost == INDEX else 'question'}"
    spec["axes"][1]["title"] = f"{_named(quality)} (95 % CI)"
    spec["legends"][0]["values"] = [one for one in FAMILIES if any(row.family == one for row, _, _ in whole)]
    if not log or any(x <= 0 for _, x, _ in whole):
        spec["scales"][0]["type"] = "linear"
    return spec


def _mean(row: Row, name: str) -> float | None:
    return row.metrics.get(name, (None, None, None))[0]


def _scale(name: str) -> float:
    return 100.0 if metrics.get(name).unit == "fraction" else 1.0


def _named(name: str) -> str:
    said = head(name).upper() if name in ("em", "f1") else head(name)
    return f"{said}, %" if _scale(name) == 100 else said


def _point(row: Row, x: float, value: Value, scale: float, on: bool) -> dict[str, Any]:
    y, low, high = (None if one is None else scale * one for one in value)
    ends = {"low": y if low is None else low, "high": y if high is None else high}
    return {"name": row.name, "family": row.family, "x": x, "y": y, **ends, "front": on, "rank": int(not on)}


def _on_front(x: float, value: Value, whole: Sequence[tuple[Row, float, Value]], quality: str) -> bool:
    """Whether no other row is as good for less."""
    sign = 1 if metrics.get(quality).higher_is_better else -1
    mine = sign * (value[0] or 0.0), -x
    others = ((sign * (other[0] or 0.0), -cost) for _, cost, other in whole)
    return not any(one != mine and one[0] >= mine[0] and one[1] >= mine[1] for one in others)


def recall(table: Table, section: int, hops: int | None = None) -> Spec:
    """Recall by depth.

    Raises:
        ConfigError: no row searches.
    """
    found = [one for one in table.recall if table.rows[one.row].section == section and one.hops == hops]
    if not found:
        raise ConfigError(f"no row of '{table.sections[section].passages}' has recall. Name others with --passages")
    spec = charts.recall("light")
    told = ((table.rows[one.row].name, one.depth, [_percent(end) for end in one.value]) for one in found)
    spec["data"]["values"] = [
        {"name": name, "depth": depth, "recall": mean, "low": low or mean, "high": high or mean}
        for name, depth, (mean, low, high) in told
    ]
    return spec


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def causes(table: Table, section: int) -> Spec:
    """Shares of the questions by cause, a bar a row."""
    spec = charts.causes("light")
    rows = [(place, row) for place, row in enumerate(table.rows) if row.section == section]
    names = [str(cause) for cause in CAUSES]
    spec["data"]["values"] = [
        {"group": row.name, "cause": cause, "rank": names.index(cause), "count": count}
        for place, row in rows
        for cause, count in table.lost[place].causes["all questions"]["all"].items()
    ]
    spec["encoding"]["y"]["sort"] = [row.name for _, row in rows]
    spec["height"] = 90 + 23 * len(rows)
    return spec


def curves(found: Sequence[Curve], number: str = "loss") -> Spec:
    """A number of trainings by step.

    Raises:
        UnknownName: no log has such a number.
    """
    chosen = [one for one in found if one.name == number]
    if not chosen:
        raise UnknownName("number of a training log", number, {one.name for one in found})
    spec = charts.curves("light")
    spec["encoding"]["y"]["title"] = number
    spec["data"]["values"] = [
        {"training": one.training, "step": step, "value": value}
        for one in chosen
        for step, value in zip(one.steps, one.values, strict=True)
    ]
    return spec


def require(target: Path) -> Any:
    """What draws into a file of that name.

    Raises:
        ConfigError: its name says no format.
        MissingDependency: it is not installed.
    """
    if target.suffix not in SUFFIXES:
        raise ConfigError(f"--output {target}: expected a name that ends in {', '.join(SUFFIXES)}")
    return converter("clara-bench plot")


def write(spec: Spec, target: Path, width: int, title: str = "") -> None:
    """Draw a chart into a file, whose name says the format.

    Raises:
        ConfigError, MissingDependency: see `require`.
    """
    module = require(target)
    look = {"background": "white", "config": charts.config("light") | {"background": "white"}, "width": width}
    kind = "vega" if spec["$schema"] == VEGA else "vegalite"
    draw: Callable[..., Any] = getattr(module, f"{kind}_to_{target.suffix[1:]}")
    more = {"scale": PIXELS} if target.suffix == ".png" else {}
    made: str | bytes = draw(spec | look | ({"title": title} if title else {}), **more)
    write_atomic(target, made)
