"""Promptable segmentation of images: how good a mask is after k clicks, and after a box.

The protocol of SAM: the first click asks for three candidates, the one of highest IoU prediction is shown, and every
further click goes where the error is largest, with the shown candidate's logits fed back and one mask asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from masklet.engine.protocol import Engine
from masklet.errors import ConfigError, DataError
from masklet.evaluation.data import ImageSample, LabelMap, open_image_sources, spread
from masklet.evaluation.metrics import Click, next_click, region_similarity
from masklet.evaluation.report import ClicksReport, ObjectClicks
from masklet.masks import CocoRle, encode_rle, mask_box_xyxy
from masklet.records import BoolArray, ByteArray, FloatArray, Prompt, SegmentResult
from masklet.segmenter import Segmenter

Progress = Callable[[int, int, str], None]
"""Called with (images done, images in all, source name)."""

BATCH_SIZE = 32
"""Objects decoded together; more saves no time and costs three full-size masks each."""


def evaluate_clicks(
    engine: Engine[Any],
    roots: str | Path | Iterable[str | Path],
    *,
    clicks: int = 5,
    box: bool = True,
    min_area: float = 0.01,
    max_objects: int | None = None,
    max_images: int | None = None,
    progress: Progress | None = None,
) -> ClicksReport:
    """Measure mIoU after simulated clicks, and for boxes, on folders of images and masks.

    Args:
        engine: the model.
        roots: folders with `images/` and `masks/`, or folders of such folders; each is one source of the report.
        clicks: clicks an object.
        box: also prompt each object with its tight box alone.
        min_area: objects smaller than this fraction of the image are left out.
        max_objects: objects an image, the largest first; None for all.
        max_images: images a source, evenly spaced over the folder; None for all.
        progress: called after each image.

    Raises:
        ConfigError: clicks, max_objects or max_images below 1, min_area outside [0, 1).
        DataError: see `open_image_sources`; or no object is large enough.
    """
    for name, value in (("clicks", clicks), ("max_objects", max_objects), ("max_images", max_images)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")
    if not 0 <= min_area < 1:
        raise ConfigError(f"min_area is a fraction of the image and must be in [0, 1), got {min_area}")
    queue = [
        (source.name, sample) for source in open_image_sources(roots) for sample in spread(source.samples, max_images)
    ]
    segmenter = Segmenter(engine)
    records: list[ObjectClicks] = []
    for done, (source_name, sample) in enumerate(queue, start=1):
        rgb, labels = sample.read()
        trials = _trials(labels, min_area, max_objects)
        if trials:
            _run_trials(segmenter, rgb, trials, clicks=clicks, box=box)
            records += [trial.record(source_name, sample) for trial in trials]
        if progress is not None:
            progress(done, len(queue), source_name)
    if not records:
        raise DataError(f"no object covers more than {min_area:.1%} of its image in {len(queue)} images")
    return ClicksReport(
        model=engine.info.name,
        backend=engine.info.backend,
        num_clicks=clicks,
        objects=tuple(records),
        settings={"min_area": min_area, "max_objects": max_objects, "max_images": max_images},
    )


@dataclass
class _Trial:
    """One object being clicked on."""

    object_id: int
    truth: BoolArray
    void: BoolArray | None
    clicks: list[Click] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    best_iou: float = 0.0
    box_iou: float | None = None
    logits: FloatArray | None = None
    predicted: CocoRle | None = None
    finished: bool = False
    """No pixel is wrong any more: further clicks would have nowhere to go."""

    def __post_init__(self) -> None:
        self._aim(np.zeros_like(self.truth))

    def prompt(self) -> Prompt:
        return Prompt.create(
            points_xy=[(click.x, click.y) for click in self.clicks],
            labels=[click.label for click in self.clicks],
            previous_logits=self.logits,
        )

    def box_prompt(self) -> Prompt:
        return Prompt.create(box_xyxy=mask_box_xyxy(self.truth))

    def take(self, result: SegmentResult, *, last: bool) -> None:
        ious = [self._iou(mask) for mask in result.masks]
        if not self.ious:
            self.best_iou = max(ious)
        self.ious.append(ious[0])
        self.logits = result.low_res_logits[0]
        if not last:
            self._aim(result.mask)
        if last or self.finished:
            self.predicted = encode_rle(result.mask)

    def take_box(self, result: SegmentResult) -> None:
        self.box_iou = self._iou(result.mask)

    def record(self, source: str, sample: ImageSample) -> ObjectClicks:
        assert self.predicted is not None  # a trial is recorded after its last round
        return ObjectClicks(
            source=source,
            image_path=str(sample.image_path),
            mask_path=str(sample.mask_path),
            object_id=self.object_id,
            area_fraction=float(self.truth.mean()),
            ious=tuple(self.ious),
            best_iou=self.best_iou,
            box_iou=self.box_iou,
            clicks=tuple(self.clicks),
            predicted=self.predicted,
        )

    def _iou(self, mask: BoolArray) -> float:
        return region_similarity(mask, self.truth, self.void)

    def _aim(self, predicted: BoolArray) -> None:
        click = next_click(predicted, self.truth, self.void)
        if click is None:
            self.finished = True
        else:
            self.clicks.append(click)


def _trials(labels: LabelMap, min_area: float, max_objects: int | None) -> list[_Trial]:
    void = labels.void
    areas = {object_id: int(np.count_nonzero(labels.mask(object_id))) for object_id in labels.object_ids}
    large = [object_id for object_id, area in areas.items() if area > min_area * labels.labels.size]
    if max_objects is not None:
        large = sorted(large, key=lambda object_id: (-areas[object_id], object_id))[:max_objects]
    return [_Trial(object_id, labels.mask(object_id), void) for object_id in sorted(large)]


def _run_trials(segmenter: Segmenter[Any], rgb: ByteArray, trials: list[_Trial], *, clicks: int, box: bool) -> None:
    """Encode the image once, and give each click to all of its objects together."""
    image = segmenter.set_image(rgb)
    for start in range(0, len(trials), BATCH_SIZE):
        batch = trials[start : start + BATCH_SIZE]
        for round_index in range(clicks):
            open_trials = [trial for trial in batch if not trial.finished]
            if open_trials:
                results = image.predict_many([trial.prompt() for trial in open_trials], multimask=round_index == 0)
                for trial, result in zip(open_trials, results, strict=True):
                    trial.take(result, last=round_index == clicks - 1)
            for trial in batch:
                if len(trial.ious) <= round_index:  # finished earlier: the mask stays as good as it was
                    trial.ious.append(trial.ious[-1])
        if box:
            results = image.predict_many([trial.box_prompt() for trial in batch], multimask=False)
            for trial, result in zip(batch, results, strict=True):
                trial.take_box(result)
