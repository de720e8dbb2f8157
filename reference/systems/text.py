"""The text control of CLaRa as a system of the harness: `-s tiny-text`.

Ranks by any retriever and reads the k best as text, with the generator of the same kind of checkpoint. It answers from
the question alone where there are no passages, and leaves out the reasoning before an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clara_bench import (
    OPERATIONAL,
    Answer,
    Component,
    IndexStats,
    MissingDependency,
    Passage,
    Question,
    Retriever,
    Traits,
    create,
)

try:
    from reference.model.clara import Clara
    from reference.systems.answering import answers, tell_prompts, text_prompt
    from reference.systems.serving import Phases, Weights, at_least_one, retrieved, text_of
except ModuleNotFoundError as error:
    raise MissingDependency("this system", str(error.name), "reference") from error


class TinyText:
    """Retrieves passages and reads them as text, with a generator trained to read text: CLaRa's paired control."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `tiny-text`; a dotted key such as `retriever.model` reaches the nested component."""

        checkpoint: str = field(metadata=OPERATIONAL)
        """Folder from training, or the name of one that ships, such as tiny-text."""
        retriever: Component = Component("bm25")
        """Ranks the passages; `given` for gold passages."""
        k: int = 5
        """Passages that are read."""
        depth: int = 20
        """Passages ranked and recorded, so that recall can be measured beyond k."""
        max_new_tokens: int = 64
        """Longest answer with the reasoning before it, in tokens."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""

        def __post_init__(self) -> None:
            at_least_one(self, "k", "depth", "max_new_tokens")

    def __init__(self, options: Options, model: Clara | None = None) -> None:
        """Build the system from a checkpoint, or around a model in training.

        Raises:
            ConfigError: no such checkpoint, or it has no generator.
        """
        self.options = options
        self.retriever: Retriever = create("retriever", options.retriever)
        self._weights = Weights(options.checkpoint, ("generator",), options.device, model)
        self._corpus: Mapping[str, Passage] = {}

    @property
    def traits(self) -> Traits:
        """Columns of the leaderboard."""
        return Traits(backbone=self._weights.backbone, reader="tuned", weights="ours")

    def describe(self) -> Mapping[str, Any]:
        """Description of the weights for the manifest."""
        return self._weights.describe()

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Index the corpus with the retriever and load the weights, so that no question pays for it."""
        self._corpus = corpus
        _ = self._weights.model
        return self.retriever.index(corpus)

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """Retrieve, read, answer; shared time is split evenly over the questions."""
        phases, chosen = Phases(len(questions), self._weights.device), self.options
        with phases("retrieve"):
            rankings = retrieved(self.retriever, questions, max(chosen.k, chosen.depth), self._corpus)
        texts = [[text_of(self._corpus, ranked.passage_id) for ranked in ranking[: chosen.k]] for ranking in rankings]
        prompts = [
            text_prompt(
                self._weights, question.text, self._weights.model.prompter.documents(best), chosen.max_new_tokens
            )
            for question, best in zip(questions, texts, strict=True)
        ]
        tell_prompts(self._weights, questions, prompts)
        return answers(self._weights, prompts, rankings, phases.shares, chosen.max_new_tokens)
