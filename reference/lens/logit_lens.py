"""The logit lens: each memory vector through the language model's output head, compared with chance.

Memory vectors are final states, already normalised, so the head is applied to them as they are: a second final norm
would be one too many. `decode` gives the likeliest word pieces of every vector; `named` measures which share of them
stands in the passages that answer a question but not in the question itself, against passages of other questions
(CLaRa, arXiv 2511.18659, section 4.5 and figure 4, shows one example; here it is a rate with a p-value).

Shapes: M memory vectors, H hidden, V vocabulary, Q questions, W distinct word pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from clara_bench import MissingDependency
from clara_bench.tokens import text_ids

TOP = 50
"""Word pieces looked at of each vector (the paper's number)."""
SHORTEST = 2
"""Letters or digits that a word piece needs to count."""


class Piece(NamedTuple):
    """A word piece that a memory vector decodes to."""

    text: str
    """Normalised by `normal`."""
    probability: float
    """Over the full vocabulary."""


class Lens(NamedTuple):
    """A document's or a question's memory, decoded."""

    slots: tuple[tuple[Piece, ...], ...]
    """The likeliest word pieces of each vector, best first, without pieces that are not words."""

    @property
    def pieces(self) -> frozenset[str]:
        """All pieces of all vectors."""
        return frozenset(piece.text for slot in self.slots for piece in slot)


def normal(piece: str) -> str:
    """A word piece in lower case without spaces; "" if it is not a word.

    >>> normal(" Oklahoma"), normal("),"), normal(" A")
    ('oklahoma', '', '')
    """
    bare = piece.strip().casefold()
    return bare if sum(letter.isalnum() for letter in bare) >= SHORTEST else ""


def pieces_of(tokenizer: Any, text: str) -> frozenset[str]:
    """The word pieces of a text, normalised as in a lens."""
    ids = text_ids(tokenizer, [" " + text])[0]
    return frozenset(filter(None, map(normal, tokenizer.batch_decode([[token] for token in ids]))))


@torch.no_grad()
def decode(model: Any, memories: Sequence[Tensor], role: str = "generator", top: int = TOP) -> list[Lens]:
    """Decode memories into word pieces.

    Args:
        model: `Clara`.
        memories: of documents from `compress`, of questions from `query`; each (M, H).
        role: whose output head is asked; with adapters all roles have the backbone's.
        top: word pieces per vector, before those that are not words are left out.
    """
    head, tokenizer = model.role(role), model.tokenizer
    weight_VH = head.lm.get_output_embeddings().weight
    special = set(tokenizer.all_special_ids)
    words: dict[int, str] = {}
    lenses = []
    for memory_MH in memories:
        likely_MV = head.logits(memory_MH.to(weight_VH)).float().softmax(-1)
        probabilities_MT, ids_MT = likely_MV.topk(min(top, likely_MV.shape[1]))
        for token in set(ids_MT.flatten().tolist()) - words.keys():
            words[token] = "" if token in special else normal(tokenizer.decode([token]))
        rows = zip(ids_MT.tolist(), probabilities_MT.tolist(), strict=True)
        lenses.append(Lens(tuple(_slot([words[token] for token in ids], shares) for ids, shares in rows)))
    return lenses


def _slot(words: Sequence[str], probabilities: Sequence[float]) -> tuple[Piece, ...]:
    """Pieces that are words, without duplicates: " Film" and "film" count as one, with the higher probability."""
    best: dict[str, float] = {}
    for word, probability in zip(words, probabilities, strict=True):
        if word:
            best.setdefault(word, probability)
    return tuple(Piece(*item) for item in best.items())


class Named(NamedTuple):
    """How many decoded pieces occur in the lenses' own passages."""

    share: float
    """Mean over questions: of the pieces in a lens, the fraction in its passages and not in its question."""
    random_share: float
    """The same with passages of other questions: chance, given what passages have in common."""
    p_value: float
    """How often randomly assigned passages do as well: one-sided permutation test."""
    shares_Q: np.ndarray
    """The fraction for each question."""
    random_Q: np.ndarray
    """For each question the mean fraction over all other questions' passages."""


def named(
    lenses: Sequence[Lens],
    passages: Sequence[frozenset[str]],
    questions: Sequence[frozenset[str]] | None = None,
    permutations: int = 10_000,
    seed: int = 0,
) -> Named:
    """Test whether lenses name words of their own passages more often than words of others'.

    Args:
        lenses: of questions' memories, or of documents'.
        passages: the word pieces of each one's passages.
        questions: the word pieces to leave out, a question's own; None for lenses of documents.
        permutations: of the passages, for the p-value.
        seed: of the permutations.

    Raises:
        ValueError: fewer than two questions, or not as many passages.
    """
    shares_QQ = _shares(lenses, passages, questions or [frozenset()] * len(lenses))
    number = len(shares_QQ)
    own_Q = shares_QQ.diagonal()
    others_Q = (shares_QQ.sum(1) - own_Q) / (number - 1)
    dice = np.random.default_rng(seed)
    dealt = [shares_QQ[np.arange(number), dice.permutation(number)].mean() for _ in range(permutations)]
    p_value = (1 + sum(share >= own_Q.mean() - 1e-12 for share in dealt)) / (1 + permutations)
    return Named(float(own_Q.mean()), float(others_Q.mean()), float(p_value), own_Q.copy(), others_Q)


def _shares(
    lenses: Sequence[Lens], passages: Sequence[frozenset[str]], questions: Sequence[frozenset[str]]
) -> np.ndarray:
    """Of the pieces of lens i, the fraction in passages j and not in question i (Q, Q)."""
    if not len(lenses) == len(passages) == len(questions) or len(lenses) < 2:
        counts = f"{len(lenses)} lenses, {len(passages)} passages, {len(questions)} questions"
        raise ValueError(f"expected two or more of each and equally many, got {counts}")
    columns = {piece: column for column, piece in enumerate(sorted(set().union(*(lens.pieces for lens in lenses))))}
    named_QW = _indicators([lens.pieces - asked for lens, asked in zip(lenses, questions, strict=True)], columns)
    sizes_Q = np.array([max(1, len(lens.pieces)) for lens in lenses])
    return named_QW @ _indicators(passages, columns).T / sizes_Q[:, None]


def _indicators(sets: Sequence[frozenset[str]], columns: dict[str, int]) -> np.ndarray:
    rows_QW = np.zeros((len(sets), len(columns)))
    for row, pieces in enumerate(sets):
        rows_QW[row, [columns[piece] for piece in pieces if piece in columns]] = 1
    return rows_QW


def better(ours: Named, theirs: Named, permutations: int = 10_000, seed: int = 0) -> float:
    """One-sided p-value of the first naming more than the second on the same questions, above chance each.

    The statistic is a question's share minus its random share, so that a lens does not win by naming what occurs
    in every passage; paired permutation test that swaps the two at random.
    """
    gains_Q = (ours.shares_Q - ours.random_Q) - (theirs.shares_Q - theirs.random_Q)
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (permutations, len(gains_Q)))
    swapped = signs @ gains_Q / len(gains_Q)
    return float((1 + (swapped >= gains_Q.mean() - 1e-12).sum()) / (1 + permutations))


Where = Literal["found", "asked", "neither"]


def where(piece: str, passage: frozenset[str], question: frozenset[str]) -> Where:
    """Whether a piece is the question's own, only the passages', or in neither."""
    return "asked" if piece in question else "found" if piece in passage else "neither"


MARKS: dict[Where, str] = {"found": "+", "asked": "=", "neither": " "}


def render(lens: Lens, passage: frozenset[str], question: frozenset[str] = frozenset(), most: int = 12) -> str:
    """A lens as text, one line per vector: + is in the passages only, = in the question, unmarked in neither."""
    lines = []
    for number, slot in enumerate(lens.slots):
        marked = [f"{MARKS[where(piece.text, passage, question)]}{piece.text}" for piece in slot[:most]]
        lines.append(f"{number:>3}  {'  '.join(marked)}")
    return "\n".join(lines)


COLOURS: dict[Where, str] = {"found": "#2a9d3a", "asked": "#3a6ea5", "neither": "#9a9a9a"}


def draw(
    path: Path,
    lens: Lens,
    passage: frozenset[str],
    question: frozenset[str] = frozenset(),
    title: str = "",
    systems: dict[str, Named] | None = None,
    most: int = 10,
) -> None:
    """Draw a lens, its pieces coloured by where they occur, next to the shares of complete systems.

    Args:
        path: .png, .svg or .pdf.
        lens: the example.
        passage: the word pieces of its passages.
        question: the word pieces of its question.
        title: over the example, such as the question.
        systems: by name; each gets a bar next to the bar of chance.
        most: pieces of a vector.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingDependency("drawing a lens", "matplotlib", "reference") from error
    height = 1.2 + 0.32 * max(4, len(lens.slots))
    figure = Figure(figsize=(13 if systems else 10, height), layout="constrained")
    left, *right = figure.subplots(1, 2 if systems else 1, width_ratios=[3, 1] if systems else [1], squeeze=False)[0]
    _draw_example(left, lens, passage, question, most)
    left.set_title(title, fontsize=10, loc="left", wrap=True)
    if systems:
        _draw_shares(right[0], systems)
    figure.savefig(path, dpi=150)


def _draw_example(axes: Any, lens: Lens, passage: frozenset[str], question: frozenset[str], most: int) -> None:
    for number, slot in enumerate(lens.slots):
        for place, piece in enumerate(slot[:most]):
            colour = COLOURS[where(piece.text, passage, question)]
            axes.text(place, number, piece.text.replace("$", r"\$"), color=colour, fontsize=9, va="center")
    axes.set(xlim=(-0.3, most), ylim=(len(lens.slots) - 0.5, -0.5), ylabel="memory vector", xticks=[])
    axes.set_yticks(range(len(lens.slots)))
    labels: dict[Where, str] = {
        "found": "in the passages, not in the question",
        "asked": "in the question",
        "neither": "in neither",
    }
    for kind, label in labels.items():
        axes.scatter([], [], color=COLOURS[kind], label=label, marker="s")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, frameon=False, fontsize=8)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _draw_shares(axes: Any, systems: dict[str, Named]) -> None:
    names = list(systems)
    places = np.arange(len(names))
    for offset, label, colour, pick in (
        (-0.2, "own passages", COLOURS["found"], "shares_Q"),
        (0.2, "other questions' passages", COLOURS["neither"], "random_Q"),
    ):
        values = [getattr(systems[name], pick) for name in names]
        errors = [1.96 * value.std(ddof=1) / len(value) ** 0.5 for value in values]
        axes.bar(places + offset, [value.mean() for value in values], 0.4, yerr=errors, color=colour, label=label)
    axes.set_xticks(places, [f"{name}\np = {systems[name].p_value:.2g}" for name in names], fontsize=8)
    axes.set_ylabel("share of pieces in the passages, not in the question", fontsize=8)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
