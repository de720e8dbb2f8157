"""vLLM's chat completions: a memory is a part `prompt_embeds` of a message, and the server renders the chat template.

The text that such a prompt is held against goes to `/v1/completions`, as the token ids of the rendered template. So a
template that the server renders otherwise, or a memory that it puts elsewhere, is found too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from clara_bench.conformance.checks import Engine, LogProbs
from clara_bench.conformance.engines import TOP, Server, Usage, encoded, token_id
from clara_bench.errors import BackendError, ConfigError
from clara_bench.io.parsing import decode
from clara_bench.read.models import Model, load_tokenizer
from clara_bench.read.render import message_parts
from clara_bench.tokens import encode

_MEMORY = "<the memory>"


@dataclass(frozen=True, slots=True)
class Frame:
    """Token ids that a chat template puts around the message of a user."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class _Likely(msgspec.Struct):
    token: str
    logprob: float


class _Place(msgspec.Struct):
    top_logprobs: list[_Likely]


class _Places(msgspec.Struct):
    content: list[_Place] | None = None


class _Choice(msgspec.Struct):
    logprobs: _Places | None = None


class _Reply(msgspec.Struct):
    choices: list[_Choice]
    usage: Usage | None = None


@dataclass(slots=True)
class Framed:
    """An engine that is given the ids of the template: what chat completions are held against."""

    engine: Engine
    frame: Frame
    table: Any
    name: str = "transformers"
    cached_tokens: int | None = 0

    def read_ids(self, ids: Sequence[int]) -> LogProbs:
        """The next token after a message of token ids."""
        return self.engine.read_ids([*self.frame.before, *ids, *self.frame.after])

    def read_embeddings(self, embeddings: Any) -> LogProbs:
        """The next token after a message of a (T, H) tensor."""
        import torch

        before, after = (self.table[list(ids)] for ids in (self.frame.before, self.frame.after))
        return self.engine.read_embeddings(torch.cat([before, embeddings, after]))


@dataclass(slots=True)
class Chat:
    """A server that is asked by chat completions."""

    server: Server
    frame: Frame
    cached_tokens: int | None = None

    @property
    def name(self) -> str:
        """What is checked, in words."""
        return f"{self.server.url} (chat)"

    def read_ids(self, ids: Sequence[int]) -> LogProbs:
        """The next token after a message of token ids."""
        found = self.server.read_ids([*self.frame.before, *ids, *self.frame.after])
        self.cached_tokens = self.server.cached_tokens
        return found

    def read_embeddings(self, embeddings: Any) -> LogProbs:
        """The next token after a message of a (T, H) tensor."""
        part = {"type": "prompt_embeds", "data": encoded(embeddings)}
        asked = {
            "model": self.server.model,
            "messages": [{"role": "user", "content": [part]}],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": TOP,
            "return_tokens_as_token_ids": True,
            "chat_template_kwargs": {"enable_thinking": False},
        }
        return self._read(self.server.post("/chat/completions", asked))

    def _read(self, content: bytes) -> LogProbs:
        url = self.server.url
        found = decode(content, _Reply, f"{url}: its reply is no chat completion", error=BackendError)
        details = found.usage.prompt_tokens_details if found.usage else None
        self.cached_tokens = details.cached_tokens if details else None
        told = found.choices[0].logprobs if found.choices else None
        if told is None or not told.content:
            raise BackendError(f"{url}: its reply has no log-probabilities. Expected choices[0].logprobs.content")
        return {token_id(likely.token, url): likely.logprob for likely in told.content[0].top_logprobs}


def frame(model: Model) -> Frame:
    """What the model's chat template puts around a message.

    Raises:
        ConfigError: the model has no chat template, or its template leaves the message out.
    """
    tokenizer = load_tokenizer(model)
    if not tokenizer.chat_template:
        raise ConfigError(f"the tokenizer of '{model.name}' has no chat template. Leave --api chat out")
    parts = message_parts(tokenizer, _MEMORY, _MEMORY)
    at = [place for place, part in enumerate(parts) if part.text == _MEMORY]
    if len(at) != 1:
        raise ConfigError(f"the chat template of '{model.name}' has a message {len(at)} times. Leave --api chat out")
    before, after = (tuple(encode(tokenizer, side, added=False).ids) for side in (parts[: at[0]], parts[at[0] + 1 :]))
    return Frame(before, after)
