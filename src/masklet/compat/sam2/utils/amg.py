"""Official `utils/amg.py`: masks, run lengths, boxes, grids and crops, as scripts around the mask generator use them.

Own implementations of the same definitions: names, arguments, shapes and types of results are the official ones.
Source: sam2 2b90b9f, utils/amg.py.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, ItemsView, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from masklet.checks import check_choice
from masklet.errors import ConfigError, DataError
from masklet.masks.geometry import crop_boxes
from masklet.masks.operations import largest_component, remove_small_components
from masklet.masks.rle import encode_rle, run_lengths
from masklet.records import BoolArray
from masklet.segmentation.automatic import INNER_EDGE

Rle = dict[str, Any]
"""Run lengths: "size" (height, width), and "counts" in column order, background first."""

_Columns = list[Any] | NDArray[Any] | Tensor


class MaskData:
    """Columns of equal length: lists, arrays and tensors that are filtered and joined together."""

    def __init__(self, **columns: _Columns) -> None:
        self._stats: dict[str, Any] = {}
        for name, column in columns.items():
            self[name] = column

    def __setitem__(self, name: str, column: _Columns) -> None:
        if not isinstance(column, list | np.ndarray | Tensor):
            raise ConfigError(f"{name} must be a list, an array or a tensor, got {type(column).__name__}")
        self._stats[name] = column

    def __getitem__(self, name: str) -> Any:
        return self._stats[name]

    def __delitem__(self, name: str) -> None:
        del self._stats[name]

    def items(self) -> ItemsView[str, Any]:
        """Return names and columns."""
        return self._stats.items()

    def filter(self, keep: Tensor) -> None:
        """Keep the rows that a bool tensor marks, or those of these indices, in their order."""
        rows = torch.as_tensor(keep)
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        indices = rows.tolist()
        for name, column in self._stats.items():
            if isinstance(column, Tensor):
                self._stats[name] = column[rows.to(column.device)]
            elif isinstance(column, list):
                self._stats[name] = [column[index] for index in indices]
            elif column is not None:
                self._stats[name] = column[indices]

    def cat(self, new_stats: MaskData) -> None:
        """Append the rows of another one; columns that are missing here are copied."""
        for name, column in new_stats.items():
            old = self._stats.get(name)
            if old is None:
                self._stats[name] = copy.deepcopy(column)
            elif isinstance(column, Tensor):
                self._stats[name] = torch.cat([old, column])
            else:
                self._stats[name] = (
                    old + copy.deepcopy(column) if isinstance(column, list) else np.concatenate([old, column])
                )

    def to_numpy(self) -> None:
        """Replace tensors by arrays of floats."""
        for name, column in self._stats.items():
            if isinstance(column, Tensor):
                self._stats[name] = column.detach().float().cpu().numpy()


def batch_iterator(batch_size: int, *args: Any) -> Generator[list[Any], None, None]:
    """Yield slices of at most `batch_size` rows of each argument."""
    if not args or any(len(column) != len(args[0]) for column in args):
        raise ConfigError(f"batch_iterator needs columns of one length, got {[len(column) for column in args]}")
    for start in range(0, len(args[0]), batch_size):
        yield [column[start : start + batch_size] for column in args]


# Run lengths.


def mask_to_rle_pytorch(tensor: Tensor) -> list[Rle]:
    """Return run lengths of (B, H, W) masks, uncompressed."""
    masks = _as_masks(tensor)
    return [{"size": list(mask.shape), "counts": run_lengths(mask)} for mask in masks]


def rle_to_mask(rle: Rle) -> BoolArray:
    """Return the (H, W) mask of uncompressed run lengths.

    Raises:
        DataError: the counts do not fill the mask.
    """
    height, width = rle["size"]
    counts = np.asarray(rle["counts"], np.int64)
    if counts.ndim != 1 or (counts < 0).any() or counts.sum() != height * width:
        raise DataError(f"counts must add up to {height} x {width}, got {rle['counts']!s:.80}")
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(width, height).T


def area_from_rle(rle: Rle) -> int:
    """Return the number of foreground pixels of uncompressed run lengths."""
    return int(sum(rle["counts"][1::2]))


def coco_encode_rle(uncompressed_rle: Rle) -> Rle:
    """Return run lengths as COCO's text."""
    return dict(encode_rle(rle_to_mask(uncompressed_rle)))


# Masks.


def calculate_stability_score(masks: Tensor, mask_threshold: float, threshold_offset: float) -> Tensor:
    """Return the IoU of the masks at thresholds above and below `mask_threshold`.

    Args:
        masks: (..., H, W) logits.
        mask_threshold: logit above which a pixel is foreground.
        threshold_offset: added and subtracted.

    Returns:
        (...) float; NaN where a mask is empty at either threshold.
    """
    inner = (masks > mask_threshold + threshold_offset).sum((-2, -1), dtype=torch.int32)
    outer = (masks > mask_threshold - threshold_offset).sum((-2, -1), dtype=torch.int32)
    return inner / outer


def remove_small_regions(mask: NDArray[Any], area_thresh: float, mode: str) -> tuple[BoolArray, bool]:
    """Fill holes or remove islands of fewer pixels than this; the largest island always stays.

    Args:
        mask: (H, W).
        area_thresh: pixels.
        mode: "holes" or "islands".

    Returns:
        The mask, and whether it has changed.
    """
    check_choice("mode", mode, ("holes", "islands"))
    before: BoolArray = np.asarray(mask, np.bool_)
    limit = int(np.ceil(area_thresh)) - 1  # ours is the largest area that goes
    if mode == "holes":
        after = ~remove_small_components(~before, limit)
    else:
        after = remove_small_components(before, limit)
        if before.any() and not after.any():
            after = largest_component(before)
    is_changed = bool((after != before).any())
    # An only island that is too small counts as changed, as in the official code.
    return after, is_changed or bool(mode == "islands" and 0 < np.count_nonzero(before) <= limit)


def batched_mask_to_box(masks: Tensor) -> Tensor:
    """Return the boxes of (..., H, W) masks, (..., 4): left, top, right, bottom of their pixels; 0 for empty ones."""
    masks = torch.as_tensor(masks) > 0
    sides = []
    for axis in (-2, -1):  # which columns have a pixel, then which rows
        occupied = masks.any(axis)
        length = occupied.shape[-1]
        places = torch.arange(length, device=masks.device).expand(occupied.shape)
        first = places.masked_fill(~occupied, length)
        last = places.masked_fill(~occupied, -1)
        is_void = not length or not occupied.numel()
        sides += [first.sum(-1) if is_void else first.amin(-1), last.sum(-1) if is_void else last.amax(-1)]
    left, right, top, bottom = sides
    boxes = torch.stack([left, top, right, bottom], -1)
    return boxes * (right >= left)[..., None]


# Boxes, points and masks of crops.


def box_xyxy_to_xywh(box_xyxy: Any) -> Any:
    """Return (4,) left, top, right, bottom as left, top, width, height."""
    box = copy.deepcopy(box_xyxy)
    box[2], box[3] = box[2] - box[0], box[3] - box[1]
    return box


def is_box_near_crop_edge(
    boxes: Tensor, crop_box: Sequence[int], orig_box: Sequence[int], atol: float = float(INNER_EDGE)
) -> Tensor:
    """Return (N,) bool: which of (N, 4) boxes end near an edge of the crop that is not an edge of the image."""
    inside = uncrop_boxes_xyxy(boxes, crop_box).float()
    crop, image = (torch.tensor(box, dtype=torch.float32, device=inside.device) for box in (crop_box, orig_box))
    is_near_crop, is_near_image = ((inside - edges).abs() <= atol for edges in (crop, image))
    return (is_near_crop & ~is_near_image).any(1)


def uncrop_boxes_xyxy(boxes: Tensor, crop_box: Sequence[int]) -> Tensor:
    """Return (..., 4) boxes in a crop as boxes in the image."""
    left, top = crop_box[:2]
    return boxes + torch.tensor([left, top, left, top], device=boxes.device)


def uncrop_points(points: Tensor, crop_box: Sequence[int]) -> Tensor:
    """Return (..., 2) points in a crop as points in the image."""
    return points + torch.tensor(list(crop_box[:2]), device=points.device)


def uncrop_masks(masks: Tensor, crop_box: Sequence[int], orig_h: int, orig_w: int) -> Tensor:
    """Return (..., h, w) masks of a crop as (..., H, W) masks of the image, 0 around it."""
    left, top, right, bottom = crop_box
    if (left, top, right, bottom) == (0, 0, orig_w, orig_h):
        return masks
    return F.pad(masks, (left, orig_w - right, top, orig_h - bottom), value=0)


def build_point_grid(n_per_side: int) -> NDArray[np.float64]:
    """Return (n * n, 2) points in the middle of the cells of a grid over [0, 1], row by row."""
    centres = (np.arange(n_per_side) + 0.5) / n_per_side
    return np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)


def build_all_layer_point_grids(n_per_side: int, n_layers: int, scale_per_layer: int) -> list[NDArray[np.float64]]:
    """Return a grid for the image and one for each layer of crops, each coarser by `scale_per_layer`."""
    return [build_point_grid(int(n_per_side / scale_per_layer**layer)) for layer in range(n_layers + 1)]


def generate_crop_boxes(
    im_size: Sequence[int], n_layers: int, overlap_ratio: float
) -> tuple[list[list[int]], list[int]]:
    """Return the crops of an image: itself, then 4^n overlapping ones for each layer n; and the layer of each.

    Args:
        im_size: (height, width).
        n_layers: layers after the image itself.
        overlap_ratio: of crops in the first layer, in shares of the shorter side; halved with each layer.
    """
    height, width = im_size
    boxes, layers = [[0, 0, width, height]], [0]
    for layer in range(1, n_layers + 1):
        crops = crop_boxes((height, width), 2**layer, overlap_ratio * 2 / 2**layer)
        boxes += [list(crop) for crop in crops]
        layers += [layer] * len(crops)
    return boxes, layers


def _as_masks(masks: Any) -> BoolArray:
    planes = torch.as_tensor(masks).detach().cpu().numpy() > 0
    if planes.ndim != 3:
        raise DataError(f"masks must be (B, H, W), got shape {planes.shape}")
    return np.asarray(planes, np.bool_)
