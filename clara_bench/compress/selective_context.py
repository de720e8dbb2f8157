"""Selective-Context: drops the units with the lowest self-information under a language model.

Li et al. 2023, "Compressing Context to Enhance Inference Efficiency of Large Language Models", arXiv:2310.06201.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from clara_bench.components.registry import OPERATIONAL
from clara_bench.compress.shared.budget import budget, check_rate, check_tokens, fill
from clara_bench.compress.shared.checkpoints import DType
from clara_bench.compress.shared.sentences import split
from clara_bench.compress.shared.spans import Span, kept_text, left, passage_text
from clara_bench.compress.shared.surprisal import LanguageModel, Piece, all_ids, means
from clara_bench.read.models import DEFAULT_MODEL
from clara_bench.types import Passage, Question

Unit = Literal["token", "phrase", "sentence"]
_PHRASE_END = re.compile(
    r"[^\w\s]+(?=\s|$)|\s(?=(?:a|an|the|of|in|on|at|to|for|from|by|with|as|and|or|but|is|are|was|were|be|been|has|had"
    r"|have|that|which|who|whom|where|when|while|his|her|its|their|this|these|those)\s)|[，、；：。！？]",
    re.IGNORECASE,
)


class SelectiveContext:
    """Keeps the tokens, phrases or sentences of the highest self-information in each passage.

    The unit is the language model's token; at most tokens / rate of a passage stay, but one unit where there are
    any, and a character of several tokens is not cut. As in the original, the self-information of a phrase or
    sentence is the mean over its tokens. Unlike the original, which takes noun phrases from a parser, a phrase runs
    from one English function word or punctuation mark to the next; and a unit that crosses the budget is kept in
    part, so that the rate is met, where the original cuts at a percentile of units.
    """

    query_dependent: ClassVar[bool] = False
    rate_is_input: ClassVar[bool] = True
    may_be_empty: ClassVar[bool] = False
    offline: ClassVar[bool] = True

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `selective-context`."""

        rate: float = 4.0
        """Tokens before per token after, in the language model's tokenizer."""
        tokens: int | None = None
        """Tokens of the reader that may stay of all passages together, whatever `rate` says; none: `rate` decides."""
        unit: Unit = "phrase"
        """Unit that is kept or dropped: token, phrase or sentence."""
        model: str = field(default=DEFAULT_MODEL, metadata=OPERATIONAL)
        """The causal language model: hub id, folder or GGUF file."""
        dtype: DType = "float32"
        """Number format of the weights; auto: bfloat16 on a GPU, else float32."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""

        def __post_init__(self) -> None:
            check_rate(self.rate)
            check_tokens(self.tokens)

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Options()
        self.rate = self.options.rate
        self._lm = LanguageModel(self.options.model, self.options.dtype, self.options.device)

    def describe(self) -> Mapping[str, Any]:
        """Description of the model for the manifest."""
        return self._lm.describe()

    def prepare(self) -> None:
        """Load the model."""
        self._lm.prepare()

    def compress(self, question: Question, passages: Sequence[Passage]) -> tuple[str, ...]:
        """The most informative parts of each passage, in their order; titles are text like any other."""
        texts = [passage_text(passage) for passage in passages]
        found = [self._lm.pieces(text) for text in texts]
        nats = self._lm.surprisals([((), all_ids(pieces)) for pieces in found])
        return left(map(self._kept, texts, found, nats))

    def _kept(self, text: str, pieces: Sequence[Piece], nats: Sequence[float]) -> str:
        information = means(pieces, nats)
        units = _units(pieces, _ends(text, self.options.unit))
        sizes = [sum(len(pieces[place].ids) for place in unit) for unit in units]
        scores = [
            sum(information[place] * len(pieces[place].ids) for place in unit) / size
            for unit, size in zip(units, sizes, strict=True)
        ]
        kept: list[Span] = []
        for unit, tokens in zip(units, fill(scores, sizes, budget(sum(sizes), self.rate)), strict=True):
            for place in unit:
                if tokens > 0:
                    kept.append(pieces[place].span)
                tokens -= len(pieces[place].ids)
        return kept_text(text, kept)


def _ends(text: str, unit: Unit) -> list[int]:
    """Characters at which units end; where the unit is the token, all of them, for a piece is never cut."""
    sentences = [span.end for span in split(text)]
    if unit != "phrase":
        return sentences if unit == "sentence" else list(range(1, len(text) + 1))
    return sorted({*sentences, *(match.end() for match in _PHRASE_END.finditer(text))})


def _units(pieces: Sequence[Piece], ends: Sequence[int]) -> list[list[int]]:
    """Places of the pieces, those that begin before the same end together."""
    units: list[list[int]] = []
    passed = iter(ends)
    end = 0
    for place, piece in enumerate(pieces):
        if not units or piece.span.start >= end:
            end = next((other for other in passed if other > piece.span.start), piece.span.end)
            units.append([])
        units[-1].append(place)
    return units
