"""The retriever `rerank`: a cross-encoder reranks a first retriever's best passages."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from clara_bench.components import checks, cuts
from clara_bench.components.identity import computing
from clara_bench.components.registry import OPERATIONAL, Component, create
from clara_bench.errors import BackendError
from clara_bench.retrieve.encoder import limit_length, load_model, longer, model_fingerprint
from clara_bench.retrieve.index import Array, best, check_k, searchable_text
from clara_bench.text import composed
from clara_bench.types import IndexStats, Passage, Question, Ranked, Retriever

DECIMALS = 5
"""Digits kept of a score, so that equal passages score the same in any batch."""


class Rerank:
    """Ranks a first retriever's best passages by a cross-encoder's score, unbounded and before any sigmoid."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `rerank`; a dotted key such as `first.k1` reaches the first retriever."""

        model: str = field(default="cross-encoder/ms-marco-MiniLM-L6-v2", metadata=OPERATIONAL)
        """Hub id or folder of a cross-encoder with one score and safetensors weights."""
        first: Component = field(default=Component("bm25"), metadata={"kind": "retriever"})
        """Retriever of the passages to rerank."""
        depth: int = 50
        """Number of passages to rerank; at least k."""
        title: bool = True
        """Show the cross-encoder a passage's title with its text."""
        max_seq: int | None = None
        """Tokens after which question and passage are cut; none for the model's own limit."""
        batch_size: int = field(default=32, metadata=OPERATIONAL)
        """Pairs scored at once."""
        device: str | None = field(default=None, metadata=OPERATIONAL)
        """Where the cross-encoder runs: cpu, cuda, ...; none for a GPU where there is one."""

        def __post_init__(self) -> None:
            if min(self.depth, self.batch_size, 1 if self.max_seq is None else self.max_seq) < 1:
                raise ValueError(
                    "depth, batch_size and max_seq must be at least 1, "
                    f"got {self.depth}, {self.batch_size} and {self.max_seq}"
                )

    def __init__(self, options: Options) -> None:
        self.options = options
        self.first: Retriever = create("retriever", options.first)
        self._corpus: Mapping[str, Passage] = {}

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import CrossEncoder

        options = self.options
        model = load_model(CrossEncoder, options.model, options.device)
        _refuse_untrained(model, options.model)
        if options.max_seq is not None:
            limit_length(model, options.max_seq, options.model)
        return model

    def describe(self) -> Mapping[str, Any]:
        """Description of the cross-encoder for the manifest."""
        own = {"model": self.options.model, "fingerprint": model_fingerprint(self._model)}
        return {**own, "max_seq": self._model.max_seq_length, **computing(self._model.device)}

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Prepare the first retriever and load the cross-encoder.

        Raises:
            BackendError: the model cannot be loaded or gives more than one score.
        """
        start = time.perf_counter()
        self._corpus = corpus
        assert self._model is not None, "loaded here, so that no question pays for it"
        loading = time.perf_counter() - start
        stats = self.first.index(corpus)
        return replace(stats, seconds=stats.seconds + loading)

    def retrieve(self, questions: Sequence[Question], k: int) -> list[list[Ranked]]:
        """The k passages with the highest scores among the first retriever's best; equal scores by passage id.

        Raises:
            ConfigError: k is below 1.
            DataError: a candidate is not in the corpus.
        """
        check_k(k)
        depth, who = max(k, self.options.depth), f"retriever '{self.options.first.name}'"
        found = checks.rankings(self.first.retrieve(questions, depth), questions, depth, self._corpus, who)
        return [self._ranking(question, ranking)[:k] for question, ranking in zip(questions, found, strict=True)]

    def _ranking(self, question: Question, found: Sequence[Ranked]) -> list[Ranked]:
        """Rerank a question's passages. Pairs of different questions never share a batch, which would change scores."""
        ids = sorted(ranked.passage_id for ranked in found)
        if not ids:
            return []
        pairs = self._pairs(question.text, [self._corpus[passage_id] for passage_id in ids])
        scores = self._scores(pairs)
        if any(longer(self._model, pairs)):
            cuts.tell(question.id)
        return [Ranked(ids[position], float(scores[position])) for position in best(scores, len(ids))]

    def _pairs(self, text: str, passages: Sequence[Passage]) -> list[tuple[str, str]]:
        return [(composed(text), searchable_text(passage, self.options.title)) for passage in passages]

    def _scores(self, pairs: Sequence[tuple[str, str]]) -> Array:
        """Scores (len(pairs),) float64 of questions and passages."""
        import torch

        identity = torch.nn.Identity()  # a sigmoid would make all good passages alike
        batch_size = self.options.batch_size
        logits: Array = self._model.predict(
            pairs, batch_size=batch_size, activation_fn=identity, show_progress_bar=False
        )
        if not np.isfinite(logits).all():
            raise BackendError(f"model '{self.options.model}' gave a score that is not finite: its weights are damaged")
        return np.round(logits.astype(np.float64), DECIMALS)


def _refuse_untrained(model: Any, name: str) -> None:
    """Loading an encoder as a cross-encoder succeeds with a random head, which would rank at random.

    Raises:
        BackendError: the model has no trained head for one score.
    """
    network = model.model
    trained = network is None or type(network).__name__ in (model.config.architectures or ())
    if not trained or model.num_labels != 1:
        raise BackendError(
            f"model '{name}' is not a cross-encoder with one score: its architecture is "
            f"{model.config.architectures}, its labels are {model.num_labels}"
        )
