"""Calibration: which IoU a model's IoU prediction stands for, measured and fitted per stage.

Observations are pairs of a mask's predicted IoU and its IoU with the truth, on data that the model was not
trained on. A curve is an isotonic regression (the best monotone fit), weighted so that each source of images and each
clip counts alike, and thinned to a few knots. Its error is cross-fitted: every observation is judged by a curve that
was fitted without its image or clip.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.datasets import ClipExample, ImageExample
from masklet.datasets.records import Labels
from masklet.engine.calibration import FITTED_STAGES, Curves, Stage, checked_curves
from masklet.engine.onnx_engine import SPEC_FILE, read_spec
from masklet.engine.protocol import Engine
from masklet.errors import DataError
from masklet.evaluation.clicks import BATCH_SIZE, Trial, image_units, trials_of
from masklet.evaluation.judging import ClipJudge
from masklet.evaluation.metrics import region_similarity
from masklet.evaluation.rules import RULES
from masklet.evaluation.running import RunOptions, Tick, run_units
from masklet.evaluation.vos import PromptKind, Roots, choose_clips, clip_units, prompt_for
from masklet.output import atomic_path
from masklet.records import FrameMasks
from masklet.segmentation.segmenter import Segmenter
from masklet.tracking.tracker import Tracker

NUM_BINS = 10
"""Equal bins of the expected calibration error."""
KNOT_EDGES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Quantiles of the predictions between which a curve has its knots: closer at both ends, where it bends."""
CLICKS = 5
MAX_OBJECTS = 8
"""Objects per image and per clip, the largest first: otherwise crowds would dominate."""
MIN_AREA = 0.002
"""Fraction of the image that an object covers at least."""
CLIP_PROMPTS: tuple[PromptKind, ...] = ("mask", "box", "click")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Observation:
    """A mask of the model: its prediction and its true quality."""

    source: str
    """The source of the image, or the clip: what has equal weight."""
    sequence: str
    """The image or clip: what is never on both sides of a cross-fit."""
    stage: Stage
    value: float
    """IoU prediction; for absent objects the negated object score."""
    iou: float
    """IoU with the truth, in [0, 1]; 1 where both are empty."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "sequence": self.sequence,
            "stage": self.stage,
            "value": round(self.value, 5),
            "iou": round(self.iou, 5),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Observation:
        return cls(**values)


@dataclass(frozen=True, slots=True)
class StageCalibration:
    """A fitted curve and what it changes."""

    stage: Stage
    inputs: tuple[float, ...]
    outputs: tuple[float, ...]
    num_observations: int
    error_before: float
    """Expected calibration error of the IoU prediction as it is."""
    error_after: float
    """The same of the cross-fitted curves."""

    @property
    def is_better(self) -> bool:
        """Return True if the curve lowers the error on sequences that it was not fitted on."""
        return self.error_after < self.error_before

    @property
    def curve(self) -> dict[str, list[float]]:
        """Return the curve as a model folder stores it."""
        return {"inputs": list(self.inputs), "outputs": list(self.outputs)}


def observe_images(engine: Engine[Any], data: Roots, run: RunOptions | None = None) -> list[Observation]:
    """Click on objects of images, five times each, and prompt them with their boxes.

    Raises:
        DataError: see `masklet.datasets.open_datasets`.
    """
    units = image_units(data, None, None)
    return run_units(engine, _observe_image, units, Observation, run or RunOptions(), {"task": "calibration images"})


def observe_clips(engine: Engine[Any], data: Roots, run: RunOptions | None = None) -> list[Observation]:
    """Track objects of clips from their masks, boxes and clicks, and compare each labelled frame.

    Raises:
        DataError: see `masklet.datasets.open_datasets`.
        VideoError: a frame cannot be read.
    """
    units = clip_units(choose_clips(data, None, None), len(CLIP_PROMPTS))
    return run_units(engine, _observe_clip, units, Observation, run or RunOptions(), {"task": "calibration clips"})


def calibrate(observations: Sequence[Observation]) -> list[StageCalibration]:
    """Fit one curve per stage that has been observed on at least two images or clips.

    Raises:
        DataError: there are no observations, or none of a stage on two sequences.
    """
    fitted = []
    for stage in FITTED_STAGES:
        rows = [row for row in observations if row.stage == stage]
        if len({row.sequence for row in rows}) < 2:
            continue
        values, ious = np.array([row.value for row in rows]), np.array([row.iou for row in rows])
        weights = _even_weights([row.source for row in rows])
        # The half is drawn from the name, so that it stays when data are added.
        half = np.array([zlib.crc32(row.sequence.encode()) % 2 for row in rows])
        if len(set(half.tolist())) == 1:
            names = sorted({row.sequence for row in rows})
            half = np.array([names.index(row.sequence) % 2 for row in rows])
        crossed = np.empty_like(values)
        for side in (0, 1):
            inputs, outputs = fit_curve(values[half == side], ious[half == side], weights[half == side])
            crossed[half != side] = np.interp(values[half != side], inputs, outputs)
        before = 1 / (1 + np.exp(-values)) if stage == "absent" else np.clip(values, 0, 1)
        inputs, outputs = fit_curve(values, ious, weights)
        fitted.append(
            StageCalibration(
                stage=stage,
                inputs=tuple(inputs.round(5).tolist()),
                outputs=tuple(outputs.round(4).tolist()),
                num_observations=len(rows),
                error_before=calibration_error(before, ious, weights),
                error_after=calibration_error(crossed, ious, weights),
            )
        )
    if not fitted:
        raise DataError(
            f"{len(observations)} observations are not enough to calibrate: give at least two images or clips with "
            "labelled objects"
        )
    return fitted


def fit_curve(values: Floats, ious: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Fit a monotone curve: weighted isotonic regression, thinned to one knot between each two of `KNOT_EDGES`.

    Args:
        values: (N,) predictions.
        ious: (N,) in [0, 1].
        weights: (N,) above 0.

    Returns:
        (K,) ascending inputs and (K,) outputs that do not fall.
    """
    values, inverse = np.unique(np.round(values, 4), return_inverse=True)
    totals = np.bincount(inverse, weights).astype(np.float64)
    ious, weights = np.bincount(inverse, ious * weights) / totals, totals
    # Pool adjacent violators: neighbouring blocks merge while the later one has the lower mean.
    blocks: list[tuple[float, float, int]] = []  # mean, weight, number of values
    for iou, weight in zip(ious.tolist(), weights.tolist(), strict=True):
        mean, total, count = iou, weight, 1
        while blocks and blocks[-1][0] >= mean:
            earlier, earlier_weight, earlier_count = blocks.pop()
            mean = (earlier * earlier_weight + mean * total) / (earlier_weight + total)
            total, count = total + earlier_weight, count + earlier_count
        blocks.append((mean, total, count))
    monotone = np.repeat([block[0] for block in blocks], [block[2] for block in blocks])
    # Knots average their neighbourhood: the ends of an isotonic fit rest on a few values and are too extreme.
    centers = (np.cumsum(weights) - weights / 2) / weights.sum()
    groups = np.searchsorted(KNOT_EDGES, centers, side="right")
    inputs, outputs = [], []
    for group in range(len(KNOT_EDGES) + 1):
        inside = groups == group
        if inside.any():
            inputs.append(float(np.average(values[inside], weights=weights[inside])))
            outputs.append(float(np.average(monotone[inside], weights=weights[inside])))
    return np.array(inputs), np.array(outputs)


def calibration_error(confidences: Floats, ious: Floats, weights: Floats | None = None) -> float:
    """Return the expected calibration error: the mean difference of confidence and IoU over `NUM_BINS` equal bins.

    Args:
        confidences: (N,) in [0, 1].
        ious: (N,) in [0, 1].
        weights: (N,); equal when left out.
    """
    weights = np.ones_like(confidences) if weights is None else weights
    bins = np.minimum((confidences * NUM_BINS).astype(int), NUM_BINS - 1)
    difference = 0.0
    for index in range(NUM_BINS):
        inside = bins == index
        difference += abs(float(((confidences - ious) * weights)[inside].sum()))
    return difference / float(weights.sum())


def curves_of(fitted: Sequence[StageCalibration]) -> Curves:
    """Return the curves that are better than none, as a model folder keeps them."""
    return {calibration.stage: calibration.curve for calibration in fitted if calibration.is_better}


def write_curves(folder: Path, curves: Curves) -> None:
    """Keep curves in an exported model's folder.

    Raises:
        CheckpointError: the folder is not an exported model.
        OutputError: its description cannot be written.
    """
    read_spec(folder)
    path = folder / SPEC_FILE
    document = json.loads(path.read_text(encoding="utf-8"))
    document["spec"]["calibration"] = dict(checked_curves(curves))
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _even_weights(sources: Sequence[str]) -> Floats:
    names, inverse, counts = np.unique(np.array(sources), return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[inverse] / len(names) * len(sources), np.float64)


def _observe_image(engine: Engine[Any], image: ImageExample, tick: Tick) -> list[Observation]:
    rgb, labels = image.read()
    trials = trials_of(labels, MIN_AREA, MAX_OBJECTS)
    rows: list[Observation] = []

    def keep(trial: Trial, stage: Stage, prediction: float, mask: Any) -> None:
        rows.append(Observation(image.source, image.name, stage, prediction, trial.iou(mask)))

    if trials:
        encoded = Segmenter(engine).set_image(rgb)
        for start in range(0, len(trials), BATCH_SIZE):
            batch = trials[start : start + BATCH_SIZE]
            for count in range(1, CLICKS + 1):
                unfinished = [trial for trial in batch if not trial.finished]
                if not unfinished:
                    break
                results = encoded.predict_many([trial.prompt() for trial in unfinished], multimask=count == 1)
                for trial, result in zip(unfinished, results, strict=True):
                    keep(trial, "click" if count == 1 else "clicks", float(result.iou_predictions[0]), result.mask)
                    trial.take(result)
            boxes = encoded.predict_many([trial.box_prompt() for trial in batch], multimask=False)
            for trial, result in zip(batch, boxes, strict=True):
                keep(trial, "box", float(result.iou_predictions[0]), result.mask)
    tick()
    return rows


def _observe_clip(engine: Engine[Any], clip: ClipExample, tick: Tick) -> list[Observation]:
    rows: list[Observation] = []
    for kind in CLIP_PROMPTS:
        judge = ClipJudge(clip, RULES["masklet"], mask_given=kind == "mask")
        areas = {
            object_id: int(judge.truth(clip.read_labels(frame_index), object_id).sum())
            for object_id, frame_index in judge.first_seen.items()
        }
        object_ids = sorted(areas, key=lambda object_id: (-areas[object_id], object_id))[:MAX_OBJECTS]
        if not object_ids:
            return []
        with clip.open_frames() as source:
            tracker = Tracker(engine, source, non_overlap=True)
            for object_id in object_ids:
                frame_index = judge.first_seen[object_id]
                truth = judge.truth(clip.read_labels(frame_index), object_id)
                tracker.prompt(object_id, frame_index, **prompt_for(truth, kind))
            for masks in tracker.run():
                labels = clip.read_labels(masks.frame_index)
                if labels is not None:
                    rows += _observe_frame(clip, judge, labels, masks)
                tick()
    return rows


def _observe_frame(clip: ClipExample, judge: ClipJudge, labels: Labels, masks: FrameMasks) -> list[Observation]:
    rows = []
    for row, object_id in enumerate(masks.object_ids):
        if masks.prompted[row]:
            continue
        is_absent = masks.object_scores[row] <= 0
        value = -masks.object_scores[row] if is_absent else masks.iou_predictions[row]
        iou = region_similarity(masks.masks[row], judge.truth(labels, object_id), labels.void)
        stage: Stage = "absent" if is_absent else "tracked"
        rows.append(Observation(clip.name, clip.name, stage, float(value), iou))
    return rows
