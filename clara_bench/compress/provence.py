"""Provence: a cross-encoder reads question and passage and selects the sentences to keep.

Chirkova et al. 2025, "Provence: efficient and robust context pruning for retrieval-augmented generation",
arXiv:2501.16214. The published checkpoint is `naver/provence-reranker-debertav3-v1`, which contains its own code;
not verified with it yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clara_bench.components import cuts
from clara_bench.components.registry import OPERATIONAL
from clara_bench.compress.shared.budget import check_fraction
from clara_bench.compress.shared.sentences import chosen, documents
from clara_bench.compress.shared.spans import Span
from clara_bench.compress.shared.token_classifier import TokenClassifier, mean_keep
from clara_bench.types import Passage, Question


class Provence:
    """Keeps the sentences whose tokens are on average likely enough to be kept, each passage's under its title.

    The rate is an outcome, and nothing may be left. As in the original, the title of a passage stays whenever a
    sentence of it does. Unlike the original, sentences are found by rules, not by a library, and the checkpoint's
    second output, a score that could rank the passages anew, is not used.
    """

    query_dependent: ClassVar[bool] = True
    rate_is_input: ClassVar[bool] = False
    may_be_empty: ClassVar[bool] = True
    offline: ClassVar[bool] = False
    rate: ClassVar[None] = None

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `provence`."""

        model: str = field(metadata=OPERATIONAL)
        """Hub id or folder of a token classifier, or with `remote_code` of a Provence checkpoint; safetensors."""
        threshold: float = 0.1
        """Least mean probability at which a sentence stays; the paper's are 0.1 and, for more compression, 0.5."""
        label: str | None = None
        """The label that means "keep"; None for the last one."""
        remote_code: bool = False
        """Run the Python code that comes with the checkpoint, as the published one needs."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""

        def __post_init__(self) -> None:
            check_fraction("threshold", self.threshold)

    def __init__(self, options: Options) -> None:
        self.options = options
        self._classifier = TokenClassifier(options.model, options.label, options.remote_code, options.device)

    @property
    def weights(self) -> str:
        """Whose they are, by the checkpoint's name."""
        return "official, unverified" if "provence-" in self.options.model else ""

    def describe(self) -> Mapping[str, Any]:
        """Description of the model for the manifest."""
        return self._classifier.describe()

    def prepare(self) -> None:
        """Load the model."""
        self._classifier.prepare()

    def compress(self, question: Question, passages: Sequence[Passage]) -> tuple[str, ...]:
        """Keep the chosen sentences."""
        found = documents(passages)
        if self._classifier.cuts(question.text):
            cuts.tell(question.id)
        judged = self._classifier.judge([document.text for document in found], question.text)
        means = [
            mean
            for document, tokens in zip(found, judged, strict=True)
            for mean in mean_keep(tokens, [Span(s.words[0].start, s.words[-1].end) for s in document.sentences])
        ]
        return chosen(found, [mean >= self.options.threshold for mean in means])
