"""Prompts drawn as maps: an optional addition to SAM 2's prompt encoder that nano uses.

A small model trained from scratch ignores SAM's sparse tokens for its first hundreds of steps and paints the most
salient object, whatever was clicked (docs/lab-notes.md). Drawn on the grid the prompt cannot be overlooked: Gaussians
around clicks, the inside and outside of a box, and which kinds of prompt there are. A small MLP turns them into
channels that are added where SAM adds its dense prompt embedding. Also, a click's token learns what lies under it.

`FinePrompts` draws the same, and the mask that is fed back with a correction, on the maps of strides 8 and 4 where
outlines are decided: SAM 2 brings a box's edges and the last mask to 16 pixels before its decoder sees them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model.config import PromptMapsConfig
from masklet.model.position_encoding import centres
from masklet.prompts import PointLabel

_BOX_EDGE_SHARPNESS = 2.5
"""A box's edge is drawn as sigmoid(this * cells from it), so about a cell wide."""


_MASK_SOFTNESS = 4.0
"""Logits fed back are drawn as tanh(logit / this): beyond it they only say "sure"."""


def draw_prompts(points_01: Tensor, labels: Tensor, height: int, width: int, sigmas: tuple[float, ...]) -> Tensor:
    """Draw (N, P, 2) points in the unit square with (N, P) labels on an h x w grid: (N, 2 * sigmas + 4 + 2, h, w).

    Gaussians around foreground clicks, around background clicks, four maps of the box, and which clicks there are. All
    of them are products (or a maximum) of one factor along x and one along y, so only the last step is as large as the
    grid.
    """
    columns, rows = centres(width, points_01.device), centres(height, points_01.device)
    squared_x, squared_y = (columns - points_01[..., :1]) ** 2, (rows - points_01[..., 1:]) ** 2  # (N, P, w or h)
    maps, presence = [], []
    for label in (PointLabel.FOREGROUND, PointLabel.BACKGROUND):
        is_given = (labels == label).to(points_01.dtype)[..., None]  # (N, P, 1)
        for sigma in sigmas:
            along_x, along_y = torch.exp(squared_x / (-2 * sigma**2)), torch.exp(squared_y / (-2 * sigma**2))
            maps.append((_grid(along_y * is_given, along_x)).amax(1))  # the nearest of several clicks
        presence.append(is_given.amax(1)[..., None].expand(-1, height, width))
    maps += _draw_box(points_01, labels, columns, rows)
    return torch.stack(maps + presence, dim=1)


def _draw_box(points_01: Tensor, labels: Tensor, columns: Tensor, rows: Tensor) -> list[Tensor]:
    """Soft inside, outside, a bump at the centre, and the distance from it in box sizes; zeros without a box."""
    top_left, bottom_right, has_box = box_corners(points_01, labels)
    insides, bumps, distances = [], [], []
    for axis, cells in enumerate((columns, rows)):
        low, high = top_left[:, axis, None], bottom_right[:, axis, None]
        margin = torch.minimum(cells - low, high - cells)
        insides.append(torch.sigmoid(margin * (_BOX_EDGE_SHARPNESS * cells.shape[0])) * has_box)
        relative = (cells - (low + high) / 2) / (high - low).clamp(min=0.02)
        bumps.append(torch.exp(-4 * relative**2))
        distances.append(relative.abs().clamp(max=3) * has_box)
    inside = _grid(insides[1], insides[0])
    farther = torch.maximum(distances[1][..., :, None], distances[0][..., None, :])
    return [inside, has_box[..., None] - inside, inside * _grid(bumps[1], bumps[0]), farther]


def box_corners(points_01: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the box's corners among (N, P, 2) points, each (N, 2), zeros without a box; and (N, 1) 1 with a box."""
    is_top_left = (labels == PointLabel.BOX_TOP_LEFT).to(points_01.dtype)[..., None]
    is_bottom_right = (labels == PointLabel.BOX_BOTTOM_RIGHT).to(points_01.dtype)[..., None]
    return (points_01 * is_top_left).sum(1), (points_01 * is_bottom_right).sum(1), is_top_left.amax(1)


def _grid(along_y: Tensor, along_x: Tensor) -> Tensor:
    """Multiply (..., h) and (..., w) to (..., h, w)."""
    return along_y[..., :, None] * along_x[..., None, :]


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
            maps = draw_prompts(points_01.float(), labels, height, width, self.sigmas)
        maps = maps.to(self.expand.weight.dtype)
        return self.project(F.relu(self.expand(maps)))  # type: ignore[no-any-return]

    def under_points(self, points_01: Tensor, labels: Tensor, maps: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return the features under each click, (N, P, D); zero for padding and box corners, which carry no content.

        Args:
            points_01: (N, P, 2) in the unit square.
            labels: (N, P).
            maps: embedding (N, D, h, w), and fine maps at strides 8 and 4, batch N or 1.
        """
        grid = (points_01 * 2 - 1)[:, :, None]
        total: Tensor | None = None
        for feature, layer in zip(maps, (self.from_16, self.from_8, self.from_4), strict=True):
            per_object = feature.expand(points_01.shape[0], -1, -1, -1).float()
            sampled = F.grid_sample(per_object, grid.float(), padding_mode="border", align_corners=False)
            projected = layer(sampled[..., 0].transpose(1, 2).to(layer.weight.dtype))
            total = projected if total is None else total + projected
        is_click = ((labels == PointLabel.FOREGROUND) | (labels == PointLabel.BACKGROUND))[..., None]
        return torch.where(is_click, self.norm(total), 0.0)


class FinePrompts(nn.Module):
    """Prompts drawn at fine resolution, to be added to the maps of strides 8 and 4.

    They start at zero, so that a model trained without them can learn them.
    """

    def __init__(self, sigmas: tuple[float, ...], embed_dim: int) -> None:
        super().__init__()
        self.sigmas = sigmas
        channels = 2 * len(sigmas) + 4 + 2 + 2
        d4, d8 = embed_dim // 8, embed_dim // 4
        self.expand_4, self.project_4 = nn.Conv2d(channels, d4, 1), nn.Conv2d(d4, d4, 1)
        self.expand_8, self.project_8 = nn.Conv2d(channels, d8, 1), nn.Conv2d(d8, d8, 3, padding=1)
        for layer in (self.project_4, self.project_8):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(
        self, points_01: Tensor, labels: Tensor, mask_logits: Tensor, has_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """
        Args:
            points_01: (N, P, 2) in the unit square.
            labels: (N, P).
            mask_logits: (N, 1, 4h, 4w) that are fed back; ignored where not `has_mask`.
            has_mask: (N,) bool.

        Returns:
            (N, D/4, 2h, 2w) and (N, D/8, 4h, 4w).
        """
        height, width = mask_logits.shape[-2:]
        with torch.autocast(points_01.device.type, enabled=False):
            has_map = has_mask[:, None, None, None]
            mask = torch.where(has_map, torch.tanh(mask_logits.float() / _MASK_SOFTNESS), 0.0)
            drawn = draw_prompts(points_01.float(), labels, height, width, self.sigmas)
            maps = torch.cat((drawn, mask, has_map.to(mask.dtype).expand_as(mask)), dim=1)
        maps = maps.to(self.expand_4.weight.dtype)
        fine = self.project_4(F.relu(self.expand_4(maps)))
        return self.project_8(F.relu(self.expand_8(F.avg_pool2d(maps, 2)))), fine
