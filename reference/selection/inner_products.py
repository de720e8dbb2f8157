"""Inner products and weighted sums over long memories, with one question's memories in full precision at a time.

The two are each other's gradient. Both go question by question, so that memories kept in 16 bits are widened one
question at a time; and they write into `out`, which autocast leaves alone.

Shapes: B questions, N candidates, K slots, E numbers in a document's memory (concatenated vectors).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def exact(*tensors: Tensor) -> torch.dtype:
    """The number format of sums over E: fp32, or fp64 for fp64 inputs."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def dots(query_BKE: Tensor, memories_BNE: Tensor) -> Tensor:
    """Every query's inner product with every candidate: (B, K, N)."""
    return _Dot.apply(query_BKE, memories_BNE)


def mixed(weights_BKN: Tensor, memories_BNE: Tensor, indices_BK: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Weighted sums of memories (B, K, E); with positions, which stand for one-hot weights, the memories there."""
    return _Mix.apply(weights_BKN, memories_BNE, indices_BK, dtype)


def _dot(left_BKE: Tensor, right_BNE: Tensor) -> Tensor:
    """Every slot's inner product with every candidate: (B, K, N)."""
    dtype = exact(left_BKE, right_BNE)
    products_BKN = left_BKE.new_empty(*left_BKE.shape[:2], right_BNE.shape[1], dtype=dtype)
    for products_KN, left_KE, right_NE in zip(products_BKN, left_BKE, right_BNE, strict=True):
        torch.mm(left_KE.to(dtype), right_NE.to(dtype).T, out=products_KN)
    return products_BKN


def _mix(weights_BKN: Tensor, vectors_BNE: Tensor) -> Tensor:
    """Weighted sums of vectors: (B, K, E)."""
    dtype = exact(weights_BKN, vectors_BNE)
    mixed_BKE = vectors_BNE.new_empty(*weights_BKN.shape[:2], vectors_BNE.shape[2], dtype=dtype)
    for mixed_KE, weights_KN, vectors_NE in zip(mixed_BKE, weights_BKN, vectors_BNE, strict=True):
        torch.mm(weights_KN.to(dtype), vectors_NE.to(dtype), out=mixed_KE)
    return mixed_BKE


class _Dot(torch.autograd.Function):
    """Inner products that save the memories for the backward pass in their own number format, not as an fp32 copy."""

    @staticmethod
    def forward(ctx: Any, query_BKE: Tensor, memories_BNE: Tensor) -> Tensor:
        ctx.save_for_backward(query_BKE, memories_BNE)
        return _dot(query_BKE, memories_BNE)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BKN: Tensor) -> tuple[Tensor | None, Tensor | None]:
        query_BKE, memories_BNE = ctx.saved_tensors
        of_query, of_memories = ctx.needs_input_grad
        return (
            _mix(gradient_BKN, memories_BNE).to(query_BKE.dtype) if of_query else None,
            _mix(gradient_BKN.mT, query_BKE).to(memories_BNE.dtype) if of_memories else None,
        )


class _Mix(torch.autograd.Function):
    """Weighted sums of memories; with positions given, the memories at them, which is the same for one-hot weights."""

    @staticmethod
    def forward(
        ctx: Any, weights_BKN: Tensor, memories_BNE: Tensor, indices_BK: Tensor | None, dtype: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(weights_BKN, memories_BNE)
        if indices_BK is None:
            return _mix(weights_BKN, memories_BNE).to(dtype)
        rows_B1 = torch.arange(len(indices_BK), device=indices_BK.device)[:, None]
        return memories_BNE[rows_B1, indices_BK].to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BKE: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        weights_BKN, memories_BNE = ctx.saved_tensors
        of_weights, of_memories = ctx.needs_input_grad[:2]
        return (
            _dot(gradient_BKE, memories_BNE).to(weights_BKN.dtype) if of_weights else None,
            _mix(weights_BKN.mT, gradient_BKE).to(memories_BNE.dtype) if of_memories else None,
            None,
            None,
        )
