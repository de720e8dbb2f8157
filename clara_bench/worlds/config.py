"""Configuration of a world: size, seed, difficulty, and their limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from clara_bench.errors import ConfigError

Split = Literal["train", "dev"]
Tier = Literal["easy", "hard"]

MIN_PASSAGES, MAX_PASSAGES = 200, 1_000_000
MIN_CANDIDATES, MAX_CANDIDATES = 10, 100
VERSION = 3
"""The newest version of the worlds."""
OPTIONS_OF_2 = ("version", "members", "facts", "decoys", "closeness", "unseen_forms")
PASSAGES_PER_QUESTION = 2
"""A world carries at most one question for this many passages."""


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """Parameters of a synthetic encyclopaedia; the same config gives the same world on every machine.

    The passages depend on seed, split, tier and passages alone, so the four schemas share one corpus
    and asking for more questions does not change it.

    Raises:
        ConfigError: a value out of its range.
    """

    seed: int = 0
    """Any integer."""
    questions: int = 500
    """Rows; at most half as many as there are passages."""
    passages: int = 2000
    """Passages in the corpus, exactly; 200 to 1,000,000."""
    split: Split = "dev"
    """Worlds of different splits share no entity name, whatever their seeds and sizes."""
    tier: Tier = "hard"
    """easy: at most one person, place, year, number ... a passage, so that the kind of value asked for finds it.
    hard: several (director, star and composer of one film), so that the relation must be read."""
    candidates: int = 20
    """Passages offered with each question, gold included; 10 to 100."""
    unanswerable_fraction: float = 0.0
    """Share of questions, 0 to 1, from whose candidates one gold passage is taken away (musique only).
    It stays in the corpus: such a question has no answer in its own candidates."""
    version: int = 1
    """1: a passage is about one entity. 2: a passage is about several of a type, which state the same relations with
    other values, so that no passage alone answers a question of two hops. 3: as 2, and what tells the needed passages
    from others without names is gone. The options below are of versions 2 and 3."""
    members: int = 3
    """Entities that a passage is about; 2 to 6. A reader of the right relation in the right passage gets one in so
    many right."""
    facts: int = 4
    """Facts, at most, that a passage states of each member; 2 to 7. Three members with four facts: about 90 words."""
    decoys: int = 4
    """Other chains of the same relations, from other entities, among the candidates of a chain; 0 to 6."""
    closeness: float = 0.75
    """Share of the remaining candidates that are like a gold passage, by name or by relation; 0 to 1."""
    unseen_forms: float = 0.5
    """Share of a dev world's questions in wordings that no train world uses; 0 to 1."""

    def __post_init__(self) -> None:
        _within("seed", self.seed, -(2**63), 2**63 - 1)
        _within("passages", self.passages, MIN_PASSAGES, MAX_PASSAGES)
        _within("candidates", self.candidates, MIN_CANDIDATES, MAX_CANDIDATES)
        limit = self.passages // PASSAGES_PER_QUESTION
        hint = f" (half of its {self.passages} passages): ask for fewer questions or more passages"
        _within("questions", self.questions, 1, limit, hint)
        _one_of("split", self.split, get_args(Split))
        _one_of("tier", self.tier, get_args(Tier))
        _within("version", self.version, 1, VERSION)
        _within("members", self.members, 2, 6)
        _within("facts", self.facts, 2, 7)
        _within("decoys", self.decoys, 0, 6)
        for name in ("unanswerable_fraction", "closeness", "unseen_forms"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"world: {name} is {value}, expected 0 to 1")
        if self.version == 1:
            self._refuse_options_of_version_2()

    def _refuse_options_of_version_2(self) -> None:
        for one in fields(self):
            if one.name in OPTIONS_OF_2 and getattr(self, one.name) != one.default:
                raise ConfigError(
                    f"world: {one.name} is an option of versions 2 and 3, and version is 1. Add version=3"
                )

    @property
    def group(self) -> int:
        """Entities that a passage is about."""
        return self.members if self.version > 1 else 1

    def described(self) -> dict[str, Any]:
        """The options that shape this world, for manifests: those of version 2 only where they count."""
        return {name: value for name, value in asdict(self).items() if self.version > 1 or name not in OPTIONS_OF_2}


def _within(name: str, value: int, low: int, high: int, hint: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"world: {name} is {value!r}, expected a whole number")
    if not low <= value <= high:
        raise ConfigError(f"world: {name} is {value}, expected {low} to {high}{hint}")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"world: {name} is {value!r}, expected {' or '.join(known)}")
