"""A stand-in for vLLM."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch


class Model:
    """The part of `vllm.LLM` that is used, over transformers: each prompt alone, the likeliest token each time."""

    def __init__(self, folder: str, **settings: Any) -> None:
        from transformers import AutoModelForCausalLM

        self.settings = settings
        self.weights = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, settings["dtype"])).eval()
        window = self.weights.config.max_position_embeddings
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=window))

    def generate(self, prompts: list[dict[str, Any]], how: Any, use_tqdm: bool) -> list[Any]:
        return [self._one(prompt, how) for prompt in prompts]

    def _one(self, prompt: dict[str, Any], how: Any) -> Any:
        embed = self.weights.get_input_embeddings()
        if "prompt_embeds" in prompt:
            assert self.settings["enable_prompt_embeds"]
        read = prompt.get("prompt_embeds")
        read = embed(torch.tensor(prompt["prompt_token_ids"])) if read is None else read
        ids: list[int] = []
        ends = {*how.stop_token_ids, self.weights.config.eos_token_id}
        with torch.inference_mode():
            while len(ids) < how.max_tokens and not (ids and ids[-1] in ends):
                said = torch.cat([read, embed(torch.tensor(ids, dtype=torch.long))])
                ids.append(int(self.weights(inputs_embeds=said[None]).logits[0, -1].argmax()))
        reason = "stop" if ids[-1] in ends else "length"
        output = SimpleNamespace(token_ids=ids, finish_reason=reason, logprobs=None)
        return SimpleNamespace(outputs=[output], prompt_token_ids=prompt.get("prompt_token_ids"), num_cached_tokens=0)


def stand_in(monkeypatch: pytest.MonkeyPatch, llm: Any = Model) -> None:
    """Let `import vllm` find it."""
    module = ModuleType("vllm")
    module.__dict__.update(LLM=llm, SamplingParams=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "vllm", module)
