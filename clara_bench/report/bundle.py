"""Vega, Vega-Lite and their embedding as one script, from the package `vl-convert-python`: nothing is downloaded.

Making the script takes seconds, so it is kept in the cache, by the package's version.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from clara_bench.errors import BackendError, MissingDependency
from clara_bench.io.cache import cache_dir, write_atomic

SNIPPET = "window.vegaEmbed = vegaEmbed;"


def converter(feature: str) -> Any:
    """The module that draws charts without a browser.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise MissingDependency(feature, "vl-convert-python", "report") from error
    return vl_convert


def script() -> str:
    """The script, safe to stand between script tags.

    Raises:
        MissingDependency: vl-convert-python is not installed.
    """
    module = converter("clara-bench report")
    try:
        kept = cache_dir("vega", version("vl-convert-python")) / "bundle.js"
        if kept.is_file():
            return kept.read_text(encoding="utf-8")
    except BackendError:
        return _inlined(module)
    made = _inlined(module)
    write_atomic(kept, made)
    return made


def _inlined(module: Any) -> str:
    made: str = module.javascript_bundle(SNIPPET)
    return made.replace("</script", "<\\/script").replace("<!--", "<\\!--")
