"""xRAG's published network: a sentence embedding, through a two-layer bridge, in the place of one token.

Cheng et al., NeurIPS 2024 (arXiv 2405.13792). On disk, as Hannibal046/xRAG writes it (src/model/xMistral at 121fa41):
a Mistral in safetensors with `projector.projector.0` and `.2` beside it, the width of the embeddings and the number of
layers in config.json, and the token <xRAG> in the vocabulary. Documents become vectors by SFR-Embedding-Mistral of
Salesforce (src/model/SFR, tutorial.ipynb): the final state at the last token of the first 180, not normalised.

Shapes: B rows, T tokens, D width of the encoder, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from clara_bench import BackendError, DataError
from clara_bench.io.parsing import read_json
from clara_bench.read import models
from clara_bench.tokens import only_text
from reference.model.decoding import Span, clock, greedy
from reference.model.layout import batches
from reference.model.roles import Role

TOKEN = "<xRAG>"
DOCUMENT_TOKENS = 180
"""Longest document that the encoder is shown."""
WIDEST = 65536
"""Most numbers in an encoder's vector."""
BATCH_TOKENS = 2048
"""Most tokens that the encoder is shown at once, padding included."""
_PREFIX = "projector.projector."


class Encoder:
    """The sentence encoder of documents."""

    def __init__(self, name: str, dtype: torch.dtype, device: torch.device) -> None:
        self.model, self._dtype, self._device = models.find(name), dtype, device

    @cached_property
    def tokenizer(self) -> Any:
        """The published tokenizer; its own settings decide whether eos is appended."""
        return only_text(models.load_tokenizer(self.model))

    @cached_property
    def weights(self) -> Any:
        """The network without a head.

        Raises:
            BackendError: the files are damaged or lack a tensor.
        """
        from transformers import AutoModel

        try:
            weights, report = AutoModel.from_pretrained(
                self.model.folder,
                dtype=self._dtype,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except Exception as error:  # a config of wrong values makes transformers raise whatever it stumbles over
            raise BackendError(f"encoder '{self.model.name}': {' '.join(str(error).split())[:300]}") from error
        if report["missing_keys"]:
            raise BackendError(f"encoder '{self.model.name}': has no weights for {min(report['missing_keys'])}")
        return weights.eval().to(self._device)

    def cuts(self, text: str) -> bool:
        """Whether the end of a text is not read."""
        return len(self.tokenizer(text, verbose=False)["input_ids"]) > DOCUMENT_TOKENS

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> list[Tensor]:
        """The vector (D,) of each text: the final state at its last token."""
        rows = self.tokenizer(list(texts), truncation=True, max_length=DOCUMENT_TOKENS)["input_ids"]
        found: dict[int, Tensor] = {}
        for places in batches([len(row) for row in rows], BATCH_TOKENS):
            width = max(len(rows[place]) for place in places)
            ids_BT = torch.tensor([rows[place] + [0] * (width - len(rows[place])) for place in places])
            mask_BT = torch.tensor([[1] * len(rows[place]) + [0] * (width - len(rows[place])) for place in places])
            states_BTH = self.weights(
                input_ids=ids_BT.to(self._device), attention_mask=mask_BT.to(self._device)
            ).last_hidden_state
            found |= {place: states_BTH[row, len(rows[place]) - 1] for row, place in enumerate(places)}
        return [found[place] for place in range(len(rows))]


class Bridged:
    """The language model with its bridge.

    Raises:
        BackendError: the model cannot be found.
    """

    def __init__(self, name: str, dtype: torch.dtype, device: torch.device) -> None:
        self.model, self._dtype, self._device = models.find(name), dtype, device

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer.

        Raises:
            DataError: it does not know the token that stands for a document.
        """
        tokenizer = models.load_tokenizer(self.model)
        if TOKEN not in tokenizer.get_vocab():
            raise DataError(f"model '{self.model.name}': its tokenizer has no {TOKEN}. Expected xRAG's own")
        return tokenizer

    @cached_property
    def projector(self) -> nn.Sequential:
        """The bridge, from vectors of the encoder's width to embeddings.

        Raises:
            DataError: its tensors are missing, unexpected, or of another shape than config.json says.
        """
        folder = self.model.folder
        settings = read_json(folder / "config.json", dict[str, Any])
        kind, width = settings.get("projector_type"), settings.get("retriever_hidden_size")
        if kind != "mlp2x_gelu" or not isinstance(width, int) or not 0 < width <= WIDEST:
            said = f"projector_type {kind!r} and retriever_hidden_size {width!r}"
            raise DataError(f"{folder / 'config.json'}: {said}, expected 'mlp2x_gelu' and a width")
        hidden = self.lm.config.hidden_size
        projector = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden))
        try:
            projector.load_state_dict(_tensors(folder))
        except RuntimeError as error:
            raise DataError(f"{folder}: bridge: {' '.join(str(error).split())[:300]}") from error
        return projector.to(self._dtype).eval().to(self._device)

    @cached_property
    def lm(self) -> Any:
        """The language model."""
        return models.load_weights(self.model, self._dtype).to(self._device)

    @cached_property
    def window(self) -> int:
        """Longest prompt with its answer, in positions."""
        return int(getattr(self.lm.config, "max_position_embeddings", None) or 1 << 30)

    @torch.inference_mode()
    def answer(self, prompts: Sequence[Sequence[int]], vectors: Sequence[Sequence[Tensor]], most: int) -> list[Span]:
        """Continue each prompt greedily, one by one; the vectors replace its <xRAG> tokens in order."""
        ends = {self.tokenizer.eos_token_id}
        return [self._continued(*pair, ends, most) for pair in zip(prompts, vectors, strict=True)]

    def _continued(self, ids: Sequence[int], vectors: Sequence[Tensor], ends: set[int], most: int) -> Span:
        start, role = clock(self._device), Role(self.lm, ())
        ids_1T = torch.tensor([list(ids)], device=self._device)
        embedded_1TH = role.embed(ids_1T).clone()
        if vectors:
            here = ids_1T == self.tokenizer.convert_tokens_to_ids(TOKEN)
            embedded_1TH[here] = self.projector(self._fitting(torch.stack(list(vectors)).to(self._dtype)))
        [span] = greedy(role, embedded_1TH, torch.ones_like(ids_1T), ends, most, start)
        return span

    def _fitting(self, vectors_ND: Tensor) -> Tensor:
        """The vectors themselves; a DataError if they are not as wide as the bridge."""
        width = self.projector[0].in_features
        if vectors_ND.shape[1] != width:
            raise DataError(
                f"model '{self.model.name}': its bridge takes vectors of {width} numbers, the encoder gives "
                f"{vectors_ND.shape[1]}. Expected the encoder that it was trained with"
            )
        return vectors_ND


def _tensors(folder: Path) -> dict[str, Tensor]:
    """The bridge's tensors, by their names in a sequence of layers."""
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "pt") as file:
                names = [name for name in file.keys() if name.startswith(_PREFIX)]
                found |= {name.removeprefix(_PREFIX): file.get_tensor(name).float() for name in names}
        except SafetensorError as error:
            raise DataError(f"{path}: damaged ({error})") from error
    return found
