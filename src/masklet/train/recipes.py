"""Trainings by name. A recipe is a function that returns a `TrainConfig`; deriving one is calling another.

nano is made by `nano_prompts`, `nano_images` and `nano_clips` in this order, each starting from the one before
(docs/nano.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from masklet.train.loop import TrainConfig
from masklet.train.steps import StepConfig


def nano_prompts(image_root: str, clip_root: str | None = None, init: str | None = None) -> TrainConfig:
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


def nano_images(image_root: str, clip_root: str | None = None, init: str | None = None) -> TrainConfig:
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


def nano_clips(image_root: str, clip_root: str | None = None, init: str | None = None) -> TrainConfig:
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


RECIPES: Mapping[str, Callable[..., TrainConfig]] = {
    "nano-prompts": nano_prompts,
    "nano-images": nano_images,
    "nano-clips": nano_clips,
}
"""By the name that `masklet train` takes."""
