"""Multi-head attention as the decoder and the memory use it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model import cpu_attention

_FEW_TOKENS = 32
_CHUNK = 256
"""Queries at a time: their scores against the keys of seven memories are 30 MB, those of all queries 470 MB."""


class Attention(nn.Module):
    """Queries, keys and values projected to `inner_dim`, attended in heads, projected back.

    Args:
        dim: width of queries and of the result.
        num_heads: heads.
        inner_dim: width inside; SAM halves it in its cross attentions.
        key_dim: width of keys and values when it differs from `dim`.
    """

    def __init__(self, dim: int, num_heads: int, *, inner_dim: int | None = None, key_dim: int | None = None) -> None:
        super().__init__()
        inner_dim, key_dim = inner_dim or dim, key_dim or dim
        self.num_heads = num_heads
        self.query = nn.Linear(dim, inner_dim)
        self.key = nn.Linear(key_dim, inner_dim)
        self.value = nn.Linear(key_dim, inner_dim)
        self.out = nn.Linear(inner_dim, dim)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(N, Lq, D), (N, Lk, Dk), (N, Lk, Dk) to (N, Lq, D)."""
        attended = attend(self.split(self.query(queries)), self.split(self.key(keys)), self.split(self.value(values)))
        return self.out(self.join(attended))  # type: ignore[no-any-return]

    def split(self, x: Tensor) -> Tensor:
        """(N, L, C) to (N, heads, L, C / heads)."""
        return torch.unflatten(x, -1, (self.num_heads, -1)).transpose(1, 2)

    @staticmethod
    def join(x: Tensor) -> Tensor:
        """(N, heads, L, C / heads) to (N, L, C)."""
        return x.transpose(1, 2).flatten(2)


def attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention of (N, heads, L, C) tensors; `bias` (Lk,) is added to the scores of each key.

    With a handful of tokens on one side two plain matrix products are faster than the fused kernel on CPUs, and their
    backward pass much faster (docs/lab-notes.md).
    """
    if cpu_attention.takes(queries, keys, values):
        return cpu_attention.attend(queries, keys, values, bias)
    if queries.device.type == "cpu" and min(queries.shape[2], keys.shape[2]) <= _FEW_TOKENS:
        scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
        if bias is not None:
            scores = scores + bias
        return torch.softmax(scores, dim=-1).to(values.dtype) @ values
    mask = None if bias is None else bias.to(values.dtype)[None, None, None]
    return F.scaled_dot_product_attention(queries.to(values.dtype), keys.to(values.dtype), values, attn_mask=mask)


def attend_in_chunks(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention for values of another width than the keys', which fused kernels do not take.

    A few queries at a time, so that the scores against many keys are never held at once.
    """
    queries = queries * queries.shape[-1] ** -0.5
    if bias is not None:  # one more channel, where adding to the scores would be one more walk through them
        queries = torch.cat((queries, torch.ones_like(queries[..., :1])), dim=-1)
        keys = torch.cat((keys, bias[:, None].expand(*keys.shape[:2], -1, 1)), dim=-1)
    turned = keys.transpose(-1, -2)
    num_chunks = -(-queries.shape[2] // _CHUNK)
    chunks = queries.chunk(num_chunks, dim=2)
    return torch.cat([torch.softmax(chunk @ turned, dim=-1) @ values for chunk in chunks], dim=2)
