"""Prompts drawn from ground truth: first clicks, boxes, coarse masks, and clicks that correct an error.

All batched on (N, 1, H, W) masks of 0 and 1 without loops, since a step draws hundreds. Points are (N, 2) in the unit
square, x first.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from masklet.prompts import PointLabel


class PromptKind(IntEnum):
    """Kind of an object's first prompt."""

    CLICK = 0
    BOX = 1
    MASK = 2


class PointPrompts(NamedTuple):
    """Points of N objects, padded to one length."""

    points_01: Tensor
    """(N, P, 2)"""
    labels: Tensor
    """(N, P)"""

    def add(self, points_01: Tensor, labels: Tensor) -> PointPrompts:
        """Add one (N, 2) point per object, with (N,) labels."""
        return PointPrompts(
            torch.cat((self.points_01, points_01[:, None]), dim=1), torch.cat((self.labels, labels[:, None]), dim=1)
        )


def clicks(points_01: Tensor, labels: Tensor) -> PointPrompts:
    """Return one (N, 2) click per object with its (N,) label, then SAM's padding point."""
    padding = torch.full_like(labels, int(PointLabel.PADDING))
    return PointPrompts(points_01[:, None], labels[:, None]).add(torch.zeros_like(points_01), padding)


def draw_kinds(num: int, probabilities: tuple[float, float, float]) -> Tensor:
    """Draw (N,) `PromptKind` values with the given probabilities of click, box and mask."""
    return torch.multinomial(torch.tensor(probabilities), num, replacement=True)


def first_prompts(masks: Tensor, kinds: Tensor, box_jitter: float = 0.1) -> PointPrompts:
    """Draw a click or a box per object, then SAM's padding point; mask prompts get padding only.

    Args:
        masks: (N, 1, H, W).
        kinds: (N,) `PromptKind`.
        box_jitter: standard deviation of a box side's error, in box sizes.

    Returns:
        Two or three points each.
    """
    boxes = draw_boxes(masks, box_jitter)
    is_box = (kinds == PromptKind.BOX)[:, None]
    first = torch.where(is_box, boxes[:, :2], draw_points(_click_weights(masks)))
    points = torch.stack((first, boxes[:, 2:], torch.zeros_like(first)), dim=1)
    padding = torch.full_like(kinds, PointLabel.PADDING)
    first_label = torch.where(
        is_box[:, 0],
        int(PointLabel.BOX_TOP_LEFT),
        torch.where(kinds == PromptKind.CLICK, int(PointLabel.FOREGROUND), padding),
    )
    second_label = torch.where(is_box[:, 0], int(PointLabel.BOX_BOTTOM_RIGHT), padding)
    labels = torch.stack((first_label, second_label, padding), dim=1)
    # Engines pad a box to three tokens and a click to two; in a mixed batch one of them has a token more or less.
    # Seeing both lengths, the model learns to ignore padding.
    length = 2 + int(torch.rand(()) < 0.5)
    return PointPrompts(points[:, :length], labels[:, :length])


def no_prompts(num: int) -> PointPrompts:
    """Return SAM 2's input of the decoder on a tracked frame: two padding points."""
    return PointPrompts(torch.zeros(num, 2, 2), torch.full((num, 2), int(PointLabel.PADDING)))


def draw_points(weights: Tensor) -> Tensor:
    """Draw one point per (N, 1, H, W) map, in proportion to it and anywhere within a cell: (N, 2)."""
    num, _, height, width = weights.shape
    cumulative = (weights.flatten(1).double() + 1e-9).cumsum(1)
    target = torch.rand(num, 1, dtype=torch.float64) * cumulative[:, -1:]
    index = torch.searchsorted(cumulative, target).clamp(max=height * width - 1)[:, 0]
    row, column = torch.div(index, width, rounding_mode="floor"), index % width
    x = (column + torch.rand(num)) / width
    y = (row + torch.rand(num)) / height
    return torch.stack((x, y), dim=-1)


def _blur(x: Tensor, size: int) -> Tensor:
    x = F.avg_pool2d(x, (size, 1), 1, (size // 2, 0))
    return F.avg_pool2d(x, (1, size), 1, (0, size // 2))


def _click_weights(masks: Tensor) -> Tensor:
    """Return the density of clicks: mostly high where the blurred mask is, at times uniform inside."""
    coarse = F.avg_pool2d(masks, 2)
    inside = (coarse > 0.6).float() + 1e-4 * (coarse > 0).float()
    choice = torch.rand(masks.shape[0], 1, 1, 1)
    near, far = _blur(inside, 5) * inside, _blur(inside, 11) * inside
    return torch.where(choice < 0.3, inside, torch.where(choice < 0.6, near**2, far**4))


def correction_points(logits: Tensor, masks: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Draw a click in each object's error: anywhere in it half of the time, else well inside its largest part.

    Args:
        logits: (N, 1, H, W) prediction.
        masks: (N, 1, H, W) truth.
        valid: (N, 1, H, W) 0 where void.

    Returns:
        (N, 2) points and (N,) labels. Where there is no error, a click on the object itself; where there is no object
        either, a negative click.
    """
    predicted = (F.avg_pool2d(logits, 2) > 0).float()
    truth = (F.avg_pool2d(masks, 2) > 0.5).float()
    usable = (F.avg_pool2d(valid, 2) > 0.5).float()
    missing, excess = truth * (1 - predicted) * usable, predicted * (1 - truth) * usable
    error = missing + excess
    has_error = (error.flatten(1).sum(1) > 0)[:, None, None, None]
    error = torch.where(has_error, error, F.avg_pool2d(masks, 2))
    thick = (_blur(missing, 5) * missing + _blur(excess, 5) * excess) ** 3
    wide = (_blur(missing, 15) * missing + _blur(excess, 15) * excess) ** 4
    choice = torch.rand(masks.shape[0], 1, 1, 1)
    weights = torch.where(choice < 0.3, error, torch.where(choice < 0.6, thick, wide) + 1e-7 * error)
    points = draw_points(torch.where(has_error, weights, error))
    return points, labels_at(masks, points)


def labels_at(masks: Tensor, points_01: Tensor) -> Tensor:
    """Return (N,) labels, foreground or background, of the (N, 1, H, W) truth at the (N, 2) points."""
    height, width = masks.shape[-2:]
    rows = (points_01[:, 1] * height).long().clamp(0, height - 1)
    columns = (points_01[:, 0] * width).long().clamp(0, width - 1)
    return (masks[torch.arange(len(masks)), 0, rows, columns] > 0.5).long()


def draw_boxes(masks: Tensor, jitter: float) -> Tensor:
    """Return (N, 4) boxes of the masks in the unit square, each side off by up to 8 % of the image."""
    height, width = masks.shape[-2:]
    inside = masks[:, 0] > 0.5
    columns, rows = inside.any(1).float(), inside.any(2).float()
    left, top = columns.argmax(1) / width, rows.argmax(1) / height
    right, bottom = 1 - columns.flip(1).argmax(1) / width, 1 - rows.flip(1).argmax(1) / height
    boxes = torch.stack((left, top, right, bottom), dim=1)
    size = torch.stack((right - left, bottom - top), dim=1).repeat(1, 2)
    return (boxes + (torch.randn_like(boxes) * jitter * size).clamp(-0.08, 0.08)).clamp(0, 1)


def coarse_mask_logits(masks: Tensor) -> Tensor:
    """Return degraded (N, 1, H, W) masks as (N, 1, H/2, W/2) logits: all grown, all shrunk or all blocky."""
    target = F.avg_pool2d(masks, 2)
    choice, kernel = torch.rand(()).item(), int(torch.randint(0, 4, ())) * 2 + 1
    if choice < 0.35:
        target = F.max_pool2d(target, kernel, 1, kernel // 2)
    elif choice < 0.7:
        target = -F.max_pool2d(-target, kernel, 1, kernel // 2)
    else:
        side = (4, 8, 12)[int(torch.randint(0, 3, ()))]
        target = F.interpolate(F.adaptive_avg_pool2d(target, side), size=target.shape[-2:], mode="bilinear")
    strength = (5.0, 10.0, 16.0)[int(torch.randint(0, 3, ()))]
    return ((target > 0.5).float() * 2 - 1) * strength
