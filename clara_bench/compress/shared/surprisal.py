"""Surprisal of each token of a text under a causal language model, as used by selective compressors.

Texts are cut into pieces, the smallest parts that can be deleted and leave valid text: tokens, but tokens that share
a character (an emoji, a rare Chinese character) are one piece. A surprisal is -log p(token | tokens before), in nats.
Shapes: B rows, T tokens of the longest row.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import regex

from clara_bench.errors import BackendError, MissingDependency

try:
    import torch
except ModuleNotFoundError as error:
    raise MissingDependency("a compressor with a language model", str(error.name), "hf") from error

from clara_bench.components.identity import computing
from clara_bench.compress.shared.checkpoints import DType, check_finite, number_format
from clara_bench.compress.shared.spans import Span, passage_text
from clara_bench.read.models import device, find, load_tokenizer, load_weights
from clara_bench.tokens import Part, encode, text_ids
from clara_bench.types import Passage

WINDOW = 1024
"""Most tokens the model sees at once; longer texts are read in windows that overlap by half."""
BLANKS = 8
"""Most tokens of blanks that a piece counts: a page of them would fill the window, and be worth nothing."""
BATCH_TOKENS = 2048
"""Most tokens in one batch, padding included: their logits over the vocabulary are what fills memory."""


class Piece(NamedTuple):
    """The smallest part of a text that can be kept or deleted."""

    span: Span
    """Its characters, blanks around them left out."""
    ids: tuple[int, ...]
    """Its tokens, those of the blanks before it included."""


class LanguageModel:
    """A causal language model as a judge of texts, found and loaded as the reader `hf` does.

    Args:
        model: hub id, folder or GGUF file.
        dtype: number format of the weights; auto: bfloat16 on a GPU, else float32.
        device: a torch device; auto: the GPU if there is one.

    Raises:
        BackendError: the model or the device is not there.
    """

    def __init__(self, model: str, dtype: DType = "float32", device_name: str = "auto") -> None:
        self.model = find(model)
        self._device = device(device_name)
        self._dtype = number_format(dtype, self._device)

    def describe(self) -> Mapping[str, Any]:
        """Description of the model for the manifest."""
        return {
            "model": self.model.name,
            "fingerprint": self.model.fingerprint,
            "dtype": str(self._dtype).removeprefix("torch."),
            **computing(self._device),
        }

    def prepare(self) -> None:
        """Load model and tokenizer now."""
        _ = self.tokenizer, self.weights

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer, loaded when first needed."""
        return load_tokenizer(self.model)

    @cached_property
    def weights(self) -> Any:
        """The model itself, loaded when first needed."""
        return load_weights(self.model, self._dtype).to(self._device)

    @property
    def positions(self) -> int | None:
        """Most tokens the model can read at once, where it says."""
        return getattr(self.weights.config.get_text_config(), "max_position_embeddings", None)

    @property
    def window(self) -> int:
        """Most tokens the model is given at once when it judges a text."""
        return min(WINDOW, self.positions or WINDOW)

    @cached_property
    def start(self) -> int:
        """The token before a text, so that its first token has a probability too."""
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise BackendError(f"model '{self.model.name}' has no token that begins or ends a text. Use another")

    def ids(self, text: str) -> tuple[int, ...]:
        """Tokens of the text, without added or control tokens."""
        return tuple(text_ids(self.tokenizer, [text])[0])

    def pieces(self, text: str) -> list[Piece]:
        """The text in pieces; none for blanks alone."""
        return pieces(text, *encode(self.tokenizer, [Part(text)]))

    def texts(self, passages: Sequence[Passage]) -> tuple[list[str], list[list[Piece]]]:
        """The passages that hold anything for the model, as text and in pieces."""
        found = [(text, self.pieces(text)) for text in map(passage_text, passages)]
        return [text for text, parts in found if parts], [parts for _, parts in found if parts]

    def keeping(self, last: int) -> dict[str, int]:
        """The setting by which the model makes logits of the last positions alone; none where it has no such."""
        able = "logits_to_keep" in inspect.signature(self.weights.forward).parameters
        return {"logits_to_keep": last} if able else {}

    @torch.inference_mode()
    def surprisals(self, rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """Nats of every token of each row.

        Args:
            rows: for each, tokens that are given and not scored (() for none), and the tokens to score.
        """
        jobs = [(number, *job) for number, row in enumerate(rows) for job in self._windows(*row)]
        found: list[list[float]] = [[0.0] * len(ids) for _, ids in rows]
        for batch in _batches([len(ids) for _, _, ids, _ in jobs]):
            scored = self._scored([jobs[place][2] for place in batch], [jobs[place][3] for place in batch])
            for place, nats in zip(batch, scored, strict=True):
                number, first, _, count = jobs[place]
                found[number][first : first + count] = nats
        return found

    def _windows(self, given: Sequence[int], ids: Sequence[int]) -> list[tuple[int, list[int], int]]:
        """(first token scored, tokens read, number of them scored), so that every token is scored once."""
        whole = [self.start, *given, *ids]
        before = len(whole) - len(ids)
        jobs, done = [], before
        while done < len(whole):
            end = min(len(whole), max(self.window, done + self.window // 2))
            jobs.append((done - before, whole[max(0, end - self.window) : end], end - done))
            done = end
        return jobs

    def _scored(self, rows: Sequence[list[int]], counts: Sequence[int]) -> list[list[float]]:
        """Surprisal in nats of the last tokens of each row, given the tokens before them."""
        width = max(map(len, rows))
        ids_BT = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=self._device)
        mask_BT = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=self._device)
        first = min(len(row) - count for row, count in zip(rows, counts, strict=True)) - 1  # it foretells the next
        logits_BTV = self.weights(
            input_ids=ids_BT, attention_mask=mask_BT, use_cache=False, **self.keeping(width - first)
        ).logits[:, first - width :]
        nats = [
            torch.nn.functional.cross_entropy(
                logits_TV[len(row) - count - 1 - first : len(row) - 1 - first].float(),
                ids_T[len(row) - count : len(row)],
                reduction="none",
            )
            for row, count, logits_TV, ids_T in zip(rows, counts, logits_BTV, ids_BT, strict=True)
        ]
        return [check_finite(nats_T, self.model).tolist() for nats_T in nats]


def pieces(text: str, ids: Sequence[int], places: Iterable[tuple[int, int]]) -> list[Piece]:
    """Tokens with their places in the text as pieces.

    A token of blanks goes to the piece after it, one that shares a character with the piece before to that one; a
    character with its marks, an emoji of several and a flag count as one.
    """
    found: list[Piece] = []
    blanks: tuple[int, ...] = ()
    inside = _inside(text)
    for token, (start, end) in zip(ids, places, strict=True):
        span = _core(text, start, end)
        shared = span.start in inside or (found and span.start < found[-1].span.end)
        if found and (shared or span.start == span.end == found[-1].span.end):
            last = found[-1]
            found[-1] = Piece(Span(last.span.start, max(last.span.end, span.end)), (*last.ids, *blanks, token))
            blanks = ()
        elif span.start == span.end:
            blanks = (*blanks, token)[-BLANKS:]
        else:
            found.append(Piece(span, (*blanks, token)))
            blanks = ()
    return found


def _inside(text: str) -> frozenset[int]:
    """Places at which no character begins that a reader would call one."""
    if text.isascii():
        return frozenset()
    return frozenset(range(len(text))) - {match.start() for match in regex.finditer(r"\X", text)}


def _core(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end)


def means(found: Sequence[Piece], nats: Sequence[float]) -> list[float]:
    """Each piece's mean surprisal, from that of all their tokens in order."""
    remaining = iter(nats)
    return [sum(next(remaining) for _ in piece.ids) / len(piece.ids) for piece in found]


def all_ids(found: Iterable[Piece]) -> tuple[int, ...]:
    """The tokens of the pieces in order."""
    return tuple(chain.from_iterable(piece.ids for piece in found))


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Places in batches of like length, longest first."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= BATCH_TOKENS:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches
