"""Promptable segmentation of images: how good a mask is after k clicks, after a box, and how many clicks it takes.

The protocol of SAM: the first click asks for three candidates, the one of highest IoU prediction is shown, and every
further click goes where the error is largest, with the shown candidate's logits fed back and one mask asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from masklet.checks import check_fraction, check_whole
from masklet.datasets import Dataset, ImageExample, Labels, open_datasets
from masklet.datasets.records import by_source
from masklet.engine.protocol import Engine
from masklet.errors import DataError
from masklet.evaluation.metrics import Click, next_click, region_similarity
from masklet.evaluation.records import ObjectClicks
from masklet.evaluation.report import NOC_LEVELS, NOC_MAX, ClicksReport
from masklet.evaluation.running import RunOptions, Tick, Unit, run_units, spread
from masklet.evaluation.vos import Roots
from masklet.masks.operations import mask_box_xyxy
from masklet.masks.rle import encode_rle
from masklet.prompts import Prompt
from masklet.records import BoolArray, ByteArray, FloatArray, SegmentResult
from masklet.segmentation.segmenter import Segmenter

BATCH_SIZE = 32
"""Objects decoded together; more saves no time and costs three full-size masks each."""


def evaluate_clicks(
    engine: Engine[Any],
    data: Roots,
    *,
    clicks: int = 5,
    box: bool = True,
    noc: bool = False,
    min_area: float = 0.01,
    max_objects: int | None = None,
    sources: Sequence[str] | None = None,
    limit: int | None = None,
    run: RunOptions | None = None,
) -> ClicksReport:
    """Measure mIoU after simulated clicks and for boxes, and the number of clicks (NoC), on images.

    Args:
        engine: the model.
        data: images, as a data set or as what `masklet.datasets.open_datasets` takes; each source is one row.
        clicks: clicks per object.
        box: also prompt each object with its tight box alone.
        noc: continue clicking, up to `NOC_MAX` times, until the highest of `NOC_LEVELS` is reached.
        min_area: objects that cover no more than this fraction of the image are left out.
        max_objects: objects per image, the largest first; None for all.
        sources: only these, by name.
        limit: images per source, evenly spaced; None for all.
        run: how to run.

    Raises:
        ConfigError: clicks, max_objects or limit below 1, min_area outside [0, 1).
        DataError: see `open_datasets`; a source does not exist; or no object is large enough.
    """
    for name, value in (("clicks", clicks), ("max_objects", max_objects), ("limit", limit)):
        if value is not None:
            check_whole(name, value, least=1)
    check_fraction("min_area, a fraction of the image,", min_area, below_one=True)
    units = image_units(data, sources, limit)
    work = _Clicker(clicks, box, noc, min_area, max_objects)
    settings = {"clicks": clicks, "box": box, "noc": noc, "min_area": min_area, "max_objects": max_objects}
    objects = run_units(engine, work, units, ObjectClicks, run or RunOptions(), {"task": "clicks", **settings})
    if not objects:
        raise DataError(f"no object covers more than {min_area:.1%} of its image in {len(units)} images")
    return ClicksReport(
        model=engine.info.name,
        backend=engine.info.backend,
        num_clicks=clicks,
        objects=tuple(objects),
        with_noc=noc,
        settings={**settings, "sources": None if sources is None else list(sources), "limit": limit},
    )


def image_units(data: Roots, sources: Sequence[str] | None, limit: int | None) -> list[Unit[ImageExample]]:
    """Return one unit per image, evenly spaced over each source.

    Raises:
        DataError: see `open_datasets`; or a source does not exist.
    """
    dataset = data if isinstance(data, Dataset) else open_datasets(data)
    groups = by_source(dataset.need_images())
    if unknown := [name for name in sources or () if name not in groups]:
        raise DataError(f"{dataset.root} has no source {unknown[0]!r}: it has {', '.join(groups)}")
    return [
        Unit(image.name, source, 1, image) for source in sources or groups for image in spread(groups[source], limit)
    ]


@dataclass(frozen=True, slots=True)
class _Clicker:
    """Clicks on all objects of one image."""

    clicks: int
    box: bool
    noc: bool
    min_area: float
    max_objects: int | None

    def __call__(self, engine: Engine[Any], image: ImageExample, tick: Tick) -> list[ObjectClicks]:
        rgb, labels = image.read()
        trials = trials_of(labels, self.min_area, self.max_objects)
        if trials:
            self._run(Segmenter(engine), rgb, trials)
        tick()
        return [trial.record(image) for trial in trials]

    def _run(self, segmenter: Segmenter[Any], rgb: ByteArray, trials: list[Trial]) -> None:
        """Encode the image once, and give each click to all of its objects together."""
        encoded = segmenter.set_image(rgb)
        for start in range(0, len(trials), BATCH_SIZE):
            batch = trials[start : start + BATCH_SIZE]
            for count in range(1, self._most_clicks + 1):
                unfinished = [trial for trial in batch if self._continues(trial, count)]
                if unfinished:
                    results = encoded.predict_many([trial.prompt() for trial in unfinished], multimask=count == 1)
                    for trial, result in zip(unfinished, results, strict=True):
                        trial.take(result)
            for trial in batch:  # finished earlier: the mask stays as good as it was
                trial.ious += trial.ious[-1:] * (self.clicks - len(trial.ious))
            if self.box:
                results = encoded.predict_many([trial.box_prompt() for trial in batch], multimask=False)
                for trial, result in zip(batch, results, strict=True):
                    trial.take_box(result)

    @property
    def _most_clicks(self) -> int:
        return max(self.clicks, NOC_MAX) if self.noc else self.clicks

    def _continues(self, trial: Trial, count: int) -> bool:
        """Return True if the object gets its click number `count`."""
        return not trial.finished and (count <= self.clicks or max(trial.ious) < max(NOC_LEVELS))


@dataclass
class Trial:
    """One object being clicked on."""

    object_id: int
    truth: BoolArray
    void: BoolArray | None
    clicks: list[Click] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    best_iou: float = 0.0
    box_iou: float | None = None
    logits: FloatArray | None = None
    shown: BoolArray | None = None
    finished: bool = False
    """True when no pixel is wrong any more, so that no further click has a target."""

    def __post_init__(self) -> None:
        self._aim(np.zeros_like(self.truth))

    def prompt(self) -> Prompt:
        if self.shown is not None:
            self._aim(self.shown)
        return Prompt.create(
            points_xy=[(click.x, click.y) for click in self.clicks],
            labels=[click.label for click in self.clicks],
            previous_logits=self.logits,
        )

    def box_prompt(self) -> Prompt:
        return Prompt.create(box_xyxy=mask_box_xyxy(self.truth))

    def take(self, result: SegmentResult) -> None:
        ious = [self.iou(mask) for mask in result.masks]
        if not self.ious:
            self.best_iou = max(ious)
        self.ious.append(ious[0])
        self.logits = result.low_res_logits[0]
        self.shown = result.mask
        self.finished = ious[0] == 1.0

    def take_box(self, result: SegmentResult) -> None:
        self.box_iou = self.iou(result.mask)

    def record(self, image: ImageExample) -> ObjectClicks:
        assert self.shown is not None  # a trial is recorded after its last round
        return ObjectClicks(
            source=image.source,
            image=image.name,
            object_id=self.object_id,
            area_fraction=float(self.truth.mean()),
            ious=tuple(self.ious),
            best_iou=self.best_iou,
            box_iou=self.box_iou,
            clicks=tuple(self.clicks),
            predicted=encode_rle(self.shown),
        )

    def iou(self, mask: BoolArray) -> float:
        """Return the IoU of a mask with the object, void pixels left out."""
        return region_similarity(mask, self.truth, self.void)

    def _aim(self, predicted: BoolArray) -> None:
        click = next_click(predicted, self.truth, self.void)
        assert click is not None  # a finished object is not prompted again
        self.clicks.append(click)


def trials_of(labels: Labels, min_area: float, max_objects: int | None) -> list[Trial]:
    """Return the objects of an image that are large enough, at most so many of the largest."""
    void = labels.void
    areas = labels.areas()
    height, width = labels.size_hw
    large = [object_id for object_id, area in areas.items() if area > min_area * height * width]
    if max_objects is not None:
        large = sorted(large, key=lambda object_id: (-areas[object_id], object_id))[:max_objects]
    return [Trial(object_id, labels.mask(object_id), void) for object_id in sorted(large)]
