"""From a question and its contexts to token ids that fit, with the evidence's tokens counted exactly.

The conversation is rendered with a marker where the evidence goes, so that its place in the
finished text, and so in the tokens, is known whatever the chat template does around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clara_bench.read.prompts import Prompt, fill

_MARK = "\ue000evidence\ue001"  # private-use characters: in no real passage


@dataclass(frozen=True, slots=True)
class Rendered:
    """One prompt, ready to be read."""

    ids: tuple[int, ...]
    context: str
    """The evidence, as read."""
    context_positions: int
    """Tokens that hold evidence, separators included, as read."""
    context_text_tokens: int
    """The same before anything was cut."""

    @property
    def truncated(self) -> bool:
        """Whether evidence was cut."""
        return self.context_positions < self.context_text_tokens


def render(tokenizer: Any, prompt: Prompt, question: str, contexts: Sequence[str], limit: int | None) -> Rendered:
    """The token ids of a prompt; evidence is cut from the end of the last passage until they are at most `limit`.

    The result is longer than `limit` only when there is no evidence left to cut.
    """
    evidence = prompt.separator.join(contexts)
    if not evidence.strip():
        ids, _ = _tokens(tokenizer, _text(tokenizer, prompt, question, ""), 0, 0)
        return Rendered(ids, "", 0, 0)
    head, _, tail = _text(tokenizer, prompt, question, _MARK).partition(_MARK)
    ids, places = _tokens(tokenizer, head + evidence + tail, len(head), len(head) + len(evidence))
    whole = len(places)
    while limit is not None and len(ids) > limit and evidence:
        excess = len(ids) - limit
        end = places[-excess][0] - len(head) if excess < len(places) else 0
        evidence = evidence[: max(0, min(end, len(evidence) - 1))]
        ids, places = _tokens(tokenizer, head + evidence + tail, len(head), len(head) + len(evidence))
    return Rendered(ids, evidence, len(places), whole)


def evidence_tokens(tokenizer: Any, prompt: Prompt, contexts: Sequence[Sequence[str]]) -> list[int]:
    """Tokens of the evidence of each question, separators included, by itself."""
    if not contexts:
        return []
    texts = [prompt.separator.join(texts) for texts in contexts]
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]]


def _text(tokenizer: Any, prompt: Prompt, question: str, context: str) -> str:
    message = fill(prompt, question, context)
    if not tokenizer.chat_template:
        return message
    turns = [{"role": "user", "content": message}]
    # Qwen3 and its kin would think aloud past the longest answer; other templates ignore the setting.
    settings = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
    return str(tokenizer.apply_chat_template(turns, **settings))


def _tokens(tokenizer: Any, text: str, start: int, end: int) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
    """Ids of the text, and the character ranges of the tokens that overlap [start, end)."""
    encoded = tokenizer(
        text, add_special_tokens=not tokenizer.chat_template, return_offsets_mapping=True, verbose=False
    )
    places = [(a, b) for a, b in encoded["offset_mapping"] if a < end and b > start]
    return tuple(encoded["input_ids"]), places
