"""One mask out of the decoder's four: an addition of masklet's that nano uses for prompts that say what is meant.

SAM 2 answers such a prompt by mask 0 alone, although the three candidates were computed next to it. Where a small model
is unsure, the four disagree in different places, and their mean is better than any one that can be told in advance:
docs/lab-notes.md has by how much. In training every mask answers for itself, so that they stay four opinions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from masklet.model.prompt_maps import box_corners

_SHARPNESS = 4
"""Weights are (IoU prediction x fit to the box) to this power: at 0 all count alike, at infinity only the best."""
_LEAST_WEIGHT = 1e-6
"""So that the weights are never all 0, as where no mask meets the box."""


def combine_masks(low_res_logits: Tensor, iou_predictions: Tensor, points_01: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of N objects' masks, weighted by predicted IoU and, with a box, by how well they fill it.

    Args:
        low_res_logits: (N, K, H, W).
        iou_predictions: (N, K) in [0, 1].
        points_01: (N, P, 2) prompt points in the unit square.
        labels: (N, P) `PointLabel` values.

    Returns:
        (N, H, W) logits.
    """
    weights = (iou_predictions * box_fit(low_res_logits, points_01, labels)) ** _SHARPNESS + _LEAST_WEIGHT
    weights = weights / weights.sum(1, keepdim=True)
    return (low_res_logits * weights[..., None, None]).sum(1)


def box_fit(low_res_logits: Tensor, points_01: Tensor, labels: Tensor) -> Tensor:
    """Return the IoU of each mask's tight box with the prompt's box: (N, K) in [0, 1]; 1 without a box."""
    top_left, bottom_right, has_box = box_corners(points_01, labels)
    overlap = mask_area = box_area = torch.ones((), device=low_res_logits.device)
    for axis, across in enumerate((-2, -1)):
        low, high = _extent(low_res_logits.amax(across) > 0)
        first, last = top_left[:, axis, None], bottom_right[:, axis, None]
        overlap = overlap * (torch.minimum(high, last) - torch.maximum(low, first)).clamp(min=0.0)
        mask_area, box_area = mask_area * (high - low).clamp(min=0.0), box_area * (last - first)
    union = (mask_area + box_area - overlap).clamp(min=_LEAST_WEIGHT)
    return torch.where(has_box > 0, overlap / union, 1.0)


def _extent(is_covered: Tensor) -> tuple[Tensor, Tensor]:
    """Return begin and end of the covered cells of a line, in [0, 1]: (N, K, L) to two (N, K); 1 and 0 without any."""
    length = is_covered.shape[-1]
    edges = torch.arange(length + 1, device=is_covered.device, dtype=torch.float32) / length
    low = torch.where(is_covered, edges[:-1], 1.0).amin(-1)
    high = torch.where(is_covered, edges[1:], 0.0).amax(-1)
    return low, high
