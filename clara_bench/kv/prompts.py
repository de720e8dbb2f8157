"""Prompts in three parts, by the reader's own tokens: what stands before the passages, the passages, the question.

Joined again, they are what the reader would be given as text. A passage by itself is cut out of a prompt that holds it
alone, so that it has the tokens which a tokenizer gives it there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clara_bench.errors import ConfigError
from clara_bench.read.hf import HFReader
from clara_bench.read.render import Rendered, message_parts, render
from clara_bench.tokens import encode

_PASSAGES = "\ue000passages\ue001"
REPEAT = "\n\nRepeat the previous context exactly."
"""What `kvzip` asks of the model, in kvpress's words."""


class Asked(NamedTuple):
    """A question with its passages."""

    whole: Rendered
    """All of it as text, nothing cut."""
    passages: list[tuple[int, ...]]
    """Those that fit; one for all where they are read together."""
    cut: bool
    """Whether some do not fit."""

    @property
    def before(self) -> tuple[int, ...]:
        """What stands before the passages; nothing where there are none."""
        return self.whole.ids[: self.whole.context_start]

    @property
    def question(self) -> tuple[int, ...]:
        """What follows the passages; all of it where there are none."""
        return self.whole.ids[self.whole.context_start + self.whole.context_positions :]


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of a reader."""

    reader: HFReader
    limit: int | None
    """Most positions of a prompt."""
    length: Callable[[int], int]
    """Positions that a passage of so many tokens takes up."""

    def asked(self, question: str, texts: Sequence[str], together: bool) -> Asked:
        """A question after its passages, as many as fit.

        Read together, they are cut like text; each by itself, the last ones are left out whole.
        """
        whole = _rendered(self.reader, question, texts)
        asked = Asked(whole, [], False)
        room = len(whole.ids) if self.limit is None else self.limit - len(asked.before) - len(asked.question)
        if together:
            start, most = whole.context_start, min(whole.context_positions, max(room, 0))
            evidence = whole.ids[start : start + most]
            return Asked(whole, [evidence] if evidence else [], most < whole.context_positions)
        passages, fits = [ids for text in texts if (ids := self.passage(text))], 0
        for ids in passages:
            room -= self.length(len(ids))
            fits += room >= 0
        return Asked(whole, passages[:fits], fits < len(passages))

    def passage(self, text: str) -> tuple[int, ...]:
        """A passage's tokens by itself, as many as the model can read; () for a blank one."""
        found = _rendered(self.reader, "", [text])
        ids = found.ids[found.context_start : found.context_start + found.context_positions]
        return ids if self.limit is None else ids[: max(0, self.limit - found.context_start)]


def limit(reader: HFReader) -> int | None:
    """Most positions of a prompt: the reader's own limit, or the window of its attention if that slides."""
    window = getattr(reader.weights.config.get_text_config(), "sliding_window", None)
    return min((most for most in (window, reader.limit) if most), default=None)


def start(reader: HFReader) -> tuple[int, ...]:
    """What stands before the passages.

    Raises:
        ConfigError: that depends on the question.
    """
    one, other = (_rendered(reader, question, ["passage"]) for question in ("Who?", "Where was it?"))
    if one.ids[: one.context_start] != other.ids[: other.context_start]:
        raise ConfigError(
            f"prompt '{reader.options.prompt}' puts the question before the passages, which system 'kv' reads first. "
            "Choose a prompt that has {context} before {question}"
        )
    return one.ids[: one.context_start]


def repeat(reader: HFReader) -> tuple[int, ...]:
    """What follows passages that the model is to repeat."""
    parts = message_parts(reader.tokenizer, f"{_PASSAGES}{REPEAT}", _PASSAGES)
    place = [part.text for part in parts].index(_PASSAGES)
    return tuple(encode(reader.tokenizer, parts[place + 1 :]).ids)


def _rendered(reader: HFReader, question: str, texts: Sequence[str]) -> Rendered:
    return render(reader.tokenizer, reader.prompt, question, texts, None)
