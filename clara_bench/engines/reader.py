"""The reader `vllm`: a causal language model in vLLM, in this process, with the prompts of the reader `hf`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

from clara_bench.components import seen
from clara_bench.components.registry import OPERATIONAL
from clara_bench.engines.vllm import VLLM, Continued, vllm_version
from clara_bench.engines.weights import folder_of
from clara_bench.read.generate import Generated
from clara_bench.read.hf import HFReader, too_long
from clara_bench.read.models import DEFAULT_MODEL
from clara_bench.read.prompts import PROMPT_OPTION
from clara_bench.read.render import Rendered, render
from clara_bench.read.thinking import Thinking
from clara_bench.types import Question, Reading, Usage


class VLLMReader:
    """Answers with a causal language model that vLLM runs in this process.

    vLLM reads some prompts while it answers others, so that the seconds of a reading are in one phase, `request`: an
    equal share of the time of all questions that were read together.
    """

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of the reader `vllm`."""

        model: str = field(default=DEFAULT_MODEL, metadata=OPERATIONAL)
        """Hub id, folder or GGUF file."""
        revision: str | None = field(default=None, metadata=OPERATIONAL)
        """Branch, tag or commit on the hub."""
        adapter: str | None = field(default=None, metadata=OPERATIONAL)
        """Folder or hub id of LoRA weights (PEFT) that are merged into the model, in the cache."""
        prompt: str = field(default="short", metadata=PROMPT_OPTION)
        """The name of a prompt, or a TOML file with one."""
        max_new_tokens: int = 32
        """Longest answer, in tokens."""
        thinking: Thinking = "keep"
        """Thoughts of a reasoning model, <think>...</think>: `strip` takes them out of the answer and records them."""
        max_prompt_tokens: int | None = None
        """Longest prompt, in tokens; the model's own window by default. Evidence beyond it is cut and counted."""
        dtype: Literal["float32", "bfloat16", "auto"] = "auto"
        """Number format of the weights; auto: bfloat16 on a GPU, else float32."""
        prefix_caching: bool = field(default=True, metadata=OPERATIONAL)
        """Keep keys and values of prompts that begin alike."""
        trust_remote_code: bool = False
        """Run Python code that comes with the model."""

        def __post_init__(self) -> None:
            for name in ("max_new_tokens", "max_prompt_tokens"):
                value = getattr(self, name)
                if value is not None and value < 1:
                    raise ValueError(f"{name} must be at least 1, got {value}")

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Options()
        names = [name for name in self.Options.__slots__ if name != "prefix_caching"]
        self._text = HFReader(HFReader.Options(**{name: getattr(self.options, name) for name in names}))
        self.model, self.tuned = self._text.model, self._text.tuned

    def describe(self) -> Mapping[str, Any]:
        """Description of the model and the engine for the manifest."""
        return {**self._text.describe(), "engine": f"vllm {vllm_version()}"}

    def prepare(self) -> None:
        """Start the engine now."""
        _ = self.engine

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self._text.tokenizer

    @cached_property
    def engine(self) -> VLLM:
        """The engine with the model, started when first needed."""
        folder = folder_of(self.model, self._text.adapter, self.options.trust_remote_code)
        return VLLM.start(
            folder,
            prefix_caching=self.options.prefix_caching,
            dtype=self._text.describe()["dtype"],
            trust_remote_code=self.options.trust_remote_code,
        )

    @property
    def limit(self) -> int:
        """Longest prompt that leaves room for the answer, in tokens."""
        room = self.engine.window - self.options.max_new_tokens
        return min(room, self.options.max_prompt_tokens or room)

    def context_tokens(self, contexts: Sequence[Sequence[str]]) -> Sequence[int]:
        """Tokens of each question's contexts in the model's own tokenizer, separators included."""
        return self._text.context_tokens(contexts)

    def render(self, question: Question, texts: Sequence[str]) -> Rendered:
        """The prompt of one question, as the model reads it."""
        return render(self.tokenizer, self._text.prompt, question.text, texts, self.limit)

    def read(self, questions: Sequence[Question], contexts: Sequence[Sequence[str]]) -> Sequence[Reading]:
        """Answer in the same order and number; contexts[i] are the texts given for questions[i], () for none."""
        prompts = [self.render(*pair) for pair in zip(questions, contexts, strict=True)]
        for question, prompt in zip(questions, prompts, strict=True):
            seen.tell(question.id, prompt=partial(self.tokenizer.decode, prompt.ids))
        fits = [place for place, prompt in enumerate(prompts) if len(prompt.ids) <= self.limit]
        found = self.engine.continued([prompts[place].ids for place in fits], self.options.max_new_tokens)
        said = dict(zip(fits, found, strict=True))
        return [
            self._reading(prompt, said[place]) if place in said else too_long(prompt, self.limit)
            for place, prompt in enumerate(prompts)
        ]

    def _reading(self, prompt: Rendered, said: Continued) -> Reading:
        usage = Usage(prompt.context_positions, prompt.context_text_tokens, said.prompt_tokens)
        reading = self._text.reading(usage, prompt.truncated, Generated(said.ids, 0.0, 0.0))
        return replace(reading, usage=replace(reading.usage, seconds={"request": said.seconds}))
