"""Metrics that somebody else wrote: found by entry point or file, made into a `Metric` like any.

    starts-right                      an installed package's, by the entry point group clara_bench.metrics
    ./mine.py:StartsRight[words=2]    a class in a file, with options

The class scores one answer (`score`), or judges many (`judge`); see `MetricPlugin` and `Judge` in clara_bench.types.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn, cast

from clara_bench.components import registry
from clara_bench.components.registry import Component, plugin_errors
from clara_bench.components.summaries import first_sentence
from clara_bench.errors import ConfigError
from clara_bench.metrics.case import Case, Truth
from clara_bench.metrics.metric import Family, Metric

_SPELT = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<options>.*)\])?", flags=re.DOTALL)


def names() -> list[str]:
    """Installed ones."""
    return sorted(registry.discover("metric"))


def is_named(name: str) -> bool:
    """Whether a name is that of a plug-in: a file's, or that of an installed one."""
    return is_file(name) or name.partition("[")[0] in registry.discover("metric")


def is_file(name: str) -> bool:
    """Whether a name makes code run that is not installed: that of the metric, or of a reader among its options."""
    return re.search(r"\.py\b", name) is not None


def is_judge(metric: Metric) -> bool:
    """Whether its values are verdicts, which are asked for and kept."""
    return metric.plugin is not None and hasattr(metric.plugin.instance, "judge")


def get(name: str) -> Metric:
    """The metric that a plug-in computes.

    Raises:
        UnknownName, ConfigError: no such plug-in or option, or it is no metric.
    """
    built = registry.build("metric", _chosen(name))
    made = built.instance
    with plugin_errors(f"metric '{name}'"):
        if not callable(getattr(made, "score", None)) and not callable(getattr(made, "judge", None)):
            raise ConfigError(f"metric '{name}' has neither a method 'score' nor 'judge'. See docs/plugins.md")
        unit = str(getattr(made, "unit", "fraction"))
        family: Family = "answer" if unit == "fraction" else "cost"
        applies = getattr(made, "applies", None)
        return Metric(
            name=name,
            description=f"{first_sentence(built.component.__doc__ or name)}.",
            citation=str(getattr(made, "citation", "")),
            unit=unit,
            higher_is_better=bool(getattr(made, "higher_is_better", True)),
            family=family,
            relevant=_has_answers if applies is None else lambda truth: bool(applies(truth.gold)),
            measure=_unbound(name),
            plugin=built,
        )


def _chosen(name: str) -> Component:
    """`judge[reader.model=m,prompt=p]` as a name and its options.

    Raises:
        ConfigError: it is not spelt so.
    """
    spelt = _SPELT.fullmatch(name)
    pairs = [pair.partition("=") for pair in (spelt["options"] or "").split(",") if pair] if spelt else []
    if spelt is None or not all(key and equals for key, equals, _ in pairs):
        raise ConfigError(f"metric '{name}': expected NAME[KEY=VALUE,KEY=VALUE]")
    return Component(spelt["name"], {key.strip(): value for key, _, value in pairs})


def split(text: str) -> list[str]:
    """Names between commas, those within brackets left alone.

    >>> split("em, judge[reader.model=a,prompt=b],f1")
    ['em', 'judge[reader.model=a,prompt=b]', 'f1']
    """
    return [name for part in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text) if (name := part.strip())]


def _has_answers(truth: Truth) -> bool:
    return truth.scorable


def _unbound(name: str) -> Any:
    def refuse(case: Case) -> NoReturn:
        raise ConfigError(f"metric '{name}' is a plug-in, which this command does not compute. Use score or compare")

    return cast(Any, refuse)
