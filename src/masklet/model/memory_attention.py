"""Memory attention: the present frame looks at itself, then at what an object remembers.

Knows nothing of which frames were remembered or why: slots and times arrive as encodings already added to the keys.

Source: sam2 2b90b9f, memory_attention.py and sam/transformer.py `RoPEAttention`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from masklet.model import cpu_attention
from masklet.model.attention import Attention, attend, attend_in_chunks
from masklet.model.cpu_attention import Rotary
from masklet.model.layers import is_exporting
from masklet.model.packed import activated, added
from masklet.model.position_encoding import rotate


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
        expanded = (k.shape[0], -1, -1, -1)
        by_kernel = cpu_attention.takes(q.expand(expanded), k, k)  # values are made to fit
        projects_last = self._projects_last(q, bias, by_kernel)
        v = values[:, None].to(q.dtype) if projects_last else self.split(self.value(values))
        if by_kernel:  # it turns queries and keys itself
            q = q.expand(expanded)
            read = cpu_attention.attend(q, k, v, bias, rotary=rotary, key_rotary=key_rotary, num_placed=num_spatial)
        else:
            q, k = rotate(q, *rotary), _placed(k, key_rotary, num_spatial)
            read = attend_in_chunks(q, k, v, bias) if projects_last else attend(q.expand(expanded), k, v, bias)
        read = self.join(read)
        return added(x, self.out, self.value(read) if projects_last else read)

    def _projects_last(self, queries: Tensor, bias: Tensor | None, by_kernel: bool) -> bool:
        """Whether to attend over the values as they come and project what was read.

        The same but for rounding, since an attention's weights sum to 1 and a projection is linear, and a quarter of
        the work on that side: memories are narrower than their projections. Done in exported graphs, and on CPUs where
        keys have a bias, that is, where speed was asked for. Otherwise everything is computed in the order of the
        official code, because a video of many frames makes much of rounding (docs/benchmarks/speed.md). The kernel
        does it in half precision, too, which rounds more than that. GPUs and PyTorch's kernels for half
        precision are fused for keys and values of one width; gradients would need every score kept.
        """
        if self.num_heads > 1 or self.value.in_features >= self.value.out_features:
            return False
        if by_kernel:
            return bias is not None or queries.dtype == torch.bfloat16
        is_full = queries.dtype in (torch.float32, torch.float64)
        is_plain = queries.device.type == "cpu" and is_full and not torch.is_grad_enabled()
        return is_plain and (bias is not None or is_exporting())


def _placed(keys: Tensor, rotary: Rotary, num_spatial: int) -> Tensor:
    """(N, heads, L, C) keys, turned where they lie on a grid: the tables are one frame's, over and over."""
    times = num_spatial // rotary[0].shape[0]
    turned = rotate(keys[:, :, :num_spatial], rotary[0].repeat(times, 1), rotary[1].repeat(times, 1))
    return turned if num_spatial == keys.shape[2] else torch.cat((turned, keys[:, :, num_spatial:]), dim=2)


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
