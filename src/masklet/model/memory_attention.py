"""Memory attention: the present frame looks at itself, then at what an object remembers.

Knows nothing of which frames were remembered or why: slots and times arrive as encodings already added to the keys.

Source: sam2 2b90b9f, memory_attention.py and sam/transformer.py `RoPEAttention`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from masklet.model import cpu_attention
from masklet.model.attention import Attention, attend, attend_in_chunks
from masklet.model.layers import is_exporting
from masklet.model.packed import activated, added
from masklet.model.position_encoding import rotate

Rotary = tuple[Tensor, Tensor]


class RotaryAttention(Attention):
    """Attention whose queries and spatial keys are turned by their place on the grid."""

    def forward_rotary(
        self,
        x: Tensor,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        rotary: Rotary,
        key_rotary: Rotary,
        num_spatial: int,
        bias: Tensor | None = None,
    ) -> Tensor:
        """(1 or N, h*w, D) x plus what was read.

        Args:
            x: (1 or N, h*w, D).
            queries: (1 or N, h*w, D).
            keys: (N, L, C), of which the first `num_spatial` lie on the grid; pointers behind them have no place.
            values: (N, L, C).
            rotary: tables (h*w, .) for the queries.
            key_rotary: tables (P, .) for the keys, over and over: that of one remembered frame.
            num_spatial: spatial keys.
            bias: (L,) added to the scores of each key.
        """
        q, k = self.split(self.query(queries)), self.split(self.key(keys))
        if cpu_attention.takes(q.expand(k.shape[0], -1, -1, -1), k, k):  # values are made to fit
            return self._forward_on_cpu(x, q, k, values, rotary, key_rotary, num_spatial, bias)
        q = rotate(q, *rotary)
        times = num_spatial // key_rotary[0].shape[0]
        placed = rotate(k[:, :, :num_spatial], key_rotary[0].repeat(times, 1), key_rotary[1].repeat(times, 1))
        k = placed if num_spatial == keys.shape[1] else torch.cat((placed, k[:, :, num_spatial:]), dim=2)
        if self._projects_last(q, bias):
            read = self.value(self.join(attend_in_chunks(q, k, values[:, None], bias)))
        else:
            read = self.join(attend(q.expand(k.shape[0], -1, -1, -1), k, self.split(self.value(values)), bias))
        return added(x, self.out, read)

    def _forward_on_cpu(
        self,
        x: Tensor,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        rotary: Rotary,
        key_rotary: Rotary,
        num_spatial: int,
        bias: Tensor | None,
    ) -> Tensor:
        """The same by the kernel, which turns queries and keys itself and takes values before they are projected.

        That is done in half precision and where keys have a bias: see `_projects_last`.
        """
        narrows = self.num_heads == 1 and self.value.in_features < self.value.out_features
        narrows = narrows and (queries.dtype == torch.bfloat16 or bias is not None)
        own = values[:, None].to(queries.dtype) if narrows else self.split(self.value(values))
        queries = queries.expand(keys.shape[0], -1, -1, -1)
        read = self.join(
            cpu_attention.attend(queries, keys, own, bias, rotary=rotary, key_rotary=key_rotary, num_placed=num_spatial)
        )
        return added(x.expand(read.shape[0], -1, -1), self.out, self.value(read) if narrows else read)

    def _projects_last(self, queries: Tensor, bias: Tensor | None) -> bool:
        """Whether to attend over the values as they come and project what was read.

        The same but for rounding, since an attention's weights sum to 1 and a projection is linear, and a quarter of
        the work on that side: memories are narrower than their projections. Done in exported graphs, and on CPUs where
        keys have a bias, that is, where speed was asked for. Otherwise everything is computed in the order of the
        official code, because a video of many frames makes much of rounding (docs/speed.md). GPUs and half precision
        have fused kernels, which want keys and values of one width; gradients would need every score kept.
        """
        narrows = self.num_heads == 1 and self.value.in_features < self.value.out_features
        is_full = queries.dtype in (torch.float32, torch.float64)
        is_plain = queries.device.type == "cpu" and is_full and not torch.is_grad_enabled()
        return narrows and is_plain and (bias is not None or is_exporting())


class MemoryAttentionLayer(nn.Module):
    def __init__(self, dim: int, memory_dim: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.self_attention = RotaryAttention(dim, num_heads)
        self.cross_attention = RotaryAttention(dim, num_heads, key_dim=memory_dim)
        self.mlp_expand = nn.Linear(dim, mlp_dim)
        self.mlp_project = nn.Linear(mlp_dim, dim)
        self.norm_self, self.norm_cross, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        rotary: Rotary,
        key_rotary: Rotary,
        num_spatial: int,
        bias: Tensor | None,
    ) -> Tensor:
        y = self.norm_self(x)
        x = self.self_attention.forward_rotary(x, y, y, y, rotary, rotary, x.shape[1])
        y = self.norm_cross(x)
        x = self.cross_attention.forward_rotary(x, y, keys, values, rotary, key_rotary, num_spatial, bias)
        return added(x, self.mlp_project, activated(self.mlp_expand, self.norm_mlp(x), "relu"))


class MemoryAttention(nn.Module):
    """(1 or N, h*w, D) to (N, h*w, D), conditioned on (N, L, C) memories.

    One frame is the same for all objects until the first layer looks at their memories, and is computed once so far.
    """

    def __init__(self, *, embed_dim: int, memory_dim: int, num_layers: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            MemoryAttentionLayer(embed_dim, memory_dim, num_heads, mlp_dim) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embed_dim)

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        rotary: Rotary,
        key_rotary: Rotary,
        num_spatial: int,
        bias: Tensor | None = None,
    ) -> Tensor:
        """
        Args:
            x: (1 or N, h*w, D) the present frame.
            position: (h*w, D) sine encoding, added at a tenth of its size.
            memory: (N, L, C) spatial memories, then pointers.
            memory_position: (N, L, C) added to the keys only.
            rotary: tables for the grid.
            key_rotary: the same for the grid of one memory.
            num_spatial: spatial tokens in `memory`.
            bias: (L,) added to the scores of each memory token.
        """
        x = x + 0.1 * position.to(x.dtype)
        keys = memory + memory_position
        for layer in self.layers:
            x = layer(x, keys, memory, rotary, key_rotary, num_spatial, bias)
        return self.norm(x)  # type: ignore[no-any-return]
