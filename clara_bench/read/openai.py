"""A model behind any OpenAI-compatible server as a reader: vLLM, llama.cpp, `transformers serve`, a provider.

The server counts prompt and answer. It cannot say how much of the prompt was evidence, so that
is counted here with the model's tokenizer, which must therefore be at hand; nothing is guessed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from clara_bench.components.registry import OPERATIONAL
from clara_bench.errors import BackendError, MissingDependency
from clara_bench.read.models import find, load_tokenizer
from clara_bench.read.prompts import fill, get_prompt
from clara_bench.read.render import evidence_tokens, render
from clara_bench.types import Question, Reading, Usage

try:
    import openai
except ModuleNotFoundError as error:
    raise MissingDependency("reader 'openai'", str(error.name), "openai") from error

CONNECT_SECONDS = 5.0
"""How long a server may take to accept a connection."""
_FATAL = frozenset({401, 403, 404, 429, 502, 503, 504})
"""HTTP statuses that every question would meet: wrong key, wrong model, quota spent, server gone."""


@dataclass(frozen=True, slots=True)
class _Request:
    message: str
    usage: Usage
    """Filled as far as it is known before the server has answered."""


class OpenAIReader:
    """Answers with a model behind an OpenAI-compatible server.

    The seconds of a reading are in the phase `request`, as a server does not tell reading from
    writing: the time of the whole call, shared by how long each request took.
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
        """Longest wait for an answer, each try."""
        retries: int = field(default=5, metadata=OPERATIONAL)
        """Further tries, each after a longer pause, when the server is busy, fails or does not answer in time."""

        def __post_init__(self) -> None:
            for name in ("max_new_tokens", "max_prompt_tokens", "concurrency", "timeout_seconds"):
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
        self._key = os.environ.get(options.api_key_env) or "none"
        self._client = openai.OpenAI(
            api_key=self._key,
            base_url=options.base_url,
            timeout=openai.Timeout(options.timeout_seconds, connect=min(CONNECT_SECONDS, options.timeout_seconds)),
            max_retries=options.retries,
        )

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
            BackendError: the server cannot be reached, refuses every request, or speaks another protocol.
        """
        requests = [self._request(*pair) for pair in zip(questions, contexts, strict=True)]
        start = time.perf_counter()
        with ThreadPoolExecutor(self.options.concurrency) as pool:
            asked = [pool.submit(_timed, self._ask, request) for request in requests]
            try:
                readings = [future.result() for future in asked]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        share = (time.perf_counter() - start) / max(sum(seconds for _, seconds in readings), 1e-9)
        return [
            replace(reading, usage=replace(reading.usage, seconds={"request": seconds * share}))
            for reading, seconds in readings
        ]

    def _request(self, question: Question, texts: Sequence[str]) -> _Request:
        if not any(text.strip() for text in texts):
            return _Request(fill(self.prompt, question.text, ""), Usage())
        rendered = render(self.tokenizer, self.prompt, question.text, texts, self.options.max_prompt_tokens)
        message = fill(self.prompt, question.text, rendered.context)
        return _Request(message, Usage(rendered.context_positions, rendered.context_text_tokens))

    def _ask(self, request: _Request) -> Reading:
        try:
            completion = self._client.chat.completions.create(
                model=self.options.model,
                messages=[{"role": "user", "content": request.message}],
                temperature=0,
                max_tokens=self.options.max_new_tokens,
            )
        except openai.APIConnectionError as error:
            return self._unanswered(request, error)
        except openai.APIStatusError as error:
            reason = f"HTTP {error.status_code}: {self._clean(error)}"
            if error.status_code in _FATAL:
                raise BackendError(
                    f"{self.options.base_url} refuses requests for '{self.options.model}': {reason}. "
                    f"Check the model's name and the key in ${self.options.api_key_env}"
                ) from error
            return Reading("", request.usage, "error", reason)
        except (openai.APIError, ValueError) as error:
            raise self._not_compatible(self._clean(error)) from error
        return self._answered(request, completion)

    def _unanswered(self, request: _Request, error: openai.APIConnectionError) -> Reading:
        cause = error.__cause__ or error
        # A server that accepts no connection in time is not there; one that takes long to answer is slow.
        if isinstance(error, openai.APITimeoutError) and type(cause).__name__ != "ConnectTimeout":
            waited = f"no answer within {self.options.timeout_seconds:g} seconds, {self.options.retries + 1} tries"
            return Reading("", request.usage, "timeout", waited)
        raise BackendError(
            f"cannot reach {self.options.base_url}: {self._clean(cause)}. Start the server or set base_url"
        ) from error

    def _answered(self, request: _Request, completion: Any) -> Reading:
        try:
            text = (completion.choices[0].message.content or "").strip()
            prompt_tokens, generated = int(completion.usage.prompt_tokens), int(completion.usage.completion_tokens)
        except (AttributeError, IndexError, TypeError, ValueError) as error:  # the client checks no reply itself
            raise self._not_compatible("its reply lacks choices or token usage") from error
        usage = replace(request.usage, prompt_tokens=prompt_tokens, generated_tokens=generated)
        if usage.prompt_tokens < usage.context_positions:
            raise BackendError(
                f"{self.options.base_url} read {usage.prompt_tokens} tokens of a prompt whose evidence alone has "
                f"{usage.context_positions}: it cuts prompts (set max_prompt_tokens) or its tokenizer is another"
            )
        cut = usage.context_positions < usage.context_text_tokens
        return Reading(text, usage, "truncated" if cut else "ok" if text else "empty")

    def _not_compatible(self, reason: str) -> BackendError:
        return BackendError(f"{self.options.base_url} is no OpenAI-compatible server: {reason}. Check base_url")

    def _clean(self, error: BaseException) -> str:
        """The error in one line, without the key."""
        text = " ".join(str(error).split()) or type(error).__name__
        return text[:300] if self._key == "none" else text.replace(self._key, "***")[:300]


def _timed(ask: Callable[[_Request], Reading], request: _Request) -> tuple[Reading, float]:
    start = time.perf_counter()
    return ask(request), time.perf_counter() - start
