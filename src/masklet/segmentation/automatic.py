"""Segmentation of everything in an image: a grid of clicks, filtered to the good and distinct masks.

Only one full-size mask exists at a time: masks are kept as run lengths, so a 4K image takes no more memory for a
thousand masks than for one. Like the segmenter, this moves handles between the functions of an engine and knows no
tensors.

Source: Kirillov et al., Segment Anything (2023), section 5 and appendix B; defaults as in sam2 2b90b9f,
automatic_mask_generator.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from masklet.checks import (
    check_choice,
    check_flag,
    check_fraction,
    check_number,
    check_numbers,
    check_positive,
    check_whole,
)
from masklet.engine.protocol import Engine
from masklet.errors import ConfigError, DataError
from masklet.masks import convert, plotting
from masklet.masks.geometry import box_nms, crop_boxes
from masklet.masks.operations import (
    fill_holes,
    mask_box_xyxy,
    mask_polygons,
    remove_small_components,
    upsample_logits,
    without_small_parts,
)
from masklet.masks.rle import CocoRle, decode_rle, encode_rle
from masklet.prompts import Prompt
from masklet.records import (
    PREVIOUS_LOGIT_LIMIT,
    BoolArray,
    ByteArray,
    Decoded,
    EngineInfo,
    FloatArray,
    ImageFeatures,
    Recall,
    changes_text,
)

A = TypeVar("A")

Order = Literal["area", "iou", "crop"]
Box = tuple[int, int, int, int]

INNER_EDGE = 20
"""A mask within this many pixels of a crop's edge inside the image counts as cut off.
Source: sam2 2b90b9f, utils/amg.py `is_box_near_crop_edge`."""

MIN_CROP_SIDE = 16
"""Smallest side of a crop, in pixels."""

MAX_CROP_LAYERS = 6


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class AutomaticConfig:
    """Settings for segmenting everything in an image. Defaults are the official ones; official names are in brackets.

    They suit large models. `for_engine` returns those that suit a given model.
    """

    points_per_side: int = 32
    """Clicks along a side of the grid: its square is their number (points_per_side)."""
    point_grids: Sequence[ArrayLike] | None = None
    """Custom clicks in place of the grid: one (P, 2) array of x and y per crop layer, in fractions of the crop, 0 to 1.
    Further layers use the last array (point_grids)."""
    points_per_batch: int = 64
    """Clicks decoded per batch: more is faster on a GPU and takes more memory (points_per_batch)."""
    multimask: bool = True
    """Three candidates per click, for part, whole and group; or one (multimask_output)."""
    refine: bool = False
    """Feed each candidate's logits back with its click once; four times slower with three candidates (use_m2m)."""
    min_iou: float = 0.80
    """Candidates of lower IoU prediction are dropped, 0 to 1 (pred_iou_thresh)."""
    min_stability: float = 0.95
    """Candidates of lower stability are dropped, 0 to 1: the IoU of the masks at thresholds `stability_offset` above
    and below `mask_threshold` (stability_score_thresh)."""
    stability_offset: float = 1.0
    """Logits, above 0 (stability_score_offset)."""
    mask_threshold: float = 0.0
    """Logit above which a pixel is foreground (mask_threshold)."""
    nms_iou: float = 0.7
    """Largest IoU of two masks' boxes; beyond it the mask of lower IoU prediction is dropped (box_nms_thresh)."""
    crop_layers: int = 0
    """Number of further layers: layer n clicks again in 2^n x 2^n crops, for small objects (crop_n_layers)."""
    crop_nms_iou: float = 0.7
    """The same limit between crops, where the mask from the smaller crop is kept (crop_nms_thresh)."""
    crop_overlap: float = 512 / 1500
    """Overlap of the crops of layer 1, as a fraction of the image's shorter side; halved with each further layer
    (crop_overlap_ratio)."""
    crop_points_divisor: int = 1
    """The grid of layer n has `points_per_side / crop_points_divisor^n` clicks per side
    (crop_n_points_downscale_factor)."""
    min_region_area: int = 0
    """In the remaining masks, holes and separate pieces of fewer pixels than this are filled and removed, and then new
    duplicates are dropped; 0 = off (min_mask_region_area of SAM 1, in pixels of the image)."""
    low_res_region_area: int = 0
    """Holes and pieces of up to this many pixels of the low-res logits are filled and removed in each candidate before
    its stability is measured; the logits that `refine` feeds back still have them. SAM 2's own rule
    (min_mask_region_area)."""
    order: Order = "area"
    """`area`: the largest mask first; `iou`: the highest IoU prediction first; `crop`: masks of the smallest
    crops first, and in each the highest IoU prediction first, as in the official code."""

    def __repr__(self) -> str:
        return changes_text(self)

    def __post_init__(self) -> None:
        for name in _CHECKS:
            object.__setattr__(self, name, self.check(name, getattr(self, name)))

    @staticmethod
    def check(field_name: str, value: Any, *, name: str | None = None) -> Any:
        """Return the value of one setting, checked and converted.

        Args:
            field_name: the setting.
            value: see there.
            name: what the message calls it, if not by the field's name.

        Raises:
            ConfigError: the value is out of range or of another kind.
        """
        return _CHECKS[field_name](name or field_name, value)

    @classmethod
    def for_engine(cls, info: EngineInfo, **changes: Any) -> AutomaticConfig:
        """Return the settings stored with a model; `changes` are fields with other values."""
        return cls(**(dict(info.automatic_defaults) | changes))

    def grid(self, layer: int) -> FloatArray:
        """Return the (P, 2) clicks in each crop of a layer, in fractions of the crop; layer 0 is the whole image."""
        if self.point_grids is not None:
            return np.asarray(self.point_grids[min(layer, len(self.point_grids) - 1)], np.float32)
        side = max(1, self.points_per_side // self.crop_points_divisor**layer)
        centers = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side)
        return np.stack(np.meshgrid(centers, centers), axis=-1).reshape(-1, 2)

    @property
    def num_points(self) -> int:
        """Number of clicks per image, over all crops."""
        return sum(4**layer * len(self.grid(layer)) for layer in range(self.crop_layers + 1))


def _checked_grids(name: str, grids: Sequence[ArrayLike] | None) -> tuple[tuple[tuple[float, float], ...], ...] | None:
    """Return the grids as tuples, which can be compared and are immutable."""
    if grids is None:
        return None
    if not len(grids):
        raise ConfigError(f"{name} is empty: give at least one (P, 2) array, or leave it out for a regular grid")
    checked = []
    for layer, grid in enumerate(grids):
        points = check_numbers(f"{name}[{layer}]", grid, "numbers of shape (P, 2)").astype(np.float32)
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise ConfigError(
                f"{name}[{layer}] must be (P, 2) with at least one point, got {points.shape}: it is a list of "
                "such arrays, one per crop layer"
            )
        outside = ~((points >= 0) & (points <= 1)).all(axis=1)
        if outside.any():
            x, y = points[outside][0].tolist()
            raise ConfigError(
                f"{name}[{layer}] must be in [0, 1], got ({x:g}, {y:g}): divide x by the width and y by the height"
            )
        checked.append(tuple((float(x), float(y)) for x, y in points))
    return tuple(checked)


_count, _area_limit = partial(check_whole, least=1), partial(check_whole, least=0)

_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "points_per_side": _count,
    "point_grids": _checked_grids,
    "points_per_batch": _count,
    "multimask": check_flag,
    "refine": check_flag,
    "min_iou": check_fraction,
    "min_stability": check_fraction,
    "stability_offset": check_positive,
    "mask_threshold": check_number,
    "nms_iou": check_fraction,
    "crop_layers": partial(check_whole, least=0, most=MAX_CROP_LAYERS),
    "crop_nms_iou": check_fraction,
    "crop_overlap": partial(check_fraction, below_one=True),
    "crop_points_divisor": _count,
    "min_region_area": _area_limit,
    "low_res_region_area": _area_limit,
    "order": partial(check_choice, choices=get_args(Order)),
}
"""The check of each field of `AutomaticConfig`."""


@dataclass(frozen=True, slots=True)
class AutomaticMask:
    """One mask, kept as run lengths; `mask` and `polygons` are computed on access."""

    rle: CocoRle = field(repr=False)
    """The mask in the whole image, ready for JSON."""
    area: int
    """Area in pixels."""
    box_xyxy: Box
    """Tight box in source pixels: left, top, right, bottom; right and bottom one past the last pixel."""
    iou_prediction: float
    """The model's own estimate of the mask's IoU, in [0, 1]."""
    stability: float
    """Stability score in [0, 1]; see `AutomaticConfig.min_stability`."""
    point_xy: tuple[float, float]
    """The click that produced the mask, source pixels."""
    crop_box_xyxy: Box
    """The part of the image that the model saw, source pixels."""

    @property
    def mask(self) -> BoolArray:
        """(H, W); decoded from the RLE on each access."""
        return decode_rle(self.rle)

    def polygons(self, tolerance: float = 0.0) -> list[FloatArray]:
        """Return the mask's outlines, (P, 2) source pixels each; see `masklet.masks.operations.mask_polygons`."""
        return mask_polygons(self.mask, tolerance)

    def overlay(self, rgb: plotting.Picture | None = None) -> Image.Image:
        """Return the mask drawn over its picture, or over a plain background; see `FrameMasks.overlay`."""
        return plotting.overlay(self.mask[None], [1], rgb, scores=np.array([self.iou_prediction], np.float32))

    def to_pil(self) -> Image.Image:
        """Return the mask as a greyscale PIL image, 255 on the object and 0 elsewhere."""
        return convert.to_pil(self.mask[None])[0]

    def to_coco(self, *, annotation_id: int = 1, image_id: int = 1, category_id: int = 1) -> dict[str, Any]:
        """Return the mask as a COCO annotation, with `score` (the IoU prediction) and `stability`."""
        scores = {"score": round(self.iou_prediction, 4), "stability": round(self.stability, 4)}
        ids = {"id": check_whole("annotation_id", annotation_id), "image_id": check_whole("image_id", image_id)}
        category_id = check_whole("category_id", category_id)
        return ids | convert.coco_annotation(self.rle, category_id=category_id, **scores)

    @classmethod
    def from_coco(cls, annotation: Mapping[str, Any], *, size_hw: tuple[int, int] | None = None) -> AutomaticMask:
        """Return the mask of a COCO annotation; `size_hw` is needed for polygons.

        Raises:
            DataError: the segmentation is missing, damaged or empty, or has another size.
        """
        return cls._from_masks(convert.from_coco([annotation], size_hw), [annotation.get("stability", 1.0)])[0]

    @staticmethod
    def to_supervision(masks: Sequence[AutomaticMask]) -> Any:
        """Return the masks of one image as `supervision.Detections`, IoU predictions as their confidence.

        Raises:
            DataError: supervision is not installed, or there are no masks, whose size would be unknown.
        """
        if not masks:
            raise DataError("masks must hold at least one mask, got none")
        columns = {"confidence": [mask.iou_prediction for mask in masks], "stability": [m.stability for m in masks]}
        return convert.to_supervision(np.stack([mask.mask for mask in masks]), columns)

    @classmethod
    def from_supervision(cls, detections: Any) -> list[AutomaticMask]:
        """Return the masks of `supervision.Detections`.

        Raises:
            DataError: the detections have no masks, or a mask is empty.
        """
        source = convert.from_supervision(detections)
        return cls._from_masks(source, detections.data.get("stability", np.ones(len(source.masks))))

    @classmethod
    def _from_masks(cls, source: convert.MaskSet, stabilities: ArrayLike) -> list[AutomaticMask]:
        """Build records from masks: the click is the centre of the box, the crop is the whole image."""
        results: list[AutomaticMask] = []
        for mask, score, stability in zip(source.masks, source.scores, np.asarray(stabilities, float), strict=True):
            box = mask_box_xyxy(mask)
            if box is None:
                raise DataError(f"mask {len(results)} is empty: no pixel is foreground")
            left, top, right, bottom = (int(side) for side in box)
            results.append(
                cls(
                    rle=encode_rle(mask),
                    area=int(np.count_nonzero(mask)),
                    box_xyxy=(left, top, right, bottom),
                    iou_prediction=float(score),
                    stability=float(stability),
                    point_xy=((left + right) / 2, (top + bottom) / 2),
                    crop_box_xyxy=(0, 0, mask.shape[1], mask.shape[0]),
                )
            )
        return results

    def _repr_png_(self) -> bytes:
        return plotting.as_png(self.overlay())


@dataclass(frozen=True, slots=True)
class AutomaticCounts:
    """Progress of a run, and the candidates so far: each count of masks is at most the one before."""

    points_done: int
    points_total: int
    candidates: int = 0
    """Masks that the model returned."""
    sure: int = 0
    """Candidates whose IoU prediction is high enough."""
    stable: int = 0
    """Candidates that are also stable enough, and neither empty nor cut off by the edge of a crop."""
    distinct: int = 0
    """Candidates that are not duplicates. Updated after each crop; at the end, the number of masks."""


OnCounts = Callable[[AutomaticCounts], None]


def segment_everything(
    engine: Engine[Any],
    rgb: ByteArray,
    config: AutomaticConfig | None = None,
    *,
    on_progress: OnCounts | None = None,
) -> list[AutomaticMask]:
    """Segment everything in an image.

    Args:
        engine: runs the model; it encodes the image once per crop.
        rgb: (H, W, 3) uint8.
        config: clicks and thresholds; by default those that suit the model.
        on_progress: called after each batch of clicks, and once more at the end.

    Returns:
        The masks in `config.order`; they may overlap and be nested. Empty if none was good enough.

    Raises:
        ConfigError: the image is too small for this number of crops.
    """
    config = config or AutomaticConfig.for_engine(engine.info)
    size_hw = rgb.shape[0], rgb.shape[1]
    crops = _crops(size_hw, config)
    progress = _Counter(config.num_points, on_progress)
    masks: list[AutomaticMask] = []
    for box, layer in crops:
        left, top, right, bottom = box
        features = engine.encode_image(np.ascontiguousarray(rgb[top:bottom, left:right]))
        size_xy = np.array([right - left, bottom - top], np.float32)
        points = np.minimum(config.grid(layer) * size_xy, np.nextafter(size_xy, np.float32(0)))  # 1.0: the last pixel
        masks += _Crop(engine, features, box, size_hw, config).find(points, progress)
    if len(crops) > 1:
        masks = _without_duplicates(masks, [-_area(mask.crop_box_xyxy) for mask in masks], config.crop_nms_iou)
    progress.add(distinct=len(masks) - progress.now.distinct)
    progress.report()
    if config.order == "area":
        return sorted(masks, key=lambda mask: -mask.area)
    if config.order == "iou":
        return sorted(masks, key=lambda mask: -mask.iou_prediction)
    return masks


def free_clicks(grid_01: FloatArray, covered: BoolArray) -> BoolArray:
    """Return (P,) which clicks of a grid do not fall on covered pixels.

    Args:
        grid_01: (P, 2) x, y in fractions of the image.
        covered: (H, W) where not to click.
    """
    height, width = covered.shape
    columns, rows = (grid_01 * (width, height)).astype(int).T
    return np.asarray(~covered[rows.clip(0, height - 1), columns.clip(0, width - 1)])


def masks_at_points(
    engine: Engine[A],
    features: ImageFeatures[A],
    size_hw: tuple[int, int],
    points_xy: FloatArray,
    config: AutomaticConfig,
) -> list[AutomaticMask]:
    """Segment what lies at some clicks of an image that is encoded already.

    Args:
        engine: that has encoded the image.
        features: of the whole image.
        size_hw: of the image.
        points_xy: (P, 2) source pixels.
        config: thresholds; its own clicks and crops are not used.

    Returns:
        The distinct masks, the best IoU prediction first.
    """
    height, width = size_hw
    crop = _Crop(engine, features, (0, 0, width, height), size_hw, config)
    return crop.find(np.asarray(points_xy, np.float32), _Counter(len(points_xy), None))


def label_map(masks: Sequence[AutomaticMask], size_hw: tuple[int, int]) -> NDArray[np.int32]:
    """Draw all masks into one map, smaller ones on top.

    Returns:
        (H, W) int32: the index of a mask in `masks`, counted from 1; 0 where there is none.
    """
    labels = np.zeros(size_hw, np.int32)
    for number, mask in sorted(enumerate(masks, start=1), key=lambda pair: -pair[1].area):
        labels[mask.mask] = number
    return labels


class _Counter:
    """Counts candidates, and reports the counts."""

    def __init__(self, points_total: int, on_progress: OnCounts | None) -> None:
        self.now = AutomaticCounts(0, points_total)
        self._on_progress = on_progress

    def add(self, **counts: int) -> None:
        self.now = replace(self.now, **{name: getattr(self.now, name) + count for name, count in counts.items()})

    def report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.now)


class _Crop(Generic[A]):
    """Finds the masks in one crop.

    Two buffers are reused for all candidates: allocating them takes longer than the resizing.
    """

    def __init__(
        self,
        engine: Engine[A],
        features: ImageFeatures[A],
        box_xyxy: Box,
        image_hw: tuple[int, int],
        config: AutomaticConfig,
    ) -> None:
        left, top, right, bottom = box_xyxy
        self.engine = engine
        self.box_xyxy = box_xyxy
        self.config = config
        self.size_hw = bottom - top, right - left
        self.features = features
        self.image_xyxy: Box = (0, 0, image_hw[1], image_hw[0])
        self._logits = np.empty(self.size_hw, np.float32)
        self._image_mask = np.zeros(image_hw, np.bool_, order="F")  # column by column, as RLE counts

    def find(self, points: FloatArray, progress: _Counter) -> list[AutomaticMask]:
        """Return the distinct masks at clicks, (P, 2) pixels of the crop, the best IoU prediction first."""
        per_batch, least = self.config.points_per_batch, self.config.min_iou
        results: list[AutomaticMask] = []
        for first in range(0, len(points), per_batch):
            batch = points[first : first + per_batch]
            for point_xy, answer in self._ask(batch):
                sure = [row for row, iou in enumerate(answer.iou_predictions) if iou >= least]
                logits = self.engine.to_numpy(answer.low_res_logits) if sure else np.zeros((0, 0, 0), np.float32)
                masks = [self._measure(logits[row], answer.iou_predictions[row], point_xy) for row in sure]
                stable = [mask for mask in masks if mask is not None]
                progress.add(candidates=len(answer.iou_predictions), sure=len(sure), stable=len(stable))
                results += stable
            progress.add(points_done=len(batch))
            progress.report()
        results = self._distinct(results)
        if self.config.min_region_area:
            cleaned = [_cleaned(mask, self.config.min_region_area - 1) for mask in results]
            # Cleaning may have made boxes alike.
            results = self._distinct([mask for mask in cleaned if mask is not None])
        progress.add(distinct=len(results))
        return results

    def _distinct(self, masks: Sequence[AutomaticMask]) -> list[AutomaticMask]:
        return _without_duplicates(masks, [mask.iou_prediction for mask in masks], self.config.nms_iou)

    def _ask(self, points_xy: FloatArray) -> list[tuple[FloatArray, Decoded[A]]]:
        """Return the model's answers at (P, 2) pixels of the crop, each with its click."""
        answers = self._decode([_click(point) for point in points_xy], self.config.multimask)
        if not self.config.refine:
            return list(zip(points_xy, answers, strict=True))
        again = [
            _click(point, np.clip(logits, -PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT))
            for point, answer in zip(points_xy, answers, strict=True)
            for logits in self.engine.to_numpy(answer.low_res_logits)
        ]
        refined: list[Decoded[A]] = []
        for first in range(0, len(again), self.config.points_per_batch):
            refined += self._decode(again[first : first + self.config.points_per_batch], multimask=False)
        return [(prompt.points_xy[0], answer) for prompt, answer in zip(again, refined, strict=True)]

    def _decode(self, prompts: Sequence[Prompt], multimask: bool) -> list[Decoded[A]]:
        conditioned = self.engine.attend(self.features, [Recall()] * len(prompts))
        return self.engine.decode(conditioned, prompts, multimask=multimask)

    def _measure(self, low_res_logits: FloatArray, iou_prediction: float, point_xy: FloatArray) -> AutomaticMask | None:
        """Return the record of a candidate from its (h, w) logits; None if it is unstable, empty or cut off."""
        config, (left, top, _, _) = self.config, self.box_xyxy
        if config.low_res_region_area:
            low_res_logits = without_small_parts(low_res_logits, config.low_res_region_area, config.low_res_region_area)
        rows, columns = _window(low_res_logits > config.mask_threshold - config.stability_offset, self.size_hw)
        logits = upsample_logits(low_res_logits, self.size_hw, out=self._logits)[rows, columns]
        inner = np.count_nonzero(logits > config.mask_threshold + config.stability_offset)
        outer = np.count_nonzero(logits > config.mask_threshold - config.stability_offset)
        stability = float(inner / outer) if outer else 0.0
        if stability < config.min_stability:
            return None
        mask = logits > config.mask_threshold
        box = mask_box_xyxy(mask)
        if box is None:
            return None
        x, y = left + columns.start, top + rows.start
        box_xyxy = (x + int(box[0]), y + int(box[1]), x + int(box[2]), y + int(box[3]))
        if _is_cut_off(box_xyxy, self.box_xyxy, self.image_xyxy):
            return None
        window = slice(y, y + mask.shape[0]), slice(x, x + mask.shape[1])
        self._image_mask[window] = mask
        rle = encode_rle(self._image_mask)
        self._image_mask[window] = False
        return AutomaticMask(
            rle=rle,
            area=int(np.count_nonzero(mask)),
            box_xyxy=box_xyxy,
            iou_prediction=float(iou_prediction),
            stability=stability,
            point_xy=(left + float(point_xy[0]), top + float(point_xy[1])),
            crop_box_xyxy=self.box_xyxy,
        )


def _click(point_xy: FloatArray, previous_logits: FloatArray | None = None) -> Prompt:
    """Return a prompt of one point on the object; unchecked, because the grid generates the points."""
    return replace(Prompt.of_click(point_xy), previous_logits=previous_logits)


def _window(foreground: BoolArray, size_hw: tuple[int, int]) -> tuple[slice, slice]:
    """Return the source rows and columns that bilinear upsampling of (h, w) logits can make foreground."""
    if not foreground.any():
        return slice(0, 0), slice(0, 0)
    sides = []
    for axis, size in enumerate(size_hw):
        indices = np.flatnonzero(foreground.any(axis=1 - axis))
        scale = size / foreground.shape[axis]
        # upsampling spreads a low-res pixel to the centres of its neighbours
        first, last = math.floor((indices[0] - 0.5) * scale - 0.5), math.ceil((indices[-1] + 1.5) * scale - 0.5)
        sides.append(slice(max(0, first), min(size, last + 1)))
    return sides[0], sides[1]


def _cleaned(masks: AutomaticMask, max_area: int) -> AutomaticMask | None:
    """Remove holes and pieces of at most this area; None if nothing is left."""
    mask = remove_small_components(fill_holes(masks.mask, max_area), max_area)
    box = mask_box_xyxy(mask)
    if box is None:
        return None
    left, top, right, bottom = (int(edge) for edge in box)
    area = int(np.count_nonzero(mask))
    return replace(masks, rle=encode_rle(mask), area=area, box_xyxy=(left, top, right, bottom))


def _crops(size_hw: tuple[int, int], config: AutomaticConfig) -> list[tuple[Box, int]]:
    """Return (box, layer) pairs: the whole image, then the crops of each layer."""
    height, width = size_hw
    crops = [((0, 0, width, height), 0)]
    for layer in range(1, config.crop_layers + 1):
        boxes = crop_boxes(size_hw, 2**layer, config.crop_overlap * 2 / 2**layer)
        if min(min(right - left, bottom - top) for left, top, right, bottom in boxes) < MIN_CROP_SIDE:
            raise ConfigError(
                f"crop_layers={config.crop_layers} cuts the image, {width} x {height}, into crops of less than "
                f"{MIN_CROP_SIDE} pixels: use at most {layer - 1}"
            )
        crops += [(box, layer) for box in boxes]
    return crops


def _is_cut_off(box_xyxy: Box, crop_xyxy: Box, image_xyxy: Box) -> bool:
    """Return True if a mask ends near an edge of its crop inside the image: another crop sees more of it."""
    return any(
        abs(edge - crop_edge) <= INNER_EDGE < abs(edge - image_edge)
        for edge, crop_edge, image_edge in zip(_to_last_pixel(box_xyxy), crop_xyxy, image_xyxy, strict=True)
    )


def _without_duplicates(masks: Sequence[AutomaticMask], scores: Sequence[float], max_iou: float) -> list[AutomaticMask]:
    boxes = np.array([_to_last_pixel(mask.box_xyxy) for mask in masks], np.float32).reshape(-1, 4)
    return [masks[row] for row in box_nms(boxes, np.array(scores, np.float64), max_iou)]


def _to_last_pixel(box_xyxy: Box) -> Box:
    """Return the box with right and bottom at its last pixel, not past it. SAM's thresholds are for such boxes."""
    left, top, right, bottom = box_xyxy
    return left, top, right - 1, bottom - 1


def _area(box_xyxy: Box) -> int:
    left, top, right, bottom = box_xyxy
    return (right - left) * (bottom - top)
