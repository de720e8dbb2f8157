"""A scene: passages to be read together and questions about all of them, and the weights of its kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from clara_bench.errors import ConfigError, UnknownName
from clara_bench.worlds.knowledge.draw import Draw
from clara_bench.worlds.questions.chains import backlinked, chain, clued, joined, kinship, single
from clara_bench.worlds.questions.comparisons import bridge_comparison, comparison
from clara_bench.worlds.questions.plans import Ask, Desk, Plan


class Told(NamedTuple):
    """What one fact says of a passage's subject."""

    title: str
    value: str


class Asked(NamedTuple):
    """A question over the passages of a scene."""

    question: str
    answer: str
    kind: str
    """single, bridge, comparison, both, described, unknown, ..."""
    ask: Ask
    """value: the answer is what the last step tells; low, high, same: it follows from both branches of that step."""
    steps: tuple[tuple[Told, ...], ...]
    """What has to be found out, in order; a comparison has two branches in each step."""
    gold: tuple[int, ...]
    """Places, among the scene's passages, of those needed."""


class Scene(NamedTuple):
    """Some passages and questions over them."""

    passages: tuple[int, ...]
    """Entities, in the order to be read."""
    asked: tuple[Asked, ...]


Drafter = Callable[[Desk, int], Plan | None]


class _Kind(NamedTuple):
    """A kind of first question."""

    plan: Drafter
    passages: int
    """How many passages it needs."""


def _plain(plan: Callable[[Desk], Plan | None], passages: int) -> _Kind:
    return _Kind(lambda desk, _: plan(desk), passages)


KINDS: dict[str, _Kind] = {
    "single": _plain(single, 1),
    "bridge": _plain(partial(chain, kind="bridge", length=2), 2),
    "clue": _plain(clued, 2),
    "backlink": _plain(backlinked, 2),
    "inference": _plain(kinship, 2),
    "comparison": _Kind(comparison, 2),
    "bridge_comparison": _Kind(bridge_comparison, 4),
    "3hop1": _plain(partial(chain, kind="3hop1", length=3), 3),
    "4hop1": _plain(partial(chain, kind="4hop1", length=4), 4),
    "3hop2": _plain(partial(joined, shape="3hop2"), 3),
    "4hop2": _plain(partial(joined, shape="4hop2"), 4),
    "4hop3": _plain(partial(joined, shape="4hop3"), 4),
}
"""What a scene may start from; the joins need the hard tier."""
FURTHER = ("single", "bridge", "comparison", "both", "described", "unknown")
OTHERS = ("near", "alike", "same", "equal", "linked", "any")


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """What scenes are made of: weights, which need not add up to anything.

    Raises:
        ConfigError: a weight below 0, a name that is not known, or nothing to choose from.
    """

    passages: Sequence[float] = (1, 1, 1, 1, 1)
    """Weight of one passage, of two, and so on."""
    questions: int = 6
    """Maximum number per scene."""
    first: Mapping[str, float] = field(
        default_factory=lambda: {
            "single": 4, "bridge": 2, "clue": 1, "backlink": 1, "comparison": 2, "inference": 1, "bridge_comparison": 1
        }
    )  # fmt: skip
    """Weight of each kind of first question, by the names of `KINDS`; of those that the passages suffice for."""
    further: Mapping[str, float] = field(default_factory=lambda: {"single": 3, "bridge": 2, "comparison": 1})
    """Weight of each kind of further question, by the names of `FURTHER`; where one cannot be asked, a single is."""
    others: Mapping[str, float] = field(
        default_factory=lambda: {"near": 2, "alike": 4, "same": 2, "linked": 1, "any": 1}
    )
    """Weight of each way to choose a passage that the first question does not need. near: what its wrong reading
    leads to. alike: of a needed one's type, stating the same relation, its name sharing a piece; same: its name any.
    equal: states what a passage of the scene states too, so that they can be asked to be compared. linked: named by
    a passage of the scene. any: at random."""
    contested: float = 0.7
    """Share of further single questions about a relation that several passages of the scene state, if there are any."""

    def __post_init__(self) -> None:
        for name, known in (("first", KINDS), ("further", FURTHER), ("others", OTHERS)):
            weights: Mapping[str, float] = getattr(self, name)
            for key in weights:
                if key not in known:
                    raise UnknownName("kind", key, known, f"scene: {name}")
            _weights(name, list(weights.values()))
        _weights("passages", self.passages)
        if self.questions < 1:
            raise ConfigError(f"scene: questions is {self.questions}, expected 1 or more")
        for count, weight in enumerate(self.passages, 1):
            if weight > 0 and not any(self.first[kind] > 0 and KINDS[kind].passages <= count for kind in self.first):
                raise ConfigError(
                    f"scene: no kind of `first` fits {count} passages, to which `passages` gives a weight of {weight}"
                )


def _weights(name: str, weights: Sequence[float]) -> None:
    if min(weights, default=0) < 0 or sum(weights) <= 0:
        raise ConfigError(f"scene: the weights of `{name}` are {list(weights)}, expected none below 0 and one above it")


def pick(draw: Draw, weights: Mapping[str, float]) -> str:
    """A name, as often as its weight says; the weights are not all 0."""
    point = draw.fraction() * sum(weights.values())
    chosen = ""
    for name, weight in weights.items():
        chosen = name if weight > 0 else chosen
        point -= weight
        if point < 0:
            break
    return chosen
