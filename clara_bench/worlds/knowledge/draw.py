"""Random choices that are the same on every machine and Python version."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A stream of choices that depends on nothing but the parts it is made from.

    Only `random.Random.random` is used: of the generator's methods it is the one whose stream
    Python promises to keep.
    """

    __slots__ = ("_generator", "fraction")

    def __init__(self, *parts: str | int) -> None:
        key = "\x1f".join(map(str, parts)).encode()
        self._generator = random.Random(int.from_bytes(hashlib.sha256(key).digest(), "big"))
        self.fraction = self._generator.random
        """The next number in [0, 1)."""

    def reseed(self, number: int) -> None:
        """Restart the stream at a number; far cheaper than a new Draw."""
        self._generator.seed(number)

    def below(self, bound: int) -> int:
        """An integer from 0 to bound - 1."""
        return int(self.fraction() * bound)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.fraction() < probability

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[int(self.fraction() * len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order."""
        result = list(items)
        fraction = self.fraction
        for last in range(len(result) - 1, 0, -1):
            other = int(fraction() * (last + 1))
            result[last], result[other] = result[other], result[last]
        return result
