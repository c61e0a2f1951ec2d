"""Memory attention: the current frame attends to itself, then to an object's memories.

Knows nothing of which frames were remembered or why: slots and times arrive as encodings to be added to the keys.

Source: sam2 2b90b9f, memory_attention.py and sam/transformer.py `RoPEAttention`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from masklet.model import cpu_attention
from masklet.model.attention import Attention, attend, attend_in_chunks
from masklet.model.cpu_attention import Rotary
from masklet.model.layers import is_exporting
from masklet.model.packed import activated, added
from masklet.model.position_encoding import rotate


class MemoryLayout(NamedTuple):
    """Order of the L memory tokens: spatial memories frame by frame, then pointers, which have no place on a grid."""

    rotary: Rotary
    """Tables (P, .) of the P cells of one remembered frame; all frames use the same."""
    num_spatial: int
    """Spatial tokens: P times the number of remembered frames."""
    bias: Tensor | None = None
    """(L,) added to the scores of each token; None where no cells were averaged."""


class RotaryAttention(Attention):
    """Attention whose queries and spatial keys are rotated by their position on the grid."""

    def add_to(
        self, x: Tensor, *, queries: Tensor, keys: Tensor, values: Tensor, rotary: Rotary, layout: MemoryLayout
    ) -> Tensor:
        """Return x + attention(queries, keys, values), a residual step: (1 or N, h*w, D) to (N, h*w, D).

        The sum is part of this function because a packed output projection (see packed.py) computes it in one step.

        Args:
            x: (1 or N, h*w, D).
            queries: (1 or N, h*w, D).
            keys: (N, L, C).
            values: (N, L, C).
            rotary: tables (h*w, .) for the queries.
            layout: of the keys.
        """
        q, k = self.split(self.query(queries)), self.split(self.key(keys))  # (1 or N, heads, h*w, .), (N, heads, L, .)
        expanded = (k.shape[0], -1, -1, -1)
        by_kernel = cpu_attention.takes(q.expand(expanded), k, k)  # values are made to fit
        projects_last = self._projects_last(q, layout.bias, by_kernel)
        v = values[:, None].to(q.dtype) if projects_last else self.split(self.value(values))
        if by_kernel:  # the kernel rotates queries and keys itself
            read = cpu_attention.attend(
                q.expand(expanded),
                k,
                v,
                layout.bias,
                rotary=rotary,
                key_rotary=layout.rotary,
                num_placed=layout.num_spatial,
            )
        else:
            q, k = rotate(q, *rotary), _rotate_spatial(k, layout)
            # Unprojected values are narrower than the keys, which fused kernels do not take.
            attend_to = attend_in_chunks if projects_last else attend
            read = attend_to(q if projects_last else q.expand(expanded), k, v, layout.bias)
        read = self.join(read)
        return added(x, self.out, self.value(read) if projects_last else read)

    def _projects_last(self, queries: Tensor, bias: Tensor | None, by_kernel: bool) -> bool:
        """Return whether to attend over unprojected values and project the result.

        The result is the same up to rounding, because attention weights sum to 1 and a projection is linear. It is a
        quarter of the work on that side, because memories are narrower than their projections.

        Used in exported graphs, and on CPUs where keys have a bias, that is, where speed was asked for. Otherwise the
        order is the official code's, since rounding errors grow over a long video (docs/guides/speed.md). The kernel
        uses it in half precision, too, which rounds more than the change of order does. GPUs and PyTorch's kernels for
        half precision are fused for keys and values of one width; with gradients every score would have to be kept.
        """
        if self.num_heads > 1 or self.value.in_features >= self.value.out_features:
            return False
        if by_kernel:
            return bias is not None or queries.dtype == torch.bfloat16
        is_full = queries.dtype in (torch.float32, torch.float64)
        is_plain = queries.device.type == "cpu" and is_full and not torch.is_grad_enabled()
        return is_plain and (bias is not None or is_exporting())


def _rotate_spatial(keys: Tensor, layout: MemoryLayout) -> Tensor:
    """Rotate the spatial ones of (N, heads, L, C) keys; the table of one frame repeats for every remembered frame."""
    (cos, sin), num_spatial = layout.rotary, layout.num_spatial
    num_frames = num_spatial // cos.shape[0]
    rotated = rotate(keys[:, :, :num_spatial], cos.repeat(num_frames, 1), sin.repeat(num_frames, 1))
    return rotated if num_spatial == keys.shape[2] else torch.cat((rotated, keys[:, :, num_spatial:]), dim=2)


class MemoryAttentionLayer(nn.Module):
    """Self attention of the current frame, cross attention to the memories, and an MLP, each a residual step.

    Args:
        dim: D, width of the frame's tokens.
        memory_dim: C, width of the memory tokens.
        num_heads: attention heads.
        mlp_dim: hidden width of the MLP.
    """

    def __init__(self, dim: int, memory_dim: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.self_attention = RotaryAttention(dim, num_heads)
        self.cross_attention = RotaryAttention(dim, num_heads, key_dim=memory_dim)
        self.mlp_expand = nn.Linear(dim, mlp_dim)
        self.mlp_project = nn.Linear(mlp_dim, dim)
        self.norm_self, self.norm_cross, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, rotary: Rotary, layout: MemoryLayout) -> Tensor:
        """Return (N, h*w, D); the arguments are those of `RotaryAttention.add_to`."""
        y = self.norm_self(x)
        frame = MemoryLayout(rotary, x.shape[1])  # the frame attends to itself: its own tokens are all spatial
        x = self.self_attention.add_to(x, queries=y, keys=y, values=y, rotary=rotary, layout=frame)
        y = self.norm_cross(x)
        x = self.cross_attention.add_to(x, queries=y, keys=keys, values=values, rotary=rotary, layout=layout)
        return added(x, self.mlp_project, activated(self.mlp_expand, self.norm_mlp(x), "relu"))


class MemoryAttention(nn.Module):
    """Condition the current frame on memories: (1 or N, h*w, D) tokens and (N, L, C) memories to (N, h*w, D).

    All objects share one frame, so the first layer's self attention is computed once; from its cross attention on,
    there are N versions of the frame.
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
        *,
        memory: Tensor,
        memory_position: Tensor,
        rotary: Rotary,
        layout: MemoryLayout,
    ) -> Tensor:
        """
        Args:
            x: (1 or N, h*w, D) the current frame.
            position: (h*w, D) sine encoding, added at a tenth of its size.
            memory: (N, L, C) spatial memories, then pointers.
            memory_position: (N, L, C) added to the keys only.
            rotary: tables (h*w, .) of the current frame's grid.
            layout: order of the memory tokens.
        """
        x = x + 0.1 * position.to(x.dtype)
        # Only keys carry positions: what is read is the memory's content, not its position or time.
        keys = memory + memory_position
        for layer in self.layers:
            x = layer(x, keys, memory, rotary, layout)
        return self.norm(x)  # type: ignore[no-any-return]
