"""Memory encoder: a frame's features and an object's mask on it become a small map to remember.

Source: sam2 2b90b9f, memory_encoder.py `MemoryEncoder`.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model.layers import ConvNeXtBlock, LayerNorm2d


class MaskDownsampler(nn.Module):
    """(N, 1, H, W) mask to (N, D, h, w) by strided convolutions, one for each entry of `channels`."""

    def __init__(self, channels: tuple[int, ...], embed_dim: int) -> None:
        super().__init__()
        inputs = (1, *channels[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(inputs, channels, strict=True)
        )
        self.norms = nn.ModuleList(LayerNorm2d(c) for c in channels)
        self.project = nn.Conv2d(channels[-1], embed_dim, 1)

    def forward(self, mask: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            mask = F.gelu(norm(conv(mask)))
        return self.project(mask)  # type: ignore[no-any-return]


class MemoryEncoder(nn.Module):
    """(1 or N, D, h, w) features and (N, 1, H, W) masks to (N, C, h, w)."""

    def __init__(
        self, *, embed_dim: int, memory_dim: int, mask_channels: tuple[int, ...], fuser_blocks: int, fuser_kernel: int
    ) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler(mask_channels, embed_dim)
        self.feature_project = nn.Conv2d(embed_dim, embed_dim, 1)
        self.fuser = nn.Sequential(*(ConvNeXtBlock(embed_dim, fuser_kernel) for _ in range(fuser_blocks)))
        self.project = nn.Conv2d(embed_dim, memory_dim, 1)

    def forward(self, embedding: Tensor, mask: Tensor) -> Tensor:
        return self.project(self.fuser(self.feature_project(embedding) + self.mask_downsampler(mask)))  # type: ignore[no-any-return]
