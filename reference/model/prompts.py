"""Every prompt of training and answering, as token ids with places for memory vectors.

Readers of text and of memories get the same words; only the blocks between them differ: a document's tokens, or
MEMORY times its number of vectors and one SEPARATOR. The words are those of templates.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

from clara_bench.tokens import Part, encode, encode_all, text_ids
from reference.model.layout import IGNORED, MEMORY, SEPARATOR
from reference.model.templates import PARAPHRASES, QUESTION, Frame, Templates
from reference.settings.config import Template

__all__ = ["MEMORY", "SEPARATOR", "Encoded", "Prompt", "Prompter", "memory_block"]

CHAIN = " ; "
"""Between the reasoning that a target may open with and its answer."""


class _Turn(Protocol):
    @property
    def question(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def chain(self) -> str: ...


class _Row(Protocol):
    @property
    def turns(self) -> Sequence[_Turn]: ...
    @property
    def kind(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a reader is given; two lists of the same length."""

    ids: list[int]
    """Token ids, MEMORY or SEPARATOR."""
    segments: list[int]
    """0 before the blocks, n in the nth block, -1 behind them; see `layout.visible`."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt and its target; four lists of the same length."""

    ids: list[int]
    """Token ids, MEMORY or SEPARATOR."""
    segments: list[int]
    """0 before the blocks, n in the nth block, -n in the nth question with its answer."""
    labels: list[int]
    """The id itself where it is a target, else -100; position t is predicted from what lies before t."""
    weights: list[float]
    """The loss weight of each target; 0 elsewhere."""


class _Span(NamedTuple):
    text: str
    weight: float


def memory_block(count: int) -> list[int]:
    """The placeholder ids of one document's memory."""
    return [MEMORY] * count + [SEPARATOR]


class Prompter:
    """Turns questions, rows and blocks into ids for one tokenizer and template.

    Raises:
        ConfigError: the tokenizer lacks the requested chat template, or no token can end an answer.
    """

    def __init__(self, tokenizer: Any, template: Template = "plain") -> None:
        self.tokenizer = tokenizer
        self.template = template
        bos = tokenizer.bos_token_id
        self.start: list[int] = [] if bos is None else [bos]
        """What opens a text of its own: the tokenizer's bos, if it has one."""
        self._templates = Templates(tokenizer, template)
        self.gap = self._between(self._templates.separator)
        """What follows each passage of text, as token ids."""

    @property
    def end(self) -> int:
        """The token that closes an answer."""
        return self._templates.end

    @cached_property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer when they are generated."""
        return frozenset({self.end, self.tokenizer.eos_token_id} - {None})

    @cached_property
    def tokenizer_digest(self) -> str:
        """SHA-256 of the tokenizer's vocabulary and rules."""
        return hashlib.sha256(self.tokenizer.backend_tokenizer.to_str().encode()).hexdigest()

    def document(self, text: str) -> list[int]:
        """Ids of one document (title, line break, text), without special tokens; one spelled in it is plain text."""
        return self.documents([text])[0]

    def documents(self, texts: Sequence[str]) -> list[list[int]]:
        """`document` for many texts at once."""
        return text_ids(self.tokenizer, texts)

    def question_prompt(self, question: str, blocks: Sequence[Sequence[int]] = ()) -> Prompt:
        """The prompt that a reader answers: blocks and the question; without blocks, the question alone."""
        frame = self._templates.frame("question", bool(blocks))
        return _followed(self._opened(frame, blocks), self._ids(_asked(frame.middle, question)))

    def paraphrase_prompt(self, blocks: Sequence[Sequence[int]], seed: int = 0) -> Prompt:
        """A prompt that asks for a paraphrase of the blocks; the seed picks one of several wordings."""
        frame = self._templates.frame("paraphrase", True, seed % len(PARAPHRASES))
        return _followed(self._opened(frame, blocks), self._ids([Part(frame.middle, meant=True)]))

    def encode(
        self,
        row: _Row,
        blocks: Sequence[Sequence[int]],
        stage: str,
        question_weight: float = 1.0,
        seed: int = 0,
    ) -> Encoded:
        """Encode a training row as prompt and target.

        In `pretrain` the questions are part of the target (paper, section 3.1): in a chat the model writes the list of
        questions and answers, in the plain template its text simply holds them, in the stage `text` too. Everywhere
        else questions are given, and those of one row follow each other as in a conversation.

        Args:
            row: turns; for a paraphrase the answer of the first.
            blocks: what stands for the row's documents.
            stage: name of the training stage.
            question_weight: of question tokens that are part of the target; 0 makes them no target.
            seed: picks the wording of paraphrase prompts.
        """
        if row.kind == "paraphrase":
            frame = self._templates.frame("paraphrase", True, seed % len(PARAPHRASES))
            return self._joined(self._opened(frame, blocks), frame, [_Span(row.turns[0].answer, 1.0)])
        if self._templates.chat and stage == "pretrain":
            frame = self._templates.frame("cover", True)
            return self._joined(self._opened(frame, blocks), frame, _listed(row.turns, question_weight))
        covering = self.template == "plain" and stage in ("text", "pretrain")
        return self._packed(row.turns, blocks, question_weight if covering else 0.0)

    def _packed(self, turns: Sequence[_Turn], blocks: Sequence[Sequence[int]], question_weight: float) -> Encoded:
        frame = self._templates.frame("question", bool(blocks))
        opened = self._opened(frame, blocks)
        ids, segments, weights = opened.ids, opened.segments, [0.0] * len(opened)
        asked = [_asked(frame.again if n else frame.middle, turn.question) for n, turn in enumerate(turns)]
        for number, (given, target) in enumerate(self._continued(asked, Part(frame.lead, meant=True), turns), 1):
            ids += [*given, *target, self.end]
            segments += [-number] * (len(given) + len(target) + 1)
            weights += [question_weight] * len(given) + [1.0] * (len(target) + 1)
        return _encoded(Prompt(ids, segments), weights)

    def _continued(
        self, asked: Sequence[list[Part]], lead: Part, turns: Sequence[_Turn]
    ) -> list[tuple[list[int], list[int]]]:
        """Ids of prompts, and of the answers that continue them."""
        answers = [Part(_target(turn)) for turn in turns]
        given = encode_all(self.tokenizer, asked)
        whole = encode_all(
            self.tokenizer, [[*prompt, lead, answer] for prompt, answer in zip(asked, answers, strict=True)]
        )
        return [
            (prompt, joint[len(prompt) :] if joint[: len(prompt)] == prompt else self._ids([answer]))
            for prompt, joint, answer in zip(given, whole, answers, strict=True)
        ]

    def _joined(self, start: Prompt, frame: Frame, spans: Sequence[_Span]) -> Encoded:
        """Prompt and target when the target is one text of several spans of different weight."""
        opened, shift = Part(frame.middle, meant=True), len(frame.middle + frame.lead)
        said = [Part(span.text) for span in spans]
        given, edges = self._ids([opened]), list(accumulate((len(span.text) for span in spans), initial=shift))[1:]
        ids, places = self._placed([opened, Part(frame.lead, meant=True), *said])
        if ids[: len(given)] != given:  # answer and prompt merge at the border: take the target by itself
            ids, places = self._placed(said)
            ids, places = given + ids, [0] * len(given) + [place + shift for place in places]
        weights = [0.0] * (len(start) + len(given))
        for place in places[len(given) :]:
            weights.append(next((span.weight for span, edge in zip(spans, edges, strict=True) if place < edge), 1.0))
        return _encoded(_followed(start, [*ids, self.end]), [*weights, 1.0])

    def _opened(self, frame: Frame, blocks: Sequence[Sequence[int]]) -> Prompt:
        """The prompt up to the end of the blocks; a block of text is followed by a gap, one of memories is not."""
        ids = [] if self._templates.chat else list(self.start)
        ids += self._ids([Part(frame.head, meant=True)]) if frame.head else []
        segments = [0] * len(ids)
        for number, block in enumerate(blocks, 1):
            ids += block if block and block[-1] == SEPARATOR else [*block, *self.gap]
            segments += [number] * (len(ids) - len(segments))
        return Prompt(ids, segments)

    def _between(self, separator: str) -> list[int]:
        """The ids of a separator when it is tokenized between words."""
        joint, before, after = text_ids(self.tokenizer, [f"a{separator}b", "a", "b"])
        inside = joint[len(before) : len(joint) - len(after)]
        return inside if [*before, *inside, *after] == joint else text_ids(self.tokenizer, [separator])[0]

    def _ids(self, parts: Sequence[Part]) -> list[int]:
        return encode_all(self.tokenizer, [parts])[0]

    def _placed(self, parts: Sequence[Part]) -> tuple[list[int], list[int]]:
        """Ids, and the place in the text of the last character of each."""
        found = encode(self.tokenizer, parts)
        return found.ids, [end - 1 for _, end in found.places]


def final(text: str) -> str:
    """Remove the reasoning that may precede an answer.

    >>> final("Ada Lovelace ; London")
    'London'
    """
    return text.rpartition(CHAIN)[2]


def before_final(text: str) -> str:
    """The reasoning without the answer; the answer if there is no reasoning.

    >>> before_final("Ada Lovelace ; London"), before_final("London")
    ('Ada Lovelace', 'London')
    """
    return text.rpartition(CHAIN)[0] or text


def _asked(words: str, question: str) -> list[Part]:
    """Fill a question into a template."""
    before, mark, after = words.partition(QUESTION)
    return [Part(before, meant=True), Part(question if mark else ""), Part(after, meant=True)]


def _target(turn: _Turn) -> str:
    return f"{turn.chain}{CHAIN}{turn.answer}" if turn.chain else turn.answer


def _listed(turns: Sequence[_Turn], question_weight: float) -> list[_Span]:
    spans = []
    for number, turn in enumerate(turns):
        spans += [_Span("\n" * bool(number) + f"Question: {turn.question}\nAnswer: ", question_weight)]
        spans += [_Span(_target(turn), 1.0)]
    return spans


def _followed(opened: Prompt, ids: Sequence[int]) -> Prompt:
    return Prompt([*opened.ids, *ids], [*opened.segments, *[-1] * len(ids)])


def _encoded(prompt: Prompt, weights: list[float]) -> Encoded:
    labels = [token if weight else IGNORED for token, weight in zip(prompt.ids, weights, strict=True)]
    return Encoded(prompt.ids, prompt.segments, labels, weights)
