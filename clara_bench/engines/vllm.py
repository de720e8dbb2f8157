"""vLLM in this process: greedy continuations of token ids or of embeddings, all prompts at once."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from clara_bench.errors import BackendError

IN_PROCESS = "VLLM_ENABLE_V1_MULTIPROCESSING"
"""vLLM's variable; 0 keeps the engine in this process, which then ends with it."""


@dataclass(frozen=True, slots=True)
class Continued:
    """What vLLM says of one prompt."""

    ids: tuple[int, ...]
    """Generated tokens, without the one that ended them."""
    ended: bool
    """Whether an end token came before the longest allowed length."""
    prompt_tokens: int
    """Positions that it read."""
    cached_tokens: int | None
    """Of these, how many came from its prefix cache."""
    seconds: float
    """An equal share of the time of all prompts: vLLM reads some while it writes others."""
    first: Mapping[int, float] = field(default_factory=dict)
    """Log-probabilities of the likeliest first tokens, where they are asked for."""


class VLLM:
    """A model in vLLM."""

    def __init__(self, llm: Any) -> None:
        self.llm = llm

    @classmethod
    def start(cls, folder: Path, *, prefix_caching: bool, embeddings: bool = False, **settings: Any) -> VLLM:
        """Load a model.

        Args:
            folder: its safetensors, config and tokenizer.
            prefix_caching: keep keys and values of prompts that begin alike.
            embeddings: read embeddings too.
            settings: further arguments of `vllm.LLM`.

        Raises:
            BackendError: vLLM is not installed, or does not take the model.
        """
        os.environ.setdefault(IN_PROCESS, "0")
        try:
            from vllm import LLM
        except ImportError as error:
            raise BackendError(
                "vLLM is not installed beside clara-bench: pip install vllm or, on CPUs, make engines, which puts both "
                "into .venv-engines"
            ) from error
        _let_llvmlite_be_inspected()
        settings |= {"enable_prefix_caching": prefix_caching, "enable_prompt_embeds": embeddings}
        try:
            return cls(LLM(str(folder), **settings, enforce_eager=True))
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise BackendError(f"vLLM cannot load {folder}: {reason}. Check dtype, device and free memory") from error

    @property
    def window(self) -> int:
        """Positions of the longest prompt with its answer."""
        return int(self.llm.llm_engine.model_config.max_model_len)

    def continued(
        self, prompts: Sequence[Any], max_new_tokens: int, stop: Collection[int] = (), logprobs: int | None = None
    ) -> list[Continued]:
        """Continue each prompt with its likeliest tokens.

        Args:
            prompts: token ids, or embeddings (T, H).
            max_new_tokens: at least 1.
            stop: tokens that end an answer, beside those that the model's files name.
            logprobs: how many of the likeliest first tokens to tell of.
        """
        from vllm import SamplingParams

        if not prompts:
            return []
        how = SamplingParams(
            temperature=0, max_tokens=max_new_tokens, stop_token_ids=sorted(stop), logprobs=logprobs, detokenize=False
        )
        asked = [_asked(prompt) for prompt in prompts]
        start = time.perf_counter()
        found = self.llm.generate(asked, how, use_tqdm=False)
        share = (time.perf_counter() - start) / len(prompts)
        lengths = map(len, prompts)
        return [_continued(one, length, share) for one, length in zip(found, lengths, strict=True)]


def _let_llvmlite_be_inspected() -> None:
    """Give llvmlite's function table an empty `__dict__`: vLLM 0.32 asks every module's values for one as it starts.

    The table takes the name for a function of the library, and the start would end with an AttributeError.
    """
    try:
        from llvmlite.binding import ffi
    except ImportError:
        return
    getattr(ffi.lib, "_fntab", {}).setdefault("__dict__", {})


def _asked(prompt: Any) -> dict[str, Any]:
    return {"prompt_embeds": prompt} if hasattr(prompt, "shape") else {"prompt_token_ids": list(prompt)}


def _continued(found: Any, length: int, share: float) -> Continued:
    said = found.outputs[0]
    ended = said.finish_reason == "stop"
    ids = tuple(said.token_ids[:-1] if ended else said.token_ids)
    read = len(found.prompt_token_ids) if found.prompt_token_ids else length  # none are told of embeddings
    first = {token: told.logprob for token, told in said.logprobs[0].items()} if said.logprobs else {}
    return Continued(ids, ended, read, found.num_cached_tokens, share, first)


def vllm_version() -> str:
    """The installed version, of whichever package brings vLLM."""
    names = metadata.packages_distributions().get("vllm", [])
    return metadata.version(names[0]) if names else "not installed"
