"""A row per object and frame: the stored form of a tracker's output, and every conversion from and to it.

All conversions (`FrameMasks`, SQL columns, JSON) are derived from the fields of `MaskRow` and from what `FrameMasks`
says of its own fields, so that a new field is declared in `records` and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from masklet.checks import check_flag, check_number, check_whole
from masklet.errors import DataError
from masklet.masks.foreground import foreground_of, mask_array
from masklet.masks.rle import CocoRle, decode_rle, encode_rle
from masklet.memory.policies import reliability
from masklet.records import PRESENT_SCORE, BoolArray, ByteArray, EncodedRows, FrameMasks, ObjectResult


@dataclass(frozen=True, kw_only=True)
class MaskRow(ObjectResult):
    """One object on one frame, with its mask run-length encoded: what is stored and exported."""

    frame_index: int
    time_s: float
    rle: CocoRle
    """In source size; empty when the object was absent."""
    reliability: float
    """0 to 1, as the memory bank had it."""
    direction: int
    """The direction of tracking: 1 if the frame was reached from earlier frames, -1 from later ones."""
    accepted: bool = False
    """Checked by the user: it is never rewritten."""
    stale: bool = False
    """A prompt that came later can change it."""

    @cached_property
    def mask(self) -> BoolArray:
        """(H, W) the decoded mask, in source size."""
        return decode_rle(self.rle)


_TYPES = get_type_hints(MaskRow)
_REQUIRED = {field.name for field in fields(MaskRow) if field.default is MISSING}
_RLE_COLUMNS = ("height", "width", "counts")
COLUMNS: tuple[str, ...] = (
    *(field.name for field in fields(MaskRow) if field.name != "rle"),
    *_RLE_COLUMNS,
)
"""SQL columns of a row. A column that is NULL was not known to the version that wrote the row: the field's default
is read in its place."""

_ROW_ONLY = {field.name for field in fields(MaskRow)} - {field.name for field in fields(ObjectResult)}
"""Fields of `MaskRow` that `FrameMasks` has no column for."""

_PER_OBJECT = {field.name: field.metadata["row"] for field in fields(FrameMasks) if "row" in field.metadata}
"""Fields of `FrameMasks` with one entry per object, and the field of `MaskRow` that holds the entry."""


def given_row(
    frame_index: int,
    object_id: int,
    mask: BoolArray | CocoRle,
    *,
    time_s: float = 0.0,
    iou_prediction: float = 1.0,
    object_score: float = PRESENT_SCORE,
    confidence: float | None = None,
    prompted: bool = True,
    accepted: bool = False,
) -> MaskRow:
    """Make the row of a mask that was given (drawn, imported or answered for a prompt) and not tracked.

    Args:
        frame_index: the frame.
        object_id: the object.
        mask: (H, W), or its run-length encoding.
        time_s: presentation time of the frame.
        iou_prediction: quality of the mask, in [0, 1].
        object_score: logit; the object is absent where it is not above 0.
        confidence: expected IoU of the mask, in [0, 1]; None means the IoU prediction.
        prompted: whether the mask is the object's prompt on this frame.
        accepted: whether a user has checked it.
    """
    object_score = check_number("object_score", object_score, error=DataError)
    iou_prediction = check_number("iou_prediction", iou_prediction, error=DataError)
    is_present = object_score > 0
    return MaskRow(
        frame_index=check_whole("frame_index", frame_index, error=DataError),
        object_id=check_whole("object_id", object_id, error=DataError),
        time_s=check_number("time_s", time_s, error=DataError),
        rle=mask if isinstance(mask, dict) else encode_rle(foreground_of(mask_array("mask", mask, error=DataError))),
        iou_prediction=iou_prediction,
        object_score=object_score,
        confidence=math.nan if confidence is None else check_number("confidence", confidence, error=DataError),
        reliability=iou_prediction if is_present else 0.0,
        direction=1,
        prompted=check_flag("prompted", prompted, error=DataError),
        status="present" if is_present else "occluded",
        accepted=check_flag("accepted", accepted, error=DataError),
    )


def to_rows(masks: FrameMasks, *, direction: int = 1) -> list[MaskRow]:
    """Convert a frame's masks into rows, one per object. Masks that come from rows are not encoded again.

    Args:
        masks: N objects.
        direction: of tracking, 1 forward or -1 backward; ignored for masks that come from rows.
    """
    values = {row_field: _listed(getattr(masks, name)) for name, row_field in _PER_OBJECT.items()}
    rows = []
    for row, stored in enumerate(_carried(masks)):
        result = {name: entries[row] for name, entries in values.items() if entries}
        if stored is not None:
            rows.append(MaskRow(**result, **{name: getattr(stored, name) for name in _ROW_ONLY}))
            continue
        rows.append(
            MaskRow(
                **result,
                frame_index=masks.frame_index,
                time_s=masks.time_s,
                rle=encode_rle(masks.masks[row]),
                reliability=reliability(result["object_score"], result["iou_prediction"]),
                direction=direction,
            )
        )
    return rows


def with_rows(masks: FrameMasks, rows: Sequence[MaskRow | None]) -> FrameMasks:
    """Return the masks together with the rows that encode them, for the next `to_rows`."""
    return replace(masks, encoded=EncodedRows(tuple(rows), masks.masks, _packed(masks.masks)))


def _carried(masks: FrameMasks) -> list[MaskRow | None]:
    """Return the row that comes with each mask, or None.

    A caller may have put other masks in place of those that were encoded, or changed pixels within them: then the
    array is another one, or its bits differ. Comparing bits takes a tenth of the time of encoding.
    """
    encoded = masks.encoded
    if encoded is None or encoded.masks is not masks.masks:
        return [None] * len(masks.object_ids)
    unchanged = (_packed(masks.masks) == encoded.packed).all(axis=1)
    return [row if same else None for row, same in zip(encoded.rows, unchanged, strict=True)]


def _packed(masks: BoolArray) -> ByteArray:
    """Return the pixels of (N, H, W) masks as (N, B) bytes of bits."""
    count, height, width = masks.shape
    return np.packbits(masks.reshape(count, height * width), axis=1)


def from_rows(frame_index: int, time_s: float, rows: Sequence[MaskRow], size_hw: tuple[int, int]) -> FrameMasks:
    """Convert rows of one frame back into what the tracker had returned.

    Args:
        frame_index: the frame.
        time_s: presentation time of the frame.
        rows: by ascending object id; may be empty.
        size_hw: size of the frame.
    """
    masks = np.array([row.mask for row in rows], np.bool_).reshape(-1, *size_hw)
    return with_rows(from_results(frame_index, time_s, rows, masks), rows)


def from_results(frame_index: int, time_s: float, results: Sequence[ObjectResult], masks: BoolArray) -> FrameMasks:
    """Put the results of N objects on one frame together with their masks, (N, H, W)."""
    columns = {
        name: _stacked([getattr(result, row_field) for result in results], _TYPES[row_field])
        for name, row_field in _PER_OBJECT.items()
    }
    return FrameMasks(frame_index=frame_index, time_s=time_s, masks=masks, **columns)


def take(masks: FrameMasks, rows: Sequence[int]) -> FrameMasks:
    """Return some objects of a frame, by their row, in this order."""
    indices = list(rows)
    columns = {name: _taken(getattr(masks, name), indices) for name in _PER_OBJECT}
    carried = _carried(masks)
    return with_rows(replace(masks, masks=masks.masks[indices], **columns), [carried[row] for row in indices])


def join(masks: FrameMasks, stored: Sequence[MaskRow], *, keep_apart: bool) -> FrameMasks:
    """Add stored rows of other objects to what has just been tracked on a frame.

    Args:
        masks: what has just been tracked.
        stored: rows of objects that are not in `masks`.
        keep_apart: pixels that both claim stay with the stored rows.

    Returns:
        All objects, by ascending id.
    """
    if not stored:
        return masks
    others = from_rows(masks.frame_index, masks.time_s, stored, (masks.masks.shape[1], masks.masks.shape[2]))
    tracked = masks.masks & ~others.masks.any(axis=0) if keep_apart else masks.masks
    columns = {name: _concatenated(getattr(others, name), getattr(masks, name)) for name in _PER_OBJECT}
    # Where `keep_apart` took pixels away, the rows no longer have the masks' areas and are dropped.
    both = with_rows(
        replace(masks, masks=np.concatenate([others.masks, tracked]), **columns), [*stored, *_carried(masks)]
    )
    return take(both, np.argsort(both.object_ids).tolist())


def to_values(row: MaskRow) -> tuple[Any, ...]:
    """Return the SQL values of a row, in the order of `COLUMNS`."""
    return (
        *(getattr(row, name) for name in COLUMNS[: -len(_RLE_COLUMNS)]),
        *row.rle["size"],
        row.rle["counts"],
    )


def from_values(values: Iterable[Any]) -> MaskRow:
    """Make a row from its SQL values, in the order of `COLUMNS`."""
    *plain, height, width, counts = values
    return _row_of(
        dict(zip(COLUMNS, plain, strict=False)) | {"rle": CocoRle(size=[int(height), int(width)], counts=counts)}
    )


def to_json(row: MaskRow) -> dict[str, Any]:
    """Return a row as JSON can hold it."""
    return {field.name: getattr(row, field.name) for field in fields(MaskRow)}


def from_json(record: Mapping[str, Any]) -> MaskRow:
    """Make a row from its JSON. Fields that another version of masklet has added are ignored.

    Raises:
        DataError: it is not an object, or a field is of the wrong type.
        TypeError: a field that every version has written is missing.
    """
    if not isinstance(record, Mapping):
        raise DataError(f"a mask must be an object, got {type(record).__name__}")
    return _row_of({name: _checked(name, record[name]) for name in _TYPES.keys() & record.keys()})


def _checked(name: str, value: Any) -> Any:
    """Return a value of a row's JSON, if it has the type of the field."""
    kind = _TYPES[name]
    if value is None:
        return value
    if kind is int:
        return check_whole(name, value, least=-1, most=2**53, error=DataError)
    if kind is float and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise DataError(f"{name} must be a number, got {type(value).__name__}")
    if kind is float and math.isnan(value) and name in _REQUIRED:  # SQLite stores NaN as NULL
        raise DataError(f"{name} must be a number, got NaN")
    if kind is bool and not isinstance(value, bool | int):
        raise DataError(f"{name} must be true or false, got {type(value).__name__}")
    if get_origin(kind) is Literal and value not in get_args(kind):
        raise DataError(f"{name} must be one of {', '.join(map(str, get_args(kind)))}, got {value!r:.60}")
    return value


def _row_of(values: Mapping[str, Any]) -> MaskRow:
    """Make a row; values that are None or left out get the field's default."""
    fields: dict[str, Any] = {
        name: bool(value) if _TYPES[name] is bool else value for name, value in values.items() if value is not None
    }
    return MaskRow(**fields)


_ARRAY_TYPES: dict[Any, Any] = {bool: np.bool_, float: np.float32}


def _stacked(entries: list[Any], kind: Any) -> Any:
    """Return a column of `FrameMasks` of one entry per object: an array of numbers or flags, else a tuple."""
    return np.array(entries, _ARRAY_TYPES[kind]) if kind in _ARRAY_TYPES else tuple(entries)


def _listed(column: Any) -> list[Any]:
    if column is None:
        return []
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def _taken(column: Any, rows: list[int]) -> Any:
    """Return some entries of a column; an omitted column (None or empty) stays omitted."""
    if column is None or isinstance(column, np.ndarray):
        return None if column is None else column[rows]
    return tuple(column[row] for row in rows) if column else ()


def _concatenated(first: Any, second: Any) -> Any:
    return np.concatenate([first, second]) if isinstance(first, np.ndarray) else first + second
