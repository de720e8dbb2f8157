"""The charts, as Vega and Vega-Lite specifications: the page fills them in a browser, `plots` writes them to files.

The frontier is Vega, whose labels keep clear of each other; the others are Vega-Lite. Data stand in `data`, titles in
`encoding` or `axes`; colours are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from typing import Any

from clara_bench.analysis.explain import CAUSES
from clara_bench.report.model import FAMILIES

Spec = dict[str, Any]

VEGA, LITE = "https://vega.github.io/schema/vega/v6.json", "https://vega.github.io/schema/vega-lite/v6.json"
LIGHT = {"ink": "#1b1f24", "soft": "#5a6472", "grid": "#e4e8ed"}
DARK = {"ink": "#e8ebef", "soft": "#a3adba", "grid": "#333a44"}
FAMILY = {"light": ("#0072b2", "#00855f", "#c04d00", "#6b7280"), "dark": ("#56b4e9", "#2fc79a", "#f0a04b", "#9aa4b2")}
SHAPES = ("circle", "square", "diamond", "triangle-up")
SERIES = {
    "light": ("#0072b2", "#c04d00", "#00855f", "#a8568a", "#8a6d00", "#3a8fc4", "#6b7280", "#7a3e9d"),
    "dark": ("#56b4e9", "#f0a04b", "#2fc79a", "#d98cba", "#e3cf4a", "#9ad0f5", "#9aa4b2", "#c39bdf"),
}
CAUSE = {
    "light": ("#7fb8d8", "#d55e00", "#cc79a7", "#e69f00", "#f0e442", "#1b1f24", "#c3c9d1"),
    "dark": ("#2f6f97", "#e07b39", "#cc79a7", "#e6a93a", "#e3d94a", "#f2f4f7", "#5a6472"),
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def config(theme: str) -> Spec:
    """The look of all charts, light or dark."""
    look = LIGHT if theme == "light" else DARK
    axis = {
        "labelColor": look["soft"], "titleColor": look["soft"], "gridColor": look["grid"], "domainColor": look["grid"],
        "tickColor": look["grid"], "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 500, "labelPadding": 6,
        "titlePadding": 10, "ticks": False, "domain": False, "labelLimit": 220, "labelFont": FONT, "titleFont": FONT,
    }  # fmt: skip
    legend = {"labelColor": look["ink"], "titleColor": look["soft"], "labelFontSize": 12, "orient": "top",
              "labelFont": FONT, "symbolStrokeWidth": 2, "labelLimit": 260}  # fmt: skip
    return {"background": None, "axis": axis, "legend": legend, "view": {"stroke": None}, "font": FONT,
            "style": {"note": {"fill": look["soft"]}}}  # fmt: skip


def charts(theme: str) -> dict[str, Spec]:
    """Every chart, without data."""
    return {"frontier": frontier(theme), "recall": recall(theme), "ladder": ladder(theme), "causes": causes(theme),
            "curves": curves(theme)}  # fmt: skip


def frontier(theme: str) -> Spec:
    """Quality against a cost. Data: name, family, x, y, low, high, front."""
    return {
        "$schema": VEGA,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": {"left": 5, "right": 5, "top": 5, "bottom": 10},
        "width": 760,
        "height": 440,
        "data": [
            {"name": "rows", "values": []},
            {"name": "front", "source": "rows", "transform": [{"type": "filter", "expr": "datum.front"}]},
        ],
        "scales": [
            {"name": "x", "type": "log", "domain": {"data": "rows", "field": "x"}, "range": "width", "padding": 30},
            {"name": "y", "domain": {"data": "rows", "fields": ["low", "high"]}, "range": "height", "padding": 12},
            {"name": "colour", "type": "ordinal", "domain": list(FAMILIES), "range": list(FAMILY[theme])},
            {"name": "shape", "type": "ordinal", "domain": list(FAMILIES), "range": list(SHAPES)},
        ],
        "axes": [
            {"orient": "bottom", "scale": "x", "grid": False, "title": "", "tickCount": 6, "format": "~s"},
            {"orient": "left", "scale": "y", "grid": True, "title": "", "tickCount": 6},
        ],
        "legends": [{"fill": "colour", "shape": "shape", "direction": "horizontal", "symbolStrokeWidth": 0}],
        "marks": _frontier_marks((LIGHT if theme == "light" else DARK)["soft"]),
    }


def _frontier_marks(soft: str) -> list[Spec]:
    """The front as steps, an interval and a point a row, and labels that keep clear of points and each other."""
    x, y = {"scale": "x", "field": "x"}, {"scale": "y", "field": "y"}
    low, high = {"scale": "y", "field": "low"}, {"scale": "y", "field": "high"}
    colour, shape = {"scale": "colour", "field": "family"}, {"scale": "shape", "field": "family"}
    anchors = ["top-right", "right", "bottom-right", "top-left", "left", "bottom-left", "top", "bottom"]
    label = {"type": "label", "size": {"signal": "[width, height]"}, "offset": [4, 6], "anchor": anchors, "padding": 12,
             "avoidMarks": ["points", "steps"], "sort": {"field": "datum.datum.rank"}}  # fmt: skip
    return [
        {**_mark("line", "front", x=x, y=y, interpolate={"value": "step-after"}, stroke={"value": soft},
                 strokeWidth={"value": 1.2}, strokeDash={"value": [5, 4]}), "name": "steps"},
        _mark("rule", "rows", x=x, y=low, y2=high, stroke=colour, strokeOpacity={"value": 0.45},
              strokeWidth={"value": 1.6}),
        {**_mark("symbol", "rows", x=x, y=y, fill=colour, shape=shape, tooltip={"signal": "datum.tip"},
                 size={"signal": "datum.front ? 110 : 62"}), "name": "points"},
        {**_mark("text", "points", text={"field": "datum.name"}, fill={"field": "fill"}, fontSize={"value": 12},
                 font={"value": FONT}, fontWeight={"signal": "datum.datum.front ? 600 : 400"}), "transform": [label]},
    ]  # fmt: skip


def _mark(kind: str, data: str, **update: Spec) -> Spec:
    return {"type": kind, "from": {"data": data}, "encode": {"update": update}}


def recall(theme: str) -> Spec:
    """Recall by depth, a line a ranking. Data: name, depth, recall, low, high."""
    colour = {"field": "name", "type": "nominal", "title": None, "scale": {"range": list(SERIES[theme])},
              "legend": {"columns": 3, "symbolType": "stroke"}}  # fmt: skip
    x = {"field": "depth", "type": "quantitative", "title": "passages of the ranking (k)",
         "scale": {"type": "log", "nice": False},
         "axis": {"values": [1, 2, 3, 5, 10, 20], "grid": False, "format": "d"}}  # fmt: skip
    y = {"field": "recall", "type": "quantitative", "title": "recall@k, %", "scale": {"domain": [0, 100]}}
    band = {"mark": {"type": "rule", "strokeOpacity": 0.5},
            "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}}}  # fmt: skip
    return {"$schema": LITE, "width": 760, "height": 360, "autosize": {"type": "fit", "contains": "padding"},
            "data": {"values": []}, "encoding": {"x": x, "color": colour},
            "layer": [{"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"y": y}}, band,
                      {"mark": {"type": "point", "filled": True, "size": 46},
                       "encoding": {"y": y, "tooltip": {"field": "tip"}}}]}  # fmt: skip


def ladder(theme: str) -> Spec:
    """A ladder of evidence. Data: rung, value, order, label."""
    x = {"field": "value", "type": "quantitative", "title": "", "scale": {}, "axis": {"tickCount": 6}}
    y: Spec = {"field": "rung", "type": "nominal", "title": None, "sort": []}
    ink = (LIGHT if theme == "light" else DARK)["ink"]
    return {"$schema": LITE, "width": 760, "height": 170, "data": {"values": []},
            "autosize": {"type": "fit", "contains": "padding"},
            "encoding": {"y": y}, "layer": [
                {"mark": {"type": "bar", "height": 16, "cornerRadiusEnd": 3, "color": FAMILY[theme][0]},
                 "encoding": {"x": x, "tooltip": {"field": "tip"}}},
                {"mark": {"type": "text", "align": "left", "dx": 6, "color": ink},
                 "encoding": {"x": {"field": "value", "type": "quantitative"},
                              "text": {"field": "label"}}}]}  # fmt: skip


def causes(theme: str) -> Spec:
    """Shares of questions by cause, a bar a group. Data: group, order, cause, rank, count."""
    x = {"field": "count", "type": "quantitative", "stack": "normalize", "title": "share of questions",
         "axis": {"format": ".0%", "grid": False, "tickCount": 5}}  # fmt: skip
    colour = {"field": "cause", "type": "nominal", "title": None,
              "scale": {"domain": list(CAUSES), "range": list(CAUSE[theme])}, "legend": {"columns": 4}}  # fmt: skip
    return {"$schema": LITE, "width": 760, "height": 200, "data": {"values": []},
            "autosize": {"type": "fit", "contains": "padding"},
            "mark": {"type": "bar", "height": 15},
            "encoding": {"x": x, "color": colour, "order": {"field": "rank"}, "tooltip": {"field": "tip"},
                         "y": {"field": "group", "type": "nominal", "title": None, "sort": []}}}  # fmt: skip


def curves(theme: str) -> Spec:
    """A number of trainings by step. Data: training, step, value."""
    colour = {"field": "training", "type": "nominal", "title": None, "scale": {"range": list(SERIES[theme])},
              "legend": {"columns": 3, "symbolType": "stroke"}}  # fmt: skip
    return {"$schema": LITE, "width": 760, "height": 380, "autosize": {"type": "fit", "contains": "padding"},
            "data": {"values": []}, "mark": {"type": "line", "strokeWidth": 1.8},
            "encoding": {"x": {"field": "step", "type": "quantitative", "title": "step", "axis": {"grid": False}},
                         "y": {"field": "value", "type": "quantitative", "title": "", "scale": {"zero": False}},
                         "color": colour}}  # fmt: skip
