"""What a tracker is, and what it is told of a run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clara_bench.components.registry import Component, create, plugin_errors, reason
from clara_bench.io.parsing import read_json
from clara_bench.io.redaction import redacted
from clara_bench.io.terminal import note
from clara_bench.records.results import Run

EVERY = 5.0
"""Seconds between two tellings of progress, which go over a network."""

Progress = Callable[[int, int], None]


class Tracker(Protocol):
    """Where the numbers of a run go; a plug-in is a class with these three methods."""

    def start(self, name: str, config: Mapping[str, str]) -> None:
        """A run begins.

        Args:
            name: what it is, in a few words.
            config: what was asked for, without credentials.
        """

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Numbers by name, when so many questions are answered."""

    def finish(self) -> None:
        """The run is over, or has failed."""


@dataclass
class Tracking:
    """The trackers of a command. One that fails while a run goes on is left alone: answers matter more."""

    trackers: Sequence[Tracker]
    _failed: set[int] = field(default_factory=set)

    @contextlib.contextmanager
    def of(self, name: str, config: Mapping[str, str], progress: Progress) -> Iterator[Progress]:
        """Around one run; gives what is to be told of its progress.

        Raises:
            BenchError: a tracker cannot start.
        """
        for tracker in self.trackers:
            with plugin_errors(f"--log: {type(tracker).__name__} cannot start"):
                tracker.start(name, redacted(config))
        try:
            yield self._telling(progress) if self.trackers else progress
        finally:
            self._each(lambda tracker: tracker.finish(), failed=True)

    def scored(self, run: Run) -> None:
        """Tell the scores of a finished run: means, and the ends of their intervals."""
        if self.trackers:
            numbers = dict(_numbers(run))
            self._each(lambda tracker: tracker.log(numbers, run.manifest["questions"]["count"]))

    def _telling(self, progress: Progress) -> Progress:
        begun, told = time.monotonic(), [float("-inf"), -1]
        first: list[int] = []

        def tell(done: int, total: int) -> None:
            progress(done, total)
            first.append(done)
            now = time.monotonic()
            if done == told[1] or (done < total and now - told[0] < EVERY):
                return
            told[:] = [now, done]
            numbers = {"answered": float(done), "questions_per_second": (done - first[0]) / max(1e-9, now - begun)}
            self._each(lambda tracker: tracker.log(numbers, done))

        return tell

    def _each(self, tell: Callable[[Tracker], None], failed: bool = False) -> None:
        """Tell all trackers, or all but those that have failed."""
        for place, tracker in enumerate(self.trackers):
            if place in self._failed and not failed:
                continue
            try:
                tell(tracker)
            except Exception as error:
                if place in self._failed:
                    continue
                self._failed.add(place)
                name = type(tracker).__name__
                note(f"warning: --log: {name} is told nothing more: {reason(error)}. The run goes on")


def tracking(names: Sequence[str]) -> Tracking:
    """The trackers of some names, made before anything is asked.

    Raises:
        BenchError: there is none of a name, or its library is not installed.
    """
    return Tracking([create("tracker", Component(name)) for name in dict.fromkeys(names)])


def _numbers(run: Run) -> Iterator[tuple[str, float]]:
    for name, summary in read_json(run.path / "scores.json", dict)["metrics"].items():
        if summary["mean"] is not None:
            yield name, summary["mean"]
        for end, value in zip(("low", "high"), summary["ci95"] or (), strict=False):
            yield f"{name}.{end}", value
