"""The lens on a trained model, with untrained models and other passages as controls.

    questions by the reasoner      the model
    questions by the compressor    the reasoner as it started, if it started as a copy
    questions, untrained           the backbone before any of its roles learned
    documents                      gold passages' memories against their own text

What a question's memory names counts where it is in the gold passages and not in the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from clara_bench import ConfigError
from reference.data.row import Row
from reference.data.row_files import read_joint
from reference.data.sources import open_source
from reference.lens.logit_lens import Lens, Named, better, decode, draw, named, pieces_of, render
from reference.model.clara import Clara
from reference.systems.serving import Weights

REASONER, COMPRESSOR, UNTRAINED, DOCUMENTS = (
    "questions by the reasoner",
    "questions by the compressor",
    "questions, untrained",
    "documents",
)


@dataclass(frozen=True, slots=True)
class Example:
    """One question's memory in words."""

    question: str
    lens: Lens
    passages: frozenset[str]
    """Word pieces of its gold passages."""
    asked: frozenset[str]
    """Word pieces of the question."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the lens shows."""

    examples: tuple[Example, ...]
    shares: dict[str, Named]
    worse: dict[str, float]
    """For each control, the p-value of the reasoner naming no more than it."""

    def shown(self, number: int) -> str:
        """An example as text."""
        example = self.examples[number]
        return f"{example.question}\n{render(example.lens, example.passages, example.asked)}"

    def table(self) -> list[list[str]]:
        """One row per kind of memory: its share, chance, and the p-values."""
        return [
            [name, f"{one.share:.3f}", f"{one.random_share:.3f}", f"{one.p_value:.2g}", _p(self.worse.get(name))]
            for name, one in self.shares.items()
        ]

    def draw(self, path: Path) -> None:
        """A picture of the first example and of all shares.

        Raises:
            MissingDependency: matplotlib is not installed.
            ConfigError: see `check_picture`.
        """
        check_picture(path)
        first = self.examples[0]
        draw(path, first.lens, first.passages, first.asked, first.question, self.shares)


def check_picture(path: Path) -> None:
    """Refuse a path where no picture can be written.

    Raises:
        ConfigError: its folder does not exist, or its suffix is not an image format.
    """
    if path.suffix not in (".png", ".svg", ".pdf") or not path.absolute().parent.is_dir():
        raise ConfigError(f"{path}: expected a file in a folder that is there, ending in .png, .svg or .pdf")


def questions_of(number: int, passages: int, seed: int = 0, path: Path | None = None) -> list[Row]:
    """Questions with their gold passages, of a dev world or from a file of rows for joint training.

    Raises:
        ConfigError: fewer than two questions, or a world of an impossible size.
        DataError: the file cannot be read, or has no two questions with gold passages.
    """
    if path is not None:
        rows = list(islice((row for row in read_joint(path) if row.positives), number))
    else:
        source = open_source("joint", {"split": "dev", "worlds": 1, "passages": passages, "seed": seed})
        rows = [source[place] for place in range(number)]
    if len(rows) < 2:
        raise ConfigError(f"{len(rows)} questions with gold passages, expected 2 or more")
    return rows


def look(checkpoint: str, rows: Sequence[Row], top: int = 50) -> Look:
    """Apply the lens to a checkpoint's memories.

    Args:
        checkpoint: folder from joint training, or the name of one that ships.
        rows: questions with gold passages.
        top: word pieces looked at of each vector.

    Raises:
        ConfigError: no such checkpoint, or it lacks a role.
    """
    model = Weights(checkpoint, ("compressor", "reasoner", "generator")).model
    model.add_role("untrained")
    questions = [row.turns[0].question for row in rows]
    gold = ["\n".join(row.documents[place] for place in row.positives) for row in rows]
    found, asked = _pieces(model, gold), _pieces(model, questions)
    roles = {REASONER: "reasoner", COMPRESSOR: "compressor", UNTRAINED: "untrained"}
    lenses = {name: decode(model, model.compress(questions, role=role), top=top) for name, role in roles.items()}
    shares = {name: named(each, found, asked) for name, each in lenses.items()}
    worse = {name: better(shares[REASONER], shares[name]) for name in (COMPRESSOR, UNTRAINED)}
    first = [row.documents[row.positives[0]] for row in rows]
    shares[DOCUMENTS] = named(decode(model, model.compress(first), top=top), _pieces(model, first))
    examples = zip(questions, lenses[REASONER], found, asked, strict=True)
    return Look(tuple(Example(*example) for example in examples), shares, worse)


def _pieces(model: Clara, texts: Sequence[str]) -> list[frozenset[str]]:
    return [pieces_of(model.tokenizer, text) for text in texts]


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"
