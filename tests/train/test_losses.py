"""Losses: known values, void pixels, and which of four masks pays."""

from __future__ import annotations

import math

import pytest
import torch

from masklet.train.losses import RANKING_MARGIN, LossWeights, dice_loss, mask_iou, mask_loss, pixel_loss, ranking_loss

SURE = 20.0


def square(size: int = 8) -> torch.Tensor:
    mask = torch.zeros(1, 1, size, size)
    mask[..., : size // 2] = 1
    return mask


def logits_of(mask: torch.Tensor) -> torch.Tensor:
    return (mask * 2 - 1) * SURE


def test_a_perfect_mask_costs_nothing() -> None:
    truth, valid = square(), torch.ones(1, 1, 8, 8)
    assert pixel_loss(logits_of(truth), truth, valid, cross_entropy=False).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(logits_of(truth), truth, valid).item() == pytest.approx(0, abs=1e-6)
    assert mask_iou(logits_of(truth), truth, valid).item() == 1


def test_focal_loss_of_an_undecided_pixel() -> None:
    truth, valid = torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    loss = pixel_loss(torch.zeros(1, 1, 1, 1), truth, valid, cross_entropy=False).item()
    assert loss == pytest.approx(0.25 * 0.5**2 * math.log(2))
    plain = pixel_loss(torch.zeros(1, 1, 1, 1), truth, valid, cross_entropy=True).item()
    assert plain == pytest.approx(math.log(2))


def test_void_pixels_do_not_count() -> None:
    truth, valid = square(), torch.ones(1, 1, 8, 8)
    wrong = logits_of(truth).clone()
    wrong[..., 4:] = SURE  # the whole background is claimed
    valid[..., 4:] = 0
    assert mask_iou(wrong, truth, valid).item() == 1
    assert dice_loss(wrong, truth, valid).item() == pytest.approx(0, abs=1e-6)
    assert pixel_loss(wrong, truth, valid, cross_entropy=True).item() == pytest.approx(0, abs=1e-6)


def test_the_loss_takes_the_best_of_three_for_ambiguous_prompts_and_mask_0_otherwise() -> None:
    truth, valid = square(), torch.ones(1, 1, 8, 8)
    good, bad = logits_of(truth), -logits_of(truth)
    masks = torch.cat((bad, bad, good, bad), dim=1)
    ious = mask_iou(masks, truth, valid)
    only_used = LossWeights(unused=0.0)
    ambiguous = mask_loss(masks, ious, truth, valid, torch.tensor([True]), only_used)
    clear = mask_loss(masks, ious, truth, valid, torch.tensor([False]), only_used)
    assert ambiguous.loss.item() == pytest.approx(0, abs=1e-5)
    assert clear.loss.item() > 1
    assert (ambiguous.candidate.item(), clear.candidate.item()) == (2, 0)


def test_wrong_iou_predictions_cost_their_error() -> None:
    truth, valid = square(), torch.ones(1, 1, 8, 8)
    masks = logits_of(truth).repeat(1, 4, 1, 1)
    cost = mask_loss(masks, torch.full((1, 4), 0.75), truth, valid, torch.tensor([False]), LossWeights(unused=0.0))
    assert cost.loss.item() == pytest.approx(0.25, abs=1e-5)


def test_learning_by_the_ranking_loss_puts_the_best_candidate_first() -> None:
    ious = torch.tensor([[0.3, 0.9, 0.5], [0.8, 0.2, 0.1]])
    predictions = torch.tensor([[0.7, 0.5, 0.6], [0.4, 0.5, 0.6]], requires_grad=True)  # in the wrong order
    optimizer = torch.optim.SGD([predictions], lr=0.02)
    before = ranking_loss(predictions, ious)
    for _ in range(20):
        optimizer.zero_grad()
        ranking_loss(predictions, ious).sum().backward()
        optimizer.step()
    assert predictions.argsort(dim=1).tolist() == ious.argsort(dim=1).tolist()
    assert bool((ranking_loss(predictions, ious) < before).all())


def test_the_order_of_equally_good_candidates_costs_nothing() -> None:
    nearly_equal = torch.tensor([[0.5, 0.5 + 0.9 * RANKING_MARGIN]])
    assert ranking_loss(torch.tensor([[0.9, 0.1]]), nearly_equal).item() == 0


def test_a_pair_costs_the_iou_that_is_at_stake() -> None:
    wrong_order = torch.tensor([[0.2, 0.8]])
    small, large = (ranking_loss(wrong_order, torch.tensor([[0.1 + gap, 0.1]])).item() for gap in (0.2, 0.6))
    assert large == pytest.approx(3 * small)


def test_the_order_counts_for_the_three_candidates_and_not_for_mask_0() -> None:
    truth, valid = square(), torch.ones(1, 1, 8, 8)
    good, bad = logits_of(truth), -logits_of(truth)
    masks, ambiguous = torch.cat((bad, bad, good, bad), dim=1), torch.tensor([True])

    def cost(predictions: list[float]) -> float:
        only_order = LossWeights(pixel=0.0, dice=0.0, iou=0.0, unused=0.0, ranking=1.0)
        return mask_loss(masks, torch.tensor([predictions]), truth, valid, ambiguous, only_order).loss.item()

    assert cost([0.5, 0.1, 0.9, 0.1]) == pytest.approx(cost([0.9, 0.1, 0.9, 0.1]))
    assert cost([0.5, 0.9, 0.1, 0.9]) > cost([0.5, 0.1, 0.9, 0.1]) + 1
