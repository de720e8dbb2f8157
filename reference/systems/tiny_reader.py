"""The reader `tiny`: the reference's text reader for the harness's systems `rag`, `iterative` and `closed-book`.

With it, text compressors and iterative retrieval use the same backbone as CLaRa, trained on the same questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from clara_bench import OPERATIONAL, MissingDependency, Question, Reading

try:
    import torch  # noqa: F401  said to be missing here, not half-way through loading a model
except ModuleNotFoundError as error:
    raise MissingDependency("reader 'tiny'", str(error.name), "reference") from error

from reference.model.prompts import before_final, final
from reference.systems.answering import answers, evidence_tokens, tell_prompts, text_prompt
from reference.systems.serving import Weights


class TinyReader:
    """Answers from text with the weights of a checkpoint's generator."""

    tuned: ClassVar[bool] = True

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of the reader `tiny`."""

        checkpoint: str = field(default="tiny-text", metadata=OPERATIONAL)
        """Folder from training, or the name of one that ships."""
        say: Literal["answer", "steps"] = "answer"
        """steps: the reasoning before the answer, which `iterative` searches with; the answer if there is none."""
        max_new_tokens: int = 64
        """Longest answer with the reasoning before it, in tokens."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""

        def __post_init__(self) -> None:
            if self.max_new_tokens < 1:
                raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")

    def __init__(self, options: Options) -> None:
        """Read the checkpoint's manifest.

        Raises:
            ConfigError: no such checkpoint, or it has no generator.
        """
        self.options = options
        self._weights = Weights(options.checkpoint, ("generator",), options.device)

    def prepare(self) -> None:
        """Load the weights now."""
        _ = self._weights.model

    def describe(self) -> Mapping[str, Any]:
        """Description of the weights for the manifest."""
        return self._weights.describe()

    def context_tokens(self, contexts: Sequence[Sequence[str]]) -> Sequence[int]:
        """Tokens of each question's contexts in the checkpoint's own tokenizer, separators included."""
        documents = self._weights.model.prompter.documents
        return [evidence_tokens(self._weights, documents(list(texts))) for texts in contexts]

    def read(self, questions: Sequence[Question], contexts: Sequence[Sequence[str]]) -> Sequence[Reading]:
        """Answer in the same order and number; contexts[i] are the texts given for questions[i], () for none."""
        weights, most = self._weights, self.options.max_new_tokens
        documents = weights.model.prompter.documents
        prompts = [
            text_prompt(weights, question.text, documents(list(texts)), most)
            for question, texts in zip(questions, contexts, strict=True)
        ]
        tell_prompts(weights, questions, prompts)
        said = final if self.options.say == "answer" else before_final
        given = answers(weights, prompts, [()] * len(prompts), {}, most, said)
        return [Reading(one.text, one.usage, one.status, one.error) for one in given]
