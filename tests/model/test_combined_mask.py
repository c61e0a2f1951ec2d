from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from masklet.model.combined_mask import box_fit, combine_masks
from masklet.model.sam2 import SAM2
from masklet.prompts import PointLabel

from .tiny import TINY

BOX = torch.tensor([[[0.25, 0.5], [0.75, 1.0]]])
CORNERS = torch.tensor([[PointLabel.BOX_TOP_LEFT, PointLabel.BOX_BOTTOM_RIGHT]])
CLICK, FOREGROUND = torch.tensor([[[0.5, 0.5]]]), torch.tensor([[PointLabel.FOREGROUND]])


def masks(*windows: tuple[int, int, int, int]) -> Tensor:
    """(1, K, 8, 8) logits: 3 within rows and columns `top:bottom, left:right`, -3 elsewhere."""
    logits = torch.full((1, len(windows), 8, 8), -3.0)
    for number, (top, bottom, left, right) in enumerate(windows):
        logits[0, number, top:bottom, left:right] = 3.0
    return logits


def test_how_well_a_mask_fills_the_box() -> None:
    logits = masks((4, 8, 2, 6), (4, 8, 2, 4), (0, 8, 0, 8), (0, 4, 2, 6), (0, 0, 0, 0))
    assert box_fit(logits, BOX, CORNERS)[0].tolist() == [1.0, 0.5, 0.25, 0.0, 0.0]
    assert box_fit(logits, CLICK, FOREGROUND)[0].tolist() == [1.0] * 5


def test_without_a_box_the_sure_count_more() -> None:
    logits, promises = torch.randn(1, 4, 8, 8), torch.tensor([[0.9, 0.45, 0.9, 0.0]])
    mean = combine_masks(logits, promises, CLICK, FOREGROUND)
    expected = (logits[:, 0] + logits[:, 1] / 16 + logits[:, 2]) / (2 + 1 / 16)
    assert torch.allclose(mean, expected, atol=1e-4)


def test_masks_that_fill_the_box_outweigh_higher_iou_predictions() -> None:
    logits = masks((4, 8, 2, 6), (4, 6, 2, 6))
    combined = combine_masks(logits, torch.tensor([[0.6, 0.8]]), BOX, CORNERS)
    assert torch.equal(combined[0] > 0, logits[0, 0] > 0)
    combined = combine_masks(logits, torch.tensor([[0.6, 0.8]]), CLICK, FOREGROUND)
    assert torch.equal(combined[0] > 0, logits[0, 1] > 0)


def test_masks_outside_the_box_count_equally() -> None:
    logits = masks((0, 1, 0, 1), (0, 2, 0, 2))
    combined = combine_masks(logits, torch.tensor([[0.9, 0.1]]), BOX, CORNERS)
    assert torch.allclose(combined, logits.mean(1))


@pytest.mark.parametrize("prompt", [(CLICK, FOREGROUND), (BOX, CORNERS)], ids=["click", "box"])
def test_only_in_use_and_only_mask_0(prompt: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    model = SAM2(dataclasses.replace(TINY, combines_masks=True))
    side = TINY.image_size
    asked = {
        "embedding": torch.randn(1, TINY.embed_dim, side // 16, side // 16),
        "high_res_4": torch.randn(1, TINY.embed_dim // 8, side // 4, side // 4),
        "high_res_8": torch.randn(1, TINY.embed_dim // 4, side // 8, side // 8),
        "points_xy": prompt[0] * side,
        "labels": prompt[1],
        "mask_logits": torch.zeros(1, 1, side // 4, side // 4),
        "has_mask": torch.tensor([False]),
    }
    with torch.no_grad():
        learning, in_use = model.train().decode(**asked), model.eval().decode(**asked)
    assert torch.equal(learning.low_res_logits[:, 1:], in_use.low_res_logits[:, 1:])
    combined = combine_masks(learning.low_res_logits, learning.iou_predictions, *prompt)
    assert torch.allclose(in_use.low_res_logits[:, 0], combined)
    assert not torch.allclose(in_use.low_res_logits[:, 0], learning.low_res_logits[:, 0])
