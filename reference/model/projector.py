"""The network that maps a document's mean hidden state to one memory vector (xRAG's modality bridge).

Two layers as in xRAG (Cheng et al., NeurIPS 2024, section 3.2), over the mean final state of a frozen compressor on the
same backbone in the place of a sentence embedding.

Shapes: B rows, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference.model.passes import Memories


def make_projector(width: int, seed: int) -> nn.Sequential:
    """Make a projector between vectors of this width; its weights are drawn from the seed, in float32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))


class Residual(nn.Linear):
    """The linear map of the forms `residual` and `chosen`: zeros, in float32, which add nothing until trained.

    What it gives is divided by the root of the width. Adam moves every weight alike, and one step of 5e-4 would else
    add as much as a whole input embedding (0.11 on SmolLM2-135M, whose embeddings have a root mean square of 0.13).
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, width, bias=False)
        nn.init.zeros_(self.weight)

    def forward(self, states_BMH: Tensor) -> Tensor:
        """What is added to the input embeddings of each memory."""
        return super().forward(states_BMH) / self.in_features**0.5


def projector_of(form: str, width: int, seed: int) -> nn.Module | None:
    """Make what turns pooled states into memories of a form; None in forms that have nothing like it."""
    if form == "projected":
        return make_projector(width, seed)
    return Residual(width) if form in ("residual", "chosen") else None


def projected(memories: Memories, projector: nn.Module) -> Memories:
    """Memories of one vector each: the projected mean of the document's own states, in their number format."""
    mean_BH = memories.summary_BH.to(next(projector.parameters()).dtype)
    return memories._replace(states_BMH=projector(mean_BH)[:, None].to(memories.states_BMH.dtype))
