"""Prompts of readers, versioned: a changed word is a new version. Built in, of an installed package, or a TOML file.

    -o reader.prompt=short            built in, or by the entry point group clara_bench.prompts
    -o reader.prompt=./mine.toml      a file; its content is part of a run's identity, its place is not

The built-in prompts rely on no stop strings, and no answer is cut: the model's full output is scored.
They have no system message: models that want one bring their own in their chat template, and
some templates refuse one. The wording ends as a completion would start, so that it serves
models without a chat template too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from clara_bench.components.registry import discover, plugin_errors
from clara_bench.errors import ConfigError, UnknownName
from clara_bench.io.cache import digest
from clara_bench.io.parsing import convert, read_toml
from clara_bench.read.templates import refuse_other_fields

Turn = Mapping[str, str]
"""What one side says: `role` and `content`."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A worked example, shown before the question."""

    question: str
    answer: str
    context: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """How a question and its passages are put to a language model."""

    name: str
    version: int
    with_context: str
    """The user's message; has the fields {context} and {question}."""
    closed_book: str
    """Has the field {question}; used when there is no context."""
    separator: str = "\n\n"
    """Between two passages."""
    system: str = ""
    """The system message; "" for none."""
    examples: tuple[Shot, ...] = ()
    """Earlier turns of the conversation, in the same wording."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer; it is scored without them."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of a request to a server."""
    schema: Literal[1] = 1

    def __post_init__(self) -> None:
        refuse_other_fields(self.with_context, {"context", "question"}, required={"context", "question"})
        refuse_other_fields(self.closed_book, {"question"}, required={"question"} if self.closed_book else ())
        if "" in self.stop:
            raise ValueError("a text in stop is empty, and would end every answer at once. Remove it")

    @property
    def described(self) -> Any:
        """What the manifest says of it: a built-in prompt by name and version, any other in full."""
        if PROMPTS.get(self.name) == self:
            return f"{self.name}@{self.version}"
        content = {**asdict(self), "extra_body": dict(self.extra_body)}
        told = {key: value for key, value in content.items() if key not in ("name", "version", "schema")}
        fingerprint = digest([msgspec.json.encode(told, order="deterministic")])
        return {"name": f"{self.name}@{self.version}", "fingerprint": f"sha256:{fingerprint}", "content": told}


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
        Prompt(name="verbatim", version=1, with_context="{context}\n\n{question}", closed_book="{question}"),
        Prompt(
            name="step",
            version=1,
            with_context="{context}\n\nQuestion: {question}\n"
            "In one sentence, state the fact from the text above that brings the answer nearer.\nFact:",
            closed_book="Question: {question}\nIn one sentence, state a fact that brings the answer nearer.\nFact:",
        ),
    )
}


def is_prompt_file(name: str) -> bool:
    """Whether a prompt is a file, whose content counts and not its place."""
    return name.endswith(".toml")


def _is_file(options: Any) -> bool:
    return is_prompt_file(options.prompt)


PROMPT_OPTION = MappingProxyType({"operational": _is_file})
"""Metadata of an Options field `prompt`: what a file holds is in `describe()`."""


def get_prompt(name: str) -> Prompt:
    """The prompt of that name, or in that file.

    Raises:
        UnknownName: there is none.
        ConfigError: the file is no prompt, or a plug-in's is none.
    """
    if is_prompt_file(name):
        return _from_file(name)
    if name in PROMPTS:
        return PROMPTS[name]
    installed = discover("prompt")
    if name not in installed:
        raise UnknownName("prompt", name, [*PROMPTS, *installed])
    with plugin_errors(f"prompt '{name}' ({installed[name].value})"):
        found = installed[name].load()
    if not isinstance(found, Prompt):
        raise ConfigError(
            f"prompt '{name}' is of type {type(found).__name__}, expected clara_bench.read.prompts.Prompt"
        )
    return found


def _from_file(name: str) -> Prompt:
    mend = "docs/readers.md shows such a file"
    return convert(read_toml(Path(name), mend, ConfigError), Prompt, f"prompt {name}", mend, ConfigError)


def fill(prompt: Prompt, question: str, context: str) -> str:
    """The user's message for a question; closed book when the context is blank."""
    if not context.strip():
        return prompt.closed_book.format(question=question)
    return prompt.with_context.format(context=context, question=question)


def turns(prompt: Prompt, question: str, context: str) -> list[Turn]:
    """The whole conversation: system message, worked examples, question."""
    said = [{"role": "system", "content": prompt.system}] if prompt.system else []
    for shot in prompt.examples:
        said.append({"role": "user", "content": fill(prompt, shot.question, shot.context)})
        said.append({"role": "assistant", "content": shot.answer})
    return [*said, {"role": "user", "content": fill(prompt, question, context)}]


def as_conversation(said: Sequence[Turn]) -> str:
    r"""A conversation as people read it, each turn after who speaks.

    >>> as_conversation([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Q?"}])
    '[system]\nBe brief.\n[user]\nQ?'
    """
    return "\n".join(f"[{turn['role']}]\n{turn['content']}" for turn in said)


def as_text(said: Sequence[Turn]) -> str:
    r"""A conversation for a model without a chat template: an answer stands in the line of its question.

    >>> as_text([{"role": "user", "content": "Q: a?\nA:"}, {"role": "assistant", "content": "b"}])
    'Q: a?\nA: b'
    """
    text = ""
    for turn in said:
        between = " " if turn["role"] == "assistant" else "\n\n"
        text += f"{between if text else ''}{turn['content']}"
    return text


def until(text: str, stop: Sequence[str]) -> str:
    r"""The text before the first stop.

    >>> until("Oslo\nQuestion: next?", ["\n", "Question"])
    'Oslo'
    """
    ends = [place for one in stop if (place := text.find(one)) >= 0]
    return text[: min(ends)].strip() if ends else text
