"""Every reader prompt, versioned: a changed word is a new version.

No prompt relies on stop strings, and no answer is cut: the model's full output is scored.
There is no system message: models that want one bring their own in their chat template, and
some templates refuse one. The wording ends as a completion would start, so that it serves
models without a chat template too.
"""

from __future__ import annotations

from dataclasses import dataclass

from clara_bench.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Prompt:
    """How a question and its passages are put to a language model, as one message of the user."""

    name: str
    version: int
    with_context: str
    """Has the fields {context} and {question}."""
    closed_book: str
    """Has the field {question}; used when there is no context."""
    separator: str = "\n\n"
    """Between two passages."""


# Chosen on training questions of HotpotQA and MuSiQue (20 of each, gold passages) with SmolLM2-135M-Instruct.
# EM / F1 / answer contained / mean tokens of the answer:
#   short, float32                                           2.5 / 12.1 / 22.5 / 19
#   "a few words only, for example a name or a date"         2.5 / 10.1 / 30.0 / 22
#   "only the name, date or number, without a sentence"      0.0 / 10.9 / 32.5 / 25
#   short with 2 worked examples                             2.5 / 10.7 / 25.0 / 18, and 130 more tokens to read
#   short, answer begun with "The answer is:"                2.5 / 10.5 / 12.5 /  6
# With 25 of each in bfloat16: short 2.0 / 10.7 / 28.0 / 19; instructions as a system message 0.0 / 8.4 / 32.0 / 27;
# that with 1 worked example 0.0 / 8.5 / 26.0 / 24; with 3 worked examples 0.0 / 4.7 / 20.0 / 24.
# So many EM and F1 are within chance of each other; the short answers decided.
PROMPTS: dict[str, Prompt] = {
    prompt.name: prompt
    for prompt in (
        Prompt(
            name="short",
            version=1,
            with_context="{context}\n\nUsing the text above, answer with as few words as possible.\n"
            "Question: {question}\nShort answer:",
            closed_book="Answer with as few words as possible.\nQuestion: {question}\nShort answer:",
        ),
        Prompt(
            name="step",
            version=1,
            with_context="{context}\n\nQuestion: {question}\n"
            "In one sentence, state the fact from the text above that brings the answer nearer.\nFact:",
            closed_book="Question: {question}\nIn one sentence, state a fact that brings the answer nearer.\nFact:",
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


def fill(prompt: Prompt, question: str, context: str) -> str:
    """The message for a question; closed book when the context is blank."""
    if not context.strip():
        return prompt.closed_book.format(question=question)
    return prompt.with_context.format(context=context, question=question)
