"""Deferred handling of termination signals."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stopping() -> Iterator[list[BaseException]]:
    """Collects SIGTERM and Ctrl-C to raise later; a second signal takes effect at once."""
    asked: list[BaseException] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    raised = {signal.SIGINT: KeyboardInterrupt(), signal.SIGTERM: SystemExit(128 + signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        asked.append(raised[signal.Signals(number)])

    before: dict[signal.Signals, Any] = {number: signal.getsignal(number) or signal.SIG_DFL for number in raised}
    for number in raised:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
