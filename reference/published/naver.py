"""naver's released PISCO and COCOM weights as a model of ours.

Both train one causal language model by LoRA to compress and to read (COCOM: Rau et al., arXiv 2407.09252; PISCO: Louis
et al., arXiv 2501.16075), and what they read and write is what Apple's CLaRa, built on PISCO's code, still does:
<ENC> bos document eos <MEM>.., the last states at <MEM> being the memory, <SEP> behind each memory. On disk, beside
config.json:

    PISCO (naver/pisco-mistral, naver/pisco-llama; modelling_pisco.py)    adapters.pth, decoder_first_last_layers.pth,
        as Apple's (see `apple`): encoder_adapter and decoder_adapter, embeddings grown by <MEM0>.. <AE> <ENC> <SEP>
    COCOM (naver/cocom-v1-4-mistral-7b, -16-, -128-; modeling_cocom.py)   the whole model in safetensors as PEFT names
        it, `decoder.base_model.model...`: one adapter `default` for both uses, one <MEM> in every slot

Read from copies of both files (lixingyi701/quro, third_party/, commits 54e56fe and 53bb80c) and the training code that
naver/bergen once had (models/generators/llm_cocom.py at 7f449c4). Where these disagree:

    - COCOM's `generate_from_text` puts <MEM> before the document, of which a causal model then sees nothing; the
      training code puts it behind, and closes documents by eos, not bos. So do we.
    - COCOM gives all documents of a batch ceil(n / rate) memories, n being the tokens of the longest; we give each
      document its own number, of 128 tokens at most (the training code counts <ENC>, bos and eos among these).
    - PISCO's file asks "Question:{question}" without a space, as we do; bergen's prompts have one.

The instruction is in our words, not theirs. How documents were worded is not recorded; we give title, line break, text.
Not read: COCOM-light and OSCAR, whose compressors are other networks, and the layout of naver/pisco's rewrite of 2026.

Shapes: V the backbone's vocabulary, M memory slots, H hidden.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import torch
from torch import Tensor

from clara_bench import ConfigError, DataError
from clara_bench.io.parsing import read_json
from reference.model import backbone as backbones
from reference.model.backbone import Loaded
from reference.model.clara import Clara
from reference.published.apple import EMBEDDINGS, HEAD, check_same, import_apple, read_apple
from reference.settings.config import Adapters, Backbone, Memory, ModelConfig
from reference.settings.tables import Count

Method = Literal["pisco", "cocom"]
DType = Literal["float32", "bfloat16", "float16"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What config.json says; its other keys concern training."""

    decoder_model_name: str
    compr_rate: Count
    sep: bool
    lora: bool
    lora_r: Count
    compr_model_name: str | None = None
    doc_max_length: Count = 128
    different_mem_tokens: bool = False
    kbtc_training: bool = False

    @property
    def unfit(self) -> str:
        """Why this checkpoint cannot be read here; "" if it can."""
        if self.compr_model_name is not None:
            return f"its compressor is '{self.compr_model_name}' (COCOM-light, OSCAR), expected the decoder itself"
        if not self.lora:
            return "lora is false, expected adapters over the decoder"
        if not self.sep:
            return "sep is false, expected <SEP> behind each document's memories"
        return "kbtc_training is true, which adds a token of unknown use" if self.kbtc_training else ""


def read_naver(folder: Path, backbone: str = "", dtype: DType = "bfloat16", unpickle: bool = False) -> Clara:
    """A model of ours with the weights of a published checkpoint, in evaluation mode; its template names the method.

    Args:
        folder: theirs.
        backbone: folder or hub id in the place of the one that config.json names.
        dtype: of the backbone's numbers; published in bfloat16.
        unpickle: read `.pth` files, see `read_apple`.

    Raises:
        ConfigError: another kind of checkpoint, or only pickles are there and they may not be read.
        DataError: a file is missing or damaged; a tensor is missing, unexpected, of another shape or backbone.
        BackendError: the backbone cannot be found.
    """
    settings, method = _settings(folder), _method(folder)
    config = _config(settings, method, backbone, dtype)
    if config.memory.unfit:
        raise ConfigError(f"{folder}: {config.memory.unfit}")
    loaded = backbones.load(config.backbone)
    if method == "cocom":
        adapters, embeddings = _read_cocom(folder, loaded)
    else:
        adapters, embeddings = read_apple(folder, unpickle)
    if not settings.different_mem_tokens:
        embeddings = _repeated(embeddings, len(loaded.tokenizer), config.memory.slots)
    return import_apple(adapters, embeddings, loaded, config)


def _settings(folder: Path) -> Settings:
    path = folder / "config.json"
    settings = read_json(path, Settings, "Expected PISCO's or COCOM's settings", strict=False)
    if settings.unfit:
        raise ConfigError(f"{path}: {settings.unfit}")
    return settings


def _method(folder: Path) -> Method:
    if any(folder.glob("adapters.*")):
        return "pisco"
    if any(folder.glob("*.safetensors")):
        return "cocom"
    raise DataError(f"{folder}: neither adapters.pth (PISCO) nor *.safetensors (COCOM)")


def _config(settings: Settings, method: Method, backbone: str, dtype: DType) -> ModelConfig:
    count: Literal["length", "nominal"] = "length" if method == "cocom" else "nominal"
    return ModelConfig(
        backbone=Backbone(model=backbone or settings.decoder_model_name, dtype=dtype, template=method),
        adapters=Adapters(rank=settings.lora_r, alpha=2 * settings.lora_r),
        memory=Memory(rate=settings.compr_rate, document_tokens=settings.doc_max_length, count=count),
    )


def _repeated(embeddings: Tensor, vocabulary: int, slots: int) -> Tensor:
    """Grown embeddings with the row of the one <MEM> in every slot: (V + 4, H) become (V + M + 3, H)."""
    if embeddings.ndim != 2 or len(embeddings) != vocabulary + 4:
        raise DataError(
            f"embeddings of shape {tuple(embeddings.shape)}, expected the backbone's {vocabulary} and "
            "<MEM>, <AE>, <ENC>, <SEP>"
        )
    base, memory, others = embeddings.split([vocabulary, 1, 3])
    return torch.cat([base, memory.expand(slots, -1), others])


def _read_cocom(folder: Path, backbone: Loaded) -> tuple[dict[str, dict[str, Tensor]], Tensor]:
    """The one adapter under Apple's names, and the grown embeddings; all else must be the backbone's own."""
    from safetensors import SafetensorError, safe_open

    expected: dict[str, Tensor] = dict(backbone.model.state_dict())
    lora: dict[str, Tensor] = {}
    grown: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():
                    ours, tensor = _plain(name), tensors.get_tensor(name)
                    if "lora_" in ours:
                        lora[ours] = tensor
                    elif ours not in expected:
                        raise DataError(f"{file}: unexpected tensor {name}")
                    else:
                        check_same(f"{file}: {name}", tensor, expected.pop(ours), grows=ours in (EMBEDDINGS, HEAD))
                        grown |= {ours: tensor} if ours == EMBEDDINGS else {}
        except (OSError, SafetensorError) as error:
            raise DataError(f"{file}: cannot be read: {error}") from error
    if backbone.model.config.tie_word_embeddings:
        expected.pop(HEAD, None)
    if expected:
        raise DataError(f"{folder}: {len(expected)} tensors missing (such as {min(expected)})")
    return {"encoder_adapter": lora, "decoder_adapter": lora}, grown[EMBEDDINGS]


def _plain(name: str) -> str:
    """A tensor's name in the backbone, or in an adapter's own file, from that in a model that PEFT has wrapped."""
    name = name.removeprefix("decoder.").removeprefix("base_model.model.")
    return name.replace(".base_layer.", ".").replace(".default.", ".")
