"""Engines: transformers and vLLM in this process, and servers with vLLM's or SGLang's interface."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clara_bench.conformance.checks import LogProbs
from clara_bench.engines.vllm import VLLM
from clara_bench.engines.weights import folder_of
from clara_bench.errors import BackendError, ConfigError, MissingDependency
from clara_bench.io.parsing import decode
from clara_bench.read.models import Model

TOP = 20
"""Log-probabilities asked for; vLLM's servers give no more unless told to."""
WINDOW = 512
"""Positions that vLLM keeps room for; prompts of the checks are shorter."""
SECONDS = 120.0
"""How long a server may take for one token."""


@dataclass(slots=True)
class Transformers:
    """A model of the transformers library: what others are held against."""

    weights: Any
    name: str = "transformers"
    cached_tokens: int | None = 0

    def read_ids(self, ids: Sequence[int]) -> LogProbs:
        """The next token after token ids."""
        import torch

        return self._read(input_ids=torch.tensor([list(ids)], device=self.weights.device))

    def read_embeddings(self, embeddings: Any) -> LogProbs:
        """The next token after a (T, H) tensor."""
        return self._read(inputs_embeds=embeddings[None].to(self.weights.device, self.weights.dtype))

    def _read(self, **prompt: Any) -> LogProbs:
        import torch

        with torch.inference_mode():
            found = torch.log_softmax(self.weights(**prompt).logits[0, -1].float(), -1).topk(TOP)
        return dict(zip(found.indices.tolist(), found.values.tolist(), strict=True))


@dataclass(slots=True)
class InVLLM:
    """vLLM in this process."""

    engine: VLLM
    name: str = "vllm"
    cached_tokens: int | None = None

    @classmethod
    def load(cls, model: Model, prefix_caching: bool) -> InVLLM:
        """Start it.

        Raises:
            BackendError: vLLM is not installed.
        """
        how = {"dtype": "float32", "max_model_len": WINDOW}
        return cls(VLLM.start(folder_of(model), prefix_caching=prefix_caching, embeddings=True, **how))

    def read_ids(self, ids: Sequence[int]) -> LogProbs:
        """The next token after token ids."""
        return self._read(ids)

    def read_embeddings(self, embeddings: Any) -> LogProbs:
        """The next token after a (T, H) tensor."""
        return self._read(embeddings)

    def _read(self, prompt: Any) -> LogProbs:
        [found] = self.engine.continued([prompt], 1, logprobs=TOP)
        self.cached_tokens = found.cached_tokens
        return found.first


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class Usage(msgspec.Struct):
    """What a server says of a prompt."""

    prompt_tokens_details: _Details | None = None


class _Tokens(msgspec.Struct):
    top_logprobs: list[dict[str, float]]


class _Choice(msgspec.Struct):
    logprobs: _Tokens | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: Usage | None = None


class _Meta(msgspec.Struct):
    output_top_logprobs: list[list[tuple[float, int, str | None]]]
    cached_tokens: int | None = None


class _Generated(msgspec.Struct):
    meta_info: _Meta


@dataclass(slots=True)
class Server:
    """A server of one model, asked for one token at a time."""

    url: str
    model: str
    """As the server names it."""
    api: str = "vllm"
    """`vllm`: /v1/completions with `prompt_embeds`; `sglang`: /generate with `input_embeds`."""
    key: str = field(default="none", repr=False)
    cached_tokens: int | None = None

    @property
    def name(self) -> str:
        """What is checked, in words."""
        return f"{self.url} ({self.api})"

    def read_ids(self, ids: Sequence[int]) -> LogProbs:
        """The next token after token ids."""
        return self._read({"prompt": list(ids)} if self.api == "vllm" else {"input_ids": list(ids)})

    def read_embeddings(self, embeddings: Any) -> LogProbs:
        """The next token after a (T, H) tensor."""
        return self._read(
            {"prompt_embeds": encoded(embeddings)} if self.api == "vllm" else {"input_embeds": embeddings.tolist()}
        )

    def _read(self, prompt: Mapping[str, Any]) -> LogProbs:
        if self.api == "vllm":
            asked = {"model": self.model, "max_tokens": 1, "temperature": 0, "logprobs": TOP}
            return self._of_vllm(self.post("/completions", {**asked, "return_tokens_as_token_ids": True, **prompt}))
        told = {"return_logprob": True, "top_logprobs_num": TOP}
        sampling = {"sampling_params": {"max_new_tokens": 1, "temperature": 0}}
        return self._of_sglang(self.post("/generate", {**sampling, **told, **prompt}))

    def _of_vllm(self, content: bytes) -> LogProbs:
        found = decode(content, _Completion, f"{self.url}: its reply is no completion", error=BackendError)
        details = found.usage.prompt_tokens_details if found.usage else None
        self.cached_tokens = details.cached_tokens if details else None
        told = found.choices[0].logprobs if found.choices else None
        if told is None or not told.top_logprobs:
            raise BackendError(f"{self.url}: its reply has no log-probabilities. Expected choices[0].logprobs")
        return {token_id(name, self.url): value for name, value in told.top_logprobs[0].items()}

    def _of_sglang(self, content: bytes) -> LogProbs:
        found = decode(content, _Generated, f"{self.url}: its reply is not SGLang's", error=BackendError).meta_info
        self.cached_tokens = found.cached_tokens
        return {token: value for value, token, _ in found.output_top_logprobs[0]}

    def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The content of a reply.

        Raises:
            BackendError: the server cannot be reached, or refuses the request.
        """
        try:
            import openai
        except ImportError as error:
            raise MissingDependency("conformance of a server", "openai", "openai") from error
        client = openai.OpenAI(base_url=self.url, api_key=self.key, max_retries=0, timeout=SECONDS)
        try:
            reply: Any = client.post(path, body=dict(body), cast_to=openai.HttpxBinaryResponseContent)
        except openai.APIStatusError as error:
            said = " ".join(str(error).split())[:300]
            hint = "vllm serve needs --enable-prompt-embeds, SGLang --disable-radix-cache for embeddings"
            raise BackendError(f"{self.url}{path}: {said}. {hint}") from error
        except openai.APIError as error:
            raise BackendError(f"{self.url}{path}: {error.__cause__ or error}. Check that the server runs") from error
        return bytes(reply.content)


def token_id(name: str, url: str) -> int:
    """The id in `token_id:42`."""
    number = name.removeprefix("token_id:")
    if number == name or not number.isdigit():
        raise BackendError(f"{url}: it names token '{name}', expected token_id:NUMBER (return_tokens_as_token_ids)")
    return int(number)


def encoded(embeddings: Any) -> str:
    """A tensor as vLLM's servers take it: base64 of what torch.save writes."""
    import torch

    held = io.BytesIO()
    torch.save(embeddings.contiguous(), held)
    return base64.b64encode(held.getvalue()).decode()


def server(target: str, model: str, api: str, key_env: str) -> Server:
    """The server at an address.

    Raises:
        ConfigError: no address.
    """
    if not target.startswith(("http://", "https://")):
        raise ConfigError(f"'{target}' is no engine. Expected transformers, vllm, or the address of a server")
    return Server(target.rstrip("/"), model, api, os.environ.get(key_env) or "none")
