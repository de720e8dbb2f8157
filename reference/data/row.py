"""What a training row holds: documents, and questions over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["qa", "paraphrase"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the answer to learn."""

    question: str
    """"" for a paraphrase."""
    answer: str
    chain: str = ""
    """The reasoning before the answer, such as the name of the person in between; "" for none."""


@dataclass(frozen=True, slots=True)
class Row:
    """Documents, and questions over all of them."""

    id: str
    documents: tuple[str, ...]
    """Each is "Title\\ntext", or as the file has it."""
    turns: tuple[Turn, ...]
    kind: Kind = "qa"
    """`paraphrase`: the single answer rephrases the single document."""
    positives: tuple[int, ...] = ()
    """Positions of the supporting documents; empty if unknown."""

    @property
    def length(self) -> int:
        """Characters, documents and turns together: rows of similar length are batched together."""
        turns = sum(len(turn.question) + len(turn.chain) + len(turn.answer) for turn in self.turns)
        return turns + sum(map(len, self.documents))
