"""The reader `hf`: a causal language model of the transformers library, greedy and batched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal, TypeVar

from clara_bench.errors import ConfigError, MissingDependency

try:
    import torch
    import transformers  # noqa: F401  said to be missing here, not half-way through loading a model
except ModuleNotFoundError as error:
    raise MissingDependency("reader 'hf'", str(error.name), "hf") from error

from clara_bench.components import seen
from clara_bench.components.identity import computing
from clara_bench.components.registry import OPERATIONAL
from clara_bench.read.adapters import Adapter, find_adapter, lay_over
from clara_bench.read.generate import Generated, generate
from clara_bench.read.models import DEFAULT_MODEL, device, find, load_tokenizer, load_weights
from clara_bench.read.prompts import PROMPT_OPTION, get_prompt, until
from clara_bench.read.render import Rendered, evidence_tokens, render
from clara_bench.read.thinking import Thinking, without_thinking
from clara_bench.types import Question, Reading, Usage

T = TypeVar("T")


def _is_exact(options: HFReader.Options) -> bool:
    """Whether answers are the same however questions are batched: bfloat16 rounds too coarsely for that."""
    return options.dtype == "float32"


class HFReader:
    """Answers with a causal language model run in this process."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of the reader `hf`."""

        model: str = field(default=DEFAULT_MODEL, metadata=OPERATIONAL)
        """Hub id, folder or GGUF file."""
        revision: str | None = field(default=None, metadata=OPERATIONAL)
        """Branch, tag or commit on the hub."""
        adapter: str | None = field(default=None, metadata=OPERATIONAL)
        """Folder or hub id of LoRA weights (PEFT) that are merged into the model."""
        prompt: str = field(default="short", metadata=PROMPT_OPTION)
        """The name of a prompt, or a TOML file with one."""
        max_new_tokens: int = 32
        """Longest answer, in tokens."""
        thinking: Thinking = "keep"
        """Thoughts of a reasoning model, <think>...</think>: `strip` takes them out of the answer and records them."""
        max_prompt_tokens: int | None = None
        """Longest prompt, in tokens; the model's own window by default. Evidence beyond it is cut and counted."""
        batch_size: int = field(default=16, metadata={"batch": _is_exact})
        """Most questions in one batch; in other formats than float32 it may change an answer."""
        batch_tokens: int = field(default=16384, metadata={"batch": _is_exact})
        """Most prompt tokens in one batch, padding included; what bounds memory."""
        dtype: Literal["float32", "bfloat16", "auto"] = "float32"
        """Number format of the weights; auto: bfloat16 on a GPU, else float32."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""
        trust_remote_code: bool = False
        """Run Python code that comes with the model."""

        def __post_init__(self) -> None:
            for name in ("max_new_tokens", "max_prompt_tokens", "batch_size", "batch_tokens"):
                value = getattr(self, name)
                if value is not None and value < 1:
                    raise ValueError(f"{name} must be at least 1, got {value}")

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Options()
        self.prompt = get_prompt(self.options.prompt)
        if self.prompt.extra_body:
            raise ConfigError(f"prompt '{self.options.prompt}' has an extra_body, which only a server takes. Remove it")
        self._device = device(self.options.device)
        self.model = find(self.options.model, self.options.revision, self.options.trust_remote_code)
        self.adapter: Adapter | None = find_adapter(self.options.adapter) if self.options.adapter else None

    @property
    def tuned(self) -> bool:
        """Whether the model was fine-tuned for this prompt, according to its adapter."""
        return self.adapter is not None

    def describe(self) -> Mapping[str, Any]:
        """Description of the model for the manifest."""
        return {
            "model": self.model.name,
            "fingerprint": self.model.fingerprint,
            **({"adapter": self.adapter.fingerprint} if self.adapter else {}),
            "prompt": self.prompt.described,
            "dtype": str(self._dtype).removeprefix("torch."),
            **computing(self._device),
        }

    def prepare(self) -> None:
        """Load model and tokenizer now."""
        _ = self.tokenizer, self.weights

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer, loaded when first needed."""
        return load_tokenizer(self.model, self.options.trust_remote_code)

    @cached_property
    def weights(self) -> Any:
        """The model itself, loaded when first needed."""
        weights = load_weights(self.model, self._dtype, self.options.trust_remote_code)
        if self.adapter is not None:
            weights = lay_over(weights, self.adapter, self.model)
        return weights.to(self._device)

    @property
    def _dtype(self) -> torch.dtype:
        chosen = self.options.dtype
        if chosen == "auto":
            chosen = "float32" if self._device.type == "cpu" else "bfloat16"
        return torch.float32 if chosen == "float32" else torch.bfloat16

    @cached_property
    def stop(self) -> frozenset[int]:
        """Tokens that end an answer."""
        ends = self.weights.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        return frozenset(token for token in (*ends, self.tokenizer.eos_token_id) if token is not None)

    @cached_property
    def limit(self) -> int | None:
        """Longest prompt that leaves room for the answer, in tokens."""
        window = getattr(self.weights.config.get_text_config(), "max_position_embeddings", None)
        limits = [window - self.options.max_new_tokens] if window else []
        if self.options.max_prompt_tokens is not None:
            limits.append(self.options.max_prompt_tokens)
        return min(limits, default=None)

    def context_tokens(self, contexts: Sequence[Sequence[str]]) -> Sequence[int]:
        """Tokens of each question's contexts in the model's own tokenizer, separators included."""
        return evidence_tokens(self.tokenizer, self.prompt, contexts)

    def render(self, question: Question, texts: Sequence[str]) -> Rendered:
        """The prompt of one question, as the model reads it."""
        return render(self.tokenizer, self.prompt, question.text, texts, self.limit)

    def read(self, questions: Sequence[Question], contexts: Sequence[Sequence[str]]) -> Sequence[Reading]:
        """Answer in the same order and number; contexts[i] are the texts given for questions[i], () for none."""
        prompts = [self.render(*pair) for pair in zip(questions, contexts, strict=True)]
        for question, prompt in zip(questions, prompts, strict=True):
            seen.tell(question.id, prompt=partial(self.tokenizer.decode, prompt.ids))
        readings: dict[int, Reading] = {}
        for place, prompt in enumerate(prompts):
            if self.limit is not None and len(prompt.ids) > self.limit:
                readings[place] = too_long(prompt, self.limit)
        lengths = {place: len(prompt.ids) for place, prompt in enumerate(prompts) if place not in readings}
        for batch in self.batches(lengths):
            for place, generated in zip(batch, self._generate([prompts[place] for place in batch]), strict=True):
                prompt = prompts[place]
                usage = Usage(prompt.context_positions, prompt.context_text_tokens, len(prompt.ids))
                readings[place] = self.reading(usage, prompt.truncated, generated)
        return [readings[place] for place in range(len(prompts))]

    def batches(self, lengths: Mapping[int, int]) -> list[list[int]]:
        """Places, each with the length of its prompt, grouped into batches of like length, longest first."""
        batches: list[list[int]] = []
        for place in sorted(lengths, key=lambda place: (-lengths[place], place)):
            longest = lengths[batches[-1][0]] if batches else 0
            room = min(self.options.batch_size, self.options.batch_tokens // max(longest, 1))
            if batches and len(batches[-1]) < room:
                batches[-1].append(place)
            else:
                batches.append([place])
        return batches

    def _generate(self, prompts: Sequence[Rendered]) -> list[Generated | None]:
        most = self.options.max_new_tokens
        return self.in_halves(
            prompts, lambda some: generate(self.weights, [prompt.ids for prompt in some], self.stop, most)
        )

    def in_halves(
        self, prompts: Sequence[T], continued: Callable[[Sequence[T]], Sequence[Generated]]
    ) -> list[Generated | None]:
        """Continue the prompts; when memory runs out, in halves; None for a prompt too large by itself."""
        try:
            return list(continued(prompts))
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if len(prompts) == 1:
            return [None]
        half = len(prompts) // 2
        return self.in_halves(prompts[:half], continued) + self.in_halves(prompts[half:], continued)

    def reading(self, usage: Usage, cut: bool, generated: Generated | None) -> Reading:
        """What came of one prompt.

        Args:
            usage: what is known of it before the answer.
            cut: whether evidence was cut.
            generated: None where memory ran out.
        """
        if generated is None:
            error = f"no memory for a prompt of {usage.prompt_tokens} tokens"
            return Reading("", usage, "out-of-memory", error)
        said = self.tokenizer.decode(generated.ids, skip_special_tokens=True).strip()
        text = until(said, self.prompt.stop)
        seconds = {**usage.seconds, "prefill": generated.prefill_seconds, "decode": generated.decode_seconds}
        usage = replace(usage, generated_tokens=len(generated.ids), seconds=seconds)
        cut = cut or (text == said and len(generated.ids) >= self.options.max_new_tokens)
        reading = Reading(text, usage, "truncated" if cut else "ok" if text else "empty")
        return without_thinking(reading, self.options.thinking)


def too_long(prompt: Rendered, limit: int) -> Reading:
    """What stands for an answer where even a prompt without evidence does not fit."""
    usage = Usage(prompt.context_positions, prompt.context_text_tokens, 0)
    error = f"instructions and question alone take {len(prompt.ids)} tokens, {limit} fit"
    return Reading("", usage, "error", error)


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the CPU, where torch raises a plain RuntimeError."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
