"""Reports of text that was cut to fit, from where it happens to whoever asked the question.

A retriever's encoder, a cross-encoder or a compressor may have to cut what it reads; what it returns has no place to
say so. `tell` is heard by the innermost `heard` around it, in the same thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_told: ContextVar[set[str] | None] = ContextVar("told", default=None)


def tell(question_id: str) -> None:
    """Something that was to be read or written for this question was cut to fit."""
    told = _told.get()
    if told is not None:
        told.add(question_id)


@contextlib.contextmanager
def heard() -> Iterator[set[str]]:
    """Ids of the questions for which something is cut in the block.

    >>> with heard() as questions:
    ...     tell("q1")
    >>> questions
    {'q1'}
    """
    questions: set[str] = set()
    token = _told.set(questions)
    try:
        yield questions
    finally:
        _told.reset(token)
