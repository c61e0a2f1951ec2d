"""Training recipes by name. A recipe is a function that returns a `TrainConfig`; one recipe may call another.

nano is made by `nano_prompts`, `nano_images` and `nano_clips` in this order, each starting from the one before, and
then on a GPU by `nano_whole` (docs/model-cards/nano.md). `finetune` continues from any model
(docs/tutorials/fine-tuning.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from masklet.memory.bank import MemoryConfig
from masklet.model.checkpoint import read_checkpoint
from masklet.model.config import EfficientNetLiteConfig, HieraConfig
from masklet.train.clips import ClipDataConfig
from masklet.train.config import (
    HardwareConfig,
    LogConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainableConfig,
    TrainConfig,
)
from masklet.train.data import ImageDataConfig
from masklet.train.initialise import starting_weights
from masklet.train.losses import LossWeights
from masklet.train.steps import StepConfig

Roots = str | tuple[str, ...]


SOURCE_WEIGHTS: Mapping[str, float] = {
    "animals7": 1.3,
    "bsds500": 1.5,
    "camvid": 0.7,
    "ccp_clothing": 0.7,
    "class5_desk": 0.3,
    "coco_mini": 2.0,
    "coffee_leaf": 0.25,
    "dsb2018_nuclei": 0.2,
    "feral_cats": 0.6,
    "food_plates": 0.6,
    "foot_wounds": 0.2,
    "football": 0.6,
    "oxford_pets_128": 0.35,
    "pallets": 0.3,
}
"""Diverse natural scenes up; small, blurred or monotonous images down. A source not named here has weight 1."""

PART_SOURCES: Mapping[str, float] = {"ccp_clothing": 0.5}
"""Sources whose ids are parts of one thing, and how often they are merged into the whole."""

CUTOUT_SOURCES = (
    "animals7",
    "feral_cats",
    "coco_mini",
    "ccp_clothing",
    "human300",
    "dogcat",
    "oxford_pets_128",
    "food_plates",
    "icra_clutter",
    "football",
)
"""Sources of whole objects with clean outlines, fit to be pasted elsewhere."""

CLIP_WEIGHTS: Mapping[str, float] = {"cdnet_highway": 0.3}
"""Many clips of one fixed camera count for less."""


def nano_data(
    image_root: Roots, clip_root: Roots | None, size: int, *, min_clip_object_area: float = 0.006
) -> tuple[ImageDataConfig, ClipDataConfig]:
    """Return images and clips as nano is trained on them, with weights for the data sets named above."""
    weights: Mapping[str, Any] = {
        "weights": SOURCE_WEIGHTS,
        "part_sources": PART_SOURCES,
        "cutout_sources": CUTOUT_SOURCES,
    }
    images = ImageDataConfig(root=image_root, size=size, **weights)
    clips = ClipDataConfig(
        image_root=image_root,
        clip_root=clip_root,
        size=size,
        num_frames=5,
        min_object_area=min_clip_object_area,
        clip_weights=CLIP_WEIGHTS,
        **weights,
    )
    return images, clips


def nano_prompts(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """Train from the ImageNet trunk until prompts take effect: first prompts only, trunk frozen, cross entropy.

    With corrections from the start nano paints the salient object for a thousand steps, whatever is clicked.
    """
    images, clips = nano_data(image_root, clip_root, 256)
    return TrainConfig(
        images=replace(images, objects_per_image=4),
        clips=clips,
        init=init,
        schedule=ScheduleConfig(steps=900, cross_entropy_until=1.0, more_clicks_from=1.0),
        optimizer=OptimizerConfig(learning_rate=1e-3, final_rate=0.5),
        trainable=TrainableConfig(frozen_trunk_stages=7),
        step=StepConfig(image_clicks=1, image_prompts=(0.5, 0.45, 0.05)),
    )


def nano_images(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """Train on images with corrective clicks; the trunk's later stages learn too."""
    images, clips = nano_data(image_root, clip_root, 256)
    return TrainConfig(
        images=replace(images, objects_per_image=4),
        clips=clips,
        init=init,
        schedule=ScheduleConfig(steps=2500, cross_entropy_until=0.3, more_clicks_from=0.5),
        optimizer=OptimizerConfig(learning_rate=8e-4),
        trainable=TrainableConfig(frozen_trunk_stages=2),
        step=StepConfig(image_clicks=2, image_prompts=(0.55, 0.37, 0.08)),
    )


def nano_clips(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """Train on real and synthetic clips, with images in between so that clicks are not forgotten."""
    images, clips = nano_data(image_root, clip_root, 256)
    return TrainConfig(
        images=images,
        clips=replace(clips, real_probability=0.3),
        init=init,
        schedule=ScheduleConfig(steps=1500, clip_fraction=0.7, more_clicks_from=0.0),
        optimizer=OptimizerConfig(learning_rate=6e-4, old_scale=0.4),
        trainable=TrainableConfig(frozen_trunk_stages=7),
    )


def nano_whole(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """Train on images and clips together, in batches for a GPU, at nano's own resolution.

    Nearly all of the trunk learns, and half of the memories are pooled, so that the model learns both speeds.
    """
    images, clips = nano_data(image_root, clip_root, 384, min_clip_object_area=0.002)
    return TrainConfig(
        images=replace(images, objects_per_image=4),
        clips=replace(clips, num_frames=7),
        init=init,
        schedule=ScheduleConfig(
            steps=860,
            images_per_step=48,
            clips_per_step=20,
            clip_fraction=0.0 if clip_root is None else 0.45,
            more_clicks_from=0.3,
        ),
        optimizer=OptimizerConfig(
            learning_rate=1e-3, warmup_steps=40, trunk_scale=0.2, old_scale=0.8, weight_decay=0.05
        ),
        trainable=TrainableConfig(frozen_trunk_stages=1),
        step=StepConfig(
            image_clicks=3,
            image_prompts=(0.48, 0.45, 0.07),
            clip_prompts=(0.40, 0.25, 0.35),
            tracks_with_candidates=True,
            pooled_memories=0.5,
            memory=MemoryConfig(policy="official", spatial_slots=3, max_pointers=8),
        ),
        hardware=HardwareConfig(workers=7),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _TrunkFinetuning:
    """Settings of `finetune` that depend on the trunk's size and depth."""

    images_per_step: int
    learning_rate: float
    layer_decay: float
    frozen_trunk_stages: int
    recompute: bool


_FINETUNE: Mapping[str, _TrunkFinetuning] = {
    HieraConfig.kind: _TrunkFinetuning(
        images_per_step=2, learning_rate=5e-5, layer_decay=0.8, frozen_trunk_stages=2, recompute=True
    ),
    EfficientNetLiteConfig.kind: _TrunkFinetuning(
        images_per_step=4, learning_rate=2e-4, layer_decay=1.0, frozen_trunk_stages=7, recompute=False
    ),
}
"""Settings by the trunk's kind. nano's whole trunk stays frozen; Hiera's attention needs activations recomputed."""


def finetune(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """Adapt a trained model to a few images of your own: few and small steps, with most of the trunk frozen.

    With clips, half of the steps are on them.
    """
    path = starting_weights(init or "nano")
    model = read_checkpoint(path).config
    trunk = _FINETUNE[model.trunk.kind]
    return TrainConfig(
        images=ImageDataConfig(root=image_root, size=model.image_size, objects_per_image=1),
        clips=ClipDataConfig(
            image_root=image_root,
            clip_root=clip_root,
            size=model.image_size,
            objects_per_clip=2,
            num_frames=5,
            min_object_area=0.006,
            real_probability=0.8,
        ),
        model=model,
        init=str(path),
        schedule=ScheduleConfig(
            steps=150,
            images_per_step=trunk.images_per_step,
            clips_per_step=2,
            clip_fraction=0.0 if clip_root is None else 0.5,
            micro_batches=2,
            more_clicks_from=1.0,
        ),
        optimizer=OptimizerConfig(
            learning_rate=trunk.learning_rate, warmup_steps=10, layer_decay=trunk.layer_decay, ema_decay=0.97
        ),
        trainable=TrainableConfig(frozen_trunk_stages=trunk.frozen_trunk_stages),
        step=StepConfig(
            image_prompts=(0.6, 0.35, 0.05),
            tracks_with_candidates=True,
            pooled_memories=0.5 if model.inference.speed == "fast" else 0.0,
            memory=MemoryConfig(policy="official", spatial_slots=model.spatial_slots, max_pointers=model.max_pointers),
        ),
        log=LogConfig(every=10, checkpoint_every=50),
        hardware=HardwareConfig(recompute=trunk.recompute),
    )


def sam2(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """Fine-tune as SAM 2.1 does, as far as that is published: 8 frames, 3 objects, mask, click and box prompts, seven
    clicks on up to two frames, the losses' weights, layer decay, bf16. It needs a GPU, and data to match.

    Source: sam2 2b90b9f, configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml.
    """
    config = finetune(image_root, clip_root, init)
    assert config.clips is not None
    return replace(
        config,
        images=replace(config.images, objects_per_image=3),
        clips=replace(config.clips, objects_per_clip=3, num_frames=8),
        schedule=ScheduleConfig(
            steps=10_000,
            images_per_step=4,
            clips_per_step=4,
            clip_fraction=0.0 if clip_root is None else 0.9,
            more_clicks_from=1.0,
        ),
        optimizer=OptimizerConfig(
            learning_rate=5e-6,
            warmup_steps=100,
            final_rate=0.1,
            trunk_scale=0.6,
            layer_decay=0.9,
            weight_decay=0.1,
            betas=(0.9, 0.999),
            clip_norm=0.1,
            ema_decay=0.999,
        ),
        trainable=TrainableConfig(frozen_trunk_stages=0),
        loss=LossWeights(unused=0.0),
        step=replace(
            config.step,
            image_prompts=(0.5, 0.5, 0.0),
            clip_prompts=(0.25, 0.25, 0.5),
            clip_correction_probability=0.5,
            clip_corrections=1,
            clip_clicks=7,
        ),
        validation=replace(config.validation, every=1000),
        log=replace(config.log, every=50, checkpoint_every=500),
    )


RECIPES: Mapping[str, Callable[..., TrainConfig]] = {
    "nano-prompts": nano_prompts,
    "nano-images": nano_images,
    "nano-clips": nano_clips,
    "nano-whole": nano_whole,
    "finetune": finetune,
    "sam2": sam2,
}
"""Recipes by the name that `masklet train` takes."""
