"""Automatic masks: how much of an image's content is found without prompts.

AR@1000 and AP as COCO defines them, by pycocotools, over all objects as one class. Masks are ranked by the model's own
IoU prediction. Void pixels are a crowd region: masks on them count neither for nor against.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from masklet.datasets import ImageExample, Labels
from masklet.engine.protocol import Engine
from masklet.errors import DataError
from masklet.evaluation.clicks import image_units
from masklet.evaluation.records import FoundMask, ImageMasks, Scores
from masklet.evaluation.report import EverythingReport
from masklet.evaluation.running import RunOptions, Tick, run_units
from masklet.evaluation.vos import Roots
from masklet.masks.rle import encode_rle, rle_area
from masklet.segmentation.automatic import AutomaticConfig, segment_everything

MAX_MASKS = 1000
"""Masks per image that count, the best ranked first."""
FEW_MASKS = 100
"""Largest number of masks per image for AP, as in COCO."""


def evaluate_everything(
    engine: Engine[Any],
    data: Roots,
    *,
    config: AutomaticConfig | None = None,
    sources: Sequence[str] | None = None,
    limit: int | None = None,
    run: RunOptions | None = None,
) -> EverythingReport:
    """Measure AR@1000, AR@100 and AP of automatic masks.

    Args:
        engine: the model.
        data: images, as a data set or as what `masklet.datasets.open_datasets` takes; each source is one row.
        config: how everything is found; what suits the model when left out.
        sources: only these, by name.
        limit: images per source, evenly spaced.
        run: how to run.

    Raises:
        DataError: see `open_datasets`; a source does not exist; or no image has an object.
    """
    config = config or AutomaticConfig.for_engine(engine.info)
    units = image_units(data, sources, limit)
    settings = {"automatic": asdict(config)}
    images = run_units(
        engine, _Find(config), units, ImageMasks, run or RunOptions(), {"task": "everything", **settings}
    )
    if not any(not mask.ignored for image in images for mask in image.truth):
        raise DataError(f"none of the {len(units)} images has an object")
    groups: dict[str, list[ImageMasks]] = {}
    for image in images:
        groups.setdefault(image.source, []).append(image)
    return EverythingReport(
        model=engine.info.name,
        backend=engine.info.backend,
        images=tuple(images),
        scores={name: score_images(group) for name, group in groups.items() if _num_objects(group)},
        image_recalls={image.image: recall for image in images if (recall := image_recall(image)) is not None},
        settings={**settings, "sources": None if sources is None else list(sources), "limit": limit},
    )


def score_images(images: Sequence[ImageMasks]) -> Scores:
    """Return COCO's numbers of one source: `AR@1000` with its parts by area, `AR@100`, `AP`, `AP50`, `AP75`.

    Small is below 32² pixels, large above 96². A part without objects is left out.
    """
    evaluation = _coco_evaluation(images)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    recall, precision = evaluation.eval["recall"], evaluation.eval["precision"]  # (T, K, A, M), (T, R, K, A, M)
    thresholds = evaluation.params.iouThrs
    scores = {
        "AR@1000": _mean(recall[:, :, 0, 1]),
        "AR@100": _mean(recall[:, :, 0, 0]),
        "AP": _mean(precision[:, :, :, 0, 0]),
        "AP50": _mean(precision[np.isclose(thresholds, 0.5), :, :, 0, 0]),
        "AP75": _mean(precision[np.isclose(thresholds, 0.75), :, :, 0, 0]),
    }
    for area, name in enumerate(("small", "medium", "large"), start=1):
        scores[f"AR@1000_{name}"] = _mean(recall[:, :, area, 1])
    return {name: score for name, score in scores.items() if score is not None}


def image_recall(image: ImageMasks) -> float | None:
    """Return AR@1000 of a single image; None without objects."""
    if not _num_objects([image]):
        return None
    evaluation = _coco_evaluation([image])
    results = next(entry for entry in evaluation.evalImgs if entry["maxDet"] == MAX_MASKS and entry["aRng"][0] == 0)
    judged = ~results["gtIgnore"].astype(bool)
    return float((results["gtMatches"][:, judged] > 0).mean())


def _num_objects(images: Sequence[ImageMasks]) -> int:
    return sum(not mask.ignored for image in images for mask in image.truth)


@dataclass(frozen=True, slots=True)
class _Find:
    """Automatic segmentation of one image."""

    config: AutomaticConfig

    def __call__(self, engine: Engine[Any], image: ImageExample, tick: Tick) -> list[ImageMasks]:
        rgb, labels = image.read()
        results = segment_everything(engine, rgb, self.config)
        ranked = sorted(results, key=lambda mask: -mask.iou_prediction)[:MAX_MASKS]
        tick()
        return [
            ImageMasks(
                source=image.source,
                image=image.name,
                found=tuple(FoundMask(mask.rle, mask.iou_prediction) for mask in ranked),
                truth=_truth(labels),
            )
        ]


def _truth(labels: Labels) -> tuple[FoundMask, ...]:
    truth = [FoundMask(encode_rle(labels.mask(object_id))) for object_id in labels.object_ids]
    if labels.void is not None:
        truth.append(FoundMask(encode_rle(labels.void), ignored=True))
    return tuple(truth)


def _coco_evaluation(images: Sequence[ImageMasks]) -> COCOeval:
    """Matched, class-agnostic, for 100 and 1000 masks per image."""
    truth, results = COCO(), COCO()
    truth.dataset, results.dataset = _as_coco(images, "truth"), _as_coco(images, "found")
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        truth.createIndex()
        results.createIndex()
        evaluation = COCOeval(truth, results, "segm")
        evaluation.params.maxDets = [FEW_MASKS, MAX_MASKS]
        evaluation.params.useCats = 0
        evaluation.evaluate()
    return evaluation


def _as_coco(images: Sequence[ImageMasks], part: str) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, start=1):
        for mask in getattr(image, part):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "segmentation": dict(mask.rle),
                    "area": _area(mask),
                    "iscrowd": int(mask.ignored),
                    "score": mask.score,
                }
            )
    height_width = [
        (image.truth or image.found)[0].rle["size"] if image.truth or image.found else [1, 1] for image in images
    ]
    return {
        "images": [
            {"id": number, "height": size[0], "width": size[1]} for number, size in enumerate(height_width, start=1)
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "object"}],
    }


def _area(mask: FoundMask) -> int:
    return rle_area(mask.rle)


def _mean(values: Any) -> float | None:
    """Return the mean over values that COCO could measure: it marks the others with -1."""
    valid = values[values > -1]
    return float(valid.mean()) if valid.size else None
