"""Prompts drawn from truth lie where they should."""

from __future__ import annotations

import pytest
import torch

from masklet.prompts import PointLabel
from masklet.train.prompts import (
    PromptKind,
    coarse_mask_logits,
    correction_points,
    draw_boxes,
    draw_kinds,
    draw_points,
    first_prompts,
    labels_at,
)


@pytest.fixture
def masks() -> torch.Tensor:
    """Two objects, a square at the left and one at the bottom right."""
    result = torch.zeros(2, 1, 64, 64)
    result[0, 0, 8:40, 4:28] = 1
    result[1, 0, 32:60, 40:62] = 1
    return result


def test_clicks_fall_on_their_object(masks: torch.Tensor) -> None:
    torch.manual_seed(0)
    for _ in range(50):
        prompts = first_prompts(masks, torch.tensor([PromptKind.CLICK, PromptKind.CLICK]))
        assert labels_at(masks, prompts.points_01[:, 0]).tolist() == [1, 1]
        assert prompts.labels[:, 0].tolist() == [PointLabel.FOREGROUND] * 2
        assert (prompts.labels[:, 1:] == PointLabel.PADDING).all()


def test_boxes_enclose_their_object(masks: torch.Tensor) -> None:
    expected = torch.tensor([[4, 8, 28, 40], [40, 32, 62, 60]]) / 64
    torch.testing.assert_close(draw_boxes(masks, jitter=0.0), expected)
    kinds = torch.tensor([PromptKind.BOX, PromptKind.MASK])
    prompts = first_prompts(masks, kinds, box_jitter=0.0)
    assert prompts.labels[0, :2].tolist() == [PointLabel.BOX_TOP_LEFT, PointLabel.BOX_BOTTOM_RIGHT]
    torch.testing.assert_close(prompts.points_01[0, :2].flatten(), expected[0])
    assert (prompts.labels[1] == PointLabel.PADDING).all()


def test_both_lengths_of_padding_are_drawn(masks: torch.Tensor) -> None:
    kinds = torch.tensor([PromptKind.CLICK, PromptKind.BOX])
    lengths = {first_prompts(masks, kinds).labels.shape[1] for _ in range(30)}
    assert lengths == {2, 3}


def test_corrections_fall_in_the_error_with_its_label(masks: torch.Tensor) -> None:
    torch.manual_seed(0)
    predicted = torch.zeros_like(masks)
    predicted[0, 0, 8:40, 4:16] = 1  # the right half is missing
    predicted[1] = masks[1]
    predicted[1, 0, 0:16, 0:16] = 1  # a piece too much
    valid = torch.ones_like(masks)
    for _ in range(50):
        points, labels = correction_points(predicted * 20 - 10, masks, valid)
        assert labels.tolist() == [1, 0]
        assert points[0, 0].item() * 64 >= 15
        assert points[1].max().item() * 64 <= 17


def test_without_an_error_the_click_confirms(masks: torch.Tensor) -> None:
    _, labels = correction_points(masks * 20 - 10, masks, torch.ones_like(masks))
    assert labels.tolist() == [1, 1]


def test_points_are_drawn_in_proportion() -> None:
    torch.manual_seed(0)
    weights = torch.zeros(4000, 1, 2, 2)
    weights[:, 0, 0, 1], weights[:, 0, 1, 0] = 3.0, 1.0
    points = draw_points(weights)
    top_right = ((points[:, 0] > 0.5) & (points[:, 1] < 0.5)).float().mean().item()
    assert top_right == pytest.approx(0.75, abs=0.03)


def test_kinds_are_drawn_with_their_probabilities() -> None:
    torch.manual_seed(0)
    kinds = draw_kinds(3000, (0.5, 0.0, 0.5))
    assert not (kinds == PromptKind.BOX).any()
    assert (kinds == PromptKind.CLICK).float().mean().item() == pytest.approx(0.5, abs=0.04)


def test_coarse_masks_still_show_the_object(masks: torch.Tensor) -> None:
    for seed in range(8):
        torch.manual_seed(seed)
        logits = coarse_mask_logits(masks)
        assert logits.shape == (2, 1, 32, 32)
        assert logits[0, 0, 12, 8] > 0
        assert logits[0, 0, 30, 30] < 0
