"""Prompts of memories and of text, and their answers, counted as the harness counts.

Shapes: H hidden, M memory slots, S memory vectors of a prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from clara_bench import Answer, Question, Ranked, Usage
from clara_bench.components import seen
from reference.model.decoding import Generated
from reference.model.prompts import MEMORY, SEPARATOR, Prompt, final, memory_block
from reference.systems.serving import Weights


class Reading(NamedTuple):
    """What the generator is given for one question."""

    prompt: Prompt
    memories_SH: Tensor
    """For the memory places; none in a prompt of text."""
    context_positions: int
    context_text_tokens: int
    cut: bool
    """Whether evidence was left out."""


def latent_prompt(weights: Weights, question: str, memories: Sequence[Tensor], tokens: Sequence[int]) -> Reading:
    """A prompt of memories.

    Args:
        weights: of the generator.
        question: in words.
        memories: (M, H) of each passage, best first.
        tokens: of each passage as text, before it was compressed.
    """
    model = weights.model
    blocks = [memory_block(len(memory_MH)) for memory_MH in memories]
    none_SH = model.separator.new_zeros(0, len(model.separator))
    return Reading(
        prompt=model.prompter.question_prompt(question, blocks),
        memories_SH=torch.cat([none_SH, *memories]),
        context_positions=sum(map(len, blocks)),
        context_text_tokens=sum(tokens) + len(tokens) * weights.between,
        cut=any(count > weights.config.memory.document_tokens for count in tokens),
    )


def text_prompt(weights: Weights, question: str, passages: Sequence[Sequence[int]], room: int) -> Reading:
    """A prompt of text; evidence that does not fit is cut from the end of the last passage.

    Args:
        weights: of the generator.
        question: in words.
        passages: token ids of each, best first.
        room: tokens to leave for the answer.
    """
    model = weights.model
    kept = [list(ids) for ids in passages]
    whole = evidence_tokens(weights, kept)
    prompt = model.prompter.question_prompt(question, kept)
    excess = len(prompt) + room - weights.window if weights.window else 0
    while kept and excess > 0:
        taken = min(excess, len(kept[-1]))
        kept[-1] = kept[-1][: len(kept[-1]) - taken]
        excess -= taken
        if not kept[-1]:
            kept.pop()
            excess -= weights.between
        prompt = model.prompter.question_prompt(question, kept)
    read = evidence_tokens(weights, kept)
    return Reading(prompt, model.separator.new_zeros(0, len(model.separator)), read, whole, read < whole)


def tell_prompts(weights: Weights, questions: Sequence[Question], readings: Sequence[Reading]) -> None:
    """Report what is read for each question, as `clara_bench.components.seen` has it."""
    for question, reading in zip(questions, readings, strict=True):
        seen.tell(question.id, prompt=partial(shown, weights.model.prompter.tokenizer, reading.prompt.ids))


def shown(tokenizer: Any, ids: Sequence[int]) -> str:
    """A prompt as text; memories, and the vectors between them, are written by their number."""
    parts = []
    for kind, run in groupby(ids, lambda id: id if id in (MEMORY, SEPARATOR) else 0):
        held = list(run)
        known = {MEMORY: f"<memory x {len(held)}>", SEPARATOR: "<separator>"}
        parts.append(known[kind] if kind in known else tokenizer.decode(held))
    return "".join(parts)


def evidence_tokens(weights: Weights, passages: Sequence[Sequence[int]]) -> int:
    """Tokens of the passages and of the separators after them in a prompt."""
    return sum(map(len, passages)) + len(passages) * weights.between


def answers(
    weights: Weights,
    readings: Sequence[Reading],
    rankings: Sequence[Sequence[Ranked]],
    shares: Mapping[str, float],
    most: int,
    kept: Callable[[str], str] = final,
) -> list[Answer]:
    """Answers of `most` tokens at most; a prompt that does not fit the backbone's window fails alone.

    `shares` are the seconds that each question has taken so far, by phase; `kept` is what counts as the answer of all
    that is generated.
    """
    window = weights.window
    fits = [p for p, reading in enumerate(readings) if not window or len(reading.prompt) + most <= window]
    generated = weights.generated([readings[p].prompt for p in fits], [readings[p].memories_SH for p in fits], most)
    said = dict(zip(fits, generated, strict=True))
    return [
        _answer(reading, tuple(ranking), said[place], shares, kept)
        if place in said
        else _too_long(reading, tuple(ranking), f"{len(reading.prompt)} positions and {most} to answer, {window} fit")
        for place, (reading, ranking) in enumerate(zip(readings, rankings, strict=True))
    ]


def _answer(
    reading: Reading,
    ranking: tuple[Ranked, ...],
    said: Generated,
    shares: Mapping[str, float],
    kept: Callable[[str], str],
) -> Answer:
    text = kept(said.text).strip()
    cut = reading.cut or said.truncated
    status: Literal["ok", "empty", "truncated"] = "truncated" if cut else "ok" if text else "empty"
    usage = Usage(
        reading.context_positions,
        reading.context_text_tokens,
        len(reading.prompt),
        len(said.ids),
        {**shares, "prefill": said.prefill_seconds, "decode": said.decode_seconds},
    )
    return Answer(text, ranking, usage, status)


def _too_long(reading: Reading, ranking: tuple[Ranked, ...], error: str) -> Answer:
    usage = Usage(reading.context_positions, reading.context_text_tokens)
    return Answer("", ranking, usage, "error", f"the prompt takes {error}")
