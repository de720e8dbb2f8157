"""Writes what NVIDIA's kvpress scores, for test_kv_presses.py; kvpress 0.5.5 needs older transformers than ours.

PYTHONPATH=FOLDER_OF_KVPRESS python tests/read/record_kvpress.py (its scores of given states do not depend on that)
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from kvpress import (
    ExpectedAttentionPress,
    KeyDiffPress,
    KnormPress,
    KVzipPress,
    SnapKVPress,
    StreamingLLMPress,
    TOVAPress,
)
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

TOKENS, BUDGET, BEFORE, REPEATED = 160, 128, 6, 20
RATIO = 1 - BUDGET / TOKENS
FILE = Path(__file__).parents[1] / "data" / "kvpress-scores.safetensors"


def states(module: Any, rotary: Any, hidden: torch.Tensor, first: int) -> tuple[Any, ...]:
    """Queries, keys, values, and cosine and sine of a layer's inputs from a position on."""
    cos, sin = rotary(hidden, torch.arange(first, first + hidden.shape[1])[None])
    parts = (project(hidden).unflatten(-1, (-1, 8)).transpose(1, 2) for project in (module.q_proj, module.k_proj))
    queries, keys = apply_rotary_pos_emb(*parts, cos, sin)
    return queries, keys, module.v_proj(hidden).unflatten(-1, (-1, 8)).transpose(1, 2), (cos, sin)


@torch.inference_mode()
def main() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2
    )
    model = LlamaForCausalLM(config).eval()
    module, rotary = model.model.layers[0].self_attn, model.model.rotary_emb
    for weights in module.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    module.rotary_emb = rotary
    hidden = torch.randn(1, TOKENS, 32)
    queries, keys, values, turns = states(module, rotary, hidden, 0)
    given = {"position_embeddings": turns}
    presses = {
        "streaming-llm": StreamingLLMPress(RATIO),
        "snapkv": SnapKVPress(RATIO),
        "tova": TOVAPress(RATIO),
        "expected-attention": ExpectedAttentionPress(RATIO),
        "knorm": KnormPress(RATIO),
        "keydiff": KeyDiffPress(RATIO),
    }
    scores = {name: press.score(module, hidden, keys, values, None, given)[0] for name, press in presses.items()}
    again = torch.randn(1, REPEATED, 32)
    asking, more, _, turns = states(module, rotary, again, TOKENS)
    zip_ = KVzipPress(RATIO)
    zip_.start_idx, zip_.end_idx, zip_.context_length = BEFORE, TOKENS, TOKENS
    zip_.score_val = [torch.zeros(1, 2, TOKENS)]
    alike = SimpleNamespace(**{name: getattr(module, name) for name in ("config", "head_dim", "q_proj", "layer_idx")})
    zip_.score_kvzip(alike, again, torch.cat([keys, more], 2), torch.cat([values, values[:, :, :REPEATED]], 2), None,
                     {"position_embeddings": turns})  # fmt: skip
    scores["kvzip"] = zip_.score_val[0][0, :, BEFORE:]
    inputs = {"queries": queries[0], "keys": keys[0], "values": values[0], "asking": asking[0], "repeated": more[0]}
    every = {**inputs, **scores, "frequencies": rotary.inv_freq}
    save_file({name: tensor.contiguous() for name, tensor in every.items()}, FILE)


if __name__ == "__main__":
    main()
