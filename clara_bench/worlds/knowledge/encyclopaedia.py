"""The entities of a world and every fact about them, in columns.

A million passages fit in memory because a fact is one cell of a list: an entity's number, a year, an
index into a list of words, or None where the passage does not state it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from clara_bench.worlds.config import WorldConfig
from clara_bench.worlds.knowledge.draw import Draw
from clara_bench.worlds.knowledge.names import name_all
from clara_bench.worlds.knowledge.ontology import (
    AWARDED,
    FEWEST_ENTITIES,
    LITERALS,
    MENTION,
    RELATIONS,
    SHARES,
    is_entity,
)

Column = list[int | None]


class Receipt(NamedTuple):
    """An award that a person received, and where."""

    award: int
    city: int


class Encyclopaedia:
    """Entities are numbered from 0, type by type; a value is an entity, a year, a number or an index of a word.

    Completed by `facts.encyclopaedia`; here it has names but no facts.
    """

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.hard = config.tier == "hard"
        self.group = config.group
        """Entities that share a passage: neighbours in number, and of one type."""
        self.names: list[str] = []
        self.pieces: list[tuple[int, int]] = []
        """The first two pieces of each name, as indexes into the pools of its type."""
        self.members: dict[str, range] = {}
        """The entities of each type."""
        for kind, passages in count_types(config.passages).items():
            count = passages * self.group
            self.members[kind] = range(len(self.names), len(self.names) + count)
            naming = name_all(kind, count, config.split, self.draw(f"names of {kind}"), config.version > 1)
            self.names += naming.names
            self.pieces += naming.pieces
        awards = len(self.members["company"])
        self.awards = name_all("award", awards, config.split, self.draw("names of award"), config.version > 1).names
        self.columns: dict[str, Column] = {}
        self.female = bytearray(len(self.members["person"]))
        self.receipts: dict[int, tuple[Receipt, Receipt]] = {}
        """Person -> two awards from different sponsors, received in different cities."""
        self.mentions: dict[int, int] = {}
        """Host of a passage about people -> the work, band or company that it mentions."""
        self.order = self.draw("order").shuffled(range(0, len(self.names), self.group))
        """Hosts of the passages in the order of the corpus."""
        self._kinds = list(self.members)
        self._starts = [members.start for members in self.members.values()]
        self._holders: dict[str, dict[int, list[int]]] = {}
        self._ranked: dict[str, list[int]] = {}

    def draw(self, purpose: str) -> Draw:
        """A stream of choices for one purpose; it depends on all that the corpus depends on, and nothing else."""
        config = self.config
        shape = () if config.version == 1 else (config.version, config.members, config.facts)
        return Draw("world", config.seed, config.split, config.tier, config.passages, *shape, purpose)

    def kind(self, entity: int) -> str:
        """The type of an entity."""
        return self._kinds[bisect_right(self._starts, entity) - 1]

    def host(self, entity: int) -> int:
        """The entity that gives its name to the passage about this one."""
        return entity - entity % self.group

    def inside(self, host: int) -> range:
        """The entities that a passage is about."""
        return range(host, host + self.group)

    def told(self, host: int, key: str) -> list[int]:
        """The values of a relation that a passage states, one for each member that has it."""
        values = (self.value(entity, key) for entity in self.inside(host))
        return [value for value in values if value is not None]

    def value(self, entity: int, key: str) -> int | None:
        """The value of a relation, None where the passage does not state it."""
        return self.columns[key][entity - self.members[RELATIONS[key].subject].start]

    def surface(self, key: str, value: int) -> str:
        """A value as the passage spells it."""
        target = RELATIONS[key].target
        if is_entity(target):
            return self.names[value]
        if target == "text":
            return self.awards[value] if key == "company.award" else LITERALS[key][value]
        return f"{value:,}" if target == "number" else str(value)

    def holders(self, key: str, value: int) -> list[int]:
        """The entities whose passages state this value, in a fixed order."""
        return self._index(key).get(value, [])

    def ranked(self, key: str) -> list[int]:
        """The entities whose passages state a relation, by value."""
        if key not in self._ranked:
            self._ranked[key] = [entity for _, entity in sorted((value, entity) for entity, value in self._cells(key))]
        return self._ranked[key]

    def shared_values(self, key: str) -> list[int]:
        """The values that two or more passages state."""
        return [value for value, holders in self._index(key).items() if len(holders) > 1]

    def alike(self, entity: int) -> list[int]:
        """The other entities of its type that share a piece of its name."""
        kind = self.kind(entity)
        first, second = self.pieces[entity]
        found = self.holders(f"{kind}#0", first) + self.holders(f"{kind}#1", second)
        return [other for other in found if other != entity]

    def _index(self, key: str) -> dict[int, list[int]]:
        if key not in self._holders:
            found: dict[int, list[int]] = defaultdict(list)
            for entity, value in self._cells(key):
                found[value].append(entity)
            self._holders[key] = dict(found)
        return self._holders[key]

    def _cells(self, key: str) -> Iterator[tuple[int, int]]:
        if key == MENTION:
            yield from self.mentions.items()
        elif key == AWARDED:
            yield from ((person, receipt.award) for person, pair in self.receipts.items() for receipt in pair)
        elif "#" in key:
            kind, piece = key.split("#")
            yield from ((entity, self.pieces[entity][int(piece)]) for entity in self.members[kind])
        else:
            start = self.members[RELATIONS[key].subject].start
            cells = enumerate(self.columns[key], start)
            yield from ((entity, value) for entity, value in cells if value is not None)


def count_types(passages: int) -> dict[str, int]:
    """How many entities of each type a world has; they add up to the number of passages."""
    counts = {kind: max(FEWEST_ENTITIES, int(passages * share)) for kind, share in SHARES.items()}
    counts["person"] += passages - sum(counts.values())
    return counts
