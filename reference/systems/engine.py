"""CLaRa's generator in vLLM, which reads prompts with memories as embeddings.

Its prefix cache is off: caches have left embeddings out of their keys, and then take one memory for another
(`clara-bench conformance` tells).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clara_bench import ConfigError
from clara_bench.engines.vllm import VLLM, Continued
from clara_bench.engines.weights import write
from clara_bench.io.cache import cache_dir
from reference.model import layout, passes
from reference.model.clara import Clara
from reference.model.decoding import Generated
from reference.model.prompts import Prompt


class ServedGenerator:
    """Answers as `Clara.answer` does."""

    def __init__(self, model: Clara) -> None:
        """Write the generator's weights, adapters merged, and start vLLM with them.

        Raises:
            ConfigError: the model reads with block attention.
            BackendError: vLLM is not installed, or does not take the model.
        """
        if model.config.attention != "causal":
            raise ConfigError(
                f"engine=vllm reads with causal attention, the checkpoint with {model.config.attention}. "
                "Expected engine=transformers for it"
            )
        self._model, self._dtype = model, next(model.roles.parameters()).dtype
        dtype = str(model.backbone.dtype).removeprefix("torch.")
        self._engine = VLLM.start(_folder(model), prefix_caching=False, embeddings=True, dtype=dtype)

    @torch.no_grad()
    def answer(self, prompts: Sequence[Prompt], memories: Sequence[Tensor], most: int) -> list[Generated]:
        """Continue prompts greedily, all at once; their time is shared equally, and counts as decoding."""
        pairs = zip(prompts, memories, strict=True)
        read = [self.embedded(prompt, memories_SH) for prompt, memories_SH in pairs]
        return [self._generated(said) for said in self._engine.continued(read, most, self._model.prompter.ends)]

    def embedded(self, prompt: Prompt, memories_SH: Tensor) -> Tensor:
        """A prompt as embeddings (T, H), with memories and separators in their places."""
        model = self._model
        ids_1T = layout.pad([prompt.ids])
        return passes.filled(model.role("generator"), ids_1T, [memories_SH], [0], model.separator)[0]

    def _generated(self, said: Continued) -> Generated:
        text = self._model.tokenizer.decode(said.ids, skip_special_tokens=True)
        return Generated(text.strip(), said.ids, 0.0, said.seconds, not said.ended)


def _folder(model: Clara) -> Path:
    """The generator's weights as a complete model, written once."""
    out = cache_dir("models") / f"generator-{model.fingerprint('generator')[:24]}"
    if not out.is_dir():
        write(merged(model.role("generator").lm), model.tokenizer, out)
    return out


def merged(lm: Any) -> Any:
    """A copy of a language model with its adapters merged into its weights."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    lm = copy.deepcopy(lm)
    for name, module in list(lm.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            parent, _, own = name.rpartition(".")
            setattr(lm.get_submodule(parent), own, module.get_base_layer())
    if hasattr(lm, "peft_config"):
        del lm.peft_config
    lm._hf_peft_config_loaded = False
    return lm
