"""The page: one HTML file that holds everything, or a folder whose questions are loaded when they are opened.

The file forbids itself to load or to run anything but its own two scripts, which it names by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from clara_bench.errors import MissingDependency
from clara_bench.io.cache import write_atomic
from clara_bench.report.bundle import converter, script
from clara_bench.report.charts import charts, config
from clara_bench.report.collect import Collected
from clara_bench.report.columns import packed_json

SCRIPTS = ("core.js", "charts.js", "tables.js", "summary.js", "compare.js", "questions.js", "start.js")


def html(collected: Collected, parts: bool = False, live: str = "") -> str:
    """The page.

    Args:
        collected: what it shows.
        parts: whether the questions lie beside it, in `parts/`.
        live: the version of the runs that a server shows, which tells of others; "" for a file.

    Raises:
        MissingDependency: what draws it is not installed.
    """
    require()
    from jinja2 import Environment
    from markupsafe import Markup

    style, app, vega = _asset("page.css"), _application(), script()
    data = {"report": packed_json(_told(collected, parts, live)), **({} if parts else _questions(collected))}
    page = Environment(autoescape=True).from_string(_asset("page.html.j2"))
    return page.render(
        title=collected.report.title,
        policy=_policy(style, (vega, app), parts, live),
        style=Markup(style),
        data=data,
        scripts=[Markup(vega), Markup(app)],
    )


def require() -> None:
    """Refuse early what could not be drawn at the end.

    Raises:
        MissingDependency: jinja2 or vl-convert-python is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise MissingDependency("clara-bench report", "jinja2", "report") from error
    converter("clara-bench report")


def write(collected: Collected, target: Path, parts: bool) -> list[Path]:
    """Write the page, and its parts beside it; returns the files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, html(collected, parts))
    if not parts:
        return [target]
    folder = target.parent / "parts"
    folder.mkdir(exist_ok=True)
    written = [target]
    for name, held in _questions(collected).items():
        written.append(folder / f"{name}.js")
        write_atomic(written[-1], f'claraPart("{name}","{held}");\n')
    return written


def _told(collected: Collected, parts: bool, live: str) -> Mapping[str, Any]:
    looks = {theme: {"config": config(theme), "charts": charts(theme)} for theme in ("light", "dark")}
    return {"report": collected.report, "looks": looks, "parts": parts, "live": live}


def _questions(collected: Collected) -> dict[str, str]:
    """Names and content of all that a page unpacks only when it is asked for."""
    return dict(_named(collected))


def _named(collected: Collected) -> Iterator[tuple[str, str]]:
    for number, packed in enumerate(collected.questions):
        yield f"asked-{number}", packed.asked
        yield f"outcomes-{number}", packed.outcomes
        for place, chunk in enumerate(packed.chunks):
            yield f"chunk-{number}-{place}", chunk


def _policy(style: str, scripts: tuple[str, ...], parts: bool, live: str) -> str:
    """What the page may do: nothing but what it came with."""
    allowed = [_hash(one) for one in scripts] + (["'self'", "file:"] if parts else [])
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(allowed)}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "connect-src 'self'" if live else "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _application() -> str:
    return "(() => {\n'use strict';\n" + "\n".join(map(_asset, SCRIPTS)) + "\n})();\n"


def _asset(name: str) -> str:
    return (files("clara_bench.report") / "assets" / name).read_text(encoding="utf-8")
