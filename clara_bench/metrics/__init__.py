"""Metrics as named values: `get("recall@5")` is a metric, and prints as recall@5.

A metric is a pure function of the gold and a record. Names are the same in a task file, on the
command line, in scores.json and at the head of a table; docs/metrics.md defines each.
"""

from __future__ import annotations

import re
from functools import cache

from clara_bench.errors import ConfigError, UnknownName
from clara_bench.metrics import answer, cost, plugin, retrieval, sufficiency, support
from clara_bench.metrics.metric import Metric

__all__ = ["Metric", "get", "names"]


def get(name: str, scorer: str = "squad") -> Metric:
    """The metric of that name.

    Args:
        name: such as "f1", "cover_bag" or "recall@5"; of a plug-in its name or FILE.py:CLASS, with options in brackets
            behind it.
        scorer: whose em, f1, support and joint metrics are meant: squad, hotpotqa, musique or 2wiki.

    Raises:
        UnknownName: no such metric, or no such scorer.
        ConfigError: a cutoff where there can be none, none where one is needed, or one that is not a whole number.
    """
    family, sign, cutoff = name.partition("@")
    if sign and family in retrieval.AT_K:
        return retrieval.at(family, _cutoff(name, cutoff))
    listed = {metric.name: metric for metric in without_cutoff(scorer)}
    if name in listed:
        return listed[name]
    if family in listed:
        raise ConfigError(f"metric '{name}': {family} takes no cutoff. Write '{family}'")
    if name in retrieval.AT_K:
        raise ConfigError(f"metric '{name}' needs a cutoff. Write '{name}@5', for example")
    if plugin.is_named(name):
        return plugin.get(name)
    known = [*(one.replace("@k", f"@{cutoff or 'k'}") for one in names()), *plugin.names()]
    raise UnknownName("metric", name, known)


def names() -> list[str]:
    """Every metric's name; a family of them with a cutoff is listed as "recall@k"."""
    return [metric.name for metric in without_cutoff("squad")] + [f"{family}@k" for family in retrieval.AT_K]


@cache
def without_cutoff(scorer: str) -> tuple[Metric, ...]:
    """Every metric that is one without further parameters; made once, since a leaderboard asks thousands of times.

    Raises:
        UnknownName: no such scorer.
    """
    if scorer not in answer.SCORERS:
        raise UnknownName("answer scorer", scorer, answer.SCORERS)
    chosen = answer.SCORERS[scorer]
    return (
        *answer.metrics(chosen),
        *support.metrics(chosen),
        *sufficiency.metrics(chosen),
        *retrieval.metrics(),
        *cost.metrics(),
    )


def _cutoff(name: str, text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise ConfigError(f"metric '{name}': the cutoff must be a whole number from 1 up, such as 5, not '{text}'")
    return int(text)
