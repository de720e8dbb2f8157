"""Reports of what a reader read, from where it is put together to whoever asked the question.

An answer has no place for its prompt, which is longer than the answer by far. `tell` is heard by the innermost `heard`
around it, in the same thread; what is told last of a question stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read for one question."""

    prompt: str | Callable[[], str] = ""
    """All of it as text, memories as `<memory x 12>`; "" where the system does not say. What must be put together first
    is a function, which is called once the question's time is taken."""
    context: tuple[str, ...] = ()
    """The evidence in it, after compression; () where there is none, or the system does not say."""

    @property
    def text(self) -> str:
        """The prompt."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt()


_told: ContextVar[dict[str, Seen] | None] = ContextVar("seen", default=None)


def tell(question_id: str, prompt: str | Callable[[], str] | None = None, context: Sequence[str] | None = None) -> None:
    """This is what was read for a question; None leaves a part as it was told before."""
    told = _told.get()
    if told is None:
        return
    before = told.get(question_id, Seen())
    told[question_id] = replace(
        before,
        prompt=before.prompt if prompt is None else prompt,
        context=before.context if context is None else tuple(context),
    )


@contextlib.contextmanager
def heard() -> Iterator[dict[str, Seen]]:
    """By question what is told of it in the block.

    >>> with heard() as questions:
    ...     tell("q1", context=["Oslo"])
    ...     tell("q1", prompt="Oslo. Where?")
    >>> questions
    {'q1': Seen(prompt='Oslo. Where?', context=('Oslo',))}
    """
    questions: dict[str, Seen] = {}
    token = _told.set(questions)
    try:
        yield questions
    finally:
        _told.reset(token)
