"""The checks. Each reads two prompts and compares the log-probabilities of the next token.

A prompt is an instruction, a memory and a question, as a reader of memories sends it; all three are drawn at random
from the model's own token embeddings, so that the same prompt can be sent as token ids too. Two memories differ in
every vector or, harder, in the last few: a prefix cache whose keys leave embeddings out mistakes one for the other.
How far apart two prompts are is what transformers says.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

BEFORE, MEMORY, AFTER = 64, 192, 32
"""Tokens of the parts. Caches keep full blocks of 16 to 128 tokens: the memory lies within the first two of 128."""
BLOCK = 16
"""Vectors in which the harder pair of memories differs."""
SHOWN = 5
"""Best tokens that are compared."""

LogProbs = Mapping[int, float]
"""Of the likeliest next tokens, by token id."""


class Engine(Protocol):
    """Something that reads prompts."""

    cached_tokens: int | None
    """Tokens of the last prompt that came from a prefix cache; None where the engine does not tell."""

    @property
    def name(self) -> str:
        """What it is called where results are shown."""
        ...

    def read_ids(self, ids: Sequence[int]) -> LogProbs:
        """The next token after token ids."""
        ...

    def read_embeddings(self, embeddings: Any) -> LogProbs:
        """The next token after a (T, H) tensor."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison."""

    name: str
    apart: float
    """Largest difference of a log-probability, in nats."""
    expected: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Conformance:
    """What was found of an engine."""

    engine: str
    checks: tuple[Check, ...]
    prefix_caching: str
    """on, off, or not told."""

    @property
    def passed(self) -> bool:
        """Whether memories can be read with the engine as it runs."""
        return all(check.passed for check in self.checks)


def conformance(
    engine: Engine, reference: Engine, table: Any, tolerance: float, ahead: int = 0, seed: int = 0
) -> Conformance:
    """Check an engine.

    Args:
        engine: what is checked.
        reference: what says how far apart different prompts are.
        table: its model's (V, H) input embeddings.
        tolerance: nats by which the same prompt may differ when read twice.
        ahead: tokens that the engine itself puts before a prompt; the prompts' own instruction is shorter by so many.
        seed: of the prompts.
    """
    checks, cached = [], []
    for check, told in _checks(engine, reference, table, tolerance, max(0, BEFORE - ahead), random.Random(seed)):
        checks.append(check)
        cached.append(told)
    known = [count for count in cached if count is not None]
    caching = "not told" if not known else "on" if any(known) else "off"
    return Conformance(engine.name, tuple(checks), caching)


def _checks(
    engine: Engine, reference: Engine, table: Any, tolerance: float, first: int, draw: random.Random
) -> Iterator[tuple[Check, int | None]]:
    before, memory, after = (_ids(draw, len(table), count) for count in (first, MEMORY, AFTER))
    other = _ids(draw, len(table), MEMORY)
    memories = {"one": memory, "other": other, "alike": [*memory[:-BLOCK], *other[-BLOCK:]]}
    ids = {name: [*before, *held, *after] for name, held in memories.items()}
    prompts = {name: table[held] for name, held in ids.items()}
    read = {name: engine.read_embeddings(prompt) for name, prompt in prompts.items()}
    expected = {name: reference.read_embeddings(prompt) for name, prompt in prompts.items()}
    for name, said in (
        ("other", "two memories of equal length"),
        ("alike", f"memories that differ in {BLOCK} vectors"),
    ):
        yield _differ(f"{said} differ", _apart(read["one"], read[name]), _apart(expected["one"], expected[name])), None
    again = engine.read_embeddings(prompts["one"])
    yield _agree("the same memory twice agrees", read["one"], again, tolerance), engine.cached_tokens
    text = engine.read_ids(ids["one"])
    yield _agree("a memory of token embeddings is the text", read["one"], text, tolerance), engine.cached_tokens
    after_text = engine.read_embeddings(prompts["other"])
    yield _agree("a memory after a text of its length is itself", read["other"], after_text, tolerance), None


def _ids(draw: random.Random, vocabulary: int, count: int) -> list[int]:
    """Token ids from the middle of a vocabulary, whose ends hold special tokens."""
    return [draw.randrange(vocabulary // 4, 3 * vocabulary // 4) for _ in range(count)]


def _agree(name: str, one: LogProbs, other: LogProbs, tolerance: float) -> Check:
    apart = _apart(one, other)
    return Check(name, apart, f"at most {tolerance:g}", apart <= tolerance)


def _differ(name: str, apart: float, expected: float) -> Check:
    return Check(
        name, apart, f"at least {expected / 2:.3g}, half of transformers' {expected:.3g}", apart >= expected / 2
    )


def _apart(one: LogProbs, other: LogProbs) -> float:
    """The largest difference over the best tokens of each; of a token that one does not list, at least so much.

    >>> round(_apart({1: -0.5, 2: -1.0}, {1: -0.6, 2: -0.95}), 3)
    0.1
    """
    best = {token for found in (one, other) for token in sorted(found, key=found.__getitem__, reverse=True)[:SHOWN]}
    least, lowest = min(one.values()), min(other.values())
    return max(abs(one.get(token, least) - other.get(token, lowest)) for token in best)
