"""Loading of token classifiers and sequence-to-sequence models for compressors."""

from __future__ import annotations

from typing import Any, Literal

from clara_bench.errors import BackendError, MissingDependency
from clara_bench.read.models import Model, loading, require_whole

try:
    import torch
    import transformers
except ModuleNotFoundError as error:
    raise MissingDependency("a compressor with a model", str(error.name), "hf") from error

DType = Literal["float32", "bfloat16", "auto"]


def number_format(chosen: DType, device: torch.device) -> torch.dtype:
    """Format of the weights; auto: bfloat16 on a GPU, else float32."""
    wide = chosen == "float32" or (chosen == "auto" and device.type == "cpu")
    return torch.float32 if wide else torch.bfloat16


def check_finite(values: torch.Tensor, model: Model) -> torch.Tensor:
    """The values themselves.

    Raises:
        BackendError: one is infinite or not a number, so that choosing by them would mean nothing.
    """
    if not bool(values.isfinite().all()):
        raise BackendError(f"model '{model.name}' gave a value that is not finite: its weights are damaged")
    return values


def load_as(auto: str, model: Model, what: str, code: bool = False, dtype: torch.dtype = torch.float32) -> Any:
    """The model on the CPU, in evaluation mode.

    Args:
        auto: the class of transformers that loads it.
        model: what `clara_bench.read.models.find` found.
        what: what it should be, for messages.
        code: run the Python code that comes with it.
        dtype: number format of the weights.

    Raises:
        BackendError: the files are damaged, or lack weights that the class needs and would draw at random.
    """
    with loading(model, what):
        weights, report = getattr(transformers, auto).from_pretrained(
            model.folder, use_safetensors=True, trust_remote_code=code, dtype=dtype, output_loading_info=True
        )
    require_whole(model, what, report["missing_keys"])
    return weights.eval()


def is_seq2seq(model: Model) -> bool:
    """Whether an encoder reads and a decoder writes.

    Raises:
        BackendError: the model's config.json says no known kind of model.
    """
    if model.gguf_file is not None:
        return False
    with loading(model, "a language model"):
        return bool(transformers.AutoConfig.from_pretrained(model.folder).is_encoder_decoder)
