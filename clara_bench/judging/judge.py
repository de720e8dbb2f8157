"""The metric `judge`: a language model says whether each answer is right. Any reader of the harness can judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from clara_bench.components import checks, registry
from clara_bench.components.registry import OPERATIONAL, Component, create
from clara_bench.errors import ConfigError
from clara_bench.judging.prompts import get_judge_prompt
from clara_bench.types import FAILURES, Answered, Question, Reader, Reading, Usage, Verdict

DEFAULTS: Mapping[str, str] = {
    "prompt": "verbatim", "max_new_tokens": "256", "thinking": "strip", "tokenizer": "approximate",
}  # fmt: skip
"""Options of a reader that judges, where it has them and nothing else is asked for."""
BATCH = 32
"""Answers that are judged at once by a reader which hands over none before all are read; what a kill costs."""
NAMED = ("model", "revision", "adapter")
"""Options by which a reader's model is told from others, whether or not it can be loaded here."""


class Judge:
    """Value of a language model's verdict on the answer, 1 for correct and 0 for incorrect unless its prompt says else.

    Question, accepted answers and answer are put into the prompt. An empty answer is 0 without being asked. A reply
    that is no verdict has no value; it is counted apart.
    """

    citation = "LLM-as-a-judge (Zheng et al. 2023)"

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of the metric `judge`."""

        reader: Component = Component("openai")
        """The reader that judges, with its options: reader.model=NAME,reader.base_url=URL."""
        prompt: str = field(default="correct", metadata=OPERATIONAL)
        """A prompt's name, or a TOML file; its content counts."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.prompt = get_judge_prompt(options.prompt)
        component = registry.load("reader", options.reader.name)
        known = {one.name for one in fields(component.Options)} if hasattr(component, "Options") else set()
        if "prompt" in options.reader.options:
            raise ConfigError("metric 'judge': reader.prompt is no option of it. Its own prompt is prompt=FILE.toml")
        added = {key: value for key, value in DEFAULTS.items() if key in known}
        self._reader = Component(options.reader.name, {**added, **options.reader.options})
        registry.unbuilt("reader", self._reader)  # refuses wrong options before anything is asked

    def describe(self) -> Mapping[str, Any]:
        """The prompt in full, and the model by its name."""
        named = {name: self._reader.options[name] for name in NAMED if name in self._reader.options}
        return {"judged_by": named, "message": self.prompt.message, "verdicts": dict(self.prompt.verdicts)}

    def judge(self, answers: Sequence[Answered]) -> Iterator[tuple[int, Verdict]]:
        """Verdicts as the reader gives them."""
        reader: Reader = create("reader", self._reader)
        prompts = [self.prompt.fill(answered) for answered in answers]
        questions = [Question(answered.question.id, text) for answered, text in zip(answers, prompts, strict=True)]
        who = f"reader '{self._reader.name}'"
        at_once = len(questions) if hasattr(reader, "read_each") else BATCH
        for start in range(0, len(questions), at_once):
            some = questions[start : start + at_once]
            for place, reading in checks.readings_each(reader, some, [()] * len(some), who):
                yield start + place, self._verdict(prompts[start + place], reading)

    def _verdict(self, prompt: str, reading: Reading) -> Verdict:
        usage = Usage(
            prompt_tokens=reading.usage.prompt_tokens,
            generated_tokens=reading.usage.generated_tokens,
            seconds=reading.usage.seconds,
            usd=reading.usage.usd,
        )
        if reading.status in FAILURES:
            return Verdict(None, "", prompt, reading.error or reading.status, usage)
        return Verdict(self.prompt.value(reading.text), reading.text, prompt, None, usage)
