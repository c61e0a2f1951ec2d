"""Trainings by name. A recipe is a function that returns a `TrainConfig`; deriving one is calling another.

nano is made by `nano_prompts`, `nano_images` and `nano_clips` in this order, each starting from the one before, and
then on a GPU by `nano_whole` (docs/model-cards/nano.md). `finetune` continues from any model
(docs/tutorials/fine-tuning.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from masklet.memory.bank import MemoryConfig
from masklet.model.checkpoint import read_checkpoint
from masklet.model.config import EfficientNetLiteConfig, HieraConfig
from masklet.train.config import TrainConfig
from masklet.train.initialise import starting_weights
from masklet.train.losses import LossWeights
from masklet.train.steps import StepConfig

Roots = str | tuple[str, ...]


def nano_prompts(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """From the ImageNet trunk until prompts are obeyed: first prompts only, trunk frozen, cross entropy.

    With corrections from the start nano paints the salient object for a thousand steps, whatever is clicked.
    """
    return TrainConfig(
        image_root=image_root,
        clip_root=clip_root,
        init=init,
        steps=900,
        objects_per_image=4,
        learning_rate=1e-3,
        final_rate=0.5,
        frozen_trunk_stages=7,
        cross_entropy_until=1.0,
        more_clicks_from=1.0,
        step=StepConfig(image_clicks=1, image_prompts=(0.5, 0.45, 0.05)),
    )


def nano_images(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """Images with corrective clicks; the trunk's later stages learn too."""
    return TrainConfig(
        image_root=image_root,
        clip_root=clip_root,
        init=init,
        steps=2500,
        objects_per_image=4,
        learning_rate=8e-4,
        frozen_trunk_stages=2,
        cross_entropy_until=0.3,
        more_clicks_from=0.5,
        step=StepConfig(image_clicks=2, image_prompts=(0.55, 0.37, 0.08)),
    )


def nano_clips(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """Clips, real and synthetic, with images in between so that clicks are not forgotten."""
    return TrainConfig(
        image_root=image_root,
        clip_root=clip_root,
        init=init,
        steps=1500,
        clip_fraction=0.7,
        real_clip_fraction=0.3,
        learning_rate=6e-4,
        old_scale=0.4,
        frozen_trunk_stages=7,
        more_clicks_from=0.0,
    )


def nano_whole(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """Images and clips together, in the batches of a GPU, at nano's own resolution: nearly all of the trunk learns, and
    half of the memories are pooled, so that both speeds are practised."""
    return TrainConfig(
        image_root=image_root,
        clip_root=clip_root,
        init=init,
        steps=860,
        size=384,
        images_per_step=48,
        objects_per_image=4,
        clips_per_step=20,
        frames_per_clip=7,
        min_clip_object_area=0.002,
        clip_fraction=0.0 if clip_root is None else 0.45,
        learning_rate=1e-3,
        trunk_scale=0.2,
        old_scale=0.8,
        frozen_trunk_stages=1,
        weight_decay=0.05,
        warmup_steps=40,
        more_clicks_from=0.3,
        step=StepConfig(
            image_clicks=3,
            image_prompts=(0.48, 0.45, 0.07),
            clip_prompts=(0.40, 0.25, 0.35),
            tracks_with_candidates=True,
            pooled_memories=0.5,
            memory=MemoryConfig(policy="official", spatial_slots=3, max_pointers=8),
        ),
        workers=7,
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
"""By the trunk's kind. The whole of nano's trunk stays frozen; Hiera's attention needs its activations recomputed."""


def finetune(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """A trained model and a few images of one's own: small steps, few of them, and most of the trunk left alone.

    With clips, half of the steps are on them.
    """
    path = starting_weights(init or "nano")
    model = read_checkpoint(path).config
    trunk = _FINETUNE[model.trunk.kind]
    return TrainConfig(
        image_root=image_root,
        clip_root=clip_root,
        model=model,
        init=str(path),
        size=model.image_size,
        steps=150,
        images_per_step=trunk.images_per_step,
        micro_batches=2,
        objects_per_image=1,
        clips_per_step=2,
        objects_per_clip=2,
        clip_fraction=0.0 if clip_root is None else 0.5,
        real_clip_fraction=0.8,
        learning_rate=trunk.learning_rate,
        layer_decay=trunk.layer_decay,
        frozen_trunk_stages=trunk.frozen_trunk_stages,
        warmup_steps=10,
        ema_decay=0.97,
        more_clicks_from=1.0,
        recompute=trunk.recompute,
        step=StepConfig(
            image_prompts=(0.6, 0.35, 0.05),
            tracks_with_candidates=True,
            pooled_memories=0.5 if model.inference.speed == "fast" else 0.0,
            memory=MemoryConfig(policy="official", spatial_slots=model.spatial_slots, max_pointers=model.max_pointers),
        ),
        log_every=10,
        checkpoint_every=50,
    )


def sam2(image_root: Roots, clip_root: Roots | None = None, init: str | None = None) -> TrainConfig:
    """What SAM 2.1 was fine-tuned with, as far as it is published: 8 frames, 3 objects, mask, click and box prompts,
    seven clicks on up to two frames, the losses' weights, layer decay, bf16. It wants a GPU, and data to match.

    Source: sam2 2b90b9f, configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml.
    """
    config = finetune(image_root, clip_root, init)
    return replace(
        config,
        steps=10_000,
        images_per_step=4,
        micro_batches=None,
        objects_per_image=3,
        objects_per_clip=3,
        frames_per_clip=8,
        clips_per_step=4,
        clip_fraction=0.0 if clip_root is None else 0.9,
        learning_rate=5e-6,
        trunk_scale=0.6,
        layer_decay=0.9,
        frozen_trunk_stages=0,
        weight_decay=0.1,
        betas=(0.9, 0.999),
        clip_norm=0.1,
        final_rate=0.1,
        warmup_steps=100,
        ema_decay=0.999,
        loss=LossWeights(unused=0.0),
        step=replace(
            config.step,
            image_prompts=(0.5, 0.5, 0.0),
            clip_prompts=(0.25, 0.25, 0.5),
            clip_correction_probability=0.5,
            clip_corrections=1,
            clip_clicks=7,
        ),
        log_every=50,
        checkpoint_every=500,
        validate_every=1000,
    )


RECIPES: Mapping[str, Callable[..., TrainConfig]] = {
    "nano-prompts": nano_prompts,
    "nano-images": nano_images,
    "nano-clips": nano_clips,
    "nano-whole": nano_whole,
    "finetune": finetune,
    "sam2": sam2,
}
"""By the name that `masklet train` takes."""
