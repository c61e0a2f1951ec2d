"""Masks as other tools have them, and back: COCO annotations, `supervision.Detections`, PIL images, polygons.

Pure functions on arrays; the methods of results (`FrameMasks.to_coco`, `SegmentResult.to_supervision`, ...) call them.
Knows nothing of files, models and videos. `supervision` is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from masklet.errors import DataError
from masklet.masks.operations import mask_box_xyxy, mask_polygons, polygons_mask
from masklet.masks.rle import CocoRle, check_rle, decode_rle, encode_rle, rle_area, rle_box_xyxy, rle_size
from masklet.records import BoolArray, FloatArray

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""Values per mask, by name."""


class MaskSet(NamedTuple):
    """Masks of one image with what came with them; row i of every field is the same mask."""

    masks: BoolArray
    """(N, H, W)"""
    scores: FloatArray
    """(N,) in [0, 1]; 1 where there was no score."""
    object_ids: tuple[int, ...]
    """(N,) track ids where the source has them for all masks, else 1, 2, ..."""
    boxes_xyxy: FloatArray
    """(N, 4) as `boxes_xyxy` returns them."""


def boxes_xyxy(masks: BoolArray) -> FloatArray:
    """Return the tight boxes around masks: left, top, right, bottom, right and bottom one past the last pixel.

    Args:
        masks: (N, H, W).

    Returns:
        (N, 4) float32, source pixels; zeros for an empty mask.
    """
    boxes = [mask_box_xyxy(mask) for mask in masks]
    return np.array([np.zeros(4) if box is None else box for box in boxes], np.float32).reshape(-1, 4)


def areas(masks: BoolArray) -> NDArray[np.int64]:
    """Return the number of pixels of each mask, (N,) for (N, H, W)."""
    return np.array([np.count_nonzero(mask) for mask in masks], np.int64)


def coco_annotation(rle: CocoRle, *, category_id: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a mask as a COCO annotation without ids.

    Args:
        rle: the mask; becomes the segmentation.
        category_id: its class.
        fields: are added, or replace those that are there.

    Raises:
        ValueError: the mask is empty: it has no box.
    """
    box = rle_box_xyxy(rle)
    if box is None:
        raise ValueError("an empty mask has no box")
    left, top, right, bottom = box.tolist()
    return {
        "category_id": category_id,
        "segmentation": rle,
        "area": rle_area(rle),
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": 0,
        **fields,
    }


def to_coco(
    masks: BoolArray,
    *,
    image_id: int = 1,
    category_id: int = 1,
    first_id: int = 1,
    as_polygons: bool = False,
    columns: Columns | None = None,
) -> list[dict[str, Any]]:
    """Return masks as COCO annotations; empty masks, which have no box, are left out.

    Args:
        masks: (N, H, W).
        image_id: of every annotation.
        category_id: of every annotation.
        first_id: of the first annotation; the others count up.
        as_polygons: write outlines in place of run lengths; larger, but every tool reads them.
        columns: further fields, one value per mask; fractions get four decimal places.
    """
    annotations: list[dict[str, Any]] = []
    for row, mask in enumerate(masks):
        if mask.any():
            fields = {name: _json_value(values[row]) for name, values in (columns or {}).items()}
            ids = {"id": first_id + len(annotations), "image_id": image_id}
            annotation = coco_annotation(encode_rle(mask), category_id=category_id, **fields)
            if as_polygons:
                annotation["segmentation"] = [polygon.ravel().tolist() for polygon in mask_polygons(mask)]
            annotations.append({**ids, **annotation})
    return annotations


def _json_value(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return round(plain, 4) if isinstance(plain, float) else plain


def from_coco(annotations: Iterable[Mapping[str, Any]], size_hw: tuple[int, int] | None = None) -> MaskSet:
    """Read COCO annotations of one image.

    Args:
        annotations: with "segmentation" as run lengths or polygons; "score", "track_id" and "object_id" are used where
            they are there.
        size_hw: size of the image; needed for polygons, and checked against run lengths.

    Raises:
        DataError: a segmentation is missing or damaged, sizes differ, or polygons come without `size_hw`.
    """
    listed = list(annotations)
    masks = []
    for number, annotation in enumerate(listed):
        try:
            masks.append(decoded(segmentation_mask(annotation.get("segmentation"), size_hw)))
        except DataError as error:
            raise DataError(f"annotation {annotation.get('id', number)}: {error}") from error
        size_hw = size_hw or masks[0].shape
    scores = [1.0 if annotation.get("score") is None else float(annotation["score"]) for annotation in listed]
    ids = [annotation.get("track_id", annotation.get("object_id")) for annotation in listed]
    return mask_set(np.array(masks, np.bool_).reshape(-1, *(size_hw or (0, 0))), scores, ids)


def segmentation_mask(segmentation: Any, size_hw: tuple[int, int] | None) -> BoolArray | CocoRle:
    """Return the mask of a `segmentation` as COCO writes it: polygons are drawn, a compressed RLE is only checked.

    Args:
        segmentation: an RLE, polygons, or, as VIA writes it, the numbers of one polygon.
        size_hw: size of the image; needed for polygons.

    Raises:
        DataError: it is none of these, an RLE is damaged or of another size, or polygons come without `size_hw`.
    """
    if isinstance(segmentation, Mapping):
        if isinstance(segmentation.get("counts"), str):
            check_rle(segmentation, size_hw)
            return CocoRle(size=list(rle_size(segmentation)), counts=segmentation["counts"])
        return decode_rle(segmentation, size_hw)
    if size_hw is None:
        raise DataError("polygons do not include the image size: give size_hw=(height, width)")
    if isinstance(segmentation, list) and segmentation and not isinstance(segmentation[0], Sequence | np.ndarray):
        segmentation = [segmentation]
    return polygons_mask(segmentation, size_hw)


def decoded(mask: BoolArray | CocoRle) -> BoolArray:
    """Return a mask of `segmentation_mask`, (H, W)."""
    return decode_rle(mask) if isinstance(mask, dict) else mask


def is_empty(mask: BoolArray | CocoRle) -> bool:
    """Return whether a mask of `segmentation_mask` has no pixel."""
    return not rle_area(mask) if isinstance(mask, dict) else not mask.any()


def mask_set(masks: ArrayLike, scores: ArrayLike | None = None, object_ids: Iterable[Any] | None = None) -> MaskSet:
    """Return masks with scores and ids, which are filled in where they are missing.

    Args:
        masks: (N, H, W), foreground where > 0.
        scores: (N,); 1 when left out.
        object_ids: (N,); 1, 2, ... when left out, or when some are None.

    Raises:
        DataError: masks have another number of dimensions, the counts differ, or an id is repeated.
    """
    planes: BoolArray = np.asarray(masks) > 0
    if planes.ndim != 3:
        raise DataError(f"masks must be (N, H, W), got shape {planes.shape}")
    numbers = np.ones(len(planes), np.float32) if scores is None else np.asarray(scores, np.float32)
    given_ids = [None] if object_ids is None else list(object_ids)
    if None in given_ids:
        ids = tuple(range(1, len(planes) + 1))
    else:
        ids = tuple(int(value) for value in given_ids if value is not None)
    if numbers.shape != (len(planes),) or len(ids) != len(planes):
        raise DataError(
            f"masks must have one score and one id each, got {len(planes)} masks, {numbers.size} scores, {len(ids)} ids"
        )
    if len(set(ids)) != len(ids):
        raise DataError(f"the masks of one image must have different ids, got {list(ids)}")
    return MaskSet(planes, numbers, ids, boxes_xyxy(planes))


def to_supervision(masks: BoolArray, columns: Columns) -> Any:
    """Return masks as `supervision.Detections`, for its annotators and metrics; empty masks are left out.

    Args:
        masks: (N, H, W).
        columns: one value per mask: `confidence`, `track_id` (the tracker id), and others, which become data.

    Raises:
        DataError: supervision is not installed.
    """
    try:
        import supervision
    except ModuleNotFoundError as error:
        raise DataError("detections need the package supervision: pip install supervision") from error
    kept = [row for row, mask in enumerate(masks) if mask.any()]
    detection_fields = ("confidence", "track_id")
    return supervision.Detections(
        xyxy=boxes_xyxy(masks[kept]),
        mask=masks[kept],
        confidence=np.asarray(columns["confidence"], np.float32)[kept],
        class_id=np.zeros(len(kept), np.int64),
        tracker_id=np.asarray(columns["track_id"], np.int64)[kept] if "track_id" in columns else None,
        data={name: np.asarray(values)[kept] for name, values in columns.items() if name not in detection_fields},
    )


def from_supervision(detections: Any) -> MaskSet:
    """Read `supervision.Detections`: masks, confidence and tracker ids.

    Raises:
        DataError: the detections have boxes only.
    """
    if detections.mask is None:
        raise DataError("the detections have no masks: prompt a segmenter with their boxes (detections.xyxy)")
    ids = None if detections.tracker_id is None else np.asarray(detections.tracker_id).tolist()
    return mask_set(np.asarray(detections.mask), detections.confidence, ids)


def to_pil(masks: BoolArray) -> list[Image.Image]:
    """Return each of (N, H, W) masks as a greyscale image, 255 on the object and 0 elsewhere."""
    return [Image.fromarray(mask.astype(np.uint8) * 255) for mask in masks]


def from_pil(images: Iterable[Image.Image]) -> MaskSet:
    """Read images as masks: foreground where they are not black.

    Raises:
        DataError: the images differ in size.
    """
    planes = [np.asarray(image.convert("L")) > 0 for image in images]
    if len({plane.shape for plane in planes}) > 1:
        raise DataError(f"masks of one image must have one size, got {sorted({plane.shape for plane in planes})}")
    return mask_set(np.array(planes, np.bool_).reshape(-1, *(planes[0].shape if planes else (0, 0))))
