"""Configuration of a world: size, seed, difficulty, and their limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from clara_bench.errors import ConfigError

Split = Literal["train", "dev"]
Tier = Literal["easy", "hard"]

MIN_PASSAGES, MAX_PASSAGES = 200, 1_000_000
MIN_CANDIDATES, MAX_CANDIDATES = 10, 100
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
    """Any whole number."""
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

    def __post_init__(self) -> None:
        _within("seed", self.seed, -(2**63), 2**63 - 1)
        _within("passages", self.passages, MIN_PASSAGES, MAX_PASSAGES)
        _within("candidates", self.candidates, MIN_CANDIDATES, MAX_CANDIDATES)
        limit = self.passages // PASSAGES_PER_QUESTION
        hint = f" (half of its {self.passages} passages): ask for fewer questions or more passages"
        _within("questions", self.questions, 1, limit, hint)
        _one_of("split", self.split, get_args(Split))
        _one_of("tier", self.tier, get_args(Tier))
        if not 0.0 <= self.unanswerable_fraction <= 1.0:
            raise ConfigError(f"world: unanswerable_fraction is {self.unanswerable_fraction}, expected 0 to 1")


def _within(name: str, value: int, low: int, high: int, hint: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"world: {name} is {value!r}, expected a whole number")
    if not low <= value <= high:
        raise ConfigError(f"world: {name} is {value}, expected {low} to {high}{hint}")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"world: {name} is {value!r}, expected {' or '.join(known)}")
