"""A model behind any OpenAI-compatible server as a reader: vLLM, llama.cpp, `transformers serve`, a provider.

The server counts prompt and answer tokens. It does not count the evidence in the prompt, so this module
counts it with the model's tokenizer, or approximately, and marked so, if there is none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from clara_bench.components import seen
from clara_bench.components.checks import in_order
from clara_bench.components.registry import OPERATIONAL
from clara_bench.errors import BackendError, ConfigError
from clara_bench.io.parsing import decode
from clara_bench.read.counting import counter, dollars
from clara_bench.read.prompts import PROMPT_OPTION, Turn, as_conversation, as_text, get_prompt, turns, until
from clara_bench.read.server import Failure, Reply, Said, Server
from clara_bench.read.thinking import Thinking, without_thinking
from clara_bench.types import FAILURES, Question, Reading, Usage


@dataclass(frozen=True, slots=True)
class _Request:
    turns: Sequence[Turn]
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
        """Address of the server, up to and with /v1; of several servers of the same model, joined by commas: each
        question goes to the least busy."""
        tokenizer: str = field(default="", metadata=OPERATIONAL)
        """Hub id, folder or GGUF file of the model's tokenizer, to count evidence with, or `approximate`; by default
        the model's name and, where that names none, `approximate`."""
        api_key_env: str = field(default="OPENAI_API_KEY", metadata=OPERATIONAL)
        """Name of the environment variable that holds the key; need not be set for servers that ask for none."""
        headers_env: str = field(default="", metadata=OPERATIONAL)
        """Further headers, each with the environment variable that holds its value: NAME=VARIABLE,NAME=VARIABLE."""
        extra_body: str = ""
        """Further fields of each request, as a JSON object: {"top_p": 1}."""
        input_price: float | None = field(default=None, metadata=OPERATIONAL)
        """US dollars for a million tokens of prompts."""
        output_price: float | None = field(default=None, metadata=OPERATIONAL)
        """US dollars for a million tokens of answers."""
        prompt: str = field(default="short", metadata=PROMPT_OPTION)
        """The name of a prompt, or a TOML file with one."""
        max_new_tokens: int = 32
        """Longest answer, in tokens."""
        thinking: Thinking = "keep"
        """Thoughts of a reasoning model, <think>...</think>: `strip` takes them out of the answer and records them."""
        max_prompt_tokens: int | None = None
        """Longest prompt, in tokens of the tokenizer; evidence beyond it is cut and counted. No limit by default."""
        concurrency: int = field(default=8, metadata=OPERATIONAL)
        """Requests under way at once, at each server."""
        timeout_seconds: float = field(default=60.0, metadata=OPERATIONAL)
        """Timeout for a complete answer, per try."""
        retries: int = field(default=5, metadata=OPERATIONAL)
        """Further tries, each after a longer pause, when the server is busy, fails or does not answer in time."""
        give_up_after: int = field(default=5, metadata=OPERATIONAL)
        """The run ends if this many first questions all fail."""

        def __post_init__(self) -> None:
            for name in ("max_new_tokens", "max_prompt_tokens", "concurrency", "timeout_seconds", "give_up_after"):
                value = getattr(self, name)
                if value is not None and value <= 0:
                    raise ValueError(f"{name} must be above 0, got {value}")
            for name in ("retries", "input_price", "output_price"):
                if (getattr(self, name) or 0) < 0:
                    raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
            for url in self.base_urls:
                if not url.startswith(("http://", "https://")):
                    raise ValueError(f"base_url must start with http:// or https://, got '{url}'")

        @property
        def base_urls(self) -> list[str]:
            """The addresses, one by one."""
            return [url.strip() for url in self.base_url.split(",")]

    def __init__(self, options: Options) -> None:
        self.options = options
        self.prompt = get_prompt(options.prompt)
        self._counter = counter(options.tokenizer, options.model)
        given = decode(options.extra_body or "{}", dict[str, Any], "reader 'openai': extra_body", error=ConfigError)
        self._extra = _merged(self.prompt.extra_body, given)
        self._server = Server(
            options.base_urls,
            os.environ.get(options.api_key_env) or "none",
            options.concurrency,
            options.timeout_seconds,
            options.retries,
            _headers(options.headers_env),
        )
        self._answers, self._failed = False, 0

    def describe(self) -> Mapping[str, Any]:
        """Description of the model for the manifest; never the key."""
        return {
            "model": self.options.model,
            "base_url": self.options.base_url,
            "prompt": self.prompt.described,
            "tokenizer": self._counter.name,
        }

    @property
    def token_counts(self) -> str:
        """Whether evidence is counted approximately, as the leaderboard says it."""
        return "" if self._counter.exact else "approximate"

    @property
    def adapted(self) -> list[str]:
        """What the server was asked for otherwise, because it refused that."""
        return self._server.adapted

    def context_tokens(self, contexts: Sequence[Sequence[str]]) -> Sequence[int]:
        """Tokens of each question's contexts, separators included."""
        return self._counter.count([self.prompt.separator.join(texts) for texts in contexts])

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
        for question, request in zip(questions, requests, strict=True):
            seen.tell(question.id, prompt=partial(as_conversation, request.turns))
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
            return _Request(turns(self.prompt, question.text, ""), Usage())
        fitted = self._counter.fit(self.prompt, question.text, texts, self.options.max_prompt_tokens)
        return _Request(turns(self.prompt, question.text, fitted.context), Usage(fitted.positions, fitted.text_tokens))

    def _readings(self, requests: Sequence[_Request]) -> Iterator[tuple[int, Reading]]:
        body = {"model": self.options.model, "temperature": 0, "max_tokens": self.options.max_new_tokens}
        body |= {"stop": list(self.prompt.stop)} if self.prompt.stop else {}
        body |= {"extra_body": self._extra} if self._extra else {}
        slots = self.options.concurrency * len(self.options.base_urls)
        side_by_side = max(1, min(slots, len(requests)))
        for reply in self._server.ask([request.turns for request in requests], body):
            reading = self._reading(requests[reply.place], reply)
            seconds = {"request": reply.seconds / side_by_side}
            yield reply.place, replace(reading, usage=replace(reading.usage, seconds=seconds))

    def _reading(self, request: _Request, reply: Reply) -> Reading:
        said = reply.said
        if isinstance(said, Failure):
            return Reading("", request.usage, said.status, said.reason)
        usage = self._usage(request, said)
        cut = said.cut or usage.context_positions < usage.context_text_tokens
        text = until(said.text, self.prompt.stop)
        reading = Reading(text, usage, "truncated" if cut else "ok" if text else "empty")
        return without_thinking(reading, self.options.thinking)

    def _usage(self, request: _Request, said: Said) -> Usage:
        """The server's counts; what it does not count is counted here."""
        read, written = said.prompt_tokens, said.generated_tokens
        positions = request.usage.context_positions
        if read is None or written is None:
            read, written = self._counter.count([as_text(request.turns), said.text])
        elif self._counter.exact:  # a server that read less than the evidence has cut it
            positions = min(positions, read)
        return replace(
            request.usage,
            context_positions=positions,
            prompt_tokens=read,
            generated_tokens=written,
            usd=dollars(read, written, self.options.input_price, self.options.output_price),
        )

    def _gives_up(self, first: Reading) -> BackendError:
        return BackendError(
            f"{self.options.base_url} has answered none of the first {self.options.give_up_after} questions: "
            f"{first.error}. Check that the server runs, base_url, the model's name '{self.options.model}' and the key "
            f"in ${self.options.api_key_env}"
        )


def _merged(of_prompt: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a prompt and those given as an option.

    Raises:
        ConfigError: both set one, and differ.
    """
    both = sorted(name for name in of_prompt.keys() & given.keys() if of_prompt[name] != given[name])
    if both:
        raise ConfigError(f"reader 'openai': extra_body and the prompt's both set {', '.join(both)}. Set it once")
    return {**of_prompt, **given}


def _headers(told: str) -> dict[str, str]:
    """Headers by name, their values from the environment.

    Raises:
        ConfigError: not NAME=VARIABLE, or no such variable.
    """
    headers = {}
    for pair in filter(None, told.split(",")):
        name, _, variable = (part.strip() for part in pair.partition("="))
        if not name or not os.environ.get(variable):
            raise ConfigError(
                f"reader 'openai': headers_env: '{pair}' names no environment variable that is set. "
                "Expected NAME=VARIABLE,NAME=VARIABLE"
            )
        headers[name] = os.environ[variable]
    return headers
