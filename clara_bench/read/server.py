"""Client of an OpenAI-compatible server: concurrent questions, each with a deadline, each reply checked.

An error belongs to its question. It counts as a transport error if a retry may succeed: no connection, a busy or
failing server, a refused key, an invalid reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Literal, NamedTuple

import msgspec

from clara_bench.errors import BenchError, DataError, MissingDependency
from clara_bench.io.parsing import decode
from clara_bench.read.prompts import Turn
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


class _Refusable(NamedTuple):
    told: str
    instead: str | None


_REFUSABLE = {
    "max_tokens": _Refusable("max_tokens: max_completion_tokens is sent instead", "max_completion_tokens"),
    "temperature": _Refusable("temperature 0: none is sent, and answers may differ from run to run", None),
}
"""Fields that newer models do not take."""
LONGEST_REPLY = 1 << 22
"""Bytes; a million tokens have no more."""
SHORTEST_SECRET = 5
"""Characters; what is shorter is no secret, and stands in other words."""
_OF_THE_QUESTION = frozenset({400, 413, 414, 422})
"""HTTP statuses that say something about the question; the others befall any."""


class Failure(NamedTuple):
    """Why a question has no answer."""

    status: Literal["error", "timeout", "transport"]
    reason: str


class Said(NamedTuple):
    """A server's answer."""

    text: str
    cut: bool
    """Whether it stopped because the answer was as long as it may be."""
    prompt_tokens: int | None
    """As the server counts; None where it does not."""
    generated_tokens: int | None


class Reply(NamedTuple):
    """What came of one conversation."""

    place: int
    """The conversation's, among those asked."""
    said: Said | Failure
    seconds: float
    """All tries together, waiting for a free slot left out."""


@dataclass(slots=True)
class _Client:
    """A server, and how many requests it has."""

    client: openai.AsyncOpenAI
    url: str
    busy: int = 0


@dataclass(slots=True)
class _Clients:
    """The servers that are asked."""

    up: list[_Client]

    def least_busy(self) -> _Client:
        """The server with the fewest requests."""
        return min(self.up, key=lambda client: client.busy)

    def without(self, client: _Client) -> bool:
        """Ask a server no more that failed; returns whether another is left. The last one stays."""
        if client in self.up and len(self.up) > 1:
            self.up.remove(client)
            return True
        return client not in self.up


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, or several of the same model are, and how patiently they are asked."""

    base_urls: Sequence[str]
    """Of servers of one model; a question goes to the least busy."""
    key: str
    concurrency: int
    """Of each server."""
    timeout_seconds: float
    """Each try, whole: a server that sends a byte now and then gets no more."""
    retries: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request; each may be a secret."""
    _refused: set[str] = field(default_factory=set, init=False)
    """Fields of a request that the server does not take."""

    @property
    def adapted(self) -> list[str]:
        """What the server was asked for otherwise than others are, because it refused that."""
        return [f"{','.join(self.base_urls)} refuses {_REFUSABLE[name].told}" for name in sorted(self._refused)]

    def ask(self, conversations: Sequence[Sequence[Turn]], body: Mapping[str, Any]) -> Iterator[Reply]:
        """Replies in order of arrival; ending the iteration early cancels pending requests.

        Args:
            conversations: what was said so far, the user last.
            body: the rest of each request.
        """
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(self._clients()) as clients,
        ):
            slots = asyncio.Semaphore(self.concurrency * len(self.base_urls))
            waiting = [
                portal.start_task_soon(partial(self._reply, clients, slots, place, said, body))
                for place, said in enumerate(conversations)
            ]
            for done in as_completed(waiting):
                yield done.result()

    @contextlib.asynccontextmanager
    async def _clients(self) -> AsyncIterator[_Clients]:
        async with contextlib.AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(self._client(url)) for url in self.base_urls]
            yield _Clients([_Client(client, url) for client, url in zip(opened, self.base_urls, strict=True)])

    def _client(self, base_url: str) -> openai.AsyncOpenAI:
        connecting = min(CONNECT_SECONDS, self.timeout_seconds)
        return openai.AsyncOpenAI(
            api_key=self.key,
            base_url=base_url,
            max_retries=self.retries,
            timeout=openai.Timeout(self.timeout_seconds, connect=connecting),
            default_headers=self.headers,
            http_client=_Punctual(self.timeout_seconds),
        )

    async def _reply(
        self,
        clients: _Clients,
        slots: asyncio.Semaphore,
        place: int,
        conversation: Sequence[Turn],
        body: Mapping[str, Any],
    ) -> Reply:
        async with slots:
            start = time.perf_counter()
            said = await self._asked_one(clients, {**body, "messages": [dict(turn) for turn in conversation]})
            return Reply(place, said, time.perf_counter() - start)

    async def _asked_one(self, clients: _Clients, body: Mapping[str, Any]) -> Said | Failure:
        """The answer of the least busy server; where it cannot be reached, that of another."""
        while True:
            client = clients.least_busy()
            client.busy += 1
            try:
                said = await self._asked(client, body)
            finally:
                client.busy -= 1
            if not isinstance(said, Failure) or said.status != "transport" or not clients.without(client):
                return said

    async def _asked(self, client: _Client, body: Mapping[str, Any]) -> Said | Failure:
        while True:
            sent = self._taken(body)
            try:
                response = await client.client.chat.completions.with_raw_response.create(**sent)
                break
            except openai.APIConnectionError as error:
                return self._unreached(error, client.url)
            except openai.APIStatusError as error:
                if not self._adapts(sent, error):
                    return self._unserved(error)
            except openai.APIError as error:
                return Failure("transport", self._cleaned(str(error)))
        if len(response.content) > LONGEST_REPLY:
            return Failure(
                "transport", f"its reply has {len(response.content)} bytes, expected at most {LONGEST_REPLY}"
            )
        try:
            said = _said(response.content)
        except BenchError as error:
            return Failure("transport", self._cleaned(str(error)))
        return said._replace(text=self._without_secrets(said.text))

    def _taken(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The request with the fields that the server takes."""
        names = {name: _REFUSABLE[name].instead if name in self._refused else name for name in body}
        return {new: body[name] for name, new in names.items() if new is not None}

    def _adapts(self, sent: Mapping[str, Any], error: openai.APIStatusError) -> bool:
        """Whether the server refuses a field that was sent and that it can be spared."""
        named = {name for name in _REFUSABLE if name in sent and _names(error, name)}
        self._refused.update(named)
        return bool(named)

    def _unreached(self, error: openai.APIConnectionError, url: str) -> Failure:
        cause = error.__cause__ or error
        connecting = type(cause).__name__ == "ConnectTimeout"  # a server that accepts no connection is not there
        if isinstance(error, openai.APITimeoutError) and not connecting:
            tries = "1 try" if not self.retries else f"{self.retries + 1} tries"
            return Failure("timeout", f"no whole answer within {self.timeout_seconds:g} seconds, {tries}")
        reason = self._cleaned(str(cause) or type(cause).__name__)
        return Failure("transport", f"no answer from {url}: {reason}")

    def _unserved(self, error: openai.APIStatusError) -> Failure:
        code, to = error.status_code, error.response.headers.get("location")
        said = f"it redirects to {to}, which is not followed" if to else str(error)
        return Failure("error" if code in _OF_THE_QUESTION else "transport", self._cleaned(f"HTTP {code}: {said}"))

    def _cleaned(self, text: str) -> str:
        """A message in one line, without secrets."""
        return self._without_secrets(" ".join(text.split()))[:300]

    def _without_secrets(self, text: str) -> str:
        for secret in (self.key, *self.headers.values()):
            text = text.replace(secret, "***") if len(secret) >= SHORTEST_SECRET else text
        return text


def _names(error: openai.APIStatusError, field: str) -> bool:
    """Whether a server says that it is this field of the request which it refuses."""
    return error.param == field if error.param else error.status_code in {400, 422} and f"'{field}'" in str(error)


class _Punctual(openai.DefaultAsyncHttpxClient):
    """A client with a timeout for the complete request, which never sends a key to another address."""

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
    """The content of a reply.

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
