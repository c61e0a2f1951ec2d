"""Prompts drawn as maps: an optional addition to SAM 2's prompt encoder that nano uses.

A small model trained from scratch ignores SAM's sparse tokens for its first hundreds of steps and paints the most
salient object, whatever was clicked (docs/lab-notes.md). Drawn on the grid the prompt cannot be overlooked: Gaussians
around clicks, the inside and outside of a box, and which kinds of prompt there are. A small MLP turns them into
channels that are added where SAM adds its dense prompt embedding. Also, a click's token learns what lies under it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model.config import PromptMapsConfig
from masklet.model.position_encoding import cell_centres
from masklet.records import PointLabel

_FAR = 4.0  # squared distance standing for "no such click": farther than any two points of the unit square
_BOX_EDGE_SHARPNESS = 60.0


class PromptMaps(nn.Module):
    """Maps (N, D, h, w) to add to the embedding, and features to add to the tokens of clicks."""

    def __init__(self, config: PromptMapsConfig, embed_dim: int) -> None:
        super().__init__()
        self.sigmas = config.sigmas
        channels = 2 * len(config.sigmas) + 4 + 2
        self.expand = nn.Conv2d(channels, embed_dim // 2, 1)
        self.project = nn.Conv2d(embed_dim // 2, embed_dim, 1)
        self.sample_features = config.sample_features
        if config.sample_features:
            self.from_16 = nn.Linear(embed_dim, embed_dim)
            self.from_8 = nn.Linear(embed_dim // 4, embed_dim)
            self.from_4 = nn.Linear(embed_dim // 8, embed_dim)
            self.norm = nn.LayerNorm(embed_dim)

    def forward(self, points_01: Tensor, labels: Tensor, height: int, width: int) -> Tensor:
        """Draw (N, P, 2) points in the unit square with (N, P) labels on an h x w grid: (N, D, h, w)."""
        with torch.autocast(points_01.device.type, enabled=False):
            maps = self._draw(points_01.float(), labels, height, width)
        maps = maps.to(self.expand.weight.dtype)
        return self.project(F.relu(self.expand(maps)))  # type: ignore[no-any-return]

    def _draw(self, points_01: Tensor, labels: Tensor, height: int, width: int) -> Tensor:
        grid = cell_centres(height, width).to(points_01.device).reshape(1, 1, height * width, 2)
        squared = ((grid - points_01[:, :, None]) ** 2).sum(-1)  # (N, P, h*w)
        maps = []
        for label in (PointLabel.FOREGROUND, PointLabel.BACKGROUND):
            nearest = torch.where((labels == label)[..., None], squared, _FAR).amin(1)
            maps += [torch.exp(-nearest / (2 * sigma**2)) for sigma in self.sigmas]
        maps += self._draw_box(points_01, labels, grid[:, 0])
        for label in (PointLabel.FOREGROUND, PointLabel.BACKGROUND):
            is_given = (labels == label).any(1, keepdim=True).to(points_01.dtype)
            maps.append(is_given.expand(-1, height * width))
        return torch.unflatten(torch.stack(maps, dim=1), -1, (height, width))

    @staticmethod
    def _draw_box(points_01: Tensor, labels: Tensor, grid: Tensor) -> list[Tensor]:
        """Soft inside, outside, a bump at the centre, and the distance from it in box sizes; zeros without a box."""
        is_top_left = (labels == PointLabel.BOX_TOP_LEFT).to(points_01.dtype)[..., None]
        is_bottom_right = (labels == PointLabel.BOX_BOTTOM_RIGHT).to(points_01.dtype)[..., None]
        top_left = (points_01 * is_top_left).sum(1, keepdim=True)
        bottom_right = (points_01 * is_bottom_right).sum(1, keepdim=True)
        has_box = is_top_left.amax(1)  # (N, 1)
        margin = torch.minimum(grid - top_left, bottom_right - grid)  # (N, h*w, 2)
        sides = torch.sigmoid(margin * _BOX_EDGE_SHARPNESS)
        inside = sides[..., 0] * sides[..., 1] * has_box
        size = (bottom_right - top_left).clamp(min=0.02)
        relative = (grid - (top_left + bottom_right) / 2) / size
        centre = inside * torch.exp(-4 * (relative**2).sum(-1))
        return [inside, has_box * (1 - inside), centre, has_box * relative.abs().amax(-1).clamp(max=3)]

    def under_points(self, points_01: Tensor, labels: Tensor, maps: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """(N, P, D) what lies under each click; zero for box corners, whose own pixels say nothing, and padding.

        Args:
            points_01: (N, P, 2) in the unit square.
            labels: (N, P).
            maps: embedding (N, D, h, w), and fine maps at strides 8 and 4, batch N or 1.
        """
        grid = (points_01 * 2 - 1)[:, :, None]
        total: Tensor | None = None
        for feature, layer in zip(maps, (self.from_16, self.from_8, self.from_4), strict=True):
            own = feature.expand(points_01.shape[0], -1, -1, -1).float()
            sampled = F.grid_sample(own, grid.float(), padding_mode="border", align_corners=False)
            projected = layer(sampled[..., 0].transpose(1, 2).to(layer.weight.dtype))
            total = projected if total is None else total + projected
        is_click = ((labels == PointLabel.FOREGROUND) | (labels == PointLabel.BACKGROUND))[..., None]
        return torch.where(is_click, self.norm(total), 0.0)
