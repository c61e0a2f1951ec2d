"""One training step: the engine's four functions on a batch of images or clips, and the loss of their answers.

Clips are tracked with the same memory bank as in inference. Its handles are tensors of all objects at once, since in
training all objects are prompted on the same frames.

Shapes: B images or clips, K objects each, N = B * K, T frames; S the side of the square input; h x w = S/16 x S/16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from masklet.memory.bank import MemoryBank, MemoryConfig
from masklet.model.layers import pool_cells
from masklet.model.sam2 import SAM2, Features, Masks
from masklet.records import ABSENT_SCORE, PRESENT_SCORE, FrameMemory, Recall
from masklet.train.distillation import Teacher
from masklet.train.losses import LossWeights, MaskLoss, distillation_loss, mask_loss
from masklet.train.prompts import (
    PointPrompts,
    PromptKind,
    clicks,
    coarse_mask_logits,
    correction_points,
    draw_kinds,
    first_prompts,
    no_prompts,
)

_FEEDBACK_LIMIT = 16.0
"""Logits fed back are clamped here: larger ones only mean "sure", and their size would dominate the other inputs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepConfig:
    """Settings by which prompts and memories are drawn in training."""

    image_prompts: tuple[float, float, float] = (0.62, 0.30, 0.08)
    """Probabilities of click, box and coarse mask on an image."""
    clip_prompts: tuple[float, float, float] = (0.30, 0.20, 0.50)
    """Probabilities of click, box and mask on the first frame of a clip."""
    image_clicks: int = 2
    """Decoder runs per image: the first prompt and corrections after it."""
    clip_correction_probability: float = 0.25
    """Probability that later frames of a clip are corrected by clicks."""
    clip_corrections: int = 1
    """Largest number of later frames of a clip that are then corrected (SAM 2: the first and one more)."""
    clip_clicks: int = 1
    """Clicks on each of them, each in the remaining error (SAM 2: 7)."""
    first_frame_correction_probability: float = 0.4
    """Probability that a first frame prompted by click or box is corrected immediately."""
    tracks_with_candidates: bool = False
    """Tracked frames, and those with a single click, are answered by the best of three masks, as in SAM 2."""
    pooled_memories: float = 0.0
    """Probability that a tracked frame reads memories averaged 2 x 2, as at `speed="fast"`."""
    memory: MemoryConfig = field(
        default_factory=lambda: MemoryConfig(policy="official", spatial_slots=7, max_pointers=8)
    )


class StepResult(NamedTuple):
    """Loss and accuracy of a step."""

    loss: Tensor
    """Scalar."""
    metrics: dict[str, float]
    """Mean IoUs by kind of prompt; kinds that were not drawn are left out."""


def repeat_objects(features: Features, num_objects: int) -> Features:
    """Repeat (B, ...) features to (B * K, ...), each image's row K times."""
    return _map_features(features, lambda t: t.repeat_interleave(num_objects, dim=0))


def _map_features(features: Features, change: Callable[[Tensor], Tensor]) -> Features:
    keys = None if features.keys is None else change(features.keys)
    return Features(
        embedding=change(features.embedding),
        unconditioned=change(features.unconditioned),
        high_res_4=change(features.high_res_4),
        high_res_8=change(features.high_res_8),
        keys=keys,
    )


def _at_time(time: int, batch: Tensor) -> Tensor:
    return batch[:, time]


def feedback(logits: Tensor) -> Tensor:
    """Return logits as they are fed back with the next click; no gradient flows through them."""
    return logits.detach().clamp(-_FEEDBACK_LIMIT, _FEEDBACK_LIMIT)


def decode(
    model: SAM2,
    embedding: Tensor,
    features: Features,
    points: PointPrompts,
    mask_logits: Tensor | None,
    has_mask: Tensor | None,
) -> Masks:
    """Call `SAM2.decode` with points of the unit square, and zeros where no mask is fed back."""
    height, width = embedding.shape[-2:]
    num = embedding.shape[0]
    if mask_logits is None:
        mask_logits = torch.zeros(num, 1, 4 * height, 4 * width)
    if has_mask is None:
        has_mask = torch.zeros(num, dtype=torch.bool)
    points_xy = points.points_01 * torch.tensor([16.0 * width, 16.0 * height])
    return model.decode(
        embedding, features.high_res_4, features.high_res_8, points_xy, points.labels, mask_logits, has_mask
    )


def at_target_size(logits: Tensor, target: Tensor) -> Tensor:
    """Resize low-res logits to the resolution of the ground truth."""
    return F.interpolate(logits, size=target.shape[-2:], mode="bilinear", align_corners=False)


def pick(values: Tensor, candidate: Tensor) -> Tensor:
    """Return values[i, candidate[i]] with the axis kept: (N, K, ...) to (N, 1, ...)."""
    return values[torch.arange(len(values)), candidate][:, None]


def _full_precision(masks: Masks) -> Masks:
    return Masks(*(t.float() for t in masks))


def image_step(
    model: SAM2,
    rgb: Tensor,
    masks: Tensor,
    void: Tensor,
    config: StepConfig,
    weights: LossWeights,
    teacher: Teacher | None = None,
) -> StepResult:
    """Prompt K objects on each image, then correct them.

    Args:
        model: in training mode, under autocast.
        rgb: (B, S, S, 3) uint8.
        masks: (B, K, S/2, S/2) bool.
        void: (B, S/2, S/2) bool.
        config: how to prompt.
        weights: of the loss.
        teacher: another model that gets the same prompts; the distance from its masks is part of the loss.

    Returns:
        The mean loss over the decoder runs, and IoUs by kind of prompt.
    """
    num_objects = masks.shape[1]
    teacher_batch = None if teacher is None else teacher.encode_images(rgb, num_objects)
    target = masks.flatten(0, 1)[:, None].float()  # (N, 1, S/2, S/2), N = B * K
    valid = (~void).float().repeat_interleave(num_objects, dim=0)[:, None]  # (N, 1, S/2, S/2)
    num = len(target)
    features = repeat_objects(model.encode_image(rgb), num_objects)
    kinds = draw_kinds(num, config.image_prompts)  # (N,)
    points = first_prompts(target, kinds)
    has_mask = kinds == PromptKind.MASK  # (N,)
    mask_logits = coarse_mask_logits(target)  # (N, 1, S/4, S/4)
    ambiguous = kinds == PromptKind.CLICK  # (N,): three masks may answer, the best one counts
    loss = torch.zeros(())
    metrics: dict[str, float] = {}
    for round_index in range(config.image_clicks):
        answer = _full_precision(decode(model, features.unconditioned, features, points, mask_logits, has_mask))
        logits = at_target_size(answer.low_res_logits, target)  # (N, 4, S/2, S/2)
        cost = mask_loss(logits, answer.iou_predictions, target, valid, ambiguous, weights)
        presence = F.binary_cross_entropy_with_logits(answer.object_score, torch.ones(num))
        loss = loss + cost.loss.mean() + 0.1 * weights.object_score * presence
        if teacher_batch is not None:
            teacher_logits, has_answer = teacher_batch.answer(points)  # (N, 3, S/4, S/4), (N,)
            used = torch.where(ambiguous[:, None, None, None], logits[:, 1:], logits[:, :1])  # (N, 3, S/2, S/2)
            distillation = distillation_loss(used, at_target_size(teacher_logits, target), valid)[has_answer]
            if len(distillation):
                loss = loss + weights.distillation * distillation.mean()
                metrics["teacher"] = distillation.mean().item()
        chosen_iou = cost.ious[torch.arange(num), cost.candidate]  # (N,)
        if round_index == 0:
            for kind in PromptKind:
                if (kinds == kind).any():
                    metrics[f"image_{kind.name.lower()}"] = chosen_iou[kinds == kind].mean().item()
        if round_index + 1 < config.image_clicks:
            points = points.add(*correction_points(pick(logits.detach(), cost.candidate), target, valid))
            mask_logits = feedback(pick(answer.low_res_logits, cost.candidate))
            has_mask = torch.ones(num, dtype=torch.bool)
            ambiguous = torch.zeros(num, dtype=torch.bool)
    metrics["image_last"] = chosen_iou.mean().item()
    return StepResult(loss / config.image_clicks, metrics)


def clip_step(
    model: SAM2, rgb: Tensor, masks: Tensor, void: Tensor, config: StepConfig, weights: LossWeights
) -> StepResult:
    """Prompt K objects on the first frame of each clip and track them to its end.

    Args:
        model: in training mode, under autocast.
        rgb: (B, T, S, S, 3) uint8.
        masks: (B, K, T, S/2, S/2) bool.
        void: (B, T, S/2, S/2) bool.
        config: how to prompt, and the memory's rules.
        weights: of the loss.
    """
    batch, num_objects, num_frames = masks.shape[:3]
    targets = masks.flatten(0, 1).float()[:, :, None]  # (N, T, 1, S/2, S/2)
    valids = (~void).float().repeat_interleave(num_objects, dim=0)[:, :, None]  # (N, T, 1, S/2, S/2)
    encoded = model.encode_image(rgb.flatten(0, 1))
    frames = _map_features(encoded, lambda t: t.reshape(batch, num_frames, *t.shape[1:]))
    bank: MemoryBank[Tensor] = MemoryBank(config.memory)
    corrected = draw_corrected_frames(num_frames, config)
    loss = torch.zeros(())
    metrics: dict[str, float] = {}
    tracked_ious: list[Tensor] = []
    for time in range(num_frames):
        features = repeat_objects(_map_features(frames, partial(_at_time, time)), num_objects)
        target = targets[:, time]  # (N, 1, S/2, S/2)
        present = target.flatten(1).sum(1) > 3  # (N,)
        inputs = _FrameInputs(features, target, valids[:, time], present)
        if time == 0:
            frame = _prompted_frame(model, inputs, config, weights, metrics)
        else:
            num_clicks = config.clip_clicks if time in corrected else 0
            frame = _tracked_frame(model, inputs, bank.recall(time), config, weights, num_clicks=num_clicks)
            tracked_ious.append(frame.iou[present].mean() if present.any() else torch.ones(()))
        loss = loss + frame.loss
        if time + 1 < num_frames:
            # Half of the time the model's object score decides whether the memory shows the object, as in inference;
            # otherwise the ground truth decides.
            uses_own_score = torch.rand(()) < 0.5 and time > 0
            score = frame.object_score.detach() if uses_own_score else torch.where(present, PRESENT_SCORE, ABSENT_SCORE)
            prompted = time == 0 or time in corrected
            is_prompted = torch.full((len(target),), prompted)
            # (N, C', h, w): in the bank all objects of a frame are one entry
            spatial = model.encode_memory(features.embedding, frame.logits, score, is_prompted, features.keys)
            pointer = torch.where((score > 0)[:, None], frame.pointer, model.no_object_pointer.to(frame.pointer.dtype))
            memory = FrameMemory(spatial, pointer)
            bank.write(time, memory, prompted=prompted, iou_prediction=1.0, object_score=PRESENT_SCORE)
    if tracked_ious:
        metrics["tracked"] = torch.stack(tracked_ious).mean().item()
        metrics["tracked_last"] = tracked_ious[-1].item()
    return StepResult(loss / num_frames, metrics)


def draw_corrected_frames(num_frames: int, config: StepConfig) -> frozenset[int]:
    """Draw the frames after the first that are corrected: none, or 1 to `clip_corrections` of them."""
    later = num_frames - 1
    if later < 1 or torch.rand(()) >= config.clip_correction_probability:
        return frozenset()
    count = min(later, int(torch.randint(1, config.clip_corrections + 1, ())))
    return frozenset((1 + torch.randperm(later)[:count]).tolist())


class _FrameInputs(NamedTuple):
    """One frame of a batch of clips: N objects on it, and their ground truth."""

    features: Features
    target: Tensor
    """(N, 1, S/2, S/2) masks, 0 or 1."""
    valid: Tensor
    """(N, 1, S/2, S/2) 0 where the loss ignores a pixel, else 1."""
    present: Tensor
    """(N,) whether the object is on the frame."""


class _FrameAnswer(NamedTuple):
    """Answer and cost of one frame of a batch of clips."""

    loss: Tensor
    """Scalar."""
    logits: Tensor
    """(N, 1, 4h, 4w) of the mask that is remembered."""
    pointer: Tensor
    """(N, D) object pointers."""
    object_score: Tensor
    """(N,) logits."""
    iou: Tensor
    """(N,) IoU of the chosen mask with the truth."""


def _prompted_frame(
    model: SAM2, inputs: _FrameInputs, config: StepConfig, weights: LossWeights, metrics: dict[str, float]
) -> _FrameAnswer:
    """Prompt the first frame by a click, a box or the mask itself; add IoUs by kind of prompt to `metrics`."""
    features, target, valid, _ = inputs
    num = len(target)
    kinds = draw_kinds(num, config.clip_prompts)
    is_mask = kinds == PromptKind.MASK
    truth_logits = model.mask_prompt_logits(F.interpolate(target, scale_factor=2.0, mode="nearest")).float()
    points = first_prompts(target, kinds, box_jitter=0.05)
    # As in engines, a mask prompt's pointer is read from features that no memory has touched.
    embedding = torch.where(is_mask[:, None, None, None], features.embedding, features.unconditioned)
    answer = _full_precision(decode(model, embedding, features, points, truth_logits, is_mask))
    logits = at_target_size(answer.low_res_logits, target)
    cost = mask_loss(logits, answer.iou_predictions, target, valid, kinds == PromptKind.CLICK, weights)
    # A mask prompt is remembered as given; decoding it only makes the pointer.
    loss = (cost.loss * torch.where(is_mask, 0.25, 1.0)).mean()
    candidate = cost.candidate
    iou = cost.ious[torch.arange(num), candidate]
    for kind in (PromptKind.CLICK, PromptKind.BOX):
        if (kinds == kind).any():
            metrics[f"clip_{kind.name.lower()}"] = iou[kinds == kind].mean().item()
    if torch.rand(()) < config.first_frame_correction_probability:
        points = points.add(*correction_points(pick(logits.detach(), candidate), target, valid))
        fed_back = torch.where(
            is_mask[:, None, None, None], truth_logits, feedback(pick(answer.low_res_logits, candidate))
        )
        answer = _full_precision(
            decode(model, features.unconditioned, features, points, fed_back, torch.ones(num, dtype=torch.bool))
        )
        logits = at_target_size(answer.low_res_logits, target)
        clear = torch.zeros(num, dtype=torch.bool)
        cost = mask_loss(logits, answer.iou_predictions, target, valid, clear, weights)
        loss = loss + (cost.loss * torch.where(is_mask, 0.0, 1.0)).mean()
        candidate = cost.candidate
    remembered = torch.where(is_mask[:, None, None, None], truth_logits, pick(answer.low_res_logits, candidate))
    return _FrameAnswer(loss, remembered, pick(answer.pointers, candidate)[:, 0], answer.object_score, iou)


def _attend(model: SAM2, features: Features, recall: Recall[Tensor], *, pooled: bool) -> Tensor:
    """Return (N, D, h, w): memory attention over one recall, whose handles are tensors of all N objects.

    The engine's layout (`StagedEngine.attend`), where every object has the same slots and times, and a frame of its
    own. With `pooled` memory attention reads memories averaged over 2 x 2 cells; the correspondence still reads its
    channels at full size.
    """
    remembered = torch.stack([memory for _, memory in recall.spatial], dim=1)  # (N, M, C', h, w)
    pointers = torch.stack([pointer for _, pointer in recall.pointers], dim=1)  # (N, R, D)
    slots = torch.tensor([recall.slots]).expand(len(remembered), -1)  # (N, M)
    times = torch.tensor([recall.pointer_times]).expand(len(remembered), -1)  # (N, R)
    memory_dim = model.config.memory_dim
    memory = remembered[:, :, :memory_dim]
    matches = None
    if features.keys is not None:
        keys = features.keys.expand(len(remembered), -1, -1, -1)
        matches = model.match(keys, remembered[:, :, memory_dim:-1], remembered[:, None, :, -1], slots[:, None])
    return model.attend(features.embedding, pool_cells(memory) if pooled else memory, slots, pointers, times, matches)


def _tracked_frame(
    model: SAM2,
    inputs: _FrameInputs,
    recall: Recall[Tensor],
    config: StepConfig,
    weights: LossWeights,
    *,
    num_clicks: int,
) -> _FrameAnswer:
    """Track a later frame from memory alone, then correct it by clicks in the error of each answer."""
    features, target, valid, _ = inputs
    num = len(target)
    pooled = bool(config.pooled_memories and torch.rand(()) < config.pooled_memories)
    conditioned = _attend(model, features, recall, pooled=pooled)
    answer = _full_precision(decode(model, conditioned, features, no_prompts(num), None, None))
    ambiguous = torch.full((num,), config.tracks_with_candidates)
    loss, cost = _tracked_loss(answer, inputs, ambiguous, weights)
    iou = cost.ious[torch.arange(num), cost.candidate]
    points: PointPrompts | None = None
    for _ in range(num_clicks):
        shown = pick(answer.low_res_logits.detach(), cost.candidate)  # (N, 1, 4h, 4w)
        click = correction_points(at_target_size(shown, target), target, valid)
        points, ambiguous = (clicks(*click), ambiguous) if points is None else (points.add(*click), ambiguous & False)
        has_mask = torch.ones(num, dtype=torch.bool)
        answer = _full_precision(decode(model, conditioned, features, points, feedback(shown), has_mask))
        more, cost = _tracked_loss(answer, inputs, ambiguous, weights)
        loss = loss + more / num_clicks
    logits, pointer = pick(answer.low_res_logits, cost.candidate), pick(answer.pointers, cost.candidate)[:, 0]
    return _FrameAnswer(loss, logits, pointer, answer.object_score, iou)


def _tracked_loss(
    answer: Masks, inputs: _FrameInputs, ambiguous: Tensor, weights: LossWeights
) -> tuple[Tensor, MaskLoss]:
    """Return the loss: masks count only where the object is present, the object score always."""
    _, target, valid, present = inputs
    logits = at_target_size(answer.low_res_logits, target)
    cost = mask_loss(logits, answer.iou_predictions, target, valid, ambiguous, weights)
    score = F.binary_cross_entropy_with_logits(answer.object_score, present.float())
    return (cost.loss * present).mean() + weights.object_score * score, cost
