"""LongLLMLingua: keeps the passages that make the question likely, and their tokens that the question makes likely.

Jiang et al. 2024, "LongLLMLingua: Accelerating and Enhancing LLMs in Long Context Scenarios via Prompt Compression",
arXiv:2310.06839. Written from the paper, as `llmlingua` is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clara_bench.components import cuts
from clara_bench.components.registry import OPERATIONAL
from clara_bench.compress.llmlingua import until
from clara_bench.compress.shared.budget import budget, check_fraction, check_positive, check_rate, check_tokens, shares
from clara_bench.compress.shared.checkpoints import DType
from clara_bench.compress.shared.iterative_pruning import prune
from clara_bench.compress.shared.spans import SEPARATOR, kept_text, left
from clara_bench.compress.shared.surprisal import LanguageModel, Piece, all_ids
from clara_bench.read.models import DEFAULT_MODEL
from clara_bench.types import Passage, Question

RESTRICTION = " The documents above hold the answer to this question."
"""Follows the question when a passage is judged, as the paper's restrictive statement does; the words are ours."""


class LongLLMLingua:
    """Keeps the passages after which the question is likeliest, and in them the tokens that the question explains.

    The unit is the language model's token; at most tokens / rate of all passages together stay, and a character of
    several tokens is not cut. Passages are chosen as in `llmlingua`, best first; better ones are pruned
    less, with the ratios scaled so that the budget is met. Unlike the original, the contrast is of surprisals, not of
    perplexities; instruction and question are not compressed; and answers are not mended afterwards from the text that
    was left out (subsequence recovery), for the answer is the reader's. A passage longer than the model's window is
    judged by its end.
    """

    query_dependent: ClassVar[bool] = True
    rate_is_input: ClassVar[bool] = True
    may_be_empty: ClassVar[bool] = False
    offline: ClassVar[bool] = False

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `longllmlingua`."""

        rate: float = 4.0
        """Tokens before per token after, in the language model's tokenizer."""
        tokens: int | None = None
        """Tokens of the reader that may stay of all passages together, whatever `rate` says; none: `rate` decides."""
        coarse: float = 2.0
        """Passages are chosen until they hold this many times the tokens that may stay."""
        spread: float = 0.3
        """Bonus on the kept share of the best passage, decreasing over the following ones (the paper's delta tau)."""
        reorder: bool = True
        """Put the best passage first; false: the order given."""
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
            check_fraction("spread", self.spread)
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
        """The compressed passages, best first; titles are treated as text."""
        texts, found = self._lm.texts(passages)
        sizes = [len(all_ids(pieces)) for pieces in found]
        allowed = budget(sum(sizes), self.rate)
        order = sorted(range(len(found)), key=self.perplexities(question, found).__getitem__)
        chosen = until(order, sizes, self.options.coarse * allowed)
        share = dict(zip(chosen, _allowed([sizes[p] for p in chosen], allowed, self.options.spread), strict=True))
        read = chosen if self.options.reorder else sorted(chosen)
        asked, room = self._lm.ids(question.text), self._lm.window // 4
        if len(asked) > room:
            cuts.tell(question.id)
        asked = asked[:room] + self._lm.ids(SEPARATOR)
        kept = prune(self._lm, [found[p] for p in read], [share[p] for p in read], self.options.segment, asked)
        return left(kept_text(texts[place], spans) for place, spans in zip(read, kept, strict=True))

    def perplexities(self, question: Question, found: Sequence[Sequence[Piece]]) -> list[float]:
        """Mean surprisal, in nats, of the question after each passage: the lower, the better."""
        asked = self._lm.ids(question.text + RESTRICTION)
        between = self._lm.ids(SEPARATOR)
        rows = self._lm.surprisals([((*all_ids(pieces), *between), asked) for pieces in found])
        return [sum(nats) / len(asked) for nats in rows]


def _allowed(sizes: Sequence[int], total: int, spread: float) -> list[int]:
    """Tokens that may stay of each passage, best first: the paper's dynamic ratios, scaled to sum to the total.

    >>> _allowed([100, 100, 100], 100, 0.3)
    [48, 34, 18]
    >>> _allowed([100, 100, 100], 100, 0)
    [33, 33, 34]
    """
    if not sizes:
        return []
    mean = total / sum(sizes)
    ratios = [min(max(mean + (1 - 2 * rank / len(sizes)) * spread, 0), 1) for rank in range(len(sizes))]
    wanted = shares([ratio * size for ratio, size in zip(ratios, sizes, strict=True)], total)
    allowed = [min(share, size) for share, size in zip(wanted, sizes, strict=True)]
    spare = total - sum(allowed)
    for rank, size in enumerate(sizes):  # what was more than a passage holds goes to the best that has room
        more = min(spare, size - allowed[rank])
        allowed[rank] += more
        spare -= more
    return allowed
