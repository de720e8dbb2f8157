"""From a question and its contexts to token ids that fit, with the evidence's tokens counted exactly.

The conversation is rendered with placeholders for question and evidence. Their positions in the text, and
so in the tokens, are then known for any chat template, and the template's control tokens are distinguished
from those spelled in the evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clara_bench.errors import ConfigError
from clara_bench.read.prompts import Prompt, Turn, as_text, turns
from clara_bench.tokens import Part, encode, text_ids

_CONTEXT, _QUESTION = "\ue000evidence\ue001", "\ue000question\ue001"


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
    context_start: int = 0
    """Place of the first token that holds evidence; 0 where there is none."""

    @property
    def truncated(self) -> bool:
        """Whether evidence was cut."""
        return self.context_positions < self.context_text_tokens


class _Frame(NamedTuple):
    """What stands around the evidence, the question among it."""

    before: tuple[Part, ...]
    after: tuple[Part, ...]


def render(tokenizer: Any, prompt: Prompt, question: str, contexts: Sequence[str], limit: int | None) -> Rendered:
    """The token ids of a prompt; evidence is cut from the end of the last passage until they are at most `limit`.

    The result is longer than `limit` only when there is no evidence left to cut.
    """
    evidence = prompt.separator.join(contexts)
    if not evidence.strip():
        ids, _, _ = _tokens(tokenizer, _framed(tokenizer, prompt, question, ""), "")
        return Rendered(ids, "", 0, 0)
    frame = _framed(tokenizer, prompt, question, _CONTEXT)
    ids, places, first = _tokens(tokenizer, frame, evidence)
    whole = len(places)
    while limit is not None and len(ids) > limit and evidence:
        excess = len(ids) - limit
        end = places[-excess][0] if excess < len(places) else 0
        evidence = evidence[: max(0, min(end, len(evidence) - 1))]
        ids, places, first = _tokens(tokenizer, frame, evidence)
    return Rendered(ids, evidence, len(places), whole, first)


def evidence_tokens(tokenizer: Any, prompt: Prompt, contexts: Sequence[Sequence[str]]) -> list[int]:
    """Tokens of the evidence of each question, separators included, by itself."""
    return [len(ids) for ids in text_ids(tokenizer, [prompt.separator.join(texts) for texts in contexts])]


def message_parts(tokenizer: Any, message: str, *marks: str) -> list[Part]:
    """A message of the user as the chat template has it, parted at the marks, which are left in."""
    return conversation_parts(tokenizer, [{"role": "user", "content": message}], *marks)


def conversation_parts(tokenizer: Any, said: Sequence[Turn], *marks: str) -> list[Part]:
    """A conversation as the chat template has it, parted at the marks, which are left in.

    Raises:
        ConfigError: the template refuses it, as some refuse a system message.
    """
    text = _templated(tokenizer, said) if tokenizer.chat_template else as_text(said)
    parted = re.split(f"({'|'.join(map(re.escape, marks))})", text)
    return [Part(text, meant=text not in marks) for text in parted]


def _templated(tokenizer: Any, said: Sequence[Turn]) -> str:
    from jinja2 import TemplateError

    # Qwen3 and its kin would think aloud past the longest answer; other templates ignore the setting.
    settings = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
    try:
        return str(tokenizer.apply_chat_template([dict(turn) for turn in said], **settings))
    except TemplateError as error:
        roles = ", ".join(dict.fromkeys(turn["role"] for turn in said))
        raise ConfigError(
            f"the model's chat template refuses a conversation of {roles}: {error}. Choose a prompt without these"
        ) from error


def _framed(tokenizer: Any, prompt: Prompt, question: str, context: str) -> _Frame:
    parts = conversation_parts(tokenizer, turns(prompt, _QUESTION, context), _CONTEXT, _QUESTION)
    place = next((place for place, part in enumerate(parts) if part.text == _CONTEXT), len(parts))
    filled = tuple(Part(question) if part.text == _QUESTION else part for part in parts)
    return _Frame(filled[:place], filled[place + 1 :])


def _tokens(tokenizer: Any, frame: _Frame, evidence: str) -> tuple[tuple[int, ...], list[tuple[int, int]], int]:
    """Ids of the prompt, the characters of the evidence that each token which overlaps it stands for, and the first."""
    parts = [*frame.before, Part(evidence), *frame.after]
    start = sum(len(part.text) for part in frame.before)
    found = encode(tokenizer, parts, added=not tokenizer.chat_template)
    end = start + len(evidence)
    within = [place for place, (a, b) in enumerate(found.places) if a < end and b > start]
    places = [found.places[place] for place in within]
    return tuple(found.ids), [(a - start, b - start) for a, b in places], within[0] if within else 0
