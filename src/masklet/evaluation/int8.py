"""Runs a model on data from which the ranges of graphs in 8 bits are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from masklet.datasets import open_datasets
from masklet.engine.protocol import Engine
from masklet.evaluation.running import choose
from masklet.evaluation.vos import evaluate_vos

IMAGES, CLIPS = 128, 8
"""The most images and clips that are run, evenly spaced."""


def calibration_run(roots: Iterable[str | Path]) -> Callable[[Engine[Any]], None]:
    """Return a function that runs an engine on images, and on clips from each object's first mask.

    Args:
        roots: data sets; at least one of them holds clips with masks, images are welcome.

    Raises:
        DataError: a root is no data set, or none has clips.
    """
    data = open_datasets(roots)
    data.need_clips()

    def run(engine: Engine[Any]) -> None:
        for image in choose(data.images, lambda image: image.name, None, IMAGES):
            engine.encode_image(image.read_rgb())
        evaluate_vos(engine, data, limit=CLIPS)

    return run
