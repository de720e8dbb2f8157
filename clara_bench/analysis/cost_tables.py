"""Costs as tables and as plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from clara_bench.analysis.costs import PHASES, BreakEven, Costs, Spread, break_even, pairs
from clara_bench.reporting import captions
from clara_bench.reporting.formats import csv_text
from clara_bench.reporting.tables import Cell, Group, Table

NOTES = (
    "Seconds: of a question, median / 95th percentile, without the first batch of each session (warm-up); the "
    "questions of a batch share its seconds evenly. First token: retrieve, compress and prefill together.",
    "Operations: matrix multiplications and attention of the backbone, from its shape, of a question on average, and "
    "of a dense retriever's encoder where --encoder names it. `throughput --operations` counts text compressors too.",
)
EVEN = (
    "Assumptions of the break-even: each passage is compressed once and kept; every question reads as many passages as "
    "here; text is read anew for each question, with nothing kept of it; storage, its reading aside, is free. Seconds "
    "hold for this machine, batch size and load. It is the cost of compressing a passage over what a question saves: "
    "the questions asked of the collection must outnumber its passages by that factor."
)


def tables(found: Sequence[Costs]) -> list[Table]:
    """Offline, online, ratios, operations, and the break-even of each pair."""
    made = [_offline(found), _online(found), _ratios(found), _operations(found), break_even_table(found)]
    return [table for table in made if table.groups]


def notes(found: Sequence[Costs]) -> tuple[str, ...]:
    """What is said once, below all tables."""
    return (*NOTES, *([EVEN] if pairs(found) else ()))


Rows = Sequence[tuple[Costs, Sequence[str]]]
"""Cells of runs, which are grouped by what was asked."""


def _table(title: str, head: Sequence[str], rows: Rows, told: Sequence[str] = ()) -> Table:
    groups: dict[str, list[tuple[Cell, ...]]] = {}
    for one, cells in rows:
        groups.setdefault(_asked(one), []).append(tuple(map(Cell, cells)))
    return Table(title, tuple(head), tuple(Group(name, tuple(kept)) for name, kept in groups.items()), tuple(told))


def _asked(one: Costs) -> str:
    manifest = one.run.manifest
    origin = captions.source(manifest["data"]["provenance"])
    asked = f"{manifest['questions']['count']} questions, {manifest['setting']}"
    return f"{manifest['task']['name']} · {origin} · {asked}"


def _offline(found: Sequence[Costs]) -> Table:
    head = ("system", "passages", "tokens", "encoding s", "s per 1,000", "bytes a passage", "peak memory", "cache")
    rows: list[tuple[Costs, Sequence[str]]] = []
    unknown = []
    for one in found:
        off = one.offline
        each = None if off.seconds is None or not off.passages else 1000 * off.seconds / off.passages
        size = off.bytes / off.passages if off.passages else None
        peak = _size(off.peak_memory) + (f" + {_size(off.peak_accelerator)}" if off.peak_accelerator else "")
        cells = [_count(off.tokens), _short(off.seconds), _short(each), _count(size), peak]
        rows.append((one, [one.name, _count(off.passages), *cells, "warm" if off.cached else "cold"]))
        if off.cached and off.seconds is None and one.run.manifest["traits"].get("offline"):
            unknown.append(one.name)
    told = [f"Encoding not known, since a warm cache did not say what it took: {', '.join(unknown)}."]
    return _table("Offline, once for all passages", head, rows, told if unknown else ())


def _online(found: Sequence[Costs]) -> Table:
    head = ("system", "seconds", "first token", *PHASES, "questions", "warm-up", "batch", "threads")
    rows: list[tuple[Costs, Sequence[str]]] = []
    for one in found:
        on = one.online
        phases = [_spread(on.phases.get(phase)) for phase in PHASES]
        counts = [str(on.questions), str(on.warm_up), str(on.batch), _count(on.threads)]
        rows.append((one, [one.name, _spread(on.total), _spread(on.first_token), *phases, *counts]))
    return _table("Online, for each question", head, rows)


def _ratios(found: Sequence[Costs]) -> Table:
    head = ("system", "fold", "kept %", "removed %", "positions a passage", "vectors stored", "tokens encoded")
    rows = [
        (
            one,
            [
                one.name,
                f"{r.fold:.2f}x",
                f"{100 * r.kept:.1f}",
                f"{100 * r.removed:.1f}",
                _short(r.positions_per_passage),
                _count(r.stored_vectors),
                _count(r.source_tokens),
            ],
        )
        for one in found
        if (r := one.ratio) is not None
    ]
    return _table("Compression ratio: tokens of text per position", head, rows)


def _operations(found: Sequence[Costs]) -> Table:
    head = ("system", "a passage", "retrieve", "prefill", "decode", "a question")
    rows = [
        (one, [one.name, *map(_flops, (o.passage, o.retrieve, o.prefill, o.decode, o.question))])
        for one in found
        if (o := one.operations) is not None
    ]
    return _table("Floating-point operations, millions", head, rows)


def break_even_table(found: Sequence[Costs]) -> Table:
    """Each run that compresses ahead beside each that reads text."""
    head = ("compressed ahead", "instead of", "by", "a passage", "saved a question", "questions a passage")
    rows: list[tuple[Costs, Sequence[str]]] = []
    for pair in pairs(found):
        for even in break_even(*pair):
            shown = _flops if even.unit == "operations" else _short
            unit = "million operations" if even.unit == "operations" else even.unit
            cells = [even.compressed, even.text, unit, shown(even.passage), shown(even.saved), _questions(even)]
            rows.append((pair[1], cells))
    return _table("Break-even: questions a passage from which on compressing ahead is cheaper", head, rows)


def _questions(even: BreakEven) -> str:
    if even.saved <= 0:
        return "never"
    return "not known" if even.questions is None else f"{even.questions:.2f}"


def _spread(found: Spread | None) -> str:
    return "–" if found is None else f"{_short(found.median)} / {_short(found.p95)}"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value else "0"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _flops(value: float | None) -> str:
    return "–" if value is None else f"{value / 1e6:,.1f}"


def _size(value: int | None) -> str:
    return "–" if value is None else f"{value / 2**20:,.0f} MiB"


def to_builtins(found: Sequence[Costs]) -> dict[str, Any]:
    """Every run's costs, and the break-even of each pair."""
    plain: Callable[[Any], Any] = msgspec.to_builtins
    return {
        "costs": [
            {
                "run": str(one.run.path),
                **{name: plain(getattr(one, name)) for name in ("name", "offline", "online", "ratio", "operations")},
            }
            for one in found
        ],
        "break_even": [plain(even) for pair in pairs(found) for even in break_even(*pair)],
        "assumptions": EVEN,
    }


def to_csv(found: Sequence[Costs]) -> str:
    """One line a run."""
    head = ["system", "passages", "encoded_tokens", "encoding_seconds", "index_bytes", "cached", "peak_memory_bytes"]
    times = [f"{phase}_{part}" for phase in (*PHASES, "first_token", "seconds") for part in ("median", "p95")]
    counted = ["batch", "threads", "nominal", "fold", "passage_flops", "question_flops", "path"]
    return csv_text([[*head, *times, *counted], *map(_csv_row, found)])


def _csv_row(one: Costs) -> list[Any]:
    off, on = one.offline, one.online
    spreads = [*(on.phases.get(phase) for phase in PHASES), on.first_token, on.total]
    times = [value for s in spreads for value in ((s.median, s.p95) if s else (None, None))]
    ratio = [one.ratio.nominal, one.ratio.fold] if one.ratio else [None, None]
    flops = [one.operations.passage, one.operations.question] if one.operations else [None, None]
    paid = [off.passages, off.tokens, off.seconds, off.bytes, off.cached, off.peak_memory]
    return [one.run.manifest["system"]["label"], *paid, *times, on.batch, on.threads, *ratio, *flops, str(one.run.path)]
