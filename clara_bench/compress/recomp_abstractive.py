"""RECOMP's abstractive compressor: a model writes a summary that answers the question, or nothing.

Xu et al. 2024, "RECOMP: Improving Retrieval-Augmented LMs with Compression and Selective Augmentation",
arXiv:2310.04408. The published checkpoints are T5-large models, one a data set (`fangyuan/nq_abstractive_compressor`,
`fangyuan/hotpotqa_abstractive`, ...), so each belongs to its own task; not verified with them yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from clara_bench.components import cuts
from clara_bench.components.identity import computing
from clara_bench.components.registry import OPERATIONAL
from clara_bench.compress.shared.budget import check_positive
from clara_bench.compress.shared.checkpoints import DType, is_seq2seq, load_as, number_format
from clara_bench.compress.shared.spans import SEPARATOR, count_words, kept_text, left, passage_text, words
from clara_bench.errors import ConfigError
from clara_bench.read.generate import generate
from clara_bench.read.models import DEFAULT_MODEL, device, find, load_tokenizer, load_weights
from clara_bench.read.prompts import Prompt
from clara_bench.read.render import render
from clara_bench.tokens import Part, encode, for_texts
from clara_bench.types import Passage, Question

TRAINED = "Question: {question}\n Document: {context}\n Summary: "
"""What the published sequence-to-sequence models were trained to continue."""
PROMPT = Prompt(
    name="summary",
    version=1,
    with_context="{context}\n\nIn one or two sentences, state what the text above says that helps to answer this "
    "question.\nQuestion: {question}\nSummary:",
    closed_book="",
)
"""Prompt for a causal model that was not trained for this."""


class RecompAbstractive:
    """Lets a model write what helps to answer the question; an empty summary means that nothing does.

    The rate is an outcome. A summary longer than the passages, in words, is cut to their length. Unlike the original,
    decoding is greedy and the model may be a causal one that is only asked; what does not fit into `max_input_tokens`
    is not read.
    """

    query_dependent: ClassVar[bool] = True
    rate_is_input: ClassVar[bool] = False
    may_be_empty: ClassVar[bool] = True
    offline: ClassVar[bool] = False
    rate: ClassVar[None] = None

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `recomp-abstractive`."""

        model: str = field(default=DEFAULT_MODEL, metadata=OPERATIONAL)
        """A sequence-to-sequence or causal language model: hub id, folder or, if causal, GGUF file."""
        max_new_tokens: int = 64
        """Longest summary, in tokens."""
        max_input_tokens: int = 1024
        """Most tokens of question and passages that are read; the end of the passages is cut."""
        dtype: DType = "float32"
        """Number format of the weights; auto: bfloat16 on a GPU, else float32."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""

        def __post_init__(self) -> None:
            check_positive("max_new_tokens", self.max_new_tokens)
            check_positive("max_input_tokens", self.max_input_tokens)

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Options()
        self._device = device(self.options.device)
        self.model = find(self.options.model)

    @property
    def weights(self) -> str:
        """Whose they are, by the checkpoint's name."""
        return "official, unverified" if "_abstractive" in self.options.model else ""

    def prepare(self) -> None:
        """Load model and tokenizer.

        Raises:
            ConfigError: a summary as long as it may be leaves no room for what is summarised.
        """
        _ = self._tokenizer, self._weights
        if self._positions is not None and self.options.max_new_tokens >= self._positions:
            raise ConfigError(
                f"compressor 'recomp-abstractive': model '{self.options.model}' reads {self._positions} tokens. "
                f"Lower max_new_tokens ({self.options.max_new_tokens})"
            )

    def describe(self) -> Mapping[str, Any]:
        """Description of the model for the manifest."""
        prompt = "recomp" if self._seq2seq else f"{PROMPT.name}@{PROMPT.version}"
        named = {"model": self.model.name, "fingerprint": self.model.fingerprint, "prompt": prompt}
        return {**named, "dtype": str(self._dtype).removeprefix("torch."), **computing(self._device)}

    def compress(self, question: Question, passages: Sequence[Passage]) -> tuple[str, ...]:
        """The summary; empty where there is nothing to summarise, or nothing in it that helps."""
        text = SEPARATOR.join(one for one in map(passage_text, passages) if one.strip())
        if not text:
            return ()
        write = self._rewritten if self._seq2seq else self._continued
        written = write(question, text)
        if sum(token not in self._special for token in written) >= self.options.max_new_tokens:
            cuts.tell(question.id)
        summary = self._tokenizer.decode(written, skip_special_tokens=True).strip()
        return left([kept_text(summary, words(summary)[: count_words(text)])])

    def _rewritten(self, question: Question, text: str) -> Sequence[int]:
        fitted = self._fitted(question.text, text)
        if len(fitted) < len(text):
            cuts.tell(question.id)
        prompt = TRAINED.format(question=question.text, context=fitted)
        tokenizer = for_texts(self._tokenizer, prompt)
        ids = tokenizer(prompt, return_tensors="pt", verbose=False).input_ids.to(self._device)
        settings = {"do_sample": False, "num_beams": 1, "max_new_tokens": self.options.max_new_tokens}
        written: list[int] = self._weights.generate(ids, attention_mask=ids.new_ones(ids.shape), **settings)[0].tolist()
        return written

    def _fitted(self, question: str, text: str) -> str:
        """The passages without the end that does not fit."""
        frame = encode(self._tokenizer, [Part(TRAINED.format(question=question, context=""))], added=True)
        fitting = encode(self._tokenizer, [Part(text)]).places[: self._room(len(frame.ids))]
        return text[: fitting[-1][1]] if fitting else ""

    def _room(self, frame: int) -> int:
        if frame >= self.options.max_input_tokens:
            raise ValueError(
                f"compressor 'recomp-abstractive': the question alone takes {frame} tokens. "
                f"Raise max_input_tokens ({self.options.max_input_tokens})"
            )
        return self.options.max_input_tokens - frame

    def _continued(self, question: Question, text: str) -> Sequence[int]:
        limit = min(self.options.max_input_tokens, (self._positions or 1 << 30) - self.options.max_new_tokens)
        prompt = render(self._tokenizer, PROMPT, question.text, (text,), limit)
        if prompt.truncated:
            cuts.tell(question.id)
        self._room(len(prompt.ids) - prompt.context_positions)
        [written] = generate(self._weights, [prompt.ids], self._stop, self.options.max_new_tokens)
        return written.ids

    @property
    def _positions(self) -> int | None:
        """Most tokens that a causal model reads and writes, where it says."""
        return (
            None if self._seq2seq else getattr(self._weights.config.get_text_config(), "max_position_embeddings", None)
        )

    @cached_property
    def _seq2seq(self) -> bool:
        return is_seq2seq(self.model)

    @property
    def _dtype(self) -> Any:
        return number_format(self.options.dtype, self._device)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self.model)

    @cached_property
    def _weights(self) -> Any:
        if self._seq2seq:
            weights = load_as("AutoModelForSeq2SeqLM", self.model, "a sequence-to-sequence model", dtype=self._dtype)
        else:
            weights = load_weights(self.model, self._dtype)
        return weights.to(self._device)

    @cached_property
    def _special(self) -> frozenset[int]:
        return frozenset(self._tokenizer.all_special_ids)

    @cached_property
    def _stop(self) -> frozenset[int]:
        ends = self._weights.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        return frozenset(token for token in (*ends, self._tokenizer.eos_token_id) if token is not None)
