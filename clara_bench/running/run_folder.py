"""The folder of a run in progress; its questions only grow."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clara_bench.errors import ConfigError
from clara_bench.records import results
from clara_bench.records.manifest import differences, read_manifest, write_manifest
from clara_bench.running.run_config import Request
from clara_bench.tasks.candidates import Frozen, select
from clara_bench.tasks.sources import TaskData
from clara_bench.types import ASKED_AGAIN, FAILURES, Example


class RunFolder:
    """A run's folder while its records are locked."""

    def __init__(self, path: Path) -> None:
        """Read the folder.

        Raises:
            DataError: its manifest is damaged or edited.
        """
        self.path = path
        there = (path / "manifest.json").exists()
        self._manifest: Mapping[str, Any] = read_manifest(path / "manifest.json") if there else {}

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """What earlier sessions took."""
        return list(self._manifest.get("sessions", ()))

    def sample(self, data: TaskData, request: Request, asked: tuple[Example, ...]) -> tuple[Example, ...]:
        """The questions asked for or, where the run holds more of the same order, all that it holds."""
        held = self._manifest["questions"]["count"] if self._manifest else 0
        if held <= len(asked):
            return asked
        warnings.warn(
            f"{self.path} holds {held} questions, --limit asks for {len(asked)} of them: its scores are of all {held}. "
            "Choose another --out for a smaller sample",
            stacklevel=3,
        )
        return select(data, held, request.seed, request.complete_gold, request.sampling)

    def refuse_other(self, frozen: Frozen, request: Request) -> None:
        """A question that was asked before must have the candidates that it had then.

        Raises:
            ConfigError: it has not: the first stage finds other passages each time, or the file was edited.
        """
        now = {example.question.id: example for example in frozen.examples}
        for example in results.read_questions(self.path, request.setting):
            if now.get(example.question.id, example) != example:
                raise ConfigError(
                    f"{self.path}: question '{example.question.id}' is not what it was when it was asked: its "
                    "candidates or its gold differ. Put questions.jsonl back as it was written, or choose another --out"
                )

    def refuse_other_shard(self, manifest: Mapping[str, Any]) -> None:
        """What is here must have been cut from the same run.

        Raises:
            ConfigError: it was not: of more or fewer questions, or other batches.
        """
        changed = list(differences(self._manifest.get("shard"), manifest["shard"])) if self._manifest else []
        if changed:
            raise ConfigError(
                f"{self.path} holds a shard of another run: its {', '.join(changed)} differ. "
                "Give the --limit and --batch that it was begun with, or choose another --out"
            )

    def missing(self, examples: Sequence[Example], retry_failed: bool) -> list[Example]:
        """Those without an answer, those that failed on the way to a model, and with `retry_failed` all that failed."""
        again = FAILURES if retry_failed else ASKED_AGAIN
        done = {record.id for record in results.read_records(self.path) if record.answer.status not in again}
        return [example for example in examples if example.question.id not in done]

    def write(self, frozen: Frozen, manifest: Mapping[str, Any]) -> None:
        """Update the manifest; scores of a smaller sample are removed first."""
        written = {example.question.id for example in results.read_questions(self.path, manifest["setting"])}
        if written != {example.question.id for example in frozen.examples}:
            (self.path / "scores.json").unlink(missing_ok=True)
            results.write_questions(self.path, frozen.examples)
        if any(self._manifest.get(key) != value for key, value in manifest.items()):
            write_manifest(self.path / "manifest.json", manifest)
