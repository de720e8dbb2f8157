"""LLMLingua-2: a token classifier, trained on a large model's compressions, selects the words to keep.

Pan et al. 2024, "LLMLingua-2: Data Distillation for Efficient and Faithful Task-Agnostic Prompt Compression",
arXiv:2403.12968. The published checkpoints are `microsoft/llmlingua-2-xlm-roberta-large-meetingbank` and
`microsoft/llmlingua-2-bert-base-multilingual-cased-meetingbank`; not verified with them yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clara_bench.components.registry import OPERATIONAL
from clara_bench.compress.shared.budget import budget, check_rate, check_tokens, fill
from clara_bench.compress.shared.spans import kept_text, left, passage_text, words
from clara_bench.compress.shared.token_classifier import Judged, TokenClassifier, mean_keep
from clara_bench.types import Passage, Question


class LLMLingua2:
    """Keeps the words with the highest probability under a token classifier, per passage.

    The unit is the word; at most words / rate of a passage stay, but one where there are any. A word's probability is
    the mean of its sub-words'. Unlike the original, passages are compressed one by one, so that it can be done
    before the question is known; chunks of 512 tokens end anywhere, not at a full stop; and no tokens are forced in.
    """

    query_dependent: ClassVar[bool] = False
    rate_is_input: ClassVar[bool] = True
    may_be_empty: ClassVar[bool] = False
    offline: ClassVar[bool] = True

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `llmlingua2`."""

        model: str = field(metadata=OPERATIONAL)
        """Hub id or folder of a token classifier with safetensors weights."""
        rate: float = 4.0
        """Words before per word after."""
        tokens: int | None = None
        """Tokens of the reader that may stay of all passages together, whatever `rate` says; none: `rate` decides."""
        label: str | None = None
        """The label that means "keep"; None for the last one."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""

        def __post_init__(self) -> None:
            check_rate(self.rate)
            check_tokens(self.tokens)

    def __init__(self, options: Options) -> None:
        self.options = options
        self.rate = options.rate
        self._classifier = TokenClassifier(options.model, options.label, False, options.device)

    @property
    def weights(self) -> str:
        """Whose they are, by the checkpoint's name."""
        return "official, unverified" if "llmlingua-2-" in self.options.model else ""

    def describe(self) -> Mapping[str, Any]:
        """Description of the model for the manifest."""
        return self._classifier.describe()

    def prepare(self) -> None:
        """Load the model."""
        self._classifier.prepare()

    def compress(self, question: Question, passages: Sequence[Passage]) -> tuple[str, ...]:
        """The words with the highest probability, in their order; titles are words too."""
        texts = [passage_text(passage) for passage in passages]
        return left(map(self._kept, texts, self._classifier.judge(texts)))

    def _kept(self, text: str, tokens: Sequence[Judged]) -> str:
        found = words(text)
        taken = fill(mean_keep(tokens, found), [1] * len(found), budget(len(found), self.rate))
        return kept_text(text, [word for word, amount in zip(found, taken, strict=True) if amount])
