"""EXIT: a language model sees question and passage and classifies every sentence as useful or not.

Hwang et al. 2024, "EXIT: Context-Aware Extractive Compression for Enhancing Retrieval-Augmented Generation",
arXiv:2412.12559.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clara_bench.components.registry import OPERATIONAL
from clara_bench.compress.shared.budget import check_fraction, check_positive
from clara_bench.compress.shared.checkpoints import DType
from clara_bench.compress.shared.sentences import Document, Sentence, chosen, documents
from clara_bench.compress.shared.spans import kept_text
from clara_bench.compress.shared.surprisal import LanguageModel
from clara_bench.compress.shared.yes_no import first_tokens, log_odds, message_ids
from clara_bench.read.models import DEFAULT_MODEL
from clara_bench.types import Passage, Question

PROMPT = """Question: {question}

Passage:
{passage}

Sentence:
{sentence}

Does this sentence help to answer the question? Say only Yes or No."""


class Exit:
    """Keeps the sentences that a language model calls useful, in the order of the text, under their titles.

    The rate is an outcome, and nothing may be left. Unlike the original, the model is any causal one, untrained for
    this (the paper trains an adapter of Gemma-2B), asked in our own words; sentences are found by rules, not by a
    parser; and of a passage longer than `context_words` only the part around the sentence is shown.
    """

    query_dependent: ClassVar[bool] = True
    rate_is_input: ClassVar[bool] = False
    may_be_empty: ClassVar[bool] = True
    offline: ClassVar[bool] = False
    rate: ClassVar[None] = None

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `exit`."""

        threshold: float = 0.5
        """Least P(Yes) / (P(Yes) + P(No)) at which a sentence stays."""
        context_words: int = 400
        """Words of a passage shown with each of its sentences; longer passages are shown in parts."""
        model: str = field(default=DEFAULT_MODEL, metadata=OPERATIONAL)
        """The causal language model: hub id, folder or GGUF file."""
        dtype: DType = "float32"
        """Number format of the weights; auto: bfloat16 on a GPU, else float32."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""

        def __post_init__(self) -> None:
            check_fraction("threshold", self.threshold)
            check_positive("context_words", self.context_words)

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Options()
        self._lm = LanguageModel(self.options.model, self.options.dtype, self.options.device)

    def describe(self) -> Mapping[str, Any]:
        """Description of the model for the manifest."""
        return self._lm.describe()

    def prepare(self) -> None:
        """Load the model."""
        self._lm.prepare()

    def compress(self, question: Question, passages: Sequence[Passage]) -> tuple[str, ...]:
        """Keep the chosen sentences."""
        found = documents(passages)
        useful = [one for document in found for one in self.usefulness(question, document)]
        return chosen(found, [one >= self.options.threshold for one in useful])

    def usefulness(self, question: Question, document: Document) -> list[float]:
        """P(Yes) / (P(Yes) + P(No)) of each sentence of a passage.

        Raises:
            BackendError: the model begins Yes and No alike.
            ValueError: the model cannot read as much at once as `context_words` shows it.
        """
        yes, no = first_tokens(self._lm, ("Yes", "No"))
        odds = []
        for part in _parts(document.sentences, self.options.context_words):
            shown = kept_text(document.text, [*document.title, *(span for one in part for span in one.words)])
            prompts = [self._prompt(question.text, shown, one.text) for one in part]
            odds += log_odds(self._lm, prompts, yes, no)
        return [1 / (1 + math.exp(-one)) if one > -700 else 0.0 for one in odds]

    def _prompt(self, question: str, passage: str, sentence: str) -> tuple[int, ...]:
        ids = message_ids(self._lm, PROMPT.format(question=question, passage=passage, sentence=sentence))
        most = self._lm.positions
        if most is not None and len(ids) > most:
            raise ValueError(
                f"compressor 'exit': a prompt takes {len(ids)} tokens and model '{self.options.model}' reads {most}. "
                f"Lower context_words ({self.options.context_words}), unless the question or a word is that long"
            )
        return ids


def _parts(sentences: Sequence[Sentence], words: int) -> Iterator[list[Sentence]]:
    """Groups of consecutive sentences, of at most a number of words together, at least one sentence each."""
    part: list[Sentence] = []
    size = 0
    for sentence in sentences:
        if part and size + len(sentence.words) > words:
            yield part
            part, size = [], 0
        part.append(sentence)
        size += len(sentence.words)
    if part:
        yield part
