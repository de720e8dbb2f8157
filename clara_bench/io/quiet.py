"""Quiet loading of models."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


class _WithoutBars:
    """Standard error without what tqdm writes: lines drawn over themselves, and their end."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if self._stream is not None and not text.startswith("\r") and text != "\n":
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """In the block transformers draws no progress bars: weights load in a blink, and the bars would stay."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(cast(TextIO, _WithoutBars(sys.stderr))):  # GGUF files' bars know no switch
            yield
    finally:
        if drawn:
            logging.enable_progress_bar()
