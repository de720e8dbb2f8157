"""xRAG's published weights as a system of the harness: `-s xrag`.

Ranks with any retriever and reads one vector per document. The order of a prompt is theirs (background, question, the
words that lead to the answer), its words are ours. The real weights have not been run yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from clara_bench import (
    OPERATIONAL,
    Answer,
    Component,
    IndexStats,
    MissingDependency,
    Passage,
    Question,
    Ranked,
    Retriever,
    Traits,
    Usage,
    create,
)

try:
    import torch
    from torch import Tensor

    from clara_bench.read import models
    from clara_bench.tokens import Part, encode, text_ids
    from reference.model.decoding import Span
    from reference.published.xrag import TOKEN, Bridged, Encoder
    from reference.systems.serving import Phases, at_least_one, retrieved, text_of
except ModuleNotFoundError as error:
    raise MissingDependency("this system", str(error.name), "reference") from error

READING = (
    "[INST] Answer the question by what the background says.\n\nBackground: {slots}\n\n"
    "Question: {question} [/INST] The answer is:"
)
ASKING = "[INST] Answer the question.\n\nQuestion: {question} [/INST] The answer is:"


class Xrag:
    """Retrieves passages and reads each as one vector: the embedding of a sentence encoder through a trained bridge."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `xrag`; a dotted key such as `retriever.model` reaches the nested component."""

        model: str = field(default="Hannibal046/xrag-7b", metadata=OPERATIONAL)
        """The language model with its bridge: hub id or folder."""
        encoder: str = field(default="Salesforce/SFR-Embedding-Mistral", metadata=OPERATIONAL)
        """The sentence encoder that the bridge was trained for: hub id or folder."""
        retriever: Component = Component("bm25")
        """Ranks the passages; `given` for gold passages."""
        k: int = 1
        """Passages that are read; the weights were trained with one."""
        depth: int = 20
        """Passages ranked and recorded, so that recall can be measured beyond k."""
        max_new_tokens: int = 32
        """Longest answer, in tokens."""
        dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
        """Number format of both models."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""

        def __post_init__(self) -> None:
            at_least_one(self, "k", "depth", "max_new_tokens")

    def __init__(self, options: Options | None = None) -> None:
        """Find both models.

        Raises:
            BackendError: a model or the device is not there.
        """
        self.options = options or self.Options()
        self.retriever: Retriever = create("retriever", self.options.retriever)
        dtype, self._device = getattr(torch, self.options.dtype), models.device(self.options.device)
        self._reader = Bridged(self.options.model, dtype, self._device)
        self._encoder = Encoder(self.options.encoder, dtype, self._device)
        self._corpus: Mapping[str, Passage] = {}
        self._vectors: dict[str, Tensor] = {}

    @property
    def traits(self) -> Traits:
        """Columns of the leaderboard; the method has no nominal ratio."""
        return Traits(
            backbone=self.options.model.rstrip("/").rsplit("/", 1)[-1],
            reader="frozen",
            compressor="xrag",
            offline=False,
            query_dependent=False,
            weights="official, unverified",
        )

    def describe(self) -> Mapping[str, Any]:
        """Description of the models for the manifest."""
        both = {"model": self._reader.model, "encoder": self._encoder.model}
        named = {name: {"name": found.name, "fingerprint": found.fingerprint} for name, found in both.items()}
        return {**named, "dtype": self.options.dtype, "device": str(self._device)}

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Index the corpus with the retriever; passages become vectors when they are first read.

        Both models are loaded now, so that no question pays for it.
        """
        self._corpus = corpus
        _ = self._reader.projector, self._encoder.weights
        return self.retriever.index(corpus)

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """Retrieve, encode new passages, answer; shared time is split evenly over the questions."""
        phases, chosen = Phases(len(questions), self._device), self.options
        with phases("retrieve"):
            rankings = retrieved(self.retriever, questions, max(chosen.k, chosen.depth), self._corpus)
        texts = [[text_of(self._corpus, ranked.passage_id) for ranked in ranking[: chosen.k]] for ranking in rankings]
        with phases("compress"):
            new = list(dict.fromkeys(text for best in texts for text in best if text not in self._vectors))
            self._vectors |= zip(new, self._encoder(new) if new else (), strict=True)
        shares = phases.shares
        return [
            self._answered(question.text, tuple(ranking), best, shares)
            for question, ranking, best in zip(questions, rankings, texts, strict=True)
        ]

    def _answered(
        self, question: str, ranking: tuple[Ranked, ...], texts: Sequence[str], shares: Mapping[str, float]
    ) -> Answer:
        ids, tokens = self._prompt(question, len(texts)), sum(map(len, map(self._ids, texts)))
        if len(ids) + self.options.max_new_tokens > self._reader.window:
            error = f"the prompt takes {len(ids)} positions, {self._reader.window} fit with the answer"
            return Answer("", ranking, Usage(len(texts), tokens), "error", error)
        [said] = self._reader.answer([ids], [[self._vectors[text] for text in texts]], self.options.max_new_tokens)
        seconds = {**shares, "prefill": said.prefill_seconds, "decode": said.decode_seconds}
        usage = Usage(len(texts), tokens, len(ids), len(said.ids), seconds)
        return self._given(said, ranking, usage, any(map(self._encoder.cuts, texts)))

    def _given(self, said: Span, ranking: tuple[Ranked, ...], usage: Usage, read_in_part: bool) -> Answer:
        """The first line of the output; the weights continue after it."""
        text, more, _ = self._reader.tokenizer.decode(said.ids, skip_special_tokens=True).strip().partition("\n")
        cut = read_in_part or (said.truncated and not more)
        return Answer(text.strip(), ranking, usage, "truncated" if cut else "ok" if text else "empty")

    def _prompt(self, question: str, documents: int) -> list[int]:
        """Token ids, bos first as the tokenizer puts it; a question cannot bring in a token of a document."""
        asked = question.replace(TOKEN, TOKEN.strip("<>"))  # which need not be one that the tokenizer calls special
        before, after = (READING if documents else ASKING).split("{question}")
        opened = Part(before.format(slots=" ".join([TOKEN] * documents)), meant=True)
        return encode(self._reader.tokenizer, [opened, Part(asked), Part(after, meant=True)], added=True).ids

    def _ids(self, text: str) -> list[int]:
        return text_ids(self._reader.tokenizer, [text])[0]
