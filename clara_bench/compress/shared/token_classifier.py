"""Probability that a token classifier keeps each token of a text, as used by trained extractive compressors.

Shapes: B chunks, T tokens of the longest chunk, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from clara_bench.errors import BackendError, MissingDependency

try:
    import torch
except ModuleNotFoundError as error:
    raise MissingDependency("a compressor with a token classifier", str(error.name), "hf") from error

from clara_bench.components.identity import computing
from clara_bench.compress.shared.checkpoints import check_finite, load_as
from clara_bench.compress.shared.spans import Span
from clara_bench.read.models import device, find, load_tokenizer
from clara_bench.tokens import Part, encode, for_texts

WINDOW = 512
"""Most tokens of one chunk, question and special tokens included."""
BATCH = 8
"""Chunks judged at once."""


class Judged(NamedTuple):
    """One token of a text and the probability that it should stay."""

    span: Span
    keep: float


class TokenClassifier:
    """A checkpoint that classifies every token as kept or dropped.

    Args:
        model: hub id or folder with safetensors weights.
        label: name of the label that means "keep"; None: the last one.
        remote_code: run the Python code that comes with the checkpoint, and read its `compression_logits`.
        device_name: a torch device; auto: the GPU if there is one.

    Raises:
        BackendError: the model or the device is not there.
    """

    def __init__(self, model: str, label: str | None, remote_code: bool, device_name: str) -> None:
        self.model = find(model, code=remote_code)
        self._label, self._code, self._device = label, remote_code, device(device_name)

    def describe(self) -> Mapping[str, Any]:
        """Description of the model for the manifest."""
        return {"model": self.model.name, "fingerprint": self.model.fingerprint, **computing(self._device)}

    def prepare(self) -> None:
        """Load model and tokenizer now."""
        _ = self.tokenizer, self.weights

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer, loaded when first needed."""
        return load_tokenizer(self.model, self._code)

    @cached_property
    def weights(self) -> Any:
        """The model itself, loaded when first needed."""
        auto = "AutoModel" if self._code else "AutoModelForTokenClassification"
        return load_as(auto, self.model, "a token classifier", self._code).to(self._device)

    @cached_property
    def _window(self) -> int:
        return window(self.tokenizer, self.weights.config, WINDOW)

    @torch.inference_mode()
    def judge(self, texts: Sequence[str], question: str | None = None) -> list[list[Judged]]:
        """Every token of each text, in order; texts longer than the model reads are judged in chunks.

        Args:
            texts: what to judge.
            question: read before each chunk, its end cut off at a quarter of what the model reads.
        """
        judged: list[list[Judged]] = [[] for _ in texts]
        if not texts:
            return judged
        encoded = self._encoded(texts, question)
        owners = encoded.pop("overflow_to_sample_mapping").tolist()
        places_BT2 = encoded.pop("offset_mapping").tolist()
        for start in range(0, len(owners), BATCH):
            keep_BT = self._keep({key: value[start : start + BATCH] for key, value in encoded.items()})
            for row, keep_T in enumerate(keep_BT.tolist(), start):
                part = encoded.sequence_ids(row)
                judged[owners[row]] += [
                    Judged(Span(*place), keep)
                    for place, keep, of in zip(places_BT2[row], keep_T, part, strict=True)
                    if of == (0 if question is None else 1) and place[0] < place[1]
                ]
        return judged

    def _encoded(self, texts: Sequence[str], question: str | None) -> Any:
        how = {
            "truncation": "only_first" if question is None else "only_second",
            "max_length": self._window,
            "padding": True,
            "return_overflowing_tokens": True,
            "return_offsets_mapping": True,
            "return_tensors": "pt",
            "verbose": False,
        }
        if question is None:
            return for_texts(self.tokenizer, *texts)(list(texts), **how)
        tokenizer = for_texts(self.tokenizer, question, *texts)
        return tokenizer([self._cut(question)] * len(texts), list(texts), **how)

    def cuts(self, question: str) -> bool:
        """Whether the end of a question is not read."""
        return self._cut(question) != question

    def _cut(self, question: str) -> str:
        places = encode(self.tokenizer, [Part(question)]).places
        if len(places) <= self._window // 4:
            return question
        places = places[: self._window // 4]
        return question[: places[-1][1]] if places else question

    def _keep(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Probabilities (B, T) of the label that means "keep"."""
        known = {key: value.to(self._device) for key, value in inputs.items() if key in self._inputs}
        out = self.weights(**known)
        logits_BTL = check_finite((out.compression_logits if self._code else out.logits).float(), self.model)
        if logits_BTL.shape[-1] == 1:
            return logits_BTL.squeeze(-1).sigmoid()
        return logits_BTL.softmax(-1)[..., self._keep_label(logits_BTL.shape[-1])]

    @property
    def _inputs(self) -> frozenset[str]:
        return frozenset(self.tokenizer.model_input_names)

    def _keep_label(self, labels: int) -> int:
        known = self.weights.config.label2id or {}
        if self._label is None:
            return labels - 1
        if self._label not in known:
            names = ", ".join(sorted(known))
            raise BackendError(f"model '{self.model.name}' has no label '{self._label}'. Expected one of: {names}")
        return int(known[self._label])


def window(tokenizer: Any, config: Any, most: int) -> int:
    """Maximum number of tokens in one pass; RoBERTa models count positions from after their padding."""
    places = getattr(config, "max_position_embeddings", None)
    places = places - 2 if places and "roberta" in config.model_type.lower() else places
    return min(limit for limit in (most, tokenizer.model_max_length, places) if limit)


def mean_keep(tokens: Sequence[Judged], spans: Sequence[Span]) -> list[float]:
    """Mean probability over the tokens that lie in each span, or partly in it; 0 where there are none.

    Args:
        tokens: in the order of the text.
        spans: in the order of the text, none overlapping another.
    """
    means = []
    first = 0
    for span in spans:
        while first < len(tokens) and tokens[first].span.end <= span.start:
            first += 1
        last = first
        while last < len(tokens) and tokens[last].span.start < span.end:
            last += 1
        inside = [token.keep for token in tokens[first:last]]
        means.append(sum(inside) / len(inside) if inside else 0.0)
    return means
