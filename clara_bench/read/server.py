"""The way to an OpenAI-compatible server and back: many questions under way, each with a deadline, each reply checked.

Whatever goes wrong belongs to its question. It is said to be of the transport where the same question may well be
answered another time: no connection, a server that is busy or failing, a key that is refused, a reply that is none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Literal, NamedTuple

import msgspec

from clara_bench.errors import BenchError, DataError, MissingDependency
from clara_bench.io.parsing import decode
from clara_bench.types import Count

try:
    import openai
    from anyio import fail_after
    from anyio.from_thread import start_blocking_portal
except ModuleNotFoundError as error:
    raise MissingDependency("reader 'openai'", str(error.name), "openai") from error

_http = import_module(openai.DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0])
"""The library below: httpx, or what the client's newer versions have in its place."""
CONNECT_SECONDS = 5.0
"""How long a server may take to accept a connection."""
LONGEST_REPLY = 1 << 22
"""Bytes; a million tokens have no more."""
_OF_THE_QUESTION = frozenset({400, 413, 414, 422})
"""HTTP statuses that say something about the question; the others befall any."""


class Failure(NamedTuple):
    """Why a question has no answer."""

    status: Literal["error", "timeout", "transport"]
    reason: str


class Said(NamedTuple):
    """What a server answered."""

    text: str
    cut: bool
    """Whether it stopped because the answer was as long as it may be."""
    prompt_tokens: int | None
    """As the server counts; None where it does not."""
    generated_tokens: int | None


class Reply(NamedTuple):
    """What came of one message."""

    place: int
    """The message's, among those asked."""
    said: Said | Failure
    seconds: float
    """All tries together, waiting for a free slot left out."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and how patiently it is asked."""

    base_url: str
    key: str
    concurrency: int
    timeout_seconds: float
    """Each try, whole: a server that sends a byte now and then gets no more."""
    retries: int

    def ask(self, messages: Sequence[str], body: Mapping[str, Any]) -> Iterator[Reply]:
        """Replies in the order in which they come; ending the iteration early ends what is under way.

        Args:
            messages: what the user says, one a conversation.
            body: the rest of each request.
        """
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(self._client()) as client,
        ):
            slots = asyncio.Semaphore(self.concurrency)
            waiting = [
                portal.start_task_soon(partial(self._reply, client, slots, place, message, body))
                for place, message in enumerate(messages)
            ]
            for done in as_completed(waiting):
                yield done.result()

    def _client(self) -> openai.AsyncOpenAI:
        connecting = min(CONNECT_SECONDS, self.timeout_seconds)
        return openai.AsyncOpenAI(
            api_key=self.key,
            base_url=self.base_url,
            max_retries=self.retries,
            timeout=openai.Timeout(self.timeout_seconds, connect=connecting),
            http_client=_Punctual(self.timeout_seconds),
        )

    async def _reply(
        self, client: openai.AsyncOpenAI, slots: asyncio.Semaphore, place: int, message: str, body: Mapping[str, Any]
    ) -> Reply:
        async with slots:
            start = time.perf_counter()
            said = await self._asked(client, {**body, "messages": [{"role": "user", "content": message}]})
            return Reply(place, said, time.perf_counter() - start)

    async def _asked(self, client: openai.AsyncOpenAI, body: Mapping[str, Any]) -> Said | Failure:
        try:
            response = await client.chat.completions.with_raw_response.create(**body)
        except openai.APIConnectionError as error:
            return self._unreached(error)
        except openai.APIStatusError as error:
            return Failure(*self._refused(error))
        except openai.APIError as error:
            return Failure("transport", self._cleaned(error))
        if len(response.content) > LONGEST_REPLY:
            return Failure(
                "transport", f"its reply has {len(response.content)} bytes, expected at most {LONGEST_REPLY}"
            )
        try:
            return _said(response.content)
        except BenchError as error:
            return Failure("transport", self._cleaned(error))

    def _unreached(self, error: openai.APIConnectionError) -> Failure:
        cause = error.__cause__ or error
        connecting = type(cause).__name__ == "ConnectTimeout"  # a server that accepts no connection is not there
        if isinstance(error, openai.APITimeoutError) and not connecting:
            tries = "1 try" if not self.retries else f"{self.retries + 1} tries"
            return Failure("timeout", f"no whole answer within {self.timeout_seconds:g} seconds, {tries}")
        return Failure("transport", f"no answer from {self.base_url}: {self._cleaned(cause)}")

    def _refused(self, error: openai.APIStatusError) -> Failure:
        code, to = error.status_code, error.response.headers.get("location")
        said = f"it redirects to {to}, which is not followed" if to else self._cleaned(error)
        return Failure("error" if code in _OF_THE_QUESTION else "transport", f"HTTP {code}: {said}")

    def _cleaned(self, error: BaseException) -> str:
        """The error in one line, without the key."""
        text = " ".join(str(error).split()) or type(error).__name__
        return text.replace(self.key, "***")[:300]


class _Punctual(openai.DefaultAsyncHttpxClient):
    """A client whose requests end in time as a whole, and which carries no key on to another address."""

    def __init__(self, seconds: float) -> None:
        super().__init__(follow_redirects=False)
        self._seconds = seconds

    async def send(self, request: Any, **how: Any) -> Any:
        try:
            with fail_after(self._seconds):
                return await super().send(request, **how)
        except TimeoutError as error:
            raise _http.ReadTimeout("too long as a whole", request=request) from error


class _Part(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Counts(msgspec.Struct):
    prompt_tokens: Count
    completion_tokens: Count


class _Completion(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Counts | None = None


def _said(content: bytes) -> Said:
    """What a reply says.

    Raises:
        DataError: it is no chat completion.
    """
    found = decode(content, _Completion, "its reply is no chat completion")
    if not found.choices:
        raise DataError(f"its reply has no choices: {content[:200].decode(errors='replace')}")
    choice, usage = found.choices[0], found.usage
    spoken = choice.message.content or ""
    text = spoken if isinstance(spoken, str) else "".join(part.text for part in spoken)
    cut = choice.finish_reason == "length"
    if usage is None or not usage.prompt_tokens:
        return Said(text.strip(), cut, None, None)
    return Said(text.strip(), cut, usage.prompt_tokens, usage.completion_tokens)
