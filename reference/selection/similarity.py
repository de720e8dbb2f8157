"""Similarity of memories: one cosine over all vectors flattened or over their mean, or late interaction.

Shapes: B questions, N candidates, M memory slots, Q those of a question, H hidden, E = M * H.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference.selection.inner_products import dots, exact
from reference.settings.config import Memory

SMALLEST_NORM = 1e-12


def cosine(query_BE: Tensor, memories_BNE: Tensor) -> Tensor:
    """Cosine of each question with each of its candidates: (B, N), fp32, in [-1, 1]; a memory of zeros scores 0.

    Candidates that pad a shorter list should be zeros: whatever is masked later must be finite now.
    """
    dots_BN = dots(query_BE[:, None], memories_BNE)[:, 0]
    return dots_BN / _norm(query_BE)[:, None] / _norm(memories_BNE)


def late_interaction(query_BE: Tensor, memories_BNE: Tensor, width: int) -> Tensor:
    """The mean, over a question's vectors, of the largest inner product with a document's vectors: (B, N).

    Args:
        query_BE: concatenated vectors of length 1, or 0 for missing ones; so are the memories.
        memories_BNE: of the candidates.
        width: of one vector.
    """
    query_BQH, memories_BNMH = (vectors.unflatten(-1, (-1, width)) for vectors in (query_BE, memories_BNE))
    dtype = exact(query_BQH, memories_BNMH)
    near_BQNM = torch.einsum("bqh,bnmh->bqnm", query_BQH.to(dtype), memories_BNMH.to(dtype))
    return near_BQNM.amax(3).mean(1)


def laid_out(states_BMH: Tensor, mask_BM: Tensor, memory: Memory, centre_MH: Tensor) -> Tensor:
    """The compared vectors: all of them concatenated (B, E), zeros for missing ones, or their mean (B, H).

    Args:
        states_BMH: padded to the longest memory.
        mask_BM: where there is a vector.
        memory: says how vectors are compared.
        centre_MH: what a centred similarity subtracts.
    """
    if memory.similarity == "mean":
        return states_BMH.sum(1) / mask_BM.sum(1, keepdim=True).to(states_BMH.dtype)
    if memory.centred:
        states_BMH = (states_BMH - centre_MH[: states_BMH.shape[1]].to(states_BMH)) * mask_BM[:, :, None]
    if memory.similarity == "late":
        states_BMH = nn.functional.normalize(states_BMH, dim=2)
    return nn.functional.pad(states_BMH, (0, 0, 0, memory.slots - states_BMH.shape[1])).flatten(1)


def _norm(vectors: Tensor) -> Tensor:
    return torch.linalg.vector_norm(vectors, dim=-1, dtype=exact(vectors)).clamp_min(SMALLEST_NORM)
