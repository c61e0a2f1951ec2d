"""Prompt encoder: clicks, box corners and a coarse mask become tokens and a map.

Source: sam2 2b90b9f, sam/prompt_encoder.py `PromptEncoder`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model.layers import LayerNorm2d
from masklet.model.position_encoding import RandomFourierEncoding
from masklet.prompts import PointLabel


class MaskDownscaler(nn.Module):
    """(N, 1, 4h, 4w) mask logits to (N, D, h, w)."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(1, 4, 2, stride=2)
        self.norm_1 = LayerNorm2d(4)
        self.conv_2 = nn.Conv2d(4, 16, 2, stride=2)
        self.norm_2 = LayerNorm2d(16)
        self.project = nn.Conv2d(16, embed_dim, 1)

    def forward(self, logits: Tensor) -> Tensor:
        x = F.gelu(self.norm_1(self.conv_1(logits)))
        x = F.gelu(self.norm_2(self.conv_2(x)))
        return self.project(x)  # type: ignore[no-any-return]


class PromptEncoder(nn.Module):
    """Sparse and dense prompt embeddings."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.position = RandomFourierEncoding(embed_dim)
        self.label_embeddings = nn.Parameter(torch.randn(4, embed_dim) * 0.5)  # rows as PointLabel, 0 to 3
        self.padding_embedding = nn.Parameter(torch.randn(embed_dim) * 0.5)
        self.no_mask_embedding = nn.Parameter(torch.randn(embed_dim) * 0.1)
        self.mask_downscaler = MaskDownscaler(embed_dim)

    def sparse(self, points_01: Tensor, labels: Tensor) -> Tensor:
        """Tokens of points.

        Args:
            points_01: (N, P, 2) in the unit square, x first.
            labels: (N, P) `PointLabel` values; padding says "no point here" and its coordinates do not matter.

        Returns:
            (N, P, D)
        """
        embeddings = self.position(points_01) + self.label_embeddings[labels.clamp(min=0)]
        is_padding = (labels == PointLabel.PADDING)[..., None]
        return torch.where(is_padding, self.padding_embedding, embeddings)

    def dense(self, mask_logits: Tensor, has_mask: Tensor) -> Tensor:
        """(N, 1, 4h, 4w) logits to (N, D, h, w); objects with `has_mask` (N,) False get the learned "no mask"."""
        embeddings = self.mask_downscaler(mask_logits)
        no_mask = self.no_mask_embedding.to(embeddings.dtype)[:, None, None]
        return torch.where(has_mask[:, None, None, None], embeddings, no_mask)
