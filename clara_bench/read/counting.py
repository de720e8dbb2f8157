"""Tokens of prompts for a model that runs elsewhere: exact by its tokenizer, else approximate and named so."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from clara_bench.errors import BackendError, MissingDependency
from clara_bench.read.models import Model, find, load_tokenizer
from clara_bench.read.prompts import Prompt, as_text, turns
from clara_bench.read.render import render
from clara_bench.tokens import text_ids

APPROXIMATE = "approximate"
"""What stands for a tokenizer among the options."""


class Fitted(NamedTuple):
    """The evidence of one prompt."""

    context: str
    """As much of it as fits."""
    positions: int
    """Tokens of that."""
    text_tokens: int
    """Tokens of all of it."""


class Counter(Protocol):
    """Counts tokens as a model does, or nearly so."""

    exact: bool

    @property
    def name(self) -> str:
        """Description of the token counter for the manifest."""
        ...

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        ...

    def fit(self, prompt: Prompt, question: str, contexts: Sequence[str], limit: int | None) -> Fitted:
        """The evidence, cut from the end of the last passage until the prompt has at most `limit` tokens."""
        ...


def counter(tokenizer: str, model: str) -> Counter:
    """What counts for a model.

    Args:
        tokenizer: hub id, folder, GGUF file, or `approximate`; "" takes the model's, if it can be had.
        model: the model's name.

    Raises:
        BackendError: the tokenizer named cannot be had.
        MissingDependency: the library for it is not installed.
    """
    if tokenizer == APPROXIMATE:
        return ByBytes()
    if importlib.util.find_spec("transformers") is None:
        if tokenizer:
            raise MissingDependency(f"tokenizer '{tokenizer}'", "transformers", "hf")
        return ByBytes()
    try:
        return ByTokenizer(find(tokenizer or model, weights=False))
    except BackendError as error:
        if tokenizer:
            raise BackendError(f"{error}. Or count approximately: tokenizer={APPROXIMATE}") from error
        return ByBytes()


@dataclass(frozen=True)  # without slots, which a cached property cannot live with
class ByTokenizer:
    """Counts exactly."""

    found: Model
    exact = True

    @property
    def name(self) -> str:
        """The tokenizer's fingerprint."""
        return self.found.fingerprint

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, loaded when first needed."""
        return load_tokenizer(self.found)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(ids) for ids in text_ids(self.tokenizer, texts)]

    def fit(self, prompt: Prompt, question: str, contexts: Sequence[str], limit: int | None) -> Fitted:
        """As a reader in this process cuts."""
        rendered = render(self.tokenizer, prompt, question, contexts, limit)
        return Fitted(rendered.context, rendered.context_positions, rendered.context_text_tokens)


@dataclass(frozen=True, slots=True)
class ByBytes:
    """Takes four bytes of UTF-8 for a token, rounded up: near enough for English, low for other scripts."""

    exact = False
    name = "approximate: UTF-8 bytes / 4"

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, approximately."""
        return [_quarter(text) for text in texts]

    def fit(self, prompt: Prompt, question: str, contexts: Sequence[str], limit: int | None) -> Fitted:
        """The first bytes that fit; a character is not cut through."""
        whole = prompt.separator.join(contexts)
        context = whole
        if limit is not None:
            frame = len(as_text(turns(prompt, question, "x")).encode()) - 1
            context = whole.encode()[: max(0, 4 * limit - frame)].decode(errors="ignore")
        return Fitted(context, _quarter(context), _quarter(whole))


def dollars(read: float, written: float, input_price: float | None, output_price: float | None) -> float | None:
    """US dollars for tokens read and written, at prices for a million of each; None where neither price is given."""
    if input_price is None and output_price is None:
        return None
    return (read * (input_price or 0.0) + written * (output_price or 0.0)) / 1e6


def _quarter(text: str) -> int:
    return -(-len(text.encode(errors="surrogatepass")) // 4)
