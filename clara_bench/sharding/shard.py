"""Which questions of a run a shard holds.

A run's questions go to the system in batches. Shard 3 of 16 holds batches 3, 19, 35, ...: whole batches, since in
half precision an answer may depend on the others of its batch. Candidates, controls and the passages that a system
indexes are those of the whole run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clara_bench.errors import ConfigError
from clara_bench.io.cache import digest
from clara_bench.records.manifest import Manifest, ShardPart
from clara_bench.records.results import offered_hash, questions_hash
from clara_bench.tasks.candidates import Frozen
from clara_bench.types import Example


@dataclass(frozen=True, slots=True)
class Shard:
    """One of the parts of a run."""

    number: int
    """From 1."""
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A shard as the command line names it.

        >>> Shard.parse("3/16")
        Shard(number=3, of=16)

        Raises:
            ConfigError: it is none.
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(f"--shard '{text}': expected NUMBER/OF, from 1/16 to 16/16 for instance")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        """As on the command line."""
        return f"{self.number}/{self.of}"

    @property
    def suffix(self) -> str:
        """What follows the run's name in the name of the shard's folder."""
        return f"-shard-{self.number}-of-{self.of}"


def cut(whole: Frozen, shard: Shard, batch: int) -> Frozen:
    """The questions of a shard, with the passages of the whole run.

    Raises:
        ConfigError: the run has fewer batches than shards.
    """
    batches = _batches(whole.examples, batch)
    if shard.of > len(batches):
        raise ConfigError(
            f"--shard {shard}: {len(whole.examples)} questions in batches of {batch} make {len(batches)} shards at "
            "most. Choose fewer shards, or a smaller --batch"
        )
    examples = tuple(example for taken in batches[shard.number - 1 :: shard.of] for example in taken)
    asked = questions_hash(examples)
    return replace(
        whole, examples=examples, questions_hash=asked, candidates_hash=digest([whole.candidates_hash, asked])
    )


def joined(parts: Sequence[Sequence[Example]], batch: int) -> list[Example]:
    """The questions of a run from those of its shards, by number: what `cut` has divided."""
    dealt = [_batches(examples, batch) for examples in parts]
    rounds = max(map(len, dealt))
    return [example for turn in range(rounds) for batches in dealt for example in (batches[turn : turn + 1] or [[]])[0]]


def _batches(examples: Sequence[Example], batch: int) -> list[Sequence[Example]]:
    return [examples[start : start + batch] for start in range(0, len(examples), batch)]


def divided(manifest: Mapping[str, Any], part: Frozen, shard: Shard) -> dict[str, Any]:
    """The manifest of a shard, from that of the whole run."""
    told: ShardPart = {
        "number": shard.number,
        "of": shard.of,
        "batch": manifest["request"]["batch"],
        "questions": manifest["questions"],
        "candidates": manifest["candidates"],
    }
    asked = {"count": len(part.examples), "hash": part.questions_hash, "offered": offered_hash(part.examples)}
    return {
        **manifest,
        "questions": {**manifest["questions"], **asked},
        "candidates": {**manifest["candidates"], "hash": part.candidates_hash},
        "shard": told,
    }


def shard_of(manifest: Manifest) -> Shard | None:
    """Which shard a run is; None for a whole run."""
    part = manifest.get("shard")
    return Shard(part["number"], part["of"]) if part else None
