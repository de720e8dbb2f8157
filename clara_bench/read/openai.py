"""A model behind any OpenAI-compatible server as a reader: vLLM, llama.cpp, `transformers serve`, a provider.

The server counts prompt and answer. It cannot say how much of the prompt was evidence, so that
is counted here with the model's tokenizer, which must therefore be at hand; nothing is guessed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from clara_bench.components.checks import in_order
from clara_bench.components.registry import OPERATIONAL
from clara_bench.errors import BackendError
from clara_bench.read.models import find, load_tokenizer
from clara_bench.read.prompts import fill, get_prompt
from clara_bench.read.render import evidence_tokens, render
from clara_bench.read.server import Failure, Reply, Server
from clara_bench.types import FAILURES, Question, Reading, Usage


@dataclass(frozen=True, slots=True)
class _Request:
    message: str
    usage: Usage
    """Filled as far as it is known before the server has answered."""


class OpenAIReader:
    """Answers with a model behind an OpenAI-compatible server.

    The seconds of a reading are in the phase `request`, as a server does not tell reading from
    writing: those of its request, divided by how many requests may be under way at once.
    """

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of the reader `openai`."""

        model: str
        """Name of the model as the server knows it."""
        base_url: str = "http://localhost:8000/v1"
        """Address of the server, up to and with /v1."""
        tokenizer: str = field(default="", metadata=OPERATIONAL)
        """Hub id, folder or GGUF file of the model's tokenizer, to count evidence with; the model's name by default."""
        api_key_env: str = field(default="OPENAI_API_KEY", metadata=OPERATIONAL)
        """Name of the environment variable that holds the key; need not be set for servers that ask for none."""
        prompt: str = "short"
        """A name in prompts.py."""
        max_new_tokens: int = 32
        """Longest answer, in tokens."""
        max_prompt_tokens: int | None = None
        """Longest prompt, in tokens of the tokenizer; evidence beyond it is cut and counted. No limit by default."""
        concurrency: int = field(default=8, metadata=OPERATIONAL)
        """Requests under way at once."""
        timeout_seconds: float = field(default=60.0, metadata=OPERATIONAL)
        """Longest wait for a whole answer, each try."""
        retries: int = field(default=5, metadata=OPERATIONAL)
        """Further tries, each after a longer pause, when the server is busy, fails or does not answer in time."""
        give_up_after: int = field(default=5, metadata=OPERATIONAL)
        """The run ends when so many questions fail from the first on, none before them answered."""

        def __post_init__(self) -> None:
            for name in ("max_new_tokens", "max_prompt_tokens", "concurrency", "timeout_seconds", "give_up_after"):
                value = getattr(self, name)
                if value is not None and value <= 0:
                    raise ValueError(f"{name} must be above 0, got {value}")
            if self.retries < 0:
                raise ValueError(f"retries must be at least 0, got {self.retries}")
            if not self.base_url.startswith(("http://", "https://")):
                raise ValueError(f"base_url must start with http:// or https://, got '{self.base_url}'")

    def __init__(self, options: Options) -> None:
        self.options = options
        self.prompt = get_prompt(options.prompt)
        key = os.environ.get(options.api_key_env) or "none"
        self._server = Server(options.base_url, key, options.concurrency, options.timeout_seconds, options.retries)
        self._answers, self._failed = False, 0

    def describe(self) -> Mapping[str, Any]:
        """What the manifest records of the model in use; never the key."""
        return {
            "model": self.options.model,
            "base_url": self.options.base_url,
            "prompt": f"{self.prompt.name}@{self.prompt.version}",
            "tokenizer": self._told_tokenizer,
        }

    @property
    def _told_tokenizer(self) -> str:
        """The fingerprint of one that lies on this disk; else the name, for it may not be needed and is not fetched."""
        name = self.options.tokenizer or self.options.model
        return find(name, weights=False).fingerprint if Path(name).expanduser().exists() else name

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer that evidence is counted with.

        Raises:
            BackendError: it cannot be had.
        """
        name = self.options.tokenizer or self.options.model
        try:
            return load_tokenizer(find(name, weights=False))
        except BackendError as error:
            raise BackendError(
                f"reader 'openai' counts evidence with the model's own tokenizer: {error}. "
                "Name a tokenizer: -o reader.tokenizer=HUB_ID_OR_FOLDER"
            ) from error

    def context_tokens(self, contexts: Sequence[Sequence[str]]) -> Sequence[int]:
        """Tokens of each question's contexts in the tokenizer, separators included."""
        return evidence_tokens(self.tokenizer, self.prompt, contexts)

    def read(self, questions: Sequence[Question], contexts: Sequence[Sequence[str]]) -> Sequence[Reading]:
        """Answer in the same order and number; contexts[i] are the texts given for questions[i], () for none.

        Raises:
            BackendError: see `read_each`.
        """
        return in_order(self.read_each(questions, contexts))

    def read_each(
        self, questions: Sequence[Question], contexts: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, Reading]]:
        """As `read`, each reading with its question's place, as the server answers.

        Failures are held back until the server has answered any question.

        Raises:
            BackendError: it has answered none of the first questions.
        """
        requests = [self._request(*pair) for pair in zip(questions, contexts, strict=True)]
        held: dict[int, Reading] = {}
        for place, reading in self._readings(requests):
            held[place] = reading
            self._answers = self._answers or reading.status not in FAILURES
            if self._answers:
                yield from held.items()
                held.clear()
            elif all(place in held for place in range(self.options.give_up_after - self._failed)):
                raise self._gives_up(held[min(held)])
        self._failed += len(held)
        yield from held.items()

    def _request(self, question: Question, texts: Sequence[str]) -> _Request:
        if not any(text.strip() for text in texts):
            return _Request(fill(self.prompt, question.text, ""), Usage())
        rendered = render(self.tokenizer, self.prompt, question.text, texts, self.options.max_prompt_tokens)
        message = fill(self.prompt, question.text, rendered.context)
        return _Request(message, Usage(rendered.context_positions, rendered.context_text_tokens))

    def _readings(self, requests: Sequence[_Request]) -> Iterator[tuple[int, Reading]]:
        body = {"model": self.options.model, "temperature": 0, "max_tokens": self.options.max_new_tokens}
        side_by_side = max(1, min(self.options.concurrency, len(requests)))
        for reply in self._server.ask([request.message for request in requests], body):
            reading = self._reading(requests[reply.place], reply)
            seconds = {"request": reply.seconds / side_by_side}
            yield reply.place, replace(reading, usage=replace(reading.usage, seconds=seconds))

    def _reading(self, request: _Request, reply: Reply) -> Reading:
        said = reply.said
        if isinstance(said, Failure):
            return Reading("", request.usage, said.status, said.reason)
        read = request.usage.context_positions
        if said.prompt_tokens is not None:  # a server that read less than the evidence has cut it
            read = min(read, said.prompt_tokens)
        usage = replace(
            request.usage,
            context_positions=read,
            prompt_tokens=said.prompt_tokens or 0,
            generated_tokens=said.generated_tokens or 0,
        )
        cut = said.cut or usage.context_positions < usage.context_text_tokens
        return Reading(said.text, usage, "truncated" if cut else "ok" if said.text else "empty")

    def _gives_up(self, first: Reading) -> BackendError:
        return BackendError(
            f"{self.options.base_url} has answered none of the first {self.options.give_up_after} questions: "
            f"{first.error}. Check that the server runs, base_url, the model's name '{self.options.model}' and the key "
            f"in ${self.options.api_key_env}"
        )
