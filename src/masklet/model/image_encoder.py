"""Image encoder: a trunk, and a neck that turns its four scales into the embedding and two finer maps.

Knows pixels of the model's square and nothing of prompts or memory. All encoders answer with `NeckOutput`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model.config import EfficientNetLiteConfig, HieraConfig, ModelConfig
from masklet.model.efficientnet_lite import EfficientNetLite0
from masklet.model.hiera import Hiera
from masklet.model.layers import ConvNeXtBlock


class NeckOutput(NamedTuple):
    """Maps of one batch of images."""

    embedding: Tensor
    """(B, D, S/16, S/16)"""
    high_res_4: Tensor
    """(B, D/8, S/4, S/4) for the last step of the mask decoder's upscaling."""
    high_res_8: Tensor
    """(B, D/4, S/8, S/8) for the step before."""
    trunk_16: Tensor
    """(B, ., S/16, S/16) the trunk's own features, which the correspondence matches."""


class FpnNeck(nn.Module):
    """SAM 2's neck: 1 x 1 laterals; only stride 32 flows down, into stride 16.

    Source: sam2 2b90b9f, image_encoder.py `FpnNeck` (fpn_top_down_levels [2, 3], scalp 1); the projections of the fine
    maps are `conv_s0` and `conv_s1` of the mask decoder there.
    """

    def __init__(self, channels: tuple[int, ...], embed_dim: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, embed_dim, 1) for c in channels)  # strides 4, 8, 16, 32
        self.project_4 = nn.Conv2d(embed_dim, embed_dim // 8, 1)
        self.project_8 = nn.Conv2d(embed_dim, embed_dim // 4, 1)

    def forward(self, features: list[Tensor]) -> NeckOutput:
        stride_4, stride_8, stride_16, stride_32 = (
            lateral(x) for lateral, x in zip(self.laterals, features, strict=True)
        )
        embedding = stride_16 + F.interpolate(stride_32, scale_factor=2.0, mode="nearest")
        return NeckOutput(embedding, self.project_4(stride_4), self.project_8(stride_8), features[2])


class LiteNeck(nn.Module):
    """nano's neck: the embedding is filtered once more and flows down into the fine maps, which are narrow throughout.

    A small trunk's fine features know edges but not objects; without the way down, outlines leak (docs/lab-notes.md).
    """

    def __init__(self, config: EfficientNetLiteConfig, embed_dim: int) -> None:
        super().__init__()
        c4, c8, c16, c32 = config.channels
        d4, d8 = embed_dim // 8, embed_dim // 4
        self.lateral_4, self.lateral_8 = nn.Conv2d(c4, d4, 1), nn.Conv2d(c8, d8, 1)
        self.lateral_16, self.lateral_32 = nn.Conv2d(c16, embed_dim, 1), nn.Conv2d(c32, embed_dim, 1)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(embed_dim, 5, 0.1, 3) for _ in range(config.neck_blocks)))
        self.down_8, self.down_4 = nn.Conv2d(embed_dim, d8, 1), nn.Conv2d(d8, d4, 1)
        self.smooth_8, self.smooth_4 = nn.Conv2d(d8, d8, 3, padding=1), nn.Conv2d(d4, d4, 3, padding=1)

    def forward(self, features: list[Tensor]) -> NeckOutput:
        stride_4, stride_8, stride_16, stride_32 = features
        up = F.interpolate(self.lateral_32(stride_32), scale_factor=2.0, mode="nearest")
        embedding = self.blocks(self.lateral_16(stride_16) + up)
        fine_8 = self.lateral_8(stride_8) + F.interpolate(self.down_8(embedding), scale_factor=2.0, mode="nearest")
        fine_8 = fine_8 + self.smooth_8(F.gelu(fine_8))
        fine_4 = self.lateral_4(stride_4) + F.interpolate(self.down_4(fine_8), scale_factor=2.0, mode="nearest")
        fine_4 = fine_4 + self.smooth_4(F.gelu(fine_4))
        return NeckOutput(embedding, fine_4, fine_8, stride_16)

    @torch.no_grad()
    def calibrate(self, features: list[Tensor]) -> None:
        """Set the laterals so that the trunk's channels arrive with mean 0 and one size.

        The trunk's outputs reach 60 in some channels and stay near 0 in others; without this the first thousand steps
        of training go into undoing it.
        """
        laterals = (self.lateral_4, self.lateral_8, self.lateral_16, self.lateral_32)
        for feature, lateral in zip(features, laterals, strict=True):
            mean = feature.float().mean((0, 2, 3))
            deviation = feature.float().std((0, 2, 3)).clamp(min=1e-3)
            weight = torch.randn_like(lateral.weight) * (0.6 / lateral.in_channels**0.5)
            lateral.weight.copy_(weight / deviation[None, :, None, None])
            lateral.bias.copy_(-(lateral.weight[:, :, 0, 0] @ mean))  # type: ignore[union-attr]


class ImageEncoder(nn.Module):
    """Pixels in, `NeckOutput` out."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.register_buffer("pixel_mean", torch.tensor(config.pixel_mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(config.pixel_std).reshape(1, 3, 1, 1), persistent=False)
        self.trunk: Hiera | EfficientNetLite0
        self.neck: FpnNeck | LiteNeck
        if isinstance(config.trunk, HieraConfig):
            self.trunk = Hiera(config.trunk)
            self.neck = FpnNeck(config.trunk.channels, config.embed_dim)
        else:
            self.trunk = EfficientNetLite0()
            self.neck = LiteNeck(config.trunk, config.embed_dim)

    def normalise(self, pixels: Tensor) -> Tensor:
        """(B, S, S, 3) RGB of 0..255, any dtype, to (B, 3, S, S) as the trunk wants it."""
        x = pixels.permute(0, 3, 1, 2).to(self.pixel_mean.dtype)
        return ((x - self.pixel_mean) / self.pixel_std).contiguous(memory_format=torch.channels_last)

    def forward(self, pixels: Tensor) -> NeckOutput:
        return self.neck(self.trunk(self.normalise(pixels)))  # type: ignore[no-any-return]
