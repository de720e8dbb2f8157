"""LoRA weights laid over a model: as PEFT reads them, part of what a run is, refused where they do not fit."""

from __future__ import annotations

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from clara_bench import BackendError, Question
from clara_bench.read.hf import HFReader

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # PEFT asks transformers by names of old
QUESTIONS = [Question("1", "Where was she born?"), Question("2", "Who wrote Dune?")]
CONTEXTS = [("Marie Curie was born in Warsaw.",), ()]


@pytest.fixture
def adapter(tiny_folder, tmp_path):
    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_folder), config)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def made(folder, adapter=None):
    return HFReader(HFReader.Options(model=str(folder), adapter=str(adapter) if adapter else None, max_new_tokens=8))


def test_an_adapter_changes_what_is_said_as_peft_itself_would(tiny_folder, adapter):
    from peft import PeftModel

    reader = made(tiny_folder, adapter)
    laid = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_folder), adapter).eval()
    ids = torch.tensor([[5, 9, 30, 31]])
    with torch.no_grad():
        torch.testing.assert_close(reader.weights(ids).logits, laid(ids).logits, rtol=1e-4, atol=1e-4)
    plain = [one.text for one in made(tiny_folder).read(QUESTIONS, CONTEXTS)]
    assert [one.text for one in reader.read(QUESTIONS, CONTEXTS)] != plain


def test_a_reader_with_an_adapter_is_tuned_and_says_which_it_is(tiny_folder, adapter):
    reader = made(tiny_folder, adapter)
    assert reader.tuned
    assert not made(tiny_folder).tuned
    before = reader.describe()["adapter"]
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file({name: tensor * 2 for name, tensor in tensors.items()}, adapter / "adapter_model.safetensors")
    assert made(tiny_folder, adapter).describe()["adapter"] != before


def test_a_pickled_adapter_is_refused(tiny_folder, adapter):
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(BackendError, match=r"has no adapter_model.safetensors"):
        made(tiny_folder, adapter)


def test_a_name_that_is_neither_folder_nor_hub_id_is_refused(tiny_folder):
    with pytest.raises(BackendError, match="no such folder, and not a hub id"):
        made(tiny_folder, "no-such-adapter")


def test_an_adapter_of_another_shape_is_refused_with_both_names(tiny_folder, adapter):
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file({name: torch.cat([tensor, tensor]) for name, tensor in tensors.items()},
              adapter / "adapter_model.safetensors")  # fmt: skip
    with pytest.raises(BackendError, match="adapter"):
        _ = made(tiny_folder, adapter).weights


def test_a_damaged_config_is_refused(tiny_folder, adapter):
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "NONE"}))
    with pytest.raises(BackendError, match="adapter"):
        _ = made(tiny_folder, adapter).weights
