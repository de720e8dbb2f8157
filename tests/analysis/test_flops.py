"""Operations are those that torch counts."""

from __future__ import annotations

import pytest

from clara_bench.analysis.flops import from_config, from_scratch
from clara_bench.errors import ConfigError


def counted(model, ids, **more) -> tuple[int, object]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        said = model(torch.tensor([ids]), logits_to_keep=1, use_cache=True, **more)
    return counter.get_total_flops(), said.past_key_values


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(hidden_size=96, intermediate_size=250, num_hidden_layers=3, num_attention_heads=6,
                         num_key_value_heads=2, vocab_size=700, attn_implementation="eager")  # fmt: skip
    return LlamaForCausalLM(config)


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=500, attn_implementation="eager"))


@pytest.mark.parametrize("make", [llama, gpt2])
@pytest.mark.parametrize("length", [7, 200])
def test_prefill_and_decode_are_within_two_per_cent_of_torch_s_counter(make, length: int) -> None:
    model = make().eval()
    shape = from_config(model.config.to_dict(), "config.json")
    prefill, cache = counted(model, list(range(length)))
    assert shape.forward(length) == pytest.approx(prefill, rel=0.02)
    steps = []
    for token in range(5):
        step, cache = counted(model, [token], past_key_values=cache)
        steps.append(step)
    assert shape.decode(length, 6) == pytest.approx(sum(steps), rel=0.02)


@pytest.mark.parametrize("length", [12, 200])
@pytest.mark.parametrize("kind", ["Bert", "XLMRoberta", "MPNet"])
def test_an_encoder_is_within_two_per_cent_of_torch_s_counter(kind: str, length: int) -> None:
    import torch
    import transformers
    from torch.utils.flop_counter import FlopCounterMode

    config = getattr(transformers, f"{kind}Config")(hidden_size=96, intermediate_size=384, num_hidden_layers=3,
                                                    num_attention_heads=6, vocab_size=700,
                                                    attn_implementation="eager")  # fmt: skip
    model = getattr(transformers, f"{kind}Model")(config).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.tensor([list(range(5, 5 + length))]))
    assert from_config(config.to_dict(), "c").forward(length, logits=0) == pytest.approx(
        counter.get_total_flops(), rel=0.02
    )


def test_a_backbone_from_scratch_tells_its_shape_and_another_does_not() -> None:
    said = (
        "scratch:Scratch(hidden_size=128, intermediate_size=384, layers=4, heads=4, vocabulary=3072, start='lexical'):0"
    )
    shape = from_scratch(said)
    assert shape is not None
    assert (shape.layers, shape.attention, shape.vocabulary) == (4, 128, 3072)
    assert from_scratch("mistralai/Mistral-7B") is None


def test_a_model_of_another_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"c.json: model_type 'mamba' is none whose operations are known: .*gpt2"):
        from_config({"model_type": "mamba"}, "c.json")
    with pytest.raises(ConfigError, match="'hidden_size' is missing"):
        from_config({"model_type": "llama", "num_attention_heads": 3}, "c.json")
