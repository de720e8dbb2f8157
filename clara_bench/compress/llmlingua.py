"""LLMLingua: drops passages, then tokens, with low surprisal under a language model.

Jiang et al. 2023, "LLMLingua: Compressing Prompts for Accelerated Inference of Large Language Models",
arXiv:2310.05736.
Written from the paper: the package `llmlingua` downloads a vocabulary for counting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clara_bench.components.registry import OPERATIONAL
from clara_bench.compress.shared.budget import budget, check_positive, check_rate, check_tokens, shares
from clara_bench.compress.shared.checkpoints import DType
from clara_bench.compress.shared.iterative_pruning import prune
from clara_bench.compress.shared.spans import kept_text, left
from clara_bench.compress.shared.surprisal import LanguageModel, Piece, all_ids
from clara_bench.read.models import DEFAULT_MODEL
from clara_bench.types import Passage, Question


class LLMLingua:
    """Keeps the passages of the highest perplexity, and in them the tokens of the highest surprisal.

    The unit is the language model's token; at most tokens / rate of all passages together stay, and a character of
    several tokens is not cut. Full passages are chosen until they hold `coarse` times the budget (Algorithm 1), then
    pruned segment by segment (Algorithm 2). Unlike the original, only passages are compressed: instruction and
    question are the reader's own. And the tokens kept of a segment are its best, as many as the budget has room for,
    where the original takes a threshold from the segment's distribution.
    """

    query_dependent: ClassVar[bool] = False
    rate_is_input: ClassVar[bool] = True
    may_be_empty: ClassVar[bool] = False
    offline: ClassVar[bool] = False

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `llmlingua`."""

        rate: float = 4.0
        """Tokens before per token after, in the language model's tokenizer."""
        tokens: int | None = None
        """Tokens of the reader that may stay of all passages together, whatever `rate` says; none: `rate` decides."""
        coarse: float = 2.0
        """Passages are chosen until they hold this many times the tokens that may stay."""
        segment: int = 100
        """Tokens judged together, after what was kept before them."""
        model: str = field(default=DEFAULT_MODEL, metadata=OPERATIONAL)
        """The causal language model: hub id, folder or GGUF file."""
        dtype: DType = "float32"
        """Number format of the weights; auto: bfloat16 on a GPU, else float32."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""

        def __post_init__(self) -> None:
            check_rate(self.rate)
            check_tokens(self.tokens)
            check_positive("segment", self.segment)
            if not self.coarse >= 1:
                raise ValueError(f"coarse must be at least 1, got {self.coarse}")

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
        """The compressed passages in their order; titles are treated as text."""
        texts, found = self._lm.texts(passages)
        if not found:
            return ()
        sizes = [len(all_ids(pieces)) for pieces in found]
        allowed = budget(sum(sizes), self.rate)
        order = sorted(range(len(found)), key=[-nats for nats in self.perplexities(found)].__getitem__)
        chosen = sorted(until(order, sizes, self.options.coarse * allowed))
        spans = prune(
            self._lm,
            [found[place] for place in chosen],
            shares([sizes[place] for place in chosen], allowed),
            self.options.segment,
        )
        return left(kept_text(texts[place], kept) for place, kept in zip(chosen, spans, strict=True))

    def perplexities(self, found: Sequence[Sequence[Piece]]) -> list[float]:
        """Mean surprisal of each passage, in nats: the logarithm of its perplexity."""
        rows = self._lm.surprisals([((), all_ids(pieces)) for pieces in found])
        return [sum(nats) / len(nats) for nats in rows]


def until(order: Sequence[int], sizes: Sequence[int], tokens: float) -> list[int]:
    """The first of the order, up to and with the one that makes them hold `tokens`.

    >>> until([2, 0, 1], [10, 10, 10], 15)
    [2, 0]
    """
    chosen: list[int] = []
    held = 0
    for place in order:
        if held >= tokens:
            break
        chosen.append(place)
        held += sizes[place]
    return chosen
