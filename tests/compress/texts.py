"""What a compressor leaves, as one text."""

from __future__ import annotations

from collections.abc import Iterable

from clara_bench.compress.shared.spans import SEPARATOR


def whole(texts: Iterable[str]) -> str:
    """All that is left of the passages, in reading order."""
    return SEPARATOR.join(texts)
