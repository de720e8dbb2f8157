"""Every prompt that a reader uses, in one place and versioned: a changed word is a new version.

No prompt relies on stop strings, and no answer is cut: what the model says is what is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clara_bench.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Prompt:
    """How a question and its passages are put to a language model."""

    name: str
    version: int
    system: str
    with_context: str
    """Has the fields {context} and {question}."""
    closed_book: str
    """Has the field {question}; used when there is no context."""
    separator: str = "\n\n"
    """Between two passages."""
    lead: str = ""
    """What the model's own turn begins with, where it can be given: readers that run the model do, servers do not."""
    shots: tuple[tuple[tuple[str, ...], str, str], ...] = ()
    """Worked examples: passages, question, answer."""


PROMPTS: dict[str, Prompt] = {
    prompt.name: prompt
    for prompt in (
        Prompt(
            name="short",
            version=2,
            system="You are a helpful assistant that answers questions briefly.",
            with_context=(
                "{context}\n\nUsing the text above, answer with as few words as possible.\n"
                "Question: {question}\nShort answer:"
            ),
            closed_book="Answer with as few words as possible.\nQuestion: {question}\nShort answer:",
            lead="The answer is:",
        ),
    )
}


def get_prompt(name: str) -> Prompt:
    """The prompt of that name.

    Raises:
        UnknownName: there is none.
    """
    if name not in PROMPTS:
        raise UnknownName("prompt", name, PROMPTS)
    return PROMPTS[name]


def messages(prompt: Prompt, question: str, context: str) -> list[dict[str, str]]:
    """The conversation to complete, as chat templates and servers take it; context "" means closed book."""
    turns = [{"role": "system", "content": prompt.system}]
    for passages, asked, answer in prompt.shots:
        shown = prompt.separator.join(passages) if context else ""
        turns.append({"role": "user", "content": _ask(prompt, asked, shown)})
        turns.append({"role": "assistant", "content": answer})
    return [*turns, {"role": "user", "content": _ask(prompt, question, context)}]


def _ask(prompt: Prompt, question: str, context: str) -> str:
    if not context:
        return prompt.closed_book.format(question=question)
    return prompt.with_context.format(context=context, question=question)


def plain(turns: Sequence[dict[str, str]]) -> str:
    """The conversation as running text, for models without a chat template."""
    system, *rest = turns
    parts = [system["content"]]
    for turn in rest:
        parts.append(turn["content"] if turn["role"] == "user" else f"Answer: {turn['content']}")
    return "\n\n".join([*parts, "Answer:"])


def without_system(turns: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The conversation with the system message put into the first user turn, for templates that refuse the role."""
    system, first, *rest = turns
    return [{"role": "user", "content": f"{system['content']}\n\n{first['content']}"}, *rest]
