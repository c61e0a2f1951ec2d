"""Losses over masks, in which void pixels do not count.

N objects, K masks each; logits and targets are (N, K, H, W) and (N, 1, H, W) of one size.

Source: SAM 2 (Ravi et al. 2024), appendix D: focal 20, dice 1, IoU L1 1, object score 1; best of three masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class LossWeights:
    """Weights of the terms."""

    pixel: float = 20.0
    """Weight of the focal loss; with `cross_entropy`, 2 is right."""
    dice: float = 1.0
    iou: float = 1.0
    ranking: float = 0.0
    """Weight of the order of the three candidates' IoU predictions: which one is shown depends on it alone."""
    object_score: float = 1.0
    unused: float = 0.3
    """Weight of masks that the prompt did not ask for: all four heads learn from every prompt."""
    distillation: float = 1.0
    """Weight of the distance from a teacher, if there is one."""
    cross_entropy: bool = False
    """Plain cross entropy for the pixels instead of focal: leaves the start-up plateau sooner."""


class MaskLoss(NamedTuple):
    """Loss and IoUs of the four masks of N objects."""

    loss: Tensor
    """(N,)"""
    ious: Tensor
    """(N, 4) of the thresholded masks."""
    candidate: Tensor
    """(N,) index of the mask that inference would choose."""


def pixel_loss(logits: Tensor, target: Tensor, valid: Tensor, *, cross_entropy: bool) -> Tensor:
    """Return the mean over valid pixels of focal loss (alpha 0.25, gamma 2) or cross entropy: (N, K)."""
    target = target.expand_as(logits)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if not cross_entropy:
        probability = logits.sigmoid()
        hit = probability * target + (1 - probability) * (1 - target)
        loss = loss * (1 - hit) ** 2 * (0.25 * target + 0.75 * (1 - target))
    return (loss * valid).flatten(2).sum(-1) / valid.flatten(2).sum(-1).clamp(min=1.0)


def dice_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return 1 - dice of probabilities: (N, K)."""
    probability = (logits.sigmoid() * valid).flatten(2)
    truth = (target * valid).flatten(2)
    return 1 - (2 * (probability * truth).sum(-1) + 1) / (probability.sum(-1) + truth.sum(-1) + 1)


@torch.no_grad()
def mask_iou(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the IoU of the masks above 0: (N, K); 1 where both are empty."""
    predicted = (logits > 0).float() * valid
    truth = target * valid
    intersection = (predicted * truth).flatten(2).sum(-1)
    union = torch.maximum(predicted, truth.expand_as(predicted)).flatten(2).sum(-1)
    return torch.where(union > 0, intersection / union.clamp(min=1.0), 1.0)


RANKING_MARGIN = 0.05
"""Candidates whose IoUs differ by less are equally good: their order costs nothing."""
_RANKING_TEMPERATURE = 0.1
"""A pair costs little once its predictions differ by a few times this, in the right order."""


def ranking_loss(iou_predictions: Tensor, ious: Tensor) -> Tensor:
    """Return the cost of candidates in the wrong order: (N,), the sum over pairs of the IoU that is at stake.

    For each pair whose IoUs differ by more than `RANKING_MARGIN`, the logistic loss of the difference of predictions
    (RankNet, Burges et al. 2005), times the difference of IoUs.

    Args:
        iou_predictions: (N, K) in [0, 1].
        ious: (N, K) of the masks with the truth.
    """
    at_stake = ious[:, :, None] - ious[:, None]  # (N, K, K), above 0 where the first is the better one
    lead = iou_predictions[:, :, None] - iou_predictions[:, None]
    cost = at_stake * F.softplus(-lead / _RANKING_TEMPERATURE)
    return torch.where(at_stake > RANKING_MARGIN, cost, 0.0).sum((1, 2))


def mask_loss(
    logits: Tensor, iou_predictions: Tensor, target: Tensor, valid: Tensor, ambiguous: Tensor, weights: LossWeights
) -> MaskLoss:
    """Return the loss of the decoder's four masks for one prompt.

    Args:
        logits: (N, 4, H, W).
        iou_predictions: (N, 4) in [0, 1].
        target: (N, 1, H, W) 0 or 1.
        valid: (N, 1, H, W) 0 where void.
        ambiguous: (N,) bool: the best of masks 1 to 3 counts; else mask 0.
        weights: of the terms.
    """
    ious = mask_iou(logits, target, valid)
    shape = weights.pixel * pixel_loss(logits, target, valid, cross_entropy=weights.cross_entropy)
    shape = shape + weights.dice * dice_loss(logits, target, valid)
    iou_error = weights.iou * (iou_predictions - ious).abs()
    single = shape[:, 0] + iou_error[:, 0]
    best_of_three = shape[:, 1:].amin(1) + iou_error[:, 1:].mean(1)
    if weights.ranking:
        best_of_three = best_of_three + weights.ranking * ranking_loss(iou_predictions[:, 1:], ious[:, 1:])
    used = torch.where(ambiguous, best_of_three, single)
    unused = torch.where(ambiguous, single, best_of_three)
    candidate = torch.where(ambiguous, 1 + iou_predictions[:, 1:].argmax(1), 0)
    return MaskLoss(used + weights.unused * unused, ious, candidate)


def distillation_loss(logits: Tensor, teacher_logits: Tensor, valid: Tensor) -> Tensor:
    """Return the distance of masks from a teacher's: (N,), 0 where they are equal.

    Each mask of the teacher is compared with the nearest of the student's, since the order of candidates has no meaning
    between two models. The distance is the Kullback-Leibler divergence, averaged over pixels, plus dice with squared
    sizes (Milletari et al. 2016), which unlike plain dice is smallest where both maps are equal.

    Args:
        logits: (N, K, H, W) the student's masks for the prompt.
        teacher_logits: (N, J, H, W) the teacher's logits.
        valid: (N, 1, H, W) 0 where void.
    """
    inside = valid.flatten(2)
    logits, truth = logits.flatten(2), teacher_logits.flatten(2).sigmoid()
    entropy = (F.binary_cross_entropy(truth, truth, reduction="none") * inside).sum(-1)
    # softplus(x) - x t is the cross entropy; its second part is one product for all pairs of masks.
    shared = torch.einsum("nkp,njp->nkj", logits * inside, truth)
    divergence = (F.softplus(logits) * inside).sum(-1)[:, :, None] - shared - entropy[:, None]
    probability, truth = logits.sigmoid() * inside, truth * inside
    overlap = torch.einsum("nkp,njp->nkj", probability, truth)
    sizes = (probability**2).sum(-1)[:, :, None] + (truth**2).sum(-1)[:, None]
    dice = 1 - (2 * overlap + 1) / (sizes + 1)
    return (divergence / inside.sum(-1, keepdim=True).clamp(min=1.0) + dice).amin(1).mean(1)
