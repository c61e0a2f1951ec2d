"""Validation of the averaged weights during a run: scores on held-out images, and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from masklet.engine.torch_engine import TorchEngine
from masklet.evaluation.clicks import evaluate_clicks
from masklet.model.checkpoint import Checkpoint
from masklet.model.sam2 import SAM2
from masklet.records import BoolArray, ByteArray
from masklet.train.config import TrainConfig
from masklet.train.data import ImageSamples
from masklet.train.pictures import draw_predictions
from masklet.train.unused import UnusedData

_CLICKS = 3
_NUM_DRAWN = 6


class Validator:
    """Measurements and pictures of one run, always on the same images.

    Args:
        config: the run's.
        folder: the run's; pictures go to `folder/pictures`.
        unused: names files that cannot be drawn.
    """

    def __init__(self, config: TrainConfig, folder: Path, unused: UnusedData) -> None:
        self._config, self._folder, self._unused = config, folder, unused
        self._objects: list[tuple[ByteArray, BoolArray]] | None = None

    def measure(self, checkpoint: Checkpoint, step: int) -> Mapping[str, float]:
        """Mean IoUs on the validation data, as `masklet evaluate clicks` gives them; empty without such data."""
        config = self._config
        model = SAM2(checkpoint.config)
        model.load_state_dict(checkpoint.weights)
        engine = TorchEngine(model, device=config.hardware.device, precision="fp32")
        if config.log.pictures:
            draw_predictions(
                engine, self._draw_objects(), self._folder / "pictures" / f"{step:06d}.png", f"after {step} steps"
            )
        if config.validation.root is None:
            return {}
        report = evaluate_clicks(
            engine, config.validation.root, clicks=_CLICKS, box=True, limit=config.validation.limit
        )
        return report.overall

    def _draw_objects(self) -> list[tuple[ByteArray, BoolArray]]:
        """Return a few images without augmentation, and one object in each."""
        if self._objects is None:
            config = self._config
            data = replace(
                config.images,
                root=config.validation.root or config.images.root,
                size=config.model.image_size,
                objects_per_image=1,
                paste_probability=0.0,
                crop_probability=0.0,
                flip_probability=0.0,
                colour_probability=0.0,
                degrade_probability=0.0,
            )
            samples = ImageSamples(data, unused=self._unused)
            drawn = (samples.sample(np.random.default_rng([config.seed, number])) for number in range(4 * _NUM_DRAWN))
            distinct = {sample.rgb.numpy().tobytes(): sample for sample in drawn}
            self._objects = [
                (sample.rgb.numpy(), sample.masks[0].numpy()) for sample in list(distinct.values())[:_NUM_DRAWN]
            ]
        return self._objects
