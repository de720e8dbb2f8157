"""RECOMP's extractive compressor: the sentences nearest to the question, over all passages.

Xu et al. 2024, "RECOMP: Improving Retrieval-Augmented LMs with Compression and Selective Augmentation",
arXiv:2310.04408.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from clara_bench.components import cuts
from clara_bench.components.registry import OPERATIONAL
from clara_bench.compress.shared.budget import budget, check_positive, check_rate, check_tokens
from clara_bench.compress.shared.sentences import best, chosen, documents, total_words
from clara_bench.retrieve.encoder import MINILM, Encoder
from clara_bench.types import Passage, Question

DECIMALS = 5
"""Digits kept of a cosine, so that equal sentences score the same in any batch."""


class RecompExtractive:
    """Keeps the sentences of the highest cosine with the question, in the order of the text.

    The unit is the word where a rate is asked: at most words / rate of all passages together stay, the last sentence
    chosen being cut; and the sentence where a number is. A passage's title goes with what is kept of it and counts
    in the rate. Unlike the original, which trains a Contriever and takes dot products, this is any sentence encoder
    and the cosine; and titles are kept.
    """

    query_dependent: ClassVar[bool] = True
    rate_is_input: ClassVar[bool] = True
    may_be_empty: ClassVar[bool] = False
    offline: ClassVar[bool] = False

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `recomp-extractive`."""

        rate: float | None = None
        """Words before per word after; none: `sentences` decides."""
        tokens: int | None = None
        """Tokens of the reader that may stay of all passages together, whatever `rate` says; none: `rate` decides."""
        sentences: int = 2
        """Sentences to keep of all passages together, where no rate is asked."""
        model: str = field(default=MINILM, metadata=OPERATIONAL)
        """Hub id or folder of a sentence-transformers model with safetensors weights."""
        batch_size: int = field(default=32, metadata=OPERATIONAL)
        """Sentences encoded at once."""
        device: str | None = field(default=None, metadata=OPERATIONAL)
        """Where the encoder runs: cpu, cuda, ...; none or auto: a GPU where there is one."""

        def __post_init__(self) -> None:
            check_positive("sentences", self.sentences)
            check_positive("batch_size", self.batch_size)
            if self.rate is not None:
                check_rate(self.rate)
            check_tokens(self.tokens)

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Options()
        self.rate = self.options.rate

    @cached_property
    def _encoder(self) -> Encoder:
        options = self.options
        where = None if options.device == "auto" else options.device
        return Encoder(options.model, None, None, None, options.batch_size, where)

    def describe(self) -> Mapping[str, Any]:
        """Description of the encoder for the manifest."""
        return {"model": self.options.model, **self._encoder.describe()}

    def compress(self, question: Question, passages: Sequence[Passage]) -> tuple[str, ...]:
        """The sentences nearest to the question."""
        found = documents(passages)
        texts = [sentence.text for document in found for sentence in document.sentences]
        if not texts:
            return ()
        if self._encoder.cuts_question(question.text) or any(self._encoder.cuts_passages(texts)):
            cuts.tell(question.id)
        vectors = self._encoder.passages(texts)  # (sentences, dimension)
        cosines = (vectors @ self._encoder.questions([question.text])[0]).round(DECIMALS).tolist()
        if self.rate is not None:
            return best(found, cosines, budget(total_words(found), self.rate))
        nearest = set(sorted(range(len(texts)), key=lambda place: -cosines[place])[: self.options.sentences])
        return chosen(found, [place in nearest for place in range(len(texts))])
