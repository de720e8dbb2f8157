"""What a table says, in sentences and budgets, made from its paired comparisons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from clara_bench import metrics
from clara_bench.report.model import Budget, Choice, Pairs, Row, Section, Sentence, Table, Value, Verdict, places
from clara_bench.reporting.formats import head, p_cell, plain, signed
from clara_bench.reporting.leaderboard import COSTS
from clara_bench.statistics.significance import LEVEL

TOKENS = COSTS[0]
COMPRESSORS = ("text compressor", "latent compressor")


class Compared:
    """The pairs of a table, looked up by row."""

    def __init__(self, pairs: Pairs, rows: int) -> None:
        self._pairs = pairs
        self._place = {pair: place for place, pair in enumerate(places(rows))}

    def less(self, row: int, baseline: int) -> tuple[Value, float | None]:
        """The difference of a row minus a baseline, with its interval and p after Holm."""
        if baseline < row:
            at = self._place[baseline, row]
            return (self._pairs.mean[at], self._pairs.low[at], self._pairs.high[at]), self._pairs.p_holm[at]
        at = self._place[row, baseline]
        mean, low, high = (_negative(ends[at]) for ends in (self._pairs.mean, self._pairs.high, self._pairs.low))
        return (mean, low, high), self._pairs.p_holm[at]


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def choices(rows: Sequence[Row], sections: Sequence[Section], pairs: Pairs) -> tuple[Choice, ...]:
    """For each section without a control what to use, best supported first: the one with most rows that search."""
    compared = Compared(pairs, len(rows))
    found = []
    for number, section in enumerate(sections):
        there = [place for place, row in enumerate(rows) if row.section == number]
        if section.control or len(there) < 2:
            continue
        budgets = _budgets(there, rows, compared)
        found.append(Choice(number, _sentence(there, rows, pairs, compared), budgets))
    counts = Counter(row.section for row in rows)
    searching = {number: section.setting not in ("gold", "closed") for number, section in enumerate(sections)}
    return tuple(sorted(found, key=lambda one: (not searching[one.section], -counts[one.section])))


def _mean(row: Row, metric: str) -> float | None:
    return row.metrics.get(metric, (None, None, None))[0]


def _best(there: Sequence[int], rows: Sequence[Row], metric: str) -> list[int]:
    """Places of the rows that have the metric, best first."""
    sign = -1 if metrics.get(metric).higher_is_better else 1
    known = [(sign * value, place) for place in there if (value := _mean(rows[place], metric)) is not None]
    return [place for _, place in sorted(known)]


def _sentence(there: Sequence[int], rows: Sequence[Row], pairs: Pairs, compared: Compared) -> Sentence | None:
    """The best compressor against the best full text; else the best row against the next."""
    ranked = _best(there, rows, pairs.metric)
    text = [place for place in ranked if rows[place].family == "full text"]
    shorter = [place for place in ranked if rows[place].family in COMPRESSORS]
    if len(ranked) < 2:
        return None
    row, baseline = (shorter[0], text[0]) if text and shorter else (ranked[0], ranked[1])
    (mean, low, high), p = compared.less(row, baseline)
    metric, values = metrics.get(pairs.metric), [_mean(rows[place], pairs.metric) for place in (row, baseline)]
    if mean is None or low is None or high is None or p is None:
        return None
    higher = (mean > 0) == metric.higher_is_better
    verdict: Verdict = "undecided" if p >= LEVEL or not mean else "higher" if higher else "lower"
    unit = " %" if metric.unit == "fraction" else ""
    points = " points" if metric.unit == "fraction" else ""
    moved, *ends = (signed(metric, value, values[0]).replace("-", "−") for value in (mean, low, high))
    told = (
        f"{rows[row].name} has {head(pairs.metric).upper()} {plain(metric, values[0])}{unit}, {rows[baseline].name} "
        f"{plain(metric, values[1])}{unit}: {SAID[verdict]} ({moved}{points}, 95 % CI {' to '.join(ends)}, p {_p(p)} "
        f"after Holm over {pairs.family} pairs){_saved(rows[row], rows[baseline])}."
    )
    return Sentence(told, verdict, (row, baseline))


def _p(value: float) -> str:
    said = p_cell(value)
    return said if said.startswith("<") else f"= {said}"


def _saved(row: Row, baseline: Row) -> str:
    ours, theirs = _mean(row, TOKENS), _mean(baseline, TOKENS)
    if not ours or not theirs or abs(theirs / ours - 1) < 0.05:
        return ""
    fewer = theirs > ours
    return f", with {max(ours, theirs) / min(ours, theirs):.1f} times {'fewer' if fewer else 'more'} context tokens"


def _budgets(there: Sequence[int], rows: Sequence[Row], compared: Compared) -> tuple[Budget, ...]:
    """The Pareto front by context tokens, each row compared with the cheaper one that is enough so far.

    A row that is not significantly better than a cheaper one does not take its place.
    """
    front = [place for place in there if TOKENS in rows[place].pareto]
    found: list[Budget] = []
    enough: int | None = None
    for place in sorted(front, key=lambda one: _mean(rows[one], TOKENS) or 0.0):
        gain, p = ((None, None, None), None) if enough is None else compared.less(place, enough)
        found.append(Budget(place, _mean(rows[place], TOKENS) or 0.0, enough, gain, p))
        if enough is None or (p is not None and p < LEVEL):
            enough = place
    return tuple(found)


SAID: Mapping[Verdict, str] = MappingProxyType(
    {
        "higher": "significantly better",
        "lower": "significantly worse",
        "undecided": "no significant difference",
    }
)


def headline(tables: Sequence[Table]) -> str:
    """One sentence over all tables: how often compressors are better than full text."""
    firsts = [(table, choice.sentence) for table in tables for choice in table.choices[:1] if choice.sentence]
    told = [(table, said) for table, said in firsts if table.rows[said.rows[0]].family in COMPRESSORS]
    if not told:
        return firsts[0][1].text if firsts else ""
    if len(told) == 1:
        return told[0][1].text
    counts = Counter(said.verdict for _, said in told)
    parts = [f"{said} in {counts[verdict]}" for verdict, said in SAID.items() if counts[verdict]]
    return (
        f"The best compressor against the best system that reads full text, over {len(told)} sets of questions: "
        f"{', '.join(parts)}."
    )


CONTROLS = {
    "empty": "no passage",
    "last": "the last gold passage alone",
    "first": "the first gold passage alone",
    "random": "randomly drawn candidates",
}
"""What a control gives to read."""


def described(manifest: Mapping[str, Any]) -> str:
    """What the system of a run reads and who reads it, from its manifest, in words."""
    options = manifest["system"]["options"]
    who = _named(options.get("reader")) or options.get("checkpoint") or manifest["traits"].get("backbone")
    evidence = _evidence(manifest, options)
    shown = "" if evidence == CONTROLS["empty"] else f", {_form(manifest, options)}"
    return f"{evidence}{shown}" + (f"; read by {who}" if who else "")


def _named(component: Any) -> str:
    """A component of a system with its model; "" for what is none."""
    if not isinstance(component, Mapping) or "name" not in component:
        return ""
    model = component.get("options", {}).get("model")
    return f"{component['name']} ({model})" if model else str(component["name"])


def _evidence(manifest: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    control = manifest["request"].get("control")
    if manifest["setting"] == "closed" or control in CONTROLS:
        return CONTROLS[control or "empty"]
    if manifest["setting"] == "gold":
        found = "the gold passages"
    else:
        number = f"{options['k']} " if "k" in options else ""
        found = f"the {number}passages that {_named(options.get('retriever')) or 'the system itself'} ranks first"
    return f"{found} for another question" if control == "shuffled" else found


def _form(manifest: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    rate = manifest["traits"].get("nominal_ratio")
    at = f" at {rate:g}x" if rate else ""
    if compressor := _named(options.get("compressor")):
        return f"shortened by {compressor}{at}"
    if press := options.get("press"):
        return f"as keys and values that {press} keeps{at}"
    compressor = manifest["traits"].get("compressor")
    return f"as memories by {compressor}{at} nominal" if compressor else "as text"
