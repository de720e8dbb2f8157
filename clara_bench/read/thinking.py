"""What a reasoning model thinks aloud before its answer, between <think> and </think>."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from clara_bench.types import Reading

Thinking = Literal["keep", "strip"]
"""Whether thoughts stay part of an answer, or stand beside it in the record."""

OPENS, CLOSES = "<think>", "</think>"


def without_thinking(reading: Reading, thinking: Thinking) -> Reading:
    """The reading with its reasoning separated from the answer, if `thinking` is `strip`.

    The answer is what follows the last `</think>`; the template may have written `<think>` itself. Thoughts that never
    end leave no answer.

    >>> without_thinking(Reading("<think>Norway?</think> Oslo", Usage()), "strip").text
    'Oslo'
    """
    if thinking == "keep" or (OPENS not in reading.text and CLOSES not in reading.text):
        return reading
    thoughts, closed, answer = reading.text.rpartition(CLOSES)
    if not closed:
        answer, _, thoughts = reading.text.partition(OPENS)
    status = "empty" if reading.status == "ok" and not answer.strip() else reading.status
    return replace(reading, text=answer.strip(), thinking=thoughts.replace(OPENS, "", 1).strip(), status=status)
