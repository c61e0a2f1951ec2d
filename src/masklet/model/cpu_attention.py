"""`masklet.model.kernels` for tensors: attention on CPUs, in fp32 or bf16.

Shapes: queries (N, heads, Lq, C), keys (N, heads, Lk, C), values (N, heads, Lk, V), strided as they come.
"""

from __future__ import annotations

import torch
from torch import Tensor

from masklet.model import kernels

Rotary = tuple[Tensor, Tensor]
"""Cosines and sines, see `position_encoding.rotary_table`."""


def takes(queries: Tensor, keys: Tensor, values: Tensor) -> bool:
    """Return whether the kernel exists and takes these tensors: it reads memory by size and broadcasts nothing."""
    return (
        type(queries) is Tensor  # not a stand-in without memory
        and queries.device.type == "cpu"
        and queries.dtype in (torch.float32, torch.bfloat16)
        and queries.dtype == keys.dtype == values.dtype
        and queries.shape[:2] == keys.shape[:2] == values.shape[:2]
        and keys.shape[2] > 0
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and queries.shape[-1] % 2 == 0
        and max(queries.shape[-1], values.shape[-1]) <= kernels.MAX_WIDTH
        and (torch.get_num_threads() == 1 or kernels.parallel() is not None)
        and kernels.find(queries.dtype == torch.bfloat16) is not None
    )


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    bias: Tensor | None = None,
    *,
    rotary: Rotary | None = None,
    key_rotary: Rotary | None = None,
    num_placed: int = 0,
) -> Tensor:
    """Softmax attention.

    Args:
        queries: float32 or bfloat16.
        keys: of the same type.
        values: likewise, of any width.
        bias: (Lk,) added to the scores of each key.
        rotary: float32 cosines and sines (Lq, C / 2) that turn the queries, see `position_encoding.rotate`.
        key_rotary: (P, C / 2) for the keys, over and over: the key in place i has row i % P.
        num_placed: the first so many keys are turned.

    Returns:
        (N, heads, Lq, V), laid out as (N, Lq, heads, V).
    """
    kernel = kernels.find(queries.dtype == torch.bfloat16)
    assert kernel is not None
    batch, heads, num_queries, width = queries.shape
    num_keys, value_width = values.shape[2:]
    queries, keys, values = (x if x.stride(-1) == 1 else x.contiguous() for x in (queries, keys, values))
    out = torch.empty(batch, num_queries, heads, value_width, dtype=queries.dtype).transpose(1, 2)
    num_padded = -(-num_keys // kernels.PACK) * kernels.PACK
    columns = -(-value_width // kernels.LANES) * kernels.LANES
    packed_keys = torch.empty(batch, heads, num_padded, width, dtype=queries.dtype)
    packed_values = torch.empty(batch, heads, num_padded, columns, dtype=queries.dtype)
    # The kernel gets addresses only, so the tensors must stay referenced until it returns.
    tables = [None if x is None else x.float().contiguous() for x in (bias, *(rotary or ()), *(key_rotary or ()))]
    bias_at, *angles_at = [None if x is None else x.data_ptr() for x in tables]
    query_at, key_at = (angles_at[:2], angles_at[2:]) if rotary else ((None, None), angles_at)
    kernel(
        kernels.Arguments(
            *(x.data_ptr() for x in (queries, keys, values, out)),
            *(kernels.Strides(*x.stride()[:3]) for x in (queries, keys, values, out)),
            *(batch, heads, num_queries, num_keys, width, value_width),
            bias_at,
            *query_at,
            *(key_at or (None, None)),
            1 if key_rotary is None else key_rotary[0].shape[0],
            num_placed,
            width**-0.5,
            packed_keys.data_ptr(),
            packed_values.data_ptr(),
            kernels.parallel() if torch.get_num_threads() > 1 else None,
            0,
        )
    )
    return out
